"""The page docs/reference/commands.md: every verb with its arguments, own options, examples, and the exit codes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main

from pcbench.cli.examples import EXAMPLES
from pcbench.cli.main import EXIT_CODES, app
from pcbench.cli.options_page import VERBS
from pcbench.cli.pages.markdown import MADE, anchor, cell, first_paragraph, table
from pcbench.cli.signals import STOPPING, Stopped
from pcbench.options import declared

_HEAD = f"""# Command line

{MADE}

`pcbench COMMAND -h` prints the same for one command, with its examples. Words in capitals stand for what you give:
files, folders, names and numbers. The options of `run`, `plan`, `extract`, `train`, `tune`, `check` and `agreement` can
stand in a TOML file too; [options.md](options.md) lists them, with their values and defaults. What `--json` prints is
in [json.md](json.md).
"""
_NOT_RUN = (
    "<!-- not run: the examples of the help, which the tests give to the parser; "
    "words in capitals stand for files and folders -->"
)


_SIGNALS = [signal.SIGINT, *(signal.Signals[name] for name in STOPPING)]


def commands_page() -> str:
    """Return the page as Markdown."""
    top = typer.main.get_command(app)
    verbs = dict(_verbs("", top))
    return "\n".join(
        [
            _HEAD,
            table(("command", "what it does"), _listed(verbs)),
            *_for_all(top),
            *(line for verb, command in verbs.items() for line in _section(verb, command)),
            *_exit_codes(),
        ]
    )


def _verbs(above: str, group: Any) -> Iterator[tuple[str, Any]]:
    """Yield every verb that does something, those of a group by both words."""
    commands: Mapping[str, Any] = group.commands
    for name, command in commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(f"{above}{name} ", command)
        else:
            yield f"{above}{name}", command


def _listed(verbs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for verb, command in verbs.items():
        yield f"[`pcbench {verb}`](#{anchor(_heading(verb))})", first_paragraph(command.help)


def _heading(verb: str) -> str:
    return f"`pcbench {verb}`"


def _for_all(top: Any) -> Iterator[str]:
    yield "## Options of every command\n"
    yield "`--quiet`, `--debug` and `--no-cache` may stand anywhere, and `--help` or `-h` after any command.\n"
    yield table(("option", "meaning"), (_option(one) for one in top.params if not one.hidden))


def _section(verb: str, command: Any) -> Iterator[str]:
    yield f"## {_heading(verb)}\n"
    for paragraph in (command.help or "").split("\n\n"):
        yield f"{cell(paragraph)}\n"
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    yield f"```text\npcbench {verb} {' '.join([*map(_written, arguments), '[OPTIONS]'])}\n```\n"
    if arguments:
        yield table(("argument", "meaning"), ((f"`{_name(one)}`", _meaning(one)) for one in arguments))
    elsewhere = set(declared(VERBS[verb])) if verb in VERBS else set[str]()
    listed = elsewhere | {f"no_{name}" for name in elsewhere}
    own = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    own = [one for one in own if one.name not in listed]
    if own:
        yield table(("option", "meaning"), map(_option, own))
    if elsewhere:
        yield f"All other options: [options.md](options.md#{anchor(_heading(verb))}).\n"
    yield _examples(verb)


def _examples(verb: str) -> str:
    return "\n".join([_NOT_RUN, "```console", *(f"$ {one}" for one in EXAMPLES[verb]), "```", ""])


def _written(argument: Any) -> str:
    """Return an argument as the line of usage has it."""
    name = _name(argument)
    name += "…" if argument.nargs == -1 and not name.endswith("…") and "..." not in name else ""
    return name if argument.required else f"[{name}]"


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _meaning(one: Any) -> str:
    shown = one.show_default if isinstance(one.show_default, str) else one.default
    given = "" if one.required or shown in (None, False, True, (), "") or callable(shown) else f" Default: `{shown}`."
    needed = " Needed." if one.required and one.param_type_name == "option" else ""
    text = cell(one.help or "").replace("docs/reference/json.md", "[json.md](json.md)")
    return f"{text}{given}{needed}"


def _option(one: Any) -> tuple[str, str]:
    # The value's kind stands once, after the long form.
    value = f" {one.metavar}" if one.metavar else ""
    long = [flag for flag in one.opts if flag.startswith("--")]
    flags = [*(f"`{flag}{value}`" for flag in long), *(f"`{flag}`" for flag in one.opts if flag not in long)]
    return ", ".join([*flags, *(f"`{flag}`" for flag in one.secondary_opts)]), _meaning(one)


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield (
        "An error is one line on standard error, with the remedy. `--debug` shows a traceback in its place. "
        "[errors.md](errors.md) says which error has which code.\n"
    )
    rows = [(f"`{code}`", meaning) for code, meaning in EXIT_CODES.items()]
    rows += [(f"`{Stopped(number).exit_code}`", f"stopped by {_words(number)}") for number in _SIGNALS]
    yield table(("code", "meaning"), rows)


def _words(number: signal.Signals) -> str:
    """Return a signal's name, and what sends it."""
    senders = {
        "SIGINT": "Ctrl-C",
        "SIGTERM": "`kill`, a scheduler whose time is over, or a container that is stopped",
        "SIGHUP": "a terminal that is closed",
    }
    return f"{number.name}: {senders[number.name]}; the same command continues from there"
