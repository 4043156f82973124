"""Scoring images at every timestep: clean, corrupted on the fly or read from published files, or with noise on e_0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite
from pcbench.corruptions.input_noise import noisy_input
from pcbench.data.image_source import Batch, ImageSource
from pcbench.data.prefetch import LookAhead
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import TimestepRows, check_shape, refuse_divergence, to_unit_range
from pcbench.models.draws import drawing, tallied
from pcbench.models.model import Model
from pcbench.models.scores import scores
from pcbench.results.schema import outcome_table


@dataclass(frozen=True)
class _Way:
    """How a batch is answered: what is made of its images ahead of the network, and what the network makes of those."""

    source: ImageSource | None
    prepare: Callable[[Batch], torch.Tensor]
    answer: Callable[[torch.Tensor], torch.Tensor]


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Score the images of a block under one condition.

    Where a suite's rule keeps only images that are right at every timestep, its clean images are these.
    """
    del inputs
    suite = context.suite(unit.condition.suite)
    model = context.model_of(suite.name)
    way = _way(unit, context, model)
    timesteps, rows = context.settings.timesteps, TimestepRows()
    ahead = LookAhead((batch, way.prepare(batch)) for batch in context.batches(unit, way.source))
    for batch, prepared in ahead:
        with torch.no_grad(), drawing(context.settings.seed, batch.ids), tallied() as tally:
            logits = way.answer(prepared)
        check_shape(logits, (timesteps + 1, len(batch.ids), model.classes))
        rows.add(batch.ids, batch.labels.numpy(), scores(logits, batch.labels, tally.predictions(logits)))
        context.meter.step(len(batch.ids) * (timesteps + 1), len(batch.ids))
    context.meter.wait(ahead.waited_seconds, ahead.elapsed_seconds)
    if unit.condition.kind == "clean" and unit.block.number == 0:
        refuse_divergence(rows.columns())
    return Made(outcome_table(unit.condition, rows.columns(always_right=suite.rule is not None)))


def _way(unit: Unit, context: Context, model: Model) -> _Way:
    suite, condition, timesteps = context.suite(unit.condition.suite), unit.condition, context.settings.timesteps

    def answer_pixels(images: torch.Tensor) -> torch.Tensor:
        return model.answer(to_unit_range(images, model.device), timesteps)

    def answer_inputs(inputs: torch.Tensor) -> torch.Tensor:
        return model.logits_of_input(inputs, timesteps)

    if condition.kind == "clean" or condition.severity is None or not isinstance(suite.definition, CorruptionSuite):
        return _Way(None, lambda batch: batch.images, answer_pixels)
    if suite.published is not None:
        files = suite.published.source(condition.name, condition.severity)
        return _Way(files, lambda batch: batch.images, answer_pixels)
    corruption = suite.definition.corruption(condition.name)
    if condition.kind == "noise":
        return _Way(None, _noisy(context, model, corruption, condition.severity), answer_inputs)
    return _Way(None, _corrupted(context, corruption, condition.severity), answer_pixels)


def _corrupted(context: Context, corruption: CorruptionDefinition, severity: int) -> Callable[[Batch], torch.Tensor]:
    settings = context.settings

    def prepare(batch: Batch) -> torch.Tensor:
        return corrupt(
            batch.images,
            corruption,
            severity,
            seed=settings.seed,
            ids=batch.ids,
            backend=settings.corruption_backend,
            jpeg_quality=settings.jpeg_quality,
        )

    return prepare


def _noisy(
    context: Context, model: Model, corruption: CorruptionDefinition, severity: int
) -> Callable[[Batch], torch.Tensor]:
    """Put noise on e_0, after normalisation and unclipped: the one path past the check of [0,1]."""

    def normalise(images: torch.Tensor) -> torch.Tensor:
        return model.normalise(images.to(model.device))

    def prepare(batch: Batch) -> torch.Tensor:
        return noisy_input(corruption, severity, batch.images, normalise, seed=context.settings.seed, ids=batch.ids)

    return prepare
