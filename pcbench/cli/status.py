"""`pcbench status [DIR]`: how far a run is, or which runs are under way, asked from another terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pcbench import files
from pcbench.errors import UsageError
from pcbench.percent import percent
from pcbench.results.lock import Holder, holder, under_way

_RUNS = Path("results") / "runs"


def status_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="The run's folder, finished or not; without it, all runs under way.", metavar="DIR"),
    ] = None,
) -> None:
    """Show how far a run is, or which runs are under way, from another terminal."""
    if folder is None:
        _show_all()
    else:
        typer.echo(f"{folder}: {_state(folder)}")


def _show_all() -> None:
    runs = under_way(_RUNS)
    if not runs:
        typer.echo(f"no run is under way in {_RUNS}")
    for run in runs:
        name = run.folder or run.what or "a run"
        state = "starting" if run.folder is None else _how_far(run.folder, run.holder)
        typer.echo(f"{name}: under way ({run.holder.sentence}): {state}")


def _state(folder: Path) -> str:
    from pcbench.results.directory import MANIFEST, partial_folder

    final = files.real_path(folder)
    if final.name.endswith(files.UNFINISHED):
        final = final.with_name(final.name.removesuffix(files.UNFINISHED))
    who = holder(final)
    if who is not None:
        return f"under way ({who.sentence}): {_how_far(final, who)}"
    if (final / MANIFEST).is_file():
        return "finished"
    if not partial_folder(final).is_dir():
        raise UsageError(f"{folder} does not hold a run, finished or unfinished")
    progress = _progress(final)
    share = f"at {percent(progress['share'], 0)} %" if progress else "before anything was computed"
    return f"stopped {share}; the same command resumes it"


def _how_far(final: Path, who: Holder) -> str:
    progress = _progress(final)
    # An earlier, stopped run may have left its own file.
    if progress is None or progress["written"] < who.began.timestamp():
        return "starting"
    return f"{progress['sentence']}; reported {max(time.time() - progress['written'], 0.0):.0f} s ago"


def _progress(final: Path) -> dict[str, Any] | None:
    """Return the run's last reported progress; None before the first report."""
    from pcbench.results.directory import PROGRESS, partial_folder

    try:
        content = json.loads((partial_folder(final) / PROGRESS).read_text(encoding="utf-8"))
        return {
            "share": float(content["share"]),
            "sentence": str(content["sentence"]),
            "written": float(content["written"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None
