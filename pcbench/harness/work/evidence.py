"""One kind of evidence about the gradients of one timestep, on a few images: what a verdict is made of later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import islice
from typing import Any, cast

import numpy as np

from pcbench.attacks.checks.cheap import CHEAP, CHEAP_IMAGES, gradient_rows, rival_rows
from pcbench.attacks.checks.evidence import gather
from pcbench.attacks.checks.plain_pgd import cheap_subject, plain_rows
from pcbench.attacks.checks.rows import JUDGED_GRADIENT, EvidenceRow
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.errors import RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import full_precision, to_unit_range
from pcbench.metrics.shown import epsilon_of_sweeps, own_outcomes
from pcbench.models.draws import drawing
from pcbench.results.schema import EVIDENCE, made_table


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Gather the evidence, at the most informative budget of the suite's own sweep of the judged attack."""
    suite = context.suite(unit.condition.suite)
    if not isinstance(suite.definition, AttackSuite):
        raise RunError(f"{suite.name} has no attacks that could be judged")
    shown = epsilon_of_sweeps(inputs.values())
    if shown is None and any(table.num_rows for table in inputs.values()):
        if unit.detail == CHEAP:
            return Made(EVIDENCE.empty_table())
        raise UsageError(f"{suite.name} needs a budget above 0, at which its gradients can be judged")
    epsilon = shown or 0.0
    judged = cheap_subject(suite.definition.attacks).judged
    if unit.detail == CHEAP:
        rows = list(_cheap(unit, inputs, context, epsilon))
    else:
        rows = list(_full(unit, context, suite.definition, epsilon))
    if not rows:
        return Made(EVIDENCE.empty_table())
    columns: dict[str, Any] = {name: [cast("Any", row)[name] for row in rows] for name in EvidenceRow.__annotations__}
    widest = judged.ball.widest(suite.source.shape())
    budgets = [widest if row["check"] == "widest" else epsilon for row in rows]
    return Made(made_table("evidence", {**columns, "suite": suite.name, "epsilon": budgets}))


def _full(unit: Unit, context: Context, suite: AttackSuite, epsilon: float) -> Iterator[EvidenceRow]:
    times, timestep = range(context.settings.timesteps + 1), _attacked(unit)
    model = context.model_of(suite.name)
    for batch in _batches(unit, context):
        # A difference quotient of low precision is noise, and so is one of unequal draws; the attacks that are compared
        # say their own.
        precisely = full_precision(model) if unit.detail == "gradients" else nullcontext(model)
        with precisely as asked, drawing(context.settings.seed, batch.ids, unit.detail, repeated=True):
            rows = gather(unit.detail, asked, batch, suite.attacks, timestep=timestep, epsilon=epsilon, timesteps=times)
        yield from rows


def _cheap(unit: Unit, inputs: Inputs, context: Context, epsilon: float) -> Iterator[EvidenceRow]:
    """Yield the rows of the cheap form: about the first images that the sweep attacked at this timestep."""
    suite, timestep = context.suite(unit.condition.suite).definition, _attacked(unit)
    subject = cheap_subject(cast("AttackSuite", suite).attacks)
    definition, swept = subject.judged, _swept(inputs, subject.swept.name, timestep, epsilon)
    model, gradient = context.model_of(unit.condition.suite), context.settings.gradient
    for batch in _batches(unit, context):
        attacked, success = batch.some(np.array([name in swept for name in batch.ids], dtype=np.bool_)), swept
        if not subject.is_own:
            times = range(context.settings.timesteps + 1)
            success, rows = plain_rows(
                model, attacked, definition, timestep=timestep, epsilon=epsilon, timesteps=times, gradient=gradient
            )
            attacked = attacked.some(np.array([name in success for name in attacked.ids], dtype=np.bool_))
            yield from rows
        with full_precision(model) as precise, drawing(batch.seed, batch.ids, "gradients", repeated=True):
            plain = precise.at(timestep, JUDGED_GRADIENT)
            numbers = gradient_rows(plain, attacked, definition, timestep=timestep, epsilon=epsilon)
        yield from numbers
        yield from rival_rows(
            model.at(timestep, gradient), attacked, success, definition, timestep=timestep, epsilon=epsilon
        )


def _swept(inputs: Inputs, name: str, timestep: int, epsilon: float) -> dict[str, bool]:
    """Return whether an attack's sweep broke each of the images that it attacked first within a budget, by id."""
    found: dict[str, bool] = {}
    for table in inputs.values():
        columns = ["name", "attacked_timestep", "timestep", "image_id", "epsilon", "success_within"]
        rows = own_outcomes(table.select(columns)).to_pylist()
        here = [
            row
            for row in rows
            if (row["name"], row["timestep"], row["epsilon"]) == (name, timestep, epsilon)
            and row["success_within"] is not None
        ]
        found.update({str(row["image_id"]): bool(row["success_within"]) for row in here})
    return dict(islice(found.items(), CHEAP_IMAGES))


def _attacked(unit: Unit) -> int:
    timestep = unit.condition.attacked_timestep
    if timestep is None:
        raise RunError(f"{unit.title}: evidence is about one timestep")
    return timestep


def _batches(unit: Unit, context: Context) -> Iterator[EvalBatch]:
    device = context.model_of(unit.condition.suite).device
    for batch in context.batches(unit):
        images = to_unit_range(batch.images, device)
        yield EvalBatch(images, batch.labels.to(images.device), batch.ids, context.settings.seed)
        context.meter.step(unit.passes.work * len(batch.ids), len(batch.ids))
