"""What a message or a docstring tells to type exists: verbs and options, by the option parser's own list.

Oracle: the commands that typer makes of the verbs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import pcbench
from pcbench.cli.main import app

PACKAGE = Path(pcbench.__file__).parent
COMMAND = re.compile(r"`?\bpcbench ((?:[a-z]+ )?[a-z]+)((?: [^`;,.:()\n]*)?)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
EVERYWHERE = {"--help", "--debug", "--quiet", "--no-cache", "--version"}


def verbs() -> dict[str, Any]:
    """Every verb with its command, those of `study` by both words."""
    found: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    return found | {f"study {name}": one for name, one in found["study"].commands.items()}


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text of the package's code, with its file; of a formatted one the parts are joined by a word."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.relative_to(PACKAGE).as_posix(), " ".join(node.value.split())
            elif isinstance(node, ast.JoinedStr):
                parts = [one.value if isinstance(one, ast.Constant) else "VALUE" for one in node.values]
                yield path.relative_to(PACKAGE).as_posix(), " ".join("".join(map(str, parts)).split())


def faults(text: str, known: dict[str, Any]) -> Iterator[str]:
    """Yield the commands in backticks that do not exist, and the options that a named verb does not have."""
    for match in COMMAND.finditer(text):
        words, rest = match[1], match[2]
        verb = words if words in known else words.split()[0]
        if verb not in known:
            # Without backticks it is a sentence about pcbench.
            if match[0].startswith("`"):
                yield verb
            continue
        flags = {flag for one in getattr(known[verb], "params", ()) for flag in (*one.opts, *one.secondary_opts)}
        if verb != "study":
            yield from (f"{verb} {flag}" for flag in OPTION.findall(rest) if flag not in flags | EVERYWHERE)


def test_every_command_that_is_named_exists_with_its_options() -> None:
    known = verbs()
    found = [(path, fault) for path, text in texts() for fault in faults(text, known)]
    assert found == []


def test_a_command_that_does_not_exist_is_found() -> None:
    known = verbs()
    assert list(faults("do it with `pcbench rum RUN`", known)) == ["rum"]
    assert list(faults("make it again with: pcbench baseline RUN --oot FILE", known)) == ["baseline --oot"]
    assert list(faults("pcbench reads it; `pcbench study plan STUDY.toml --measure`", known)) == []
