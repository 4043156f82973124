"""A suite of corruptions as work: clean images first, then every corruption at every severity."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pyarrow as pa
import torch

from pcbench.corruptions.api import corrupt, input_noise_deviation, network_input_noise
from pcbench.corruptions.definitions import SEVERITIES, CorruptionDefinition, CorruptionSuite
from pcbench.data.image_source import Batch, ImageSource
from pcbench.data.prefetch import LookAhead
from pcbench.harness.plan import CorruptionPlan, Plan, SuitePlan
from pcbench.harness.scoring import TimestepRows, scores_of, to_unit_range
from pcbench.harness.work import Meter, Unit
from pcbench.models.subject import Subject
from pcbench.results.conditions import Condition
from pcbench.results.schema import outcome_table


@dataclasses.dataclass(frozen=True)
class _Way:
    """How a batch is answered: what is made of its images ahead of the network, and what the network makes of those."""

    prepare: Callable[[Batch], torch.Tensor]
    answer: Callable[[torch.Tensor], torch.Tensor]


def corruption_units(plan: Plan, suite: CorruptionPlan) -> Iterator[Unit]:
    """Yield the work of a suite of corruptions: made on the fly, or read from published files."""
    definition = suite.definition
    yield clean_unit(plan, suite)
    for corruption in definition.corruptions:
        for severity in SEVERITIES:
            condition = _condition(definition, corruption, severity)
            if suite.published is not None:
                source, way = suite.published.source(corruption.name, severity), _plain(plan, plan.subject)
            elif definition.applied_to == "network_input":
                source, way = suite.source, _noisy(plan, corruption, severity)
            else:
                source, way = suite.source, _corrupted(plan, corruption, severity)
            yield _unit(plan, source, condition, way)


def _condition(suite: CorruptionSuite, corruption: CorruptionDefinition, severity: int) -> Condition:
    if suite.applied_to == "pixels":
        return Condition(suite.name, "corruption", corruption.name, severity=severity)
    deviation = input_noise_deviation(corruption, severity)
    return Condition(suite.name, "noise", corruption.name, severity=severity, epsilon=deviation)


def clean_unit(plan: Plan, suite: SuitePlan) -> Unit:
    """Return the work of scoring a suite's images as they are."""
    subject = suite.subject if suite.kind == "attacks" else plan.subject
    return _unit(plan, suite.source, Condition(suite.definition.name, "clean", "clean"), _plain(plan, subject))


def _plain(plan: Plan, subject: Subject) -> _Way:
    return _Way(lambda batch: batch.images, _answer_pixels(plan, subject))


def _answer_pixels(plan: Plan, subject: Subject) -> Callable[[torch.Tensor], torch.Tensor]:
    def answer(images: torch.Tensor) -> torch.Tensor:
        return subject.logits(to_unit_range(images, subject.device), plan.timesteps)

    return answer


def _corrupted(plan: Plan, corruption: CorruptionDefinition, severity: int) -> _Way:
    def prepare(batch: Batch) -> torch.Tensor:
        return corrupt(
            batch.images,
            corruption,
            severity,
            seed=plan.request.seed,
            ids=batch.ids,
            backend=plan.request.backend,
            jpeg_quality=plan.request.jpeg_quality,
        )

    return _Way(prepare, _answer_pixels(plan, plan.subject))


def _noisy(plan: Plan, corruption: CorruptionDefinition, severity: int) -> _Way:
    """Add noise to e_0, after normalisation and unclipped: the one path past the check of [0,1]."""
    subject = plan.subject

    def prepare(batch: Batch) -> torch.Tensor:
        inputs = subject.normalise(to_unit_range(batch.images, subject.device))
        noise = network_input_noise(corruption, severity, inputs.shape, seed=plan.request.seed, ids=batch.ids)
        return inputs + noise.to(inputs)

    return _Way(prepare, lambda inputs: subject.logits_of_input(inputs, plan.timesteps))


def _unit(plan: Plan, source: ImageSource, condition: Condition, way: _Way) -> Unit:
    label = condition.name if condition.severity is None else f"{condition.name} {condition.severity}"

    def compute(meter: Meter) -> pa.Table:
        rows = TimestepRows()
        ahead = LookAhead((batch, way.prepare(batch)) for batch in source.batches(plan.batch_size))
        for batch, prepared in ahead:
            with torch.no_grad():
                logits = way.answer(prepared)
            shape = (plan.timesteps + 1, len(batch.ids), plan.subject.classes)
            rows.add(batch.ids, batch.labels.numpy(), scores_of(logits, shape, batch.ids))
            meter.step(len(batch.ids) * (plan.timesteps + 1), len(batch.ids))
        meter.wait(ahead.waited_seconds, ahead.elapsed_seconds)
        return outcome_table(condition, rows.columns())

    path = f"{condition.suite}/{label.replace(' ', '-')}"
    return Unit(path, f"{condition.suite}: {label}", len(source) * (plan.timesteps + 1), compute)
