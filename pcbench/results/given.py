"""The runs that a caller of Python gives: opened ones, or their folders."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TypeAlias

from pcbench.arguments import read_path
from pcbench.errors import UsageError
from pcbench.results.directory import Run, open_run

GivenRun: TypeAlias = Run | str | PathLike[str]
"""What functions take for a run: itself, or its folder."""


def given_run(run: GivenRun) -> Run:
    """Return the run that a caller gave, opened and checked where it is a folder.

    Raises:
        UsageError: It is neither a run nor a folder of one.
        DataError: As for `open_run`.
    """
    if isinstance(run, Run):
        return run
    return open_run(read_path("run", run))


def given_runs(runs: GivenRun | Sequence[GivenRun]) -> list[Run]:
    """Return the runs that a caller gave, one or several; see `given_run`.

    Raises:
        UsageError: One is neither a run nor a folder of one, or there are none.
        DataError: As for `open_run`.
    """
    several = [runs] if isinstance(runs, str) or not isinstance(runs, Sequence) else runs
    found = [given_run(one) for one in several]
    if not found:
        raise UsageError("give at least one run, or the folder of one")
    return found
