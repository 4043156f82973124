"""The size of a predictive network's representations over t, so that one that diverges is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.network.unrolling import diverged
from pcbench.results.schema import joined, made_table

GROWTH_LIMIT = 10.0


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Measure the root mean square of every representation of the clean images of a block."""
    del inputs
    model, timesteps = context.model, context.settings.timesteps
    network = model.network
    if network is None:
        raise RunError(f"{model.name} has no representations to watch")
    tables: list[pa.Table] = []
    for batch in context.batches(unit):
        images = to_unit_range(batch.images, model.device)
        with torch.no_grad():
            magnitudes = network.unroll(images, timesteps).magnitudes.double().cpu().numpy()
        times, pcoders, count = (int(size) for size in magnitudes.shape)
        columns: dict[str, Any] = {
            "image_id": np.tile(np.array(batch.ids), times * pcoders),
            "timestep": np.arange(times).repeat(pcoders * count),
            "pcoder": np.tile(np.arange(1, pcoders + 1).repeat(count), times),
            "magnitude": magnitudes.ravel(),
        }
        tables.append(made_table("growth", columns))
        context.meter.step(len(batch.ids) * (timesteps + 1), len(batch.ids))
    return Made(joined(tables, "growth"))


@dataclasses.dataclass(frozen=True)
class Growth:
    """How representations of clean images grow."""

    images: int
    """How many images were watched: the first ones of the source, at most 256."""
    diverging: int
    """On how many of them a representation grew more than tenfold over its size at t = 0, or was no longer finite."""
    largest: tuple[float, ...]
    """For each timestep, the largest ratio of a representation's root mean square to that at t = 0, over all PCoders,
    in the mean over the images."""

    @property
    def sentence(self) -> str | None:
        """The warning, where there is something to warn of."""
        if not self.diverging:
            return None
        return (
            f"DIVERGING: on {self.diverging} of {self.images} clean images the representations grow more than "
            f"{GROWTH_LIMIT:.0f}-fold over the timesteps; late timesteps are not those of a working network"
        )


def growth_of(tables: Sequence[pa.Table]) -> Growth | None:
    """Return how representations grow, from the parts that measured them; None without measurements."""
    if not tables:
        return None
    magnitudes = torch.cat([_magnitudes(table) for table in tables], dim=2)
    ratio = magnitudes.mean(dim=2) / magnitudes[0].mean(dim=1)
    return Growth(
        images=magnitudes.shape[2],
        diverging=int(diverged(magnitudes, GROWTH_LIMIT).sum()),
        largest=tuple(float(value) for value in ratio.max(dim=1).values),
    )


def _magnitudes(table: pa.Table) -> torch.Tensor:
    """Return a part's numbers as (timesteps, PCoders, images), in whichever order its rows are."""
    images = {name: index for index, name in enumerate(dict.fromkeys(table.column("image_id").to_pylist()))}
    indices = np.array([images[name] for name in table.column("image_id").to_pylist()])
    times, pcoders = (np.asarray(table.column(name).to_numpy()) for name in ("timestep", "pcoder"))
    found = np.full((int(times.max()) + 1, int(pcoders.max()), len(images)), np.nan)
    found[times, pcoders - 1, indices] = table.column("magnitude").to_numpy()
    return torch.from_numpy(found)
