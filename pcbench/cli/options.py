"""From a declaration of options to a command: its options with help and defaults, and its configuration files."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from pcbench.arguments import listed, number
from pcbench.cli.completion import completer_of
from pcbench.errors import UsageError
from pcbench.options import Declared, declared, is_placeholder, read_config, resolved, write_config

_CONFIG = "Configuration"
_OFF = "no_"
_FILLED = ("options", "given")
_QUOTES = "'\""
_PLAIN: dict[type, str] = {int: "NUMBER", float: "NUMBER", Path: "PATH"}
_WHOLE = re.compile(r"\s*[+-]?\d{1,30}\s*")
# Messages name options as Python spells them: `out`, or with a value, images=4 and data='imagefolder:PATH'.
_NAMED = re.compile(r"""`(?P<name>\w+)`|\b(?P<key>\w+)=(?P<value>'[^']*'|"[^"]*"|[\w./:-]*[\w/]|…)""")


def as_command(verb: str, command: Callable[..., None]) -> Callable[..., None]:
    """Return what typer makes a command of: with the options that it declares, and help in plain words."""
    hints = get_type_hints(command, include_extras=True)
    return with_options(verb, command) if "options" in hints else _with_plain_types(command)


def with_options(verb: str, command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the options that the type of the parameter `options` of another declares.

    The other one is called with the values of all of them: of those that were given, on the command line or in the
    file of `--config`, of which the command line's win, and the defaults of the others. If it has a parameter `given`,
    it receives the names of those that were given. Its own parameters stay as they are.

    Args:
        verb: What the command is called.
        command: Has a parameter `options`, whose type is a declaration.
    """
    hints = get_type_hints(command, include_extras=True)
    declaration: type[Any] = hints["options"]
    own = [one for one in inspect.signature(command).parameters.values() if one.name not in _FILLED]
    names_given = "given" in inspect.signature(command).parameters

    def call(ctx: typer.Context, **words: Any) -> None:
        given: dict[str, Any] = {}
        if words["config"] is not None:
            given = read_config(declaration, words["config"])
        given |= _given(ctx, declaration, words)
        _refuse_placeholders(declaration, given)
        values = resolved(declaration, given)
        if words["save_config"] is not None:
            write_config(declaration, given, words["save_config"], verb=verb)
        names = {"given": frozenset(given)} if names_given else {}
        command(**{one.name: words[one.name] for one in own}, **names, options=values)

    parameters = [
        _parameter("ctx", typer.Context),
        *(one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
        *(made for one in declared(declaration).values() if one.option.in_shell for made in _from(one)),
        _file("config", "A TOML file of options; those given here win over it."),
        _file("save_config", "Write the options given to this TOML file."),
    ]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    call.__doc__ = command.__doc__
    return _with_plain_types(call)


def _refuse_placeholders(declaration: type, values: Mapping[str, Any]) -> None:
    """Refuse values in which a file that `pcbench show RUN --config` printed was not filled in.

    Raises:
        UsageError: One is still a text in angle brackets.
    """
    for name, one in declared(declaration).items():
        value: object = values.get(name)
        entries = listed(value) if one.listed else None
        for entry in (value,) if entries is None else entries:
            if is_placeholder(entry) or (isinstance(entry, str) and re.search("<(FOLDER|FILE|PATH)>", entry)):
                raise UsageError(f"`{name}` is {entry!r}: replace what is in angle brackets by what it stands for")


def _with_plain_types(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose help says NUMBER, PATH or NAME where Python's types would stand."""
    hints = get_type_hints(command, include_extras=True)
    for hint in hints.values():
        kind, *extras = get_args(hint) or (hint,)
        for extra in extras:
            if isinstance(extra, OptionInfo | ArgumentInfo) and extra.metavar is None:
                extra.metavar = _plain_type(kind)
    command.__annotations__ = hints
    return command


def _plain_type(kind: Any) -> str:
    kinds = {kind, *get_args(kind)}
    if bool in kinds:
        return ""
    return next((word for known, word in _PLAIN.items() if known in kinds), "NAME")


def as_flags(message: str, app: Any) -> str:
    """Return a message with the options in it as the command line spells them: this is the one place that does so.

    Args:
        message: Names options as Python does.
        app: The command of all verbs, whose options are known.
    """
    if _NAMED.search(message) is None:
        return message  # the options of all verbs are not asked for: each would be imported
    flags: dict[str, str] = {}
    for verb in app.commands.values():
        for one in verb.params:
            long = [flag for flag in one.opts if flag.startswith("--")]
            flags |= {one.name: long[0]} if long else {}
            flags |= {f"{_OFF}{one.name}": one.secondary_opts[0]} if one.secondary_opts else {}

    def spelled(match: re.Match[str]) -> str:
        name, value = match["name"] or match["key"], match["value"]
        if name not in flags:
            return match[0]
        if value == "False" and f"{_OFF}{name}" in flags:
            return flags[f"{_OFF}{name}"]
        return flags[name] if value in (None, "True") else f"{flags[name]} {value.strip(_QUOTES)}"

    return _NAMED.sub(spelled, message)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _file(name: str, text: str) -> inspect.Parameter:
    option = typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel=_CONFIG)
    return _parameter(name, Annotated[Path | None, option], None)


def _given(ctx: typer.Context, declaration: type, words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that stand on the command line."""
    # The sources of a parameter's value have the same names in every click, typer's own among them.
    there = {name for name in words if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"}
    known = declared(declaration)
    given = {name: _read(one, words[name]) for name, one in known.items() if name in there}
    return given | {name: False for name in known if f"{_OFF}{name}" in there}


def _from(one: Declared) -> Iterator[inspect.Parameter]:
    flags, kind = one.flags, _kind(one)
    default: Any = one.option.default if one.is_switch or bool not in one.kinds else None
    if one.joined and default is not None:
        default = ",".join(map(str, default))
    elif kind is str and default is not None:
        default = str(default)
    elif one.listed or default is None:
        kind, default = kind | None, None
    if one.is_switch and default is not False:
        flags = (f"{one.flag}/{one.off_flag}", *flags[1:])
    option = typer.Option(
        *flags,
        help=one.option.help,
        rich_help_panel=one.option.group or None,
        metavar=_values(one),
        autocompletion=completer_of(one),
        show_default=_shown_default(one) or True,
    )
    yield _parameter(one.name, Annotated[kind, option], default)
    if one.off_flag and (default is False or not one.is_switch):
        # A configuration file may say yes to it: the command line can say no, which needs no line in the help.
        yield _parameter(f"{_OFF}{one.name}", Annotated[bool, typer.Option(one.off_flag, hidden=True)], False)


def _shown_default(one: Declared) -> str:
    """Return the default of a list as the help shows it; empty for all others, which the parser knows by itself."""
    value = one.option.default
    return ", ".join(map(str, value)) if one.listed and not one.joined and value else ""


def _values(one: Declared) -> str:
    """Return what stands for an option's value in the help."""
    words = [get_args(kind) for kind in one.kinds if get_origin(kind) is Literal]
    if words:
        return "|".join(words[0]).replace("_", "-")
    return "NUMBERS" if one.joined else _plain_type(one.kinds[0])


def _kind(one: Declared) -> Any:
    """Return the type by which the command line reads an option; numbers are read by the declaration, in its words."""
    if one.listed:
        return str if one.joined else list[str]
    return bool if one.is_switch else Path if Path in one.kinds else str


def _read(one: Declared, word: Any) -> Any:
    """Return the value of an option as Python spells it; what does not fit is refused where all values are checked."""
    if one.joined:
        return tuple(part.strip() for part in str(word).split(","))
    if isinstance(word, list | tuple):
        return tuple(str(part) for part in word)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if int in one.kinds:
        return int(word) if _WHOLE.fullmatch(word) else word
    if float in one.kinds:
        return number(word)
    return word.replace("-", "_") if one.is_word else word
