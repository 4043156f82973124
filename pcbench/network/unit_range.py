"""Whether images are what networks take: numbers in [0,1], before normalisation."""

from __future__ import annotations

import math

from torch import Tensor

# Rounding may carry an image of 8-bit values this far past its range.
_ROUNDING = 1e-5


def outside_unit_range(images: Tensor) -> str | None:
    """Return in words what is wrong with images that leave [0,1], hold NaN or are no fractions; None if nothing is.

    Args:
        images: Any shape.
    """
    if not images.is_floating_point() or images.device.type == "meta":
        return f"images are {images.dtype} on {images.device}, not floating-point numbers"
    if images.numel() == 0:
        return None
    low, high = (float(edge) for edge in images.detach().aminmax())
    if math.isnan(low):
        return "images hold NaN"
    return None if low >= -_ROUNDING and high <= 1 + _ROUNDING else f"images reach from {low:g} to {high:g}"
