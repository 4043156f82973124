"""Options, each declared once: as an annotated field of a TypedDict, from which all else about it comes.

The command line's options, their help and checks, configuration files and the table in the docs are made from such a
declaration. Nothing heavy is imported here, so that `pcbench --help` stays quick.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tomli_w

from pcbench import files
from pcbench.arguments import a_word, listed, number, path_text, plain, shown, whole
from pcbench.errors import DataError, DefinitionError, UnknownNameError, UsageError
from pcbench.limits.text import parsed_toml

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MODEL_PLACE = r"(?P<place>.+\.toml)(?:@.*)?"
"""Where the value of an option for a model names a file: a configuration of a network of somebody's own."""

_LEFT_OUT = "__left_out__"


@dataclass(frozen=True)
class Option:
    """What a declaration says of an option besides its type and its limits."""

    help: str
    """One sentence for readers of `--help`, of the docs or of an editor's hint."""
    group: str = ""
    """The heading that it stands under."""
    default: Any = None
    flags: tuple[str, ...] = ()
    """How it is spelled on the command line, where that is not `--` and its name with hyphens."""
    needed: bool = False
    """Whether it has no default and must be given."""
    place: str | None = None
    """A pattern whose group `place` finds the file or folder in its value: published manifests leave the folders out.
    None where it names none; all of a `Path` is one."""
    repeats: bool = True
    """Whether a run that repeats another needs it."""
    in_shell: bool = True
    """Whether the command line has it."""
    form: Callable[[object], object] | None = None
    """Makes the declared form of what users may give in other forms too, and refuses the rest in its own words."""
    spec: str | None = None
    """The part of a run's description that it decides, for it can change a number and so the key: ``"model"``,
    ``"data"``, ``"suites"`` or ``"settings"``, where a field has its name or the one given after a dot. None where no
    number depends on it."""


Options = TypeVar("Options")


@dataclass(frozen=True)
class Declared:
    """One option as it is declared."""

    name: str
    """Its name as Python and configuration files spell it."""
    kind: Any
    """Its type."""
    limits: tuple[Any, ...]
    """The limits of its value, from `annotated_types`."""
    option: Option

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that a value may have, without None."""
        several = get_origin(self.kind) in (Union, UnionType)
        kinds = get_args(self.kind) if several else (self.kind,)
        # One of several may have limits of its own.
        return tuple(
            get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds if kind is not NoneType
        )

    @property
    def listed(self) -> bool:
        """Whether its value is a list."""
        return bool(self.entries)

    @property
    def entries(self) -> tuple[Any, ...]:
        """The types of the entries of its list; none where it is not one."""
        return next((get_args(kind) for kind in self.kinds if get_origin(kind) is Sequence), ())

    @property
    def is_word(self) -> bool:
        """Whether its value is one of a few known words, in which the command line takes hyphens for underscores."""
        return any(get_origin(kind) is Literal for kind in self.kinds)

    @property
    def joined(self) -> bool:
        """Whether the command line takes its list as one text with commas; it repeats the option otherwise."""
        return self.listed and self.entries not in ((str,), (object,))

    @property
    def flags(self) -> tuple[str, ...]:
        """How it is spelled on the command line, the long form first."""
        dashed = f"--{self.name.replace('_', '-')}"
        long = next((flag for flag in self.option.flags if flag.startswith("--")), dashed)
        return (long, *(flag for flag in self.option.flags if not flag.startswith("--")))

    @property
    def flag(self) -> str:
        """The long form alone."""
        return self.flags[0]

    @property
    def off_flag(self) -> str | None:
        """How the command line says no to it; None where its value cannot be no."""
        return f"--no-{self.flag.removeprefix('--')}" if bool in self.kinds else None

    @property
    def is_switch(self) -> bool:
        """Whether its value is yes or no, and nothing else."""
        return self.kinds == (bool,)

    @property
    def setting(self) -> str | None:
        """The field of a run's settings that holds it; None where its place is another one, or none."""
        part, _, field = (self.option.spec or "").partition(".")
        return (field or self.name) if part == "settings" else None

    @property
    def place(self) -> str | None:
        """The pattern whose group `place` finds a file or folder in its value; None where it names none."""
        return "(?P<place>.+)" if Path in self.kinds else self.option.place


def leaving_out(*names: str) -> Callable[[type[Options]], type[Options]]:
    """Return a decorator of a declaration that has all options of another but these: their values are the defaults."""

    def mark(declaration: type[Options]) -> type[Options]:
        setattr(declaration, _LEFT_OUT, names)
        return declaration

    return mark


def declared(declaration: type) -> Mapping[str, Declared]:
    """Return the options of a declaration by name, in its order."""
    names, known = getattr(declaration, _LEFT_OUT, ()), _with_left_out(declaration)
    return {name: one for name, one in known.items() if name not in names}


@functools.cache
def _with_left_out(declaration: type) -> Mapping[str, Declared]:
    found: dict[str, Declared] = {}
    for name, hint in get_type_hints(declaration, include_extras=True).items():
        kind, *extras = get_args(hint)
        (option,) = (extra for extra in extras if isinstance(extra, Option))
        within = (extra for one in get_args(kind) if get_origin(one) is Annotated for extra in get_args(one)[1:])
        limits = (*(extra for extra in extras if not isinstance(extra, Option)), *within)
        found[name] = Declared(name, kind, limits, option)
    return found


def resolved(declaration: type[Options], given: Mapping[str, Any]) -> Options:
    """Return the values of all options: those that are given, checked, and the defaults of the others.

    A single text or number for an option that is a list stands for a list of one. Numbers may be of any type, NumPy's
    and PyTorch's among them, or text; True and False are not numbers.

    Raises:
        UnknownNameError: There is no such option, or its value is a word that is not known; the nearest is suggested.
        UsageError: A value has the wrong type or lies outside its limits, or one that is needed is missing.
    """
    known = {**_with_left_out(declaration), **declared(declaration)}
    _refuse_unknown(declaration, given)
    values: dict[str, Any] = {}
    for name, one in known.items():
        value = given.get(name, one.option.default)
        if value is None and one.option.needed:
            raise UsageError(f"`{name}` is needed: give {name}=…")
        if value is None and NoneType not in get_args(one.kind):
            value = one.option.default
        values[name] = None if value is None else _as_declared(one, value)
    _check(declaration, values)
    return cast("Options", values)


def chosen(declaration: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not the defaults, of those options that a repetition needs."""
    found: dict[str, Any] = {}
    for name, one in declared(declaration).items():
        value, default = values[name], one.option.default
        # An object of the user's own may compare itself with None in a way of its own.
        if one.option.repeats and (value is not None if default is None else value != default):
            found[name] = value
    return found


def read_config(declaration: type, path: Path) -> dict[str, Any]:
    """Read a configuration file: TOML, one key an option, spelled as in Python.

    Raises:
        DefinitionError: The file is missing or broken, a key is not an option (the nearest is suggested), or a value
            has the wrong type or lies outside its limits.
    """
    try:
        found = parsed_toml(path)
    except DataError as error:
        raise DefinitionError(path, str(error).removeprefix(f"{path}: ")) from None
    except OSError as error:
        raise DefinitionError(path, f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DefinitionError(path, f"is not TOML: {error}") from error
    try:
        # An option that is needed may stand on the command line instead, so it is not missed here.
        needed = {name: "" for name, one in declared(declaration).items() if one.option.needed}
        resolved(declaration, needed | found)
    except UsageError as error:
        raise DefinitionError(path, str(error)) from error
    return found


def config_text(declaration: type, values: Mapping[str, Any], *, remarks: Sequence[str]) -> str:
    """Return a configuration file: one line an option, under the headings of its group.

    Args:
        declaration: The options.
        values: Those to write.
        remarks: The file's first lines, written as comments.
    """
    lines = [f"# {''.join(sign if sign.isprintable() else '?' for sign in remark)}" for remark in remarks]
    group = None
    for name, one in declared(declaration).items():
        if name not in values or values[name] is None:
            continue
        if one.option.group != group:
            group = one.option.group
            lines += ["", f"# {group}"] if group else [""]
        value = values[name]
        lines.append(tomli_w.dumps({name: str(value) if isinstance(value, Path) else value}).rstrip("\n"))
    return "\n".join(lines) + "\n"


def write_config(declaration: type, values: Mapping[str, Any], path: Path, *, verb: str) -> None:
    """Write a configuration file for a verb of the command line.

    Raises:
        UsageError: It cannot be written there.
    """
    files.try_folder(path.parent, "give another place")
    files.write(path, config_text(declaration, values, remarks=[f"pcbench {verb} --config {path.name}"]))


def with_places(declaration: type, values: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return values with each file and folder that they name changed, and an object of Python as its type in <>."""
    known = declared(declaration)
    found: dict[str, Any] = {}
    for name, value in values.items():
        one = known.get(name)
        if one is None or one.place is None or value is None:
            found[name] = value
        elif one.listed:
            found[name] = [
                _with_place(one, str(item), change) if isinstance(item, str | Path) else f"<{type(item).__name__}>"
                for item in value
            ]
        elif isinstance(value, str | Path):
            found[name] = _with_place(one, str(value), change)
        else:
            found[name] = f"<{type(value).__name__}>"
    return found


def is_placeholder(value: object) -> bool:
    """Return whether a value only stands for something that is not known: a text in angle brackets."""
    return isinstance(value, str) and re.fullmatch(r"<\w+>", value) is not None


def _with_place(one: Declared, text: str, change: Callable[[str], str]) -> str:
    match = re.fullmatch(one.place or "", text, re.DOTALL)
    if match is None or is_placeholder(text):
        return text
    start, end = match.span("place")
    return text[:start] + change(text[start:end]) + text[end:]


def command_line(declaration: type, values: Mapping[str, Any], *, verb: str) -> str:
    """Return the command that gives options these values."""
    words = ["pcbench", verb]
    for name, one in declared(declaration).items():
        if name in values and one.option.in_shell:
            words += _words(one, values[name])
    return shlex.join(words)


def _words(one: Declared, value: Any) -> Iterator[str]:
    if isinstance(value, bool):
        # Yes needs no word where the option takes a number too: that is its default.
        yield from ([one.flag] if one.is_switch else []) if value else [str(one.off_flag)]
    elif one.joined:
        yield from (one.flag, ",".join(map(str, value)))
    else:
        for item in value if one.listed else (value,):
            yield from (one.flag, str(item).replace("_", "-") if one.is_word else str(item))


def _refuse_unknown(declaration: type, given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in declared(declaration):
            raise UnknownNameError("option", name, declared(declaration))


def _as_declared(one: Declared, value: Any) -> Any:
    """Return a value as the type of its option writes it; what does not fit stays as it is, to be refused."""
    if one.option.form is not None:
        return one.option.form(value)
    if one.listed:
        return _list_as_declared(one, value)
    for kind, read in _READERS.items():
        if kind in one.kinds:
            return read(value)
    return value


def _list_as_declared(one: Declared, value: object) -> object:
    entries = listed(path_text(cast("PathLike[str]", value)) if isinstance(value, PathLike) else value)
    if entries is None:
        return cast("object", value)
    if one.entries == (str,):
        return tuple(map(_text, entries))
    if len(entries) == 1 and isinstance(entries[0], str):
        entries = tuple(entries[0].split(","))  # as the command line has it
    return tuple(map(whole, entries)) if one.entries == (int,) else entries


def _path(value: object) -> object:
    return Path(path_text(cast("PathLike[str]", value))) if isinstance(value, PathLike) else value


def _text(value: object) -> object:
    if isinstance(value, PathLike):
        return path_text(cast("PathLike[str]", value))
    named = (type(value).__module__, type(value).__name__)
    found = plain(value)
    # A number stands for its digits. PyTorch, whose device is a text here too, is not imported.
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return str(found) if is_number or named == ("torch", "device") else found


_READERS: Mapping[Any, Callable[[object], object]] = {int: whole, bool: plain, float: number, Path: _path, str: _text}
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", Path: "a path", str: "a text"}


@functools.cache  # making one takes longer than all that it checks
def _checker(declaration: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # takes a while to import

    return TypeAdapter(declaration)


def _check(declaration: type, values: Mapping[str, Any]) -> None:
    from pydantic import ValidationError

    try:
        _checker(declaration).validate_python(dict(values), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
    else:
        return
    one = declared(declaration)[str(first["loc"][0])]
    value = values[one.name]
    if first["type"] == "literal_error":
        for kind in one.kinds:
            a_word(one.name, value, get_args(kind))
    raise UsageError(f"`{one.name}` {_wanted(one)} (got {shown(value)})")


def _wanted(one: Declared) -> str:
    """Return what a value must be, in words."""
    if one.listed:
        words = {(str,): "is a list of texts", (int,): "is a list of whole numbers, such as [1, 3]"}
        return words.get(one.entries, 'is a list of numbers, such as ["8/255"]')
    bounds = {name: getattr(limit, name) for limit in one.limits for name in ("ge", "le") if hasattr(limit, name)}
    low, high = bounds.get("ge"), bounds.get("le")
    kinds = [kind for kind in one.kinds if kind is not bool or one.is_switch]
    word = next((word for kind, word in _WORDS.items() if kind in kinds), "of another type")
    word = word if bool in kinds or bool not in one.kinds else f"False or {word}"
    choices = [repr(choice) for kind in one.kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        word = f"{' or '.join(choices)} or {word}"
    if low is None:
        return f"is {word}" if high is None else f"is {word} of at most {high}"
    return f"is {word} of at least {low}" if high is None else f"is {word} from {low} to {high}"
