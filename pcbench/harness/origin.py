"""The command and the place of a run: what its manifest holds of them, and what stays on the user's computer.

The manifest names files and sources without their folders. The folders and the host are in `locations.toml` beside
it, which is for the owner of the run alone.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import tomli_w

from pcbench.catalog import SUITE_KINDS, suite_names
from pcbench.harness.request import RunOptions
from pcbench.options import chosen, command_line, declared, is_placeholder, with_places

_SECONDS = 10
_HEAD = "# Where this run was made and where its files were. Do not publish it.\n"


def origin(options: RunOptions) -> dict[str, Any]:
    """Return what a manifest holds: the command, the options that are not defaults, the revision of the user's code.

    Args:
        options: The values of all options.
    """
    named = with_places(RunOptions, chosen(RunOptions, options), lambda place: Path(place).absolute().name)
    return {
        "command": command_line(RunOptions, named, verb="run"),
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


def revision(folder: Path) -> dict[str, str | bool] | None:
    """Return the commit that a folder of the user is at, and whether tracked files differ from it.

    Returns:
        None where the folder is not under Git, or Git is not installed.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changes is None else {"git": commit, "changed": bool(changes)}


def is_shipped_suite(name: str) -> bool:
    """Return whether a suite's name is one of the catalogue, and so no file or folder."""
    return any(name in suite_names(kind) for kind in SUITE_KINDS)


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
