"""Whether images are what networks take: numbers in [0,1], before normalisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pcbench.errors import UsageError

# Rounding may carry an image of 8-bit values this far past its range.
_ROUNDING = 1e-5
_WANTED = "a tensor of floating-point numbers"


def outside_unit_range(images: object) -> str | None:
    """Return in words why something is not images: not a tensor of fractions, empty, NaN, or outside [0,1].

    Args:
        images: (batch, channels, height, width), where they are images.

    Returns:
        None where nothing is wrong, and where the values cannot be looked at: under `torch.vmap`, or in a tensor that
        only pretends to hold some.
    """
    if not isinstance(images, Tensor):
        return f"images are of type {type(images).__name__}, not {_WANTED}"
    problem = _unlike_images(images)
    if problem is not None:
        return problem
    try:
        low, high = (float(edge) for edge in images.detach().aminmax())
    except RuntimeError:
        return None
    if math.isnan(low):
        return "images hold NaN"
    return None if low >= -_ROUNDING and high <= 1 + _ROUNDING else f"images reach from {low:g} to {high:g}"


def _unlike_images(images: Tensor) -> str | None:
    """Return why a tensor is not images, whatever its values."""
    if not images.is_floating_point() or images.device.type == "meta":
        return f"images are {images.dtype} on {images.device}, not {_WANTED}"
    if images.layout is not torch.strided or images.is_nested:
        return "images are sparse or nested, not a dense tensor"
    if images.ndim != 4:
        return f"images are of shape {tuple(images.shape)}, not (batch, channels, height, width)"
    return None if images.numel() else "there are no images: the batch is empty"


def require_unit_range(images: object, remedy: str) -> None:
    """Refuse what is not images in [0,1].

    Args:
        images: As in `outside_unit_range`.
        remedy: What the caller takes, for the message.

    Raises:
        UsageError: They are something else.
    """
    # A compiled graph cannot stop to look at its numbers.
    outside = None if torch.compiler.is_compiling() else outside_unit_range(images)
    if outside is not None:
        raise UsageError(f"{outside}; {remedy}")
