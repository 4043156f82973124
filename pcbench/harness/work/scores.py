"""Scoring images at every timestep: clean, corrupted on the fly or read from published files, or with noise on e_0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite
from pcbench.corruptions.input_noise import noisy_input
from pcbench.data.image_source import Batch, ImageSource
from pcbench.data.prefetch import LookAhead
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.grids import share_file
from pcbench.harness.scoring import TimestepRows, check_shape, page_locked, refuse_divergence, to_unit_range
from pcbench.models.draws import drawing, tallied
from pcbench.models.model import Model, answers_of_each
from pcbench.models.scores import scores
from pcbench.results.parts import to_parquet
from pcbench.results.schema import OUTCOMES, outcome_table


@dataclass(frozen=True)
class _Way:
    """How a batch is answered: what is made of its images ahead of the network, and whether that is images or e_0."""

    source: ImageSource | None
    prepare: Callable[[Batch], torch.Tensor]
    pixels: bool = True


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Score the images of a block under one condition.

    Where a suite's rule keeps only images that are right at every timestep, its clean images are these.
    """
    del inputs
    suite = context.suite(unit.condition.suite)
    models = context.models_of(suite.name)
    way = _way(unit, context, models[0])
    gathered = [TimestepRows() for _ in models]
    device = models[0].device
    ahead = LookAhead((batch, page_locked(way.prepare(batch), device)) for batch in context.batches(unit, way.source))
    for batch, prepared in ahead:
        _score(batch, prepared, way, context, models, gathered)
        context.meter.step(len(batch.ids) * unit.passes.work, len(batch.ids))
    context.meter.wait(ahead.waited_seconds, ahead.elapsed_seconds)
    tables = [outcome_table(unit.condition, rows.columns(always_right=suite.rule is not None)) for rows in gathered]
    if context.labels:
        # A setting that diverges is a finding: its rows say so, and the others stand.
        files = {share_file(label): to_parquet(table) for label, table in zip(context.labels, tables, strict=True)}
        return Made(OUTCOMES.empty_table(), files)
    if unit.condition.kind == "clean" and unit.block.number == 0:
        refuse_divergence(gathered[0].columns())
    return Made(tables[0])


def _score(
    batch: Batch,
    prepared: torch.Tensor,
    way: _Way,
    context: Context,
    models: Sequence[Model],
    gathered: Sequence[TimestepRows],
) -> None:
    """Ask all models about one batch."""
    timesteps = context.settings.timesteps
    given = to_unit_range(prepared, models[0].device) if way.pixels else prepared
    answers = answers_of_each(models, given, timesteps, pixels=way.pixels)
    for model, rows in zip(models, gathered, strict=True):
        with torch.no_grad(), drawing(context.settings.seed, batch.ids), tallied() as tally:
            logits = next(answers)
        check_shape(logits, (timesteps + 1, len(batch.ids), model.classes))
        rows.add(batch.ids, batch.labels.numpy(), scores(logits, batch.labels, tally.predictions(logits)))


def _way(unit: Unit, context: Context, model: Model) -> _Way:
    suite, condition = context.suite(unit.condition.suite), unit.condition
    if condition.kind == "clean" or condition.severity is None or not isinstance(suite.definition, CorruptionSuite):
        return _Way(None, lambda batch: batch.images)
    if suite.published is not None:
        files = suite.published.source(condition.name, condition.severity)
        return _Way(files, lambda batch: batch.images)
    corruption = suite.definition.corruption(condition.name)
    if condition.kind == "noise":
        return _Way(None, _noisy(context, model, corruption, condition.severity), pixels=False)
    return _Way(None, _corrupted(context, corruption, condition.severity))


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
