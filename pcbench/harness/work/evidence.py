"""One kind of evidence about the gradients of one timestep, on a few images: what a verdict is made of later."""

from __future__ import annotations

from typing import Any, cast

from pcbench.attacks.checks.evidence import gather, judged_attack
from pcbench.attacks.checks.rows import EvidenceRow
from pcbench.attacks.definitions import AttackSuite
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.errors import RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.metrics.shown import epsilon_of_sweeps
from pcbench.models.draws import drawing
from pcbench.results.schema import EVIDENCE, made_table


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Gather the evidence, at the most informative budget of the suite's own sweep of the judged attack."""
    suite, settings, timestep = context.suite(unit.condition.suite), context.settings, unit.condition.attacked_timestep
    if not isinstance(suite.definition, AttackSuite) or timestep is None:
        raise RunError(f"{suite.name} has no attack whose gradients could be judged")
    model = context.model_of(suite.name)
    definitions, shown = suite.definition.attacks, epsilon_of_sweeps(inputs.values())
    if shown is None and any(table.num_rows for table in inputs.values()):
        raise UsageError(f"{suite.name} needs a budget above 0, at which its gradients can be judged")
    rows: list[EvidenceRow] = []
    epsilon = used = shown or 0.0
    for batch in context.batches(unit):
        images = to_unit_range(batch.images, model.device)
        eval_batch = EvalBatch(images, batch.labels.to(images.device), batch.ids, settings.seed)
        times = range(settings.timesteps + 1)
        # Differences of answers are of equal draws; the attacks that are compared say their own.
        with drawing(settings.seed, batch.ids, unit.detail, repeated=True):
            rows += gather(
                unit.detail, model, eval_batch, definitions, timestep=timestep, epsilon=epsilon, timesteps=times
            )
        if unit.detail == "widest":
            used = judged_attack(definitions).ball.widest(images.shape[1:])
        context.meter.step(unit.passes.work * len(batch.ids), len(batch.ids))
    if not rows:
        return Made(EVIDENCE.empty_table())
    columns: dict[str, Any] = {name: [cast("Any", row)[name] for row in rows] for name in EvidenceRow.__annotations__}
    return Made(made_table("evidence", {**columns, "suite": suite.name, "epsilon": used}))
