"""The page docs/reference/names.md, made from the code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import typer.main

import pcbench
from pcbench.cli.main import app
from pcbench.cli.options_page import VERBS
from pcbench.cli.pages.markdown import MADE, first_paragraph
from pcbench.models.naming import MODEL_FORMS
from pcbench.options import declared

_HEAD = f"# All names\n\n{MADE}\n"


def names_page() -> str:
    """Return the page as Markdown: functions, verbs, groups of options, and how a model can be named."""
    return "\n".join([_HEAD, *_functions(), *_verbs(), *_groups(), *_models()])


def _functions() -> Iterator[str]:
    yield "## In Python: `dir(pcbench)`\n"
    yield "| function | what it does |\n|---|---|"
    for name in pcbench.__all__:
        if not name.startswith("_"):
            yield f"| `pcbench.{name}` | {first_paragraph(inspect.getdoc(getattr(pcbench, name)))} |"
    yield "\nArguments, results and errors: `help(pcbench.run)`, and [python.md](../how_to/python.md).\n"


def _verbs() -> Iterator[str]:
    yield "## On the command line\n"
    yield "| verb | what it does |\n|---|---|"
    yield from _commands("pcbench", typer.main.get_command(app))
    yield "\n`pcbench VERB --help` has examples; [options.md](options.md) lists every option.\n"


def _commands(above: str, group: Any) -> Iterator[str]:
    commands: Mapping[str, Any] = group.commands
    for name, command in commands.items():
        yield f"| `{above} {name}` | {first_paragraph(command.help)} |"
        if hasattr(command, "commands"):
            yield from _commands(f"{above} {name}", command)


def _groups() -> Iterator[str]:
    yield "## Groups of options\n"
    yield "The names in Python and in configuration files; `batch_size` is `--batch-size` on the command line.\n"
    yield "| verb | group | options |\n|---|---|---|"
    for verb, declaration in VERBS.items():
        groups: dict[str, list[str]] = {}
        for one in declared(declaration).values():
            groups.setdefault(one.option.group, []).append(f"`{one.name}`")
        for group, names in groups.items():
            yield f"| `{verb}` | {group} | {', '.join(names)} |"
    yield ""


def _models() -> Iterator[str]:
    yield "## How a model is named\n"
    yield "Wherever a model can be named; in Python also a `torch.nn.Module`.\n"
    yield "| text | what it names | its weights |\n|---|---|---|"
    for one in MODEL_FORMS:
        yield f"| `{one.form}` | {one.what} | {one.weights} |"
    yield ""
