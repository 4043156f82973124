"""A suite of corruptions as work: clean images first, then every corruption at every severity."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa
import torch

from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition
from pcbench.data.image_source import Batch, ImageSource
from pcbench.harness.plan import CorruptionPlan, Plan, SuitePlan
from pcbench.harness.scoring import TimestepRows, score_images, to_unit_range
from pcbench.harness.work import Step, Unit
from pcbench.results.schema import Condition, outcome_table

Change = Callable[[Batch], torch.Tensor]


def corruption_units(plan: Plan, suite: CorruptionPlan) -> Iterator[Unit]:
    """Yield the work of a suite of corruptions."""
    definition = suite.definition
    yield clean_unit(plan, suite)
    for corruption in definition.corruptions:
        for severity in range(1, 6):
            condition = Condition(definition.name, "corruption", corruption.name, severity=severity)
            title = f"{definition.name}: {corruption.name} {severity}"
            yield _unit(
                plan,
                suite.source,
                condition,
                f"{definition.name}/{corruption.name}-{severity}",
                title,
                _corrupter(plan, corruption, severity),
            )


def clean_unit(plan: Plan, suite: SuitePlan) -> Unit:
    """Return the work of scoring a suite's images as they are."""
    name = suite.definition.name
    return _unit(plan, suite.source, Condition(name, "clean", "clean"), f"{name}/clean", f"{name}: clean", _unchanged)


def _unchanged(batch: Batch) -> torch.Tensor:
    return batch.images


def _corrupter(plan: Plan, corruption: CorruptionDefinition, severity: int) -> Change:
    def change(batch: Batch) -> torch.Tensor:
        return corrupt(
            batch.images,
            corruption,
            severity,
            seed=plan.request.seed,
            ids=batch.ids,
            backend=plan.request.backend,
        )

    return change


def _unit(plan: Plan, source: ImageSource, condition: Condition, path: str, title: str, change: Change) -> Unit:
    def compute(step: Step) -> pa.Table:
        rows = TimestepRows()
        for batch in source.batches(plan.batch_size):
            images = to_unit_range(change(batch), plan.subject.device)
            rows.add(batch.ids, batch.labels.numpy(), score_images(plan.subject, images, plan.timesteps, batch.ids))
            step(len(batch.ids) * (plan.timesteps + 1), len(batch.ids))
        return outcome_table(condition, rows.columns())

    return Unit(path, title, len(source) * (plan.timesteps + 1), compute)
