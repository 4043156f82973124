"""The logits of a few images, by which a network that the user's own code makes is recognised when work is resumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pcbench.errors import UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.results.schema import joined, made_table

TOLERANCE = 1e-4
"""How far a logit may be from the one that was stored, as a share of its size or of a small logit's at the same t."""
_SMALL = 0.25
"""The quantile of the logits' sizes that counts as a small one: classes that are masked by huge logits are above it."""


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Return the logits of the images of a block at every timestep."""
    del inputs
    model, timesteps = context.model, context.settings.timesteps
    tables: list[pa.Table] = []
    for batch in context.batches(unit):
        with torch.no_grad():
            logits = model.answer(to_unit_range(batch.images, model.device), timesteps).double().cpu().numpy()
        times, count, classes = (int(size) for size in logits.shape)
        columns: dict[str, Any] = {
            "image_id": np.tile(np.array(batch.ids).repeat(classes), times),
            "timestep": np.arange(times).repeat(count * classes),
            "class": np.tile(np.arange(classes), times * count),
            "logit": logits.ravel(),
        }
        tables.append(made_table("answers", columns))
    return Made(joined(tables, "answers"))


def refuse_other_answers(stored: pa.Table, now: pa.Table) -> None:
    """Refuse to resume work of a network that answered the same images otherwise.

    Args:
        stored: Its answers.
        now: The answers of the network that is here.

    Raises:
        UsageError: They differ by more than `TOLERANCE`; image and timestep are named.
    """
    before, after = (table.column("logit").to_numpy() for table in (stored, now))
    if len(before) == len(after):
        allowed = TOLERANCE * np.maximum(np.abs(before), _small_sizes(before, stored.column("timestep").to_numpy()))
        # A network that overflows answers NaN each time: the same index, the same NaN.
        same = (np.abs(before - after) <= allowed) | (before == after) | (np.isnan(before) & np.isnan(after))
        if same.all():
            return
        index = int(np.flatnonzero(~same)[0])
        where = f"image {stored.column('image_id')[index].as_py()!r} at t = {stored.column('timestep')[index].as_py()}"
        what = f"gives {after[index]:.6g} for a logit of {where}, which was {before[index]:.6g}"
    else:
        what = "gives another number of logits"
    raise UsageError(
        f"the model {what}: it is not the network that this work was started with, although its code and weights look "
        "the same (or it draws random numbers); give another folder with `out`, or again=True to compute again"
    )


def _small_sizes(logits: NDArray[np.float64], timesteps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each logit, the size of a small one at its timestep: growing networks are not judged by the last."""
    sizes = np.zeros(len(logits))
    for timestep in np.unique(timesteps):
        here = timesteps == timestep
        finite = np.abs(logits[here & np.isfinite(logits)])
        sizes[here] = np.quantile(finite, _SMALL) if len(finite) else 0.0
    return sizes
