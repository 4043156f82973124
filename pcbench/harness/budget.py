"""The largest part of a run that fits a budget of time, and the command that computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pcbench.errors import UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import CHECKED_IMAGES, SHOWN_IMAGES, WATCHED_IMAGES
from pcbench.harness.durations import shown_duration
from pcbench.harness.fitting_batch import fitting_batch
from pcbench.harness.measuring import Speeds, speed_key
from pcbench.harness.memory import worker_memory
from pcbench.harness.plan import Plan
from pcbench.harness.request import RunOptions
from pcbench.options import chosen, command_line

FEWEST_IMAGES = 100
"""The smallest sensible subset: with fewer images an accuracy's 95 % interval is wider than ten points either way."""
_FEW = {"growth": WATCHED_IMAGES, "precision": WATCHED_IMAGES, "evidence": CHECKED_IMAGES, "pictures": SHOWN_IMAGES}


def fitting_command(request: RunOptions, plan: Plan, speeds: Speeds, seconds: float, workers: int) -> str:
    """Return the `run` command with the most images whose slowest estimate fits a budget.

    Args:
        request: What is asked for.
        plan: What it makes of all images, or of as many as the request names.
        speeds: What was measured.
        seconds: The budget.
        workers: How many work at the same time.

    Raises:
        UsageError: No sensible subset fits; the message says which budget does.
    """
    whole = plan.images.num_rows
    fewest = min(FEWEST_IMAGES, whole)
    cost = _Cost(request, plan, speeds, workers)
    if cost.seconds(fewest) > seconds:
        raise UsageError(
            f"`budget` is too small: {fewest} images, the fewest that say something, need "
            f"{shown_duration(cost.seconds(fewest))} on this machine; give more, or fewer suites or timesteps"
        )
    images = whole if cost.seconds(whole) <= seconds else _largest(cost, fewest, whole, seconds)
    options: dict[str, Any] = chosen(RunOptions, request)
    options |= {} if images == whole else {"images": images}
    options |= _smaller_batch(plan, workers)
    return command_line(RunOptions, options, verb="run")


def _largest(cost: _Cost, low: int, high: int, seconds: float) -> int:
    """Return the most images that fit; `low` does and `high` does not."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost.seconds(middle) <= seconds else (low, middle)
    return low


class _Cost:
    """The slowest estimate of a part of a run.

    Args:
        request: What is asked for.
        plan: The whole run.
        speeds: What was measured.
        workers: How many work at the same time.
    """

    def __init__(self, request: RunOptions, plan: Plan, speeds: Speeds, workers: int) -> None:
        self._workers, self._whole = workers, plan.images.num_rows
        self._checked = request["checks"] is True
        self._speeds = speeds
        self._conditions: dict[tuple[str, str, str], tuple[Unit, int]] = {}
        for unit in plan.units:
            key = unit.work, unit.condition.path, unit.detail
            _, images = self._conditions.get(key, (unit, 0))
            self._conditions[key] = unit, images + len(unit.block)

    def seconds(self, images: int) -> float:
        """Return how long a run on some of the images takes."""
        kinds: dict[tuple[str, ...], tuple[float, Sequence[float]]] = {}
        for unit, there in self._conditions.values():
            # A part of the data is checked only where that is asked for.
            if unit.work == "evidence" and images < self._whole and not self._checked:
                continue
            each = unit.passes.most * self._speeds.share(unit)
            work, rates = kinds.get(speed_key(unit), (0.0, self._speeds.rates(unit)))
            kinds[speed_key(unit)] = work + each * min(images, there, _FEW.get(unit.work, images)), rates
        return self._speeds.spread(list(kinds.values()))[2] / self._workers


def _smaller_batch(plan: Plan, workers: int) -> Mapping[str, int]:
    """Return a smaller batch size where the plan's does not fit the memory, and nothing where it does."""
    found = fitting_batch(plan, worker_memory(plan), workers)
    if found is None or found.largest >= found.planned:
        return {}
    return {"batch_size": max(1, found.largest)}
