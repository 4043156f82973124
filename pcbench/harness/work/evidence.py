"""One kind of evidence about the gradients of one timestep, on a few images: what a verdict is made of later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pcbench.attacks.checks.evidence import gather, judged_attack
from pcbench.attacks.checks.rivals import EvalBatch
from pcbench.attacks.checks.rows import EvidenceRow
from pcbench.attacks.definitions import AttackSuite
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.metrics.shown import telling_epsilon
from pcbench.results.schema import EVIDENCE, made_table


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Gather the evidence, at the most informative budget of the suite's own sweep of the judged attack."""
    suite, settings, timestep = context.suite(unit.condition.suite), context.settings, unit.condition.attacked_timestep
    if not isinstance(suite.definition, AttackSuite) or timestep is None:
        raise RunError(f"{suite.name} has no attack whose gradients could be judged")
    model = context.model_of(suite.name)
    definitions, epsilon = suite.definition.attacks, judged_epsilon(inputs)
    rows: list[EvidenceRow] = []
    used = epsilon
    for batch in context.batches(unit):
        images = to_unit_range(batch.images, model.device)
        eval_batch = EvalBatch(images, batch.labels.to(images.device), batch.ids, settings.seed)
        times = range(settings.timesteps + 1)
        rows += gather(unit.detail, model, eval_batch, definitions, timestep=timestep, epsilon=epsilon, timesteps=times)
        if unit.detail == "widest":
            used = judged_attack(definitions).ball.widest(images.shape[1:])
        context.meter.step(unit.passes * len(batch.ids), len(batch.ids))
    if not rows:
        return Made(EVIDENCE.empty_table())
    columns: dict[str, Any] = {name: [cast("Any", row)[name] for row in rows] for name in EvidenceRow.__annotations__}
    return Made(made_table("evidence", {**columns, "suite": suite.name, "epsilon": used}))


def judged_epsilon(sweeps: Mapping[str, pa.Table]) -> float:
    """Return the budget at which the judged attack breaks nearest to half of the images that it was run on.

    Args:
        sweeps: Its outcomes against every timestep. Timesteps at which no image is right are ignored.
    """
    budgets = sorted({float(epsilon) for table in sweeps.values() for epsilon in _column(table, "epsilon").tolist()})
    broken: dict[int, list[NDArray[np.bool_]]] = {}
    for table in sweeps.values():
        if table.num_rows:
            timestep = int(_column(table, "timestep")[0])
            within = table.column("success_within").to_numpy(zero_copy_only=False).reshape(len(budgets), -1)
            counted = np.array([value is not None for value in within[0]])
            broken.setdefault(timestep, []).append(within[:, counted].astype(np.bool_))
    joined = {timestep: np.concatenate(parts, axis=1) for timestep, parts in broken.items()}
    rates = [within.mean(axis=1) for within in joined.values() if within.shape[1]]
    return telling_epsilon(budgets, np.array(rates)) if rates else max(budgets, default=0.0)


def _column(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False))
