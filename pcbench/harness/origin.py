"""The command and the place of a run: what its manifest holds of them, and what stays on the user's computer.

The manifest names files and sources without their folders. The folders and the host are in `locations.toml` beside
it, which is for the owner of the run alone.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pcbench.catalog import SUITE_KINDS, suite_names
from pcbench.errors import DataError, UsageError
from pcbench.harness.request import RunOptions
from pcbench.options import Declared, chosen, command_line, config_text, declared, toml_value
from pcbench.results.directory import LOCATIONS, Run

_SECONDS = 10


def origin(options: RunOptions) -> dict[str, Any]:
    """Return what a manifest holds: the command, the options that are not defaults, the revision of the user's code.

    Args:
        options: The values of all options.
    """
    named = _changed(chosen(RunOptions, options), lambda place: Path(place).absolute().name)
    return {
        "command": command_line(RunOptions, named, verb="run"),
        "options": named,
        "revision": revision(Path.cwd()),
    }


def locations_text(options: RunOptions) -> str:
    """Return what `locations.toml` says: the host, the folder of the user, and each option that names a place."""
    lines = [
        "# Where this run was made and where its files were. Do not publish it.",
        f"host = {toml_value(socket.gethostname())}",
        f"folder = {toml_value(Path.cwd())}",
        "",
        "[options]",
    ]
    known = declared(RunOptions)
    for name, value in _changed(chosen(RunOptions, options), _absolute).items():
        if known[name].place is not None and not _is_object(value):
            lines.append(f"{name} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def configuration(run: Run) -> str:
    """Return the configuration file that repeats a finished run.

    Where the run's `locations.toml` is missing, what stands for a folder is in angle brackets.

    Raises:
        UsageError: An earlier pcbench made the run, which did not keep this.
        DataError: `locations.toml` is damaged.
    """
    options: dict[str, Any] | None = run.manifest.get("options")
    if options is None:
        raise UsageError(f"{run.folder}: an earlier pcbench made it and kept no options; run it again")
    there = _locations(run.folder / LOCATIONS)
    values = {**_changed(options, _placeholder), **there}
    remarks = ["pcbench run --config FILE repeats this run.", f"key {run.key}"]
    if any(_PLACEHOLDER.search(str(value)) for value in values.values()):
        remarks.append("Replace what is in angle brackets: this was left out, or is an object of Python.")
    return config_text(RunOptions, values, remarks=remarks)


def revision(folder: Path) -> dict[str, str | bool] | None:
    """Return the commit that a folder of the user is at, and whether tracked files differ from it.

    Returns:
        None where the folder is not under Git, or Git is not installed.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changes is None else {"git": commit, "changed": bool(changes)}


_PLACEHOLDER = re.compile(r"<\w+>")


def _git(folder: Path, *words: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        command = [program, "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _locations(path: Path) -> dict[str, Any]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove it") from error
    options: dict[str, Any] = found.get("options", {})
    return {name: value for name, value in options.items() if name in declared(RunOptions)}


def _changed(options: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return options with each place in their values changed, and a placeholder for each object of Python."""
    known = declared(RunOptions)
    found: dict[str, Any] = {}
    for name, value in options.items():
        one = known.get(name)
        if one is None or one.place is None:
            found[name] = value
        elif one.listed:
            found[name] = [_place(one, str(item), change) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        elif isinstance(value, str | Path):
            found[name] = _place(one, str(value), change)
        else:
            found[name] = f"<{type(value).__name__}>"
    return found


def _place(one: Declared, text: str, change: Callable[[str], str]) -> str:
    match = re.fullmatch(one.place or "", text)
    if match is None or _is_object(text):
        return text
    start, end = match.span("place")
    return text[:start] + change(text[start:end]) + text[end:]


def _absolute(place: str) -> str:
    return place if _is_suite(place) else str(Path(place).absolute())


def _placeholder(place: str) -> str:
    return place if _is_suite(place) else f"<FOLDER>/{place}"


def _is_suite(name: str) -> bool:
    return any(name in suite_names(kind) for kind in SUITE_KINDS)


def _is_object(value: object) -> bool:
    return isinstance(value, str) and _PLACEHOLDER.fullmatch(value) is not None
