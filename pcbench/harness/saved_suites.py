"""Saved adversarial images as work: each file scored at every timestep of a model they may not have been made for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pcbench.attacks.saved import Adversarials, load_adversarials, score_adversarials
from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.harness.attack_suites import sweep_table, worst_case_table
from pcbench.harness.corruption_suites import clean_unit
from pcbench.harness.plan import Plan, SavedPlan
from pcbench.harness.work import Meter, Unit
from pcbench.results.conditions import Condition


def saved_units(plan: Plan, suite: SavedPlan, folder: Path) -> Iterator[Unit]:
    """Yield the work of scoring saved images; `folder` is the run's."""
    yield clean_unit(plan, suite)
    for path in suite.definition.files:
        yield _unit(plan, suite, path)
    if len(suite.definition.files) > 1:
        yield _worst_case_unit(suite, folder)


def _unit(plan: Plan, suite: SavedPlan, path: Path) -> Unit:
    name = suite.definition.name
    budgets = len(load_adversarials(path).epsilons)
    passes = len(suite.source) * budgets * (plan.timesteps + 1)

    def compute(meter: Meter) -> pa.Table:
        saved = load_adversarials(path)
        scored = score_adversarials(
            lambda pixels: plan.subject.logits(pixels.to(plan.subject.device), plan.timesteps).cpu(),
            saved,
            plan.batch_size,
        )
        meter.step(passes, len(saved.ids))
        return sweep_table(_condition(name, saved), [scored], range(plan.timesteps + 1))

    return Unit(f"{name}/{path.stem}", f"{name}: {path.stem}", passes, compute)


def _condition(suite: str, saved: Adversarials) -> Condition:
    origin = saved.origin
    return Condition(
        suite,
        "attack",
        origin.attack,
        norm=origin.norm,
        targeted=saved.targets is not None,
        gradient=origin.gradient,
        attacked_timestep=origin.attacked_timestep,
    )


def _worst_case_unit(suite: SavedPlan, folder: Path) -> Unit:
    """Return the work of joining the attacks, timestep by timestep, from the files that they left."""
    name = suite.definition.name

    def compute(_: Meter) -> pa.Table:
        files = [folder / "outcomes" / name / f"{path.stem}.parquet" for path in suite.definition.files]
        return worst_case_table(files)

    return Unit(f"{name}/{WORST_CASE}", f"{name}: {WORST_CASE}", 0.0, compute)
