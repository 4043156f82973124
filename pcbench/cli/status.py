"""`pcbench status DIR`: how far a run is, asked from another terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from pcbench.errors import UsageError


def status_command(
    folder: Annotated[Path, typer.Argument(help="The run's folder, finished or not.", metavar="DIR")],
) -> None:
    """Tell how far a run is, from another terminal."""
    from pcbench.results.directory import MANIFEST, PROGRESS, partial_folder

    if (folder / MANIFEST).is_file():
        typer.echo(f"{folder}: finished")
        return
    unfinished = folder if folder.name.endswith(".partial") else partial_folder(folder)
    try:
        progress = json.loads((unfinished / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"{folder} holds no run, finished or under way") from None
    age = time.time() - progress["written"]
    typer.echo(f"{unfinished}: {progress['sentence']}; told {age:.0f} s ago")
