"""A suite of attacks as work: clean images first, then every attack on every timestep by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.harness.corruption_suites import clean_unit
from pcbench.harness.plan import AttackPlan, Plan
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.work import Step, Unit
from pcbench.results.schema import Condition, outcome_table


def attack_units(plan: Plan, suite: AttackPlan) -> Iterator[Unit]:
    """Yield the work of a suite of attacks."""
    definition = suite.definition
    yield clean_unit(plan, suite)
    for attack in definition.attacks:
        for timestep in range(plan.timesteps + 1):
            yield _unit(plan, suite, attack, timestep)


def _unit(plan: Plan, suite: AttackPlan, attack: AttackDefinition, timestep: int) -> Unit:
    name = suite.definition.name
    condition = Condition(
        name,
        "attack",
        attack.name,
        norm=attack.norm,
        targeted=attack.targeted,
        gradient=plan.request.gradient,
        attacked_timestep=timestep,
    )
    passes = len(suite.source) * len(attack.epsilons) * (attack.steps or 1) * (timestep + 1)

    def compute(step: Step) -> pa.Table:
        classifier = plan.subject.at(timestep, plan.request.gradient)
        parts: list[dict[str, npt.NDArray[Any]]] = []
        for batch in suite.source.batches(plan.batch_size):
            images = to_unit_range(batch.images, plan.subject.device)
            result = sweep(
                classifier,
                images,
                batch.labels.to(images.device),
                attack,
                ids=batch.ids,
                seed=plan.request.seed,
                epsilons=plan.request.epsilons,
                plain=plan.request.plain_sweep,
            )
            parts.append(_columns(result))
            step(passes * len(batch.ids) / len(suite.source), len(batch.ids))
        columns = {key: _joined([part[key] for part in parts]) for key in parts[0]}
        columns["timestep"] = np.full(len(columns["image_id"]), timestep)
        return outcome_table(condition, columns)

    return Unit(f"{name}/{attack.name}-t{timestep}", f"{name}: {attack.name}, t = {timestep}", passes, compute)


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Join arrays (epsilons, batch) along the images, keep their masks, and flatten."""
    joined: npt.NDArray[Any] = np.ma.concatenate(parts, axis=1)
    return joined.ravel()


def _columns(result: Sweep) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of one batch, each of shape (epsilons, batch); masked where a column does not apply."""
    shape = result.prediction.shape
    epsilons = np.asarray(result.epsilons)[:, None]
    outside = np.broadcast_to(~result.denominator, shape)
    return {
        "image_id": np.broadcast_to(np.array(result.ids), shape),
        "label": np.broadcast_to(result.labels, shape),
        "epsilon": np.broadcast_to(epsilons, shape),
        "prediction": result.prediction,
        "correct": result.correct,
        "confidence": result.confidence,
        "attacked": result.attacked,
        "success": np.ma.array(result.success, mask=~result.attacked),
        "success_within": np.ma.array(result.success_within, mask=outside),
        "perturbation_linf": result.linf,
        "perturbation_l2": result.l2,
        "queries": result.queries,
    }
