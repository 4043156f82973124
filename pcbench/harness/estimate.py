"""What a run will cost, from its plan alone: nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcbench.harness.blocks import Unit
from pcbench.harness.costs import Passes
from pcbench.harness.fitting_batch import FittingBatch, fitting_batch
from pcbench.harness.grids import TOGETHER
from pcbench.harness.memory import worker_memory
from pcbench.harness.plan import Plan
from pcbench.harness.shard_numbers import ShardNumber
from pcbench.harness.shares import shares
from pcbench.harness.workers import fitting_workers

BYTES_A_ROW = 20
"""Of outcomes and parts, compressed; 17 to 18 were measured on the digits' suites."""
_REPORT_BYTES = 10_000_000
_IMAGE_ROW_BYTES = 60
_HEADROOM = 2
"""Parts and tables are there at the same time when a run is finished."""


@dataclass(frozen=True)
class WorkCost:
    """One kind of work in a run."""

    suite: str
    """The suite that it belongs to."""
    name: str
    """What it is: scores, growth, an attack's name, …"""
    units: int
    """How many units it makes."""
    images: int
    """How many images it is about, each counted once."""
    passes: Passes
    """All its passes, at most, and the share that is usually left."""


@dataclass(frozen=True)
class Hours:
    """Hours of one worker on this machine, as a few measured units tell."""

    low: float
    """With the fastest units that were seen."""
    expected: float
    """With the median ones."""
    high: float
    """With the slowest ones."""
    most: float
    """With the median ones, if nothing is skipped and no attack stops early."""
    seconds: float
    """How long was measured."""
    unseen: tuple[str, ...]
    """Kinds of work that were not measured in this time; their speed is taken from others."""


@dataclass(frozen=True)
class ShareCost:
    """What one shard of a run takes."""

    shard: str
    """Which one, and where its number was read."""
    units: int
    """How many units it has; 0 where there are more shards than can be filled."""
    share: float
    """Its part of the estimated cost of all units, 0 to 1."""


@dataclass(frozen=True)
class RunEstimate:
    """What a run will cost."""

    model: str
    """The network."""
    key: str
    """The run's key."""
    units: int
    """Units of work."""
    blocks: int
    """Blocks of images, of the suite that has most."""
    images: int
    """Different images."""
    subset: bool
    """Whether a suite is run on fewer images than there are."""
    conditions: int
    """Different conditions."""
    work: tuple[WorkCost, ...]
    """The kinds of work."""
    forward_passes: float
    """Passes without a gradient, at most: images times timesteps."""
    gradient_passes: float
    """Passes forward and backward, at most."""
    usual_share: float
    """The share of all this work that skipping and early stops usually leave."""
    disk_bytes: int
    """What the run needs on disk while it is finished."""
    worker_bytes: int | None
    """Memory of a worker; None where the network cannot be followed without computing."""
    workers: int
    """How many workers fit this machine."""
    batch: FittingBatch | None = None
    """The largest batch that fits; None where the network's memory or the device's is not known."""
    hours: Hours | None = None
    """Time, where it was measured."""
    hours_per_shard: float | None = None
    """The wished duration of a shard."""
    share: ShareCost | None = None
    """What the shard takes that the request names."""
    budget_hours: float | None = None
    """The budget, as it was read."""
    command: str | None = None
    """The run that fits the budget."""

    @property
    def shards(self) -> int | None:
        """How many shards of one worker take the wished time each; None where no speed was measured, or no wish."""
        if self.hours is None or self.hours_per_shard is None:
            return None
        return max(1, min(self.units, math.ceil(self.hours.high / self.hours_per_shard)))

    @property
    def shards_are_too_long(self) -> bool:
        """Whether even shards of one unit each take longer than wished."""
        wished = self.hours_per_shard
        return self.hours is not None and wished is not None and self.hours.high > self.units * wished


def estimate(plan: Plan, workers: int | None = None) -> RunEstimate:
    """Return what a plan costs.

    Args:
        plan: What is run.
        workers: How many work at the same time, where that is asked for; else as many as fit.
    """
    work = tuple(_work(plan.units))
    total = Passes()
    for one in work:
        total += one.passes
    memory = worker_memory(plan)
    fitting = fitting_workers(plan, memory)
    return RunEstimate(
        model=str(plan.spec.model["name"]),
        key=plan.spec.key(),
        units=len(plan.units),
        blocks=max(unit.block.of for unit in plan.units),
        images=plan.images.num_rows,
        subset=any(suite.subset for suite in plan.spec.suites),
        conditions=len({unit.condition.path for unit in plan.units}),
        work=work,
        forward_passes=total.forward,
        gradient_passes=total.gradients,
        usual_share=total.usual,
        disk_bytes=_disk_bytes(plan),
        worker_bytes=None if memory is None else memory.whole(plan.spec.settings.batch_size),
        workers=fitting,
        batch=fitting_batch(plan, memory, workers or fitting),
    )


def share_cost(plan: Plan, shard: ShardNumber) -> ShareCost:
    """Return what one shard of a plan takes."""
    of_all = shares(plan.units, shard.of)
    weights = [sum(unit.cost for unit in share) for share in of_all]
    return ShareCost(shard.sentence, len(of_all[shard.number - 1]), weights[shard.number - 1] / sum(weights))


def work_name(unit: Unit) -> tuple[str, str]:
    """Return the suite of a unit, and the name of its kind of work as a reader sees it."""
    names = {
        "scores": "clean" if unit.condition.kind == "clean" else "corrupted",
        "growth": "growth",
        "precision": "precision",
        "representations": "noise",
        "evidence": "checks",
        "pictures": "pictures",
        "saved": "saved",
    }
    return unit.condition.suite, names.get(unit.work, unit.condition.name)


def _work(units: Sequence[Unit]) -> Iterator[WorkCost]:
    groups: dict[tuple[str, str], list[Unit]] = {}
    for unit in units:
        groups.setdefault(work_name(unit), []).append(unit)
    for (suite, name), members in groups.items():
        total = Passes()
        for unit in members:
            total += unit.passes.times(len(unit.block))
        blocks = {(unit.block.start, unit.block.stop) for unit in members}
        yield WorkCost(suite, name, len(members), sum(stop - start for start, stop in blocks), total)


def _disk_bytes(plan: Plan) -> int:
    settings = plan.spec.settings
    times, size = settings.timesteps + 1, 3 * max(1, _side(plan)) ** 2
    rows = kept = 0
    for unit in plan.units:
        condition, images = unit.condition, len(unit.block)
        if unit.work == "attacks":
            budgets = len(settings.epsilons or ()) or _BUDGETS
            alone = condition.attacked_timestep is not None and settings.attacked_timesteps is None
            rows += images * (budgets + 1) * (1 if alone else times)
            kept += images * (budgets + 1) * size if settings.save_adversarials else 0
        elif unit.work == TOGETHER:
            rows += images * times * max(1, len(settings.grid.labels))
        elif unit.work in ("growth", "saved", "representations"):
            rows += images * times * _PCODERS
    images = plan.images.num_rows * _IMAGE_ROW_BYTES
    return _HEADROOM * (rows * BYTES_A_ROW + images + kept * 4) + _REPORT_BYTES


_BUDGETS = 8
"""Budgets of an attack where the plan names none: what the shipped suites have."""
_PCODERS = 8


def _side(plan: Plan) -> int:
    crop = plan.spec.data.preprocessing.get("crop")
    stated = plan.facts.input_size
    return stated[1] if stated is not None else crop if isinstance(crop, int) else 0
