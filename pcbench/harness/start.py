"""The entry to a run: its lock is taken before anything heavy is imported, so that it is seen at once."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from pcbench.arguments import public, with_first
from pcbench.errors import UsageError
from pcbench.files import MARKER, UNFINISHED, real_path
from pcbench.harness.engines.ray_cluster import refuse_unreachable
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.harness.request import Model, RunOptions, request_from
from pcbench.harness.shard_numbers import ShardNumber, read_shard
from pcbench.results.lock import announce, hold

if TYPE_CHECKING:
    from pcbench.results.directory import Run

DEFAULT_FOLDER = Path("results") / "runs"


@public(RunOptions)
def run(of_model: Model | None = None, on_suites: Sequence[str] | None = None, /, **options: Unpack[RunOptions]) -> Run:
    """Measure how robust a network is at every timestep.

    Args:
        of_model: The option `model`, which may be given without its name.
        on_suites: The option `suites`, which may be given without its name too.
        **options: The options of `pcbench run`; docs/reference/options.md lists them.

    Returns:
        The finished run; `run.metrics` is a pandas DataFrame, `run.folder` holds everything. With `shard`, the finished
        `pcbench.results.shard.Shard`, which has no tables.

    Raises:
        UsageError: The request is wrong or impossible; the computation did not start.
        RunError: The run failed; its finished units are kept for the next try.
    """
    return start(request_from(with_first(options, of_model, on_suites)))


def start(request: RunOptions) -> Run:
    """Do what a request asks for; see `run`.

    Raises:
        HeldError: Another process is at work on the same run.
        UsageError, RunError: As for `run`.
    """
    if request["dry_run"]:
        raise UsageError("a dry run in Python is pcbench.plan(…), with the same options but `dry_run`")
    command = shlex.join(sys.argv)
    shard = None if request["shard"] is None else read_shard(request["shard"])
    if shard is not None and request["progress"] and sys.stderr is not None:
        sys.stderr.write(f"{shard.sentence}\n")
    refuse_unknown_names(request)
    if request["engine"] == "ray":
        refuse_unreachable(request["ray_address"])
    with ExitStack() as stack:
        out = None if request["out"] is None else _place(Path(request["out"]), shard)
        if out is not None:
            stack.enter_context(hold(out, command))
        else:
            stack.enter_context(announce(DEFAULT_FOLDER, _words(request)))
        # PyTorch and what else a run needs takes seconds to import.
        from pcbench.harness.run import execute
        from pcbench.harness.saved_plan import plan_for
        from pcbench.harness.shard_run import execute_shard

        plan = plan_for(request)
        final = _default(plan.spec.name(), shard) if out is None else out
        if out is None:
            stack.enter_context(hold(final, command))
        if shard is not None:
            return execute_shard(request, plan, shard, final)
        run = execute(request, plan, final)
    if request["on_result"] is not None:
        from pcbench.harness.told_results import Result, tell_result

        tell_result(request["on_result"], lambda: Result(run.folder.name, run.metrics, run=run), run.folder.name)
    return run


def _place(out: Path, shard: ShardNumber | None) -> Path:
    """Return the folder that a run, or a shard of one, ends in."""
    folder = fitting_place(real_path(out))
    return folder if shard is None else fitting_place(folder / shard.folder)


def _default(name: str, shard: ShardNumber | None) -> Path:
    """Return the folder where none is given: shards lie beside the run that they are merged into."""
    return real_path(DEFAULT_FOLDER / name if shard is None else DEFAULT_FOLDER / f"{name}-shards" / shard.folder)


def fitting_place(out: Path) -> Path:
    """Return a place for a run's folder.

    Raises:
        UsageError: It is a disk's root, an unfinished run's own folder, or inside a run.
    """
    why = None
    if not out.name:
        why = "is the root of a disk"
    elif out.name.endswith(UNFINISHED):
        why = f"ends in {UNFINISHED}, as the folders of unfinished runs do"
    else:
        within = next((folder for folder in out.parents if (folder / MARKER).is_file()), None)
        why = None if within is None else f"lies inside {within}, which pcbench made"
    if why is not None:
        raise UsageError(f"{out} {why}; give another folder with `out`")
    return out


def _words(request: RunOptions) -> str:
    model = request["model"]
    name = model if isinstance(model, str) else type(model).__name__
    given = [what for what in ("corruptions", "attacks") if request[what]]
    return f"{name} on {', '.join([*request['suites'], *given]) or 'its own suites'}"
