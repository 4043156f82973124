"""`pcbench status [DIR]`: how far a run or its shards are, or which runs are under way, asked from elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pcbench import files
from pcbench.cli.arguments import AsJson
from pcbench.cli.saying import say, say_json
from pcbench.errors import DataError, UsageError
from pcbench.limits.text import read_json
from pcbench.percent import percent
from pcbench.results.lock import Holder, holder, under_way

if TYPE_CHECKING:
    from pcbench.cli.json_forms import RunState
    from pcbench.harness.shard_folders import ShardFolder

_RUNS = Path("results") / "runs"


def status_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="The folder of a run, or of its shards; without it, all runs under way.", metavar="DIR"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how far a run is, or all its shards, or which runs are under way, from another terminal."""
    shards = [] if folder is None else _shards(folder)
    if shards:
        from pcbench.cli.shard_table import print_shards, shard_forms

        if as_json:
            say_json({"runs": [], "shards": shard_forms(shards)})
        else:
            print_shards(shards)
        return
    runs = _under_way() if folder is None else [_state_of(folder)]
    if as_json:
        say_json({"runs": runs, "shards": []})
        return
    if not runs:
        say(f"no run is under way in {_RUNS}")
    for run in runs:
        say(f"{run['folder']}: {run['sentence']}")


def _shards(folder: Path) -> list[ShardFolder]:
    """Return the shards that a folder is, or holds; none where it is a run."""
    from pcbench.harness.shard_folders import find_shards

    if folder.name.endswith(files.UNFINISHED):
        folder = folder.with_name(folder.name.removesuffix(files.UNFINISHED))
    try:
        return find_shards([folder])
    except UsageError:
        return []


def _under_way() -> list[RunState]:
    found: list[RunState] = []
    for run in under_way(_RUNS):
        state = "starting" if run.folder is None else _how_far(run.folder, run.holder)
        sentence = f"under way ({run.holder.sentence}): {state}"
        found.append({"folder": str(run.folder or run.what or "a run"), "state": "under way", "sentence": sentence})
    return found


def _state_of(folder: Path) -> RunState:
    state, sentence = _state(folder)
    return {"folder": str(folder), "state": state, "sentence": sentence}


def _state(folder: Path) -> tuple[str, str]:
    """Return the state of a run in one word, and in words with what is known."""
    from pcbench.results.directory import MANIFESTS, partial_folder

    final = files.real_path(folder)
    if final.name.endswith(files.UNFINISHED):
        final = final.with_name(final.name.removesuffix(files.UNFINISHED))
    who = holder(final)
    if who is not None:
        return "under way", f"under way ({who.sentence}): {_how_far(final, who)}"
    if any((final / name).is_file() for name in MANIFESTS):
        return "finished", "finished"
    if not partial_folder(final).is_dir():
        raise UsageError(f"{folder} does not hold a run, finished or unfinished")
    progress = _progress(final)
    share = f"at {percent(progress['share'], 0)} %" if progress else "before anything was computed"
    from pcbench.cli.main import with_flags  # it imports the verbs, and these import this

    failure = _failure(final)
    if failure is None:
        return "stopped", f"stopped {share}; the same command resumes it"
    return "failed", f"failed {share}: {with_flags(failure)}"


def _how_far(final: Path, who: Holder) -> str:
    progress = _progress(final)
    # An earlier, stopped run may have left its own file.
    if progress is None or progress["written"] < who.began.timestamp():
        return "starting"
    return f"{progress['sentence']}; reported {max(time.time() - progress['written'], 0.0):.0f} s ago"


def _failure(final: Path) -> str | None:
    """Return the error that ended the work; None where it ended otherwise."""
    from pcbench.results.directory import FAILURE, partial_folder

    try:
        return str(read_json(partial_folder(final) / FAILURE)["reason"])
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


def _progress(final: Path) -> dict[str, Any] | None:
    """Return the run's last reported progress; None before the first report."""
    from pcbench.results.directory import PROGRESS, partial_folder

    try:
        content = read_json(partial_folder(final) / PROGRESS)
        return {
            "share": float(content["share"]),
            "sentence": str(content["sentence"]),
            "written": float(content["written"]),
        }
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None
