"""The command and the place of a run: what its manifest holds of them, and what stays on the user's computer.

The manifest names files and sources without their folders. The folders and the host are in `locations.toml` beside
it, which is for the owner of the run alone.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import tomli_w

from pcbench.catalog import SUITE_KINDS, suite_names
from pcbench.files import home
from pcbench.harness.extraction.options import ExtractOptions, is_extraction
from pcbench.harness.request import RunOptions
from pcbench.options import chosen, command_line, declared, is_placeholder, with_places
from pcbench.plugins import find_plugin

_SECONDS = 10
_PATH = re.compile(
    r"(?:file:/+|(?<![\w./:\\])(?:[A-Za-z]:[/\\]|/)|(?<=\w:)/)(?=[^\s/])"  # where an absolute path begins
    r"(?:[^/\\\n'\":;,]+[/\\]+)*"  # its folders, spaces in their names included
    r"(?P<name>(?<=[/\\])[^/\\\n'\"]+(?=['\"])|[^/\\\s:;,'\")]*)"
)
_NODE = re.compile(r"\bnode \S+ \([\da-f.:]+\)")
_SHORTEST = 3
"""A user or host whose name is shorter is not looked for: it stands in other words."""
_HEAD = "# Where this run was made and where its files were. Do not publish it.\n"


def origin(options: RunOptions) -> dict[str, Any]:
    """Return what a manifest holds: the command, the options that are not defaults, the revision of the user's code.

    Args:
        options: The values of all options.
    """
    declaration, verb = (ExtractOptions, "extract") if is_extraction(options) else (RunOptions, "run")
    named = with_places(declaration, chosen(declaration, options), lambda place: Path(place).absolute().name)
    return {
        "command": command_line(declaration, named, verb=verb),
        "options": named,
        "revision": revision(Path.cwd()),
    }


def locations_text(options: RunOptions) -> str:
    """Return what `locations.toml` says: the host, the folder of the user, and each option that names a place."""
    known = declared(RunOptions)
    places = {
        name: value
        for name, value in with_places(RunOptions, chosen(RunOptions, options), _absolute).items()
        if known[name].place is not None and not is_placeholder(value)
    }
    return _HEAD + tomli_w.dumps({"host": socket.gethostname(), "folder": str(Path.cwd()), "options": places})


def without_places(text: str, options: RunOptions) -> str:
    """Return a text, such as the reason of a failure, without folders, user and host: a manifest is published.

    Args:
        text: In one line; files that it names keep their last part, and those in a folder of images their ids.
        options: The values of all options, which say where things are.
    """
    places: set[str] = set()

    def noted(place: str) -> str:
        places.add(place.rstrip("/\\"))
        return place

    with_places(RunOptions, options, noted)
    for place in sorted(places, key=len, reverse=True):
        if "/" in place or "\\" in place:
            text = re.sub(re.escape(place) + r"[/\\]*", "", text)
    text = _NODE.sub("another node", _PATH.sub(lambda match: match["name"], text))
    names = {socket.gethostname(): "<host>"}
    if (known := home()) is not None:
        names[known.name] = "<user>"
    names |= {os.environ[name]: "<user>" for name in ("USER", "LOGNAME", "USERNAME") if name in os.environ}
    for name, word in names.items():
        if len(name) >= _SHORTEST and name != "root":
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", word, text)
    return text


def revision(folder: Path) -> dict[str, str | bool] | None:
    """Return the commit that a folder of the user is at, and whether tracked files differ from it.

    Returns:
        None where the folder is not under Git, or Git is not installed.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changes is None else {"git": commit, "changed": bool(changes)}


def commit_of_file(path: Path) -> str | None:
    """Return the commit and its day that hold a file as it is now.

    Returns:
        None where the file is changed since, was never committed, or is not under Git, or Git is not installed.
    """
    folder = path.absolute().parent
    changes = _git(folder, "status", "--porcelain", "--ignored", "--", path.name)
    return (_git(folder, "log", "-1", "--format=%h, %cs", "--", path.name) or None) if changes == "" else None


def is_shipped_suite(name: str) -> bool:
    """Return whether a suite's name is one of the catalogue, or of a plug-in, and so no file or folder."""
    return any(name in suite_names(kind) for kind in SUITE_KINDS) or find_plugin("suites", name) is not None


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


def _absolute(place: str) -> str:
    return place if is_shipped_suite(place) else str(Path(place).absolute())
