"""A suite of attacks as work: clean images first, then every attack on every timestep by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pcbench.attacks.all_timesteps import sweep_all_timesteps
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.saved import Origin, save_adversarials
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep
from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.attacks.worst_case import worst_case
from pcbench.data.image_source import Batch
from pcbench.harness.corruption_suites import clean_unit
from pcbench.harness.plan import AttackPlan, Plan
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.work import Meter, Unit
from pcbench.models.subject import Subject
from pcbench.results.conditions import Condition
from pcbench.results.schema import OUTCOMES, outcome_table, read_outcomes

# Passes through the network that one gradient costs: forward, and backward at about twice that.
_PASSES_PER_GRADIENT = 3


def attack_units(plan: Plan, suite: AttackPlan, folder: Path) -> Iterator[Unit]:
    """Yield the work of a suite of attacks; `folder` is the run's, for the images that are kept."""
    yield clean_unit(plan, suite)
    alone = [definition for definition in suite.definition.attacks if definition.over_timesteps is None]
    for definition in suite.definition.attacks:
        if definition.over_timesteps is None:
            for timestep in range(plan.timesteps + 1):
                yield _unit(plan, suite, definition, timestep, folder)
        else:
            yield _unit(plan, suite, definition, None, folder)
    if len(alone) > 1:
        for timestep in range(plan.timesteps + 1):
            yield _worst_case_unit(suite, alone, timestep, folder)


def _unit(plan: Plan, suite: AttackPlan, definition: AttackDefinition, timestep: int | None, folder: Path) -> Unit:
    """Return the work of one attack on one timestep, or on all of them at once where `timestep` is None."""
    path, title = _names(suite.definition.name, definition.name, timestep)
    budgets = len(plan.request.epsilons or definition.epsilons) + 1
    last = plan.timesteps if timestep is None else timestep
    passes_each = (definition.steps or 1) * _PASSES_PER_GRADIENT * (last + 1)

    def compute(meter: Meter) -> pa.Table:
        def on_progress(pairs: int) -> None:
            meter.step(pairs * passes_each, 0)

        sweeps: list[tuple[Sweep, ...]] = []
        for batch in suite.source.batches(plan.batch_size):
            sweeps.append(_attack(plan, suite.subject, definition, timestep, batch, on_progress))
            meter.step(0, len(batch.ids))
        if plan.request.save_adversarials:
            origin = _origin(plan, suite, definition, timestep)
            save_adversarials(folder / "adversarials" / f"{path}.safetensors", [scored[0] for scored in sweeps], origin)
        return _rows(plan, suite, definition, timestep, sweeps)

    return Unit(path, title, len(suite.source) * budgets * passes_each, compute)


def _names(suite: str, attack: str, timestep: int | None) -> tuple[str, str]:
    if timestep is None:
        return f"{suite}/{attack}", f"{suite}: {attack}, all t"
    return f"{suite}/{attack}-t{timestep}", f"{suite}: {attack}, t = {timestep}"


def _attack(
    plan: Plan,
    subject: Subject,
    definition: AttackDefinition,
    timestep: int | None,
    batch: Batch,
    on_progress: Callable[[int], None],
) -> tuple[Sweep, ...]:
    """Attack one batch; one sweep for each timestep that is scored."""
    request = plan.request
    images = to_unit_range(batch.images, subject.device)
    labels = batch.labels.to(images.device)
    options = SweepOptions(
        epsilons=request.epsilons,
        plain=request.plain_sweep,
        bracketing=request.bracketing,
        batch_size=plan.batch_size,
        keep_images=request.save_adversarials,
        on_progress=on_progress,
    )
    if timestep is not None:
        classifier = subject.at(timestep, request.gradient)
        return (sweep(classifier, images, labels, definition, ids=batch.ids, seed=request.seed, **options),)
    return sweep_all_timesteps(
        lambda pixels: subject.logits(pixels, plan.timesteps, request.gradient),
        images,
        labels,
        definition,
        ids=batch.ids,
        seed=request.seed,
        **options,
    )


def _origin(plan: Plan, suite: AttackPlan, definition: AttackDefinition, timestep: int | None) -> Origin:
    return Origin(
        model=str(plan.spec.model["name"]),
        suite=suite.definition.name,
        attack=definition.name,
        norm=definition.norm,
        gradient=plan.request.gradient,
        attacked_timestep=timestep,
        seed=plan.request.seed,
        data=suite.source.name,
    )


def _rows(
    plan: Plan,
    suite: AttackPlan,
    definition: AttackDefinition,
    timestep: int | None,
    sweeps: list[tuple[Sweep, ...]],
) -> pa.Table:
    condition = Condition(
        suite.definition.name,
        "attack",
        definition.name,
        norm=definition.norm,
        targeted=definition.targeted,
        gradient=plan.request.gradient,
        attacked_timestep=timestep,
    )
    return sweep_table(condition, sweeps, range(plan.timesteps + 1) if timestep is None else [timestep])


def sweep_table(condition: Condition, sweeps: list[tuple[Sweep, ...]], timesteps: Iterable[int]) -> pa.Table:
    """Return the outcomes of one attack.

    Args:
        condition: What the attack is, apart from its budgets.
        sweeps: For each batch of images one sweep a timestep that is scored.
        timesteps: These timesteps.
    """
    tables: list[pa.Table] = []
    for place, timestep in enumerate(timesteps):
        parts = [sweep_columns(scored[place]) for scored in sweeps]
        columns = {key: _joined([part[key] for part in parts]) for key in parts[0]}
        columns["timestep"] = np.full(len(columns["image_id"]), timestep)
        tables.append(outcome_table(condition, columns))
    return pa.concat_tables(tables).unify_dictionaries()


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Join arrays (epsilons, batch) along the images, keep their masks, and flatten."""
    values = np.concatenate([np.ma.getdata(part) for part in parts], axis=1).ravel()
    masks = np.concatenate([np.ma.getmaskarray(part) for part in parts], axis=1).ravel()
    return np.ma.array(values, mask=masks)


def sweep_columns(result: Sweep) -> dict[str, npt.NDArray[Any]]:
    """Return a sweep's columns of outcomes, each of shape (epsilons, images); masked where one does not apply."""
    shape = result.prediction.shape
    epsilons = np.asarray(result.epsilons)[:, None]
    outside = np.broadcast_to(~result.denominator, shape)
    smallest = np.broadcast_to(result.smallest_broken_epsilon, shape)
    return {
        "image_id": np.broadcast_to(np.array(result.ids), shape),
        "label": np.broadcast_to(result.labels, shape),
        "epsilon": np.broadcast_to(epsilons, shape),
        "prediction": result.prediction,
        "correct": result.correct,
        "confidence": result.confidence,
        "attacked": result.attacked,
        "audited": result.audited,
        "success": np.ma.array(result.success, mask=~result.attacked),
        "success_within": np.ma.array(result.success_within, mask=outside),
        "smallest_broken_epsilon": np.ma.array(smallest, mask=np.isnan(smallest)),
        "perturbation_linf": result.linf,
        "perturbation_l2": result.l2,
        "queries": result.queries,
    }


def _worst_case_unit(suite: AttackPlan, attacks: list[AttackDefinition], timestep: int, folder: Path) -> Unit:
    """Return the work of joining a suite's attacks on one timestep, from the files that they left."""
    name = suite.definition.name

    def compute(_: Meter) -> pa.Table:
        files = [folder / "outcomes" / f"{_names(name, attack.name, timestep)[0]}.parquet" for attack in attacks]
        return worst_case_table(files)

    path, title = _names(name, WORST_CASE, timestep)
    return Unit(path, title, 0.0, compute)


def worst_case_table(files: Iterable[Path]) -> pa.Table:
    """Return the union of the attacks whose outcomes lie in these files; see `pcbench.attacks.worst_case`."""
    outcomes: pd.DataFrame = pa.concat_tables([read_outcomes(file) for file in files]).to_pandas()
    return pa.Table.from_pandas(worst_case(outcomes), preserve_index=False).select(OUTCOMES.names).cast(OUTCOMES)
