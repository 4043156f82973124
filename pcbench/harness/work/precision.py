"""How many decisions a precision below float32 changes, so that every run of it says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import full_precision, to_unit_range
from pcbench.models.draws import drawing
from pcbench.models.model import Model
from pcbench.models.scores import predicted
from pcbench.percent import short_percent
from pcbench.results.schema import joined, made_table


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Compare the decisions on the clean images of a block with those of the same network in float32."""
    del inputs
    model, tables = context.model_of(unit.condition.suite), list[pa.Table]()
    for batch in context.batches(unit):
        images = to_unit_range(batch.images, model.device)
        low = _decisions(model, images, batch.ids, context)
        with full_precision(model) as precise:
            changed = low != _decisions(precise, images, batch.ids, context)
        times = np.arange(len(changed)).repeat(len(batch.ids))
        ids = np.tile(np.array(batch.ids), len(changed))
        columns = {"image_id": ids, "timestep": times, "changed": changed.cpu().numpy().ravel()}
        tables.append(made_table("precision", columns))
        context.meter.step(len(batch.ids) * unit.passes.work, len(batch.ids))
    return Made(joined(tables, "precision"))


def _decisions(model: Model, images: torch.Tensor, ids: Sequence[str], context: Context) -> torch.Tensor:
    """Return the decisions, (T + 1, batch); a network that draws numbers draws the same ones in each precision."""
    with torch.no_grad(), drawing(context.settings.seed, ids):
        return predicted(model.answer(images, context.settings.timesteps))


def changed_decisions(tables: Sequence[pa.Table], precision: str) -> str | None:
    """Return what a reader of the tables must know of the precision; None without measurements.

    Args:
        tables: The parts that compared the decisions.
        precision: The run's.
    """
    if not tables:
        return None
    found = joined(tables, "precision")
    changed = int(np.asarray(found.column("changed")).sum())
    images, last = len(found.column("image_id").unique()), int(np.asarray(found.column("timestep")).max())
    times = f"t = 0 to {last}" if last else "t = 0"
    return (
        f"LOW PRECISION: {precision} changes {short_percent(changed / found.num_rows)} % of the decisions of float32 "
        f"({changed} of {found.num_rows}: {images} clean images, {times})"
    )
