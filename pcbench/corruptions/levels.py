"""Arithmetic on grey levels by tables: an image of uint8 has 256 levels, and many thousand pixels.

Each table is made by the arithmetic that images of float32 go through, so that both have the same bits.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.corruptions.opencv import cv2


def has_tables(images: torch.Tensor) -> bool:
    """Return whether images are uint8 on the CPU, where tables are faster than arithmetic."""
    return images.dtype == torch.uint8 and images.device.type == "cpu"


def channel_sums(images: torch.Tensor) -> torch.Tensor:
    """Return the sum of each channel's levels, (batch, channels, 1, 1), int64, of uint8 images on the CPU."""
    sums = [[int(cv2.sumElems(channel)[0]) for channel in image] for image in images.numpy()]
    return torch.tensor(sums, dtype=torch.int64)[..., None, None]


def by_level(images: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
    """Replace each level by that of its channel's table.

    Args:
        images: (batch, channels, height, width), uint8, on the CPU.
        tables: (batch, channels, 256), uint8.
    """
    replaced = np.empty(images.shape, np.uint8)
    for image, of_channels, into in zip(images.numpy(), tables.numpy(), replaced, strict=True):
        for channel, table, result in zip(image, of_channels, into, strict=True):
            cv2.LUT(channel, table, result)
    return torch.from_numpy(replaced)


def by_level_and_largest(images: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Replace each level by that of a table, which depends on the largest level of the pixel as well.

    Args:
        images: (batch, channels, height, width), uint8, on the CPU.
        table: (256, 256), uint8: the largest level, then the level itself.
    """
    entries = table.reshape(-1)
    replaced = torch.empty_like(images)
    for image, result in zip(images, replaced, strict=True):
        largest = _largest(image.numpy()).astype(np.int32) << 8
        indices = torch.from_numpy(image.numpy().astype(np.int32) + largest)
        result.copy_(entries.index_select(0, indices.reshape(-1)).reshape(image.shape))
    return replaced


def _largest(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    largest = image[0]
    for channel in image[1:]:
        largest = np.asarray(cv2.max(largest, channel), np.uint8)
    return largest
