"""How long a study takes on this machine: its first training and tuning are done, and a few units of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcbench.arguments import public
from pcbench.harness.forecast import forecast
from pcbench.studies.options import Given
from pcbench.studies.steps import Step
from pcbench.studies.study import StudyProgress, do_some, progress_of

_PREPARING = ("train", "levels", "configure", "tune", "blur")


@dataclass(frozen=True)
class PlannedSteps:
    """Steps of one kind, which take about the same time each."""

    what: str
    """In words."""
    left: int
    """How many are still to be done."""
    hours: float | None
    """How long all of them take; None where nothing tells."""


@public()
def measured_plan(path: Path, given: Given) -> list[PlannedSteps]:
    """Return how long the rest of a study takes, by kind.

    The first training, tuning and blur are done for that and kept, as the study does them; of the runs a few units are
    measured, for a minute at most each, and nothing is kept.

    Args:
        path: The study's file.
        given: Where things lie.

    Raises:
        PcbenchError: As the study itself.
    """
    progress = progress_of(path, given)
    first = {step.kind: step for step in reversed(progress.left) if step.kind in _PREPARING}
    known = {step.kind for step in progress.done}
    do_some(path, given, [first[kind] for kind in _PREPARING if kind in first and kind not in known])
    progress = progress_of(path, given)
    return [*_preparing(progress), *_runs(progress, given)]


def _preparing(progress: StudyProgress) -> list[PlannedSteps]:
    found: list[PlannedSteps] = []
    for kind in _PREPARING:
        left = [step for step in progress.left if step.kind == kind]
        if left:
            found.append(PlannedSteps(kind, len(left), progress.hours_of(left)))
    return found


def _runs(progress: StudyProgress, given: Given) -> list[PlannedSteps]:
    found: list[PlannedSteps] = []
    groups: dict[tuple[str, str | None, bool], list[Step]] = {}
    for step in progress.left:
        if step.kind == "run":
            groups.setdefault(step.cost, []).append(step)
    for (kind, suite, timeless), steps in groups.items():
        what = f"{kind} of {suite}{', at t = 0 alone' if timeless else ''}"
        hours = progress.hours_of(steps[:1])
        if hours is None and kind == "run":
            hours = _measured(steps, given)
        found.append(PlannedSteps(what, len(steps), None if hours is None else hours * len(steps)))
    return found


def _measured(steps: Sequence[Step], given: Given) -> float | None:
    """Return the hours of one of some runs, by one whose configuration is there."""
    ready = next((step for step in steps if Path(str(step.options["configuration"])).is_file()), None)
    if ready is None:
        return None
    kept = {name: value for name, value in ready.options.items() if name not in ("out", "report")}
    hours = forecast({**kept, "measure": True, "workers": given.workers}).hours
    return None if hours is None else hours.high
