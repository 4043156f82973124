"""Which form of an operation is used: a pure function of the work, never of a timing.

A run's numbers depend on the forms, so the choice depends on what is in a run's key alone: shapes, number format, kind
of device, number of threads, and the table, which is code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pcbench.network.fast.table import ROWS

PLAIN = "plain"


@dataclass(frozen=True)
class LayerWork:
    """Some work that may have a faster form."""

    operation: str
    """What is computed, as the table names it."""
    device: str
    """Kind of device, such as ``"cpu"``."""
    dtype: torch.dtype
    """Format of the numbers."""
    measures: dict[str, int] = field(default_factory=dict[str, int])
    """Sizes that decide: kernel, stride, channels, pixels, threads."""

    @staticmethod
    def of(operation: str, layer: nn.Conv2d | nn.ConvTranspose2d, value: Tensor, **more: int) -> LayerWork:
        """Return a layer's work for a value (batch, channels, height, width), with measures that a form adds."""
        batch, height, width = value.shape[0], *value.shape[-2:]
        measures = {
            "kernel": min(layer.kernel_size),
            "stride": max(layer.stride),
            "fewest_channels": min(layer.in_channels, layer.out_channels),
            "most_channels": max(layer.in_channels, layer.out_channels),
            "batch": batch,
            "side": min(height, width),
            "pixels": batch * height * width,
            "row_products": min(layer.in_channels, layer.out_channels) * min(layer.kernel_size) * min(height, width),
            "threads": torch.get_num_threads(),
            **more,
        }
        return LayerWork(operation, value.device.type, value.dtype, measures)


def choose(work: LayerWork) -> str:
    """Return the name of the form for some work, ``"plain"`` where no other is faster."""
    if work.device != "cpu":  # no fast form is written for another device
        return PLAIN
    for row in ROWS:
        if (
            row.operation == work.operation
            and (not row.dtypes or str(work.dtype).removeprefix("torch.") in row.dtypes)
            and all(work.measures.get(name, 0) >= least for name, least in row.least.items())
            and all(work.measures.get(name, 0) <= most for name, most in row.most.items())
        ):
            return row.form
    return PLAIN
