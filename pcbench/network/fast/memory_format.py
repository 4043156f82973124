"""How values of a timestep lie in memory: channel by channel, or with the channels of a pixel beside each other.

Pooling, tiles and depthwise convolutions of large images are faster with a pixel's channels beside each other. t = 0 is
computed as the backbone itself computes it, so that it stays equal to the bit; later timesteps take their format from
what they begin with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pcbench.network.fast.choosing import LayerWork, choose


def channels_last_suits(images: Tensor, representations: Sequence[Tensor]) -> bool:
    """Return whether timesteps from t = 1 on are faster with a pixel's channels beside each other.

    Args:
        images: e_0, (batch, channels, height, width).
        representations: e_1 .. e_N at t = 0.
    """
    if torch.compiler.is_compiling() or any(one.dim() != 4 for one in (images, *representations)):
        return False
    channels = [one.shape[1] for one in representations]
    measures = {
        "fewest_channels": min(channels, default=0),
        "most_channels": max(channels, default=0),
        "batch": len(images),
        "side": min(images.shape[-2:]),
        "threads": torch.get_num_threads(),
    }
    return choose(LayerWork("timesteps", images.device.type, images.dtype, measures)) == "channels last"


def laid_channels_last(value: Tensor) -> Tensor:
    """Return an equal value; where it is (batch, channels, height, width), a pixel's channels lie beside each other."""
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def all_channels_last(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return equal values, the tensors among them with channels beside each other."""
    return {name: laid_channels_last(value) if isinstance(value, Tensor) else value for name, value in values.items()}
