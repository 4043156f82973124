"""Arithmetic on grey levels by tables: an image of uint8 has 256 levels, and many thousand pixels.

Each table is made by the arithmetic that images of float32 go through, so that both have the same bits.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from pcbench.corruptions.opencv import cv2

EVERY = torch.arange(256, dtype=torch.float32)
"""Every level."""


def has_tables(images: torch.Tensor) -> bool:
    """Return whether images are uint8 on the CPU, where tables are faster than arithmetic."""
    return images.dtype == torch.uint8 and images.device.type == "cpu"


def channel_sums(images: torch.Tensor) -> torch.Tensor:
    """Return the sum of each channel's levels, (batch, channels), float64, of uint8 images on the CPU."""
    sums = [[cv2.sumElems(channel)[0] for channel in image] for image in images.numpy()]
    return torch.tensor(sums, dtype=torch.float64)


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


def largest(images: torch.Tensor) -> torch.Tensor:
    """Return each pixel's largest level, (batch, 1, height, width), of uint8 images on the CPU."""
    found = [functools.reduce(cv2.max, image) for image in images.numpy()]
    return torch.from_numpy(np.stack(found)[:, None])


def entries(planes: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Replace each level of planes, (batch, 1, height, width), uint8, by a table's entry, float32."""
    found = [cv2.LUT(plane[0], table.numpy()) for plane in planes.numpy()]
    return torch.from_numpy(np.stack(found)[:, None])
