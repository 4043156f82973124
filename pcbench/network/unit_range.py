"""Whether images are what networks take: numbers in [0,1], before normalisation."""

from __future__ import annotations

from torch import Tensor

# Rounding may carry an image of 8-bit values this far past its range.
_ROUNDING = 1e-5


def outside_unit_range(images: Tensor) -> str | None:
    """Return the range of images in words if it leaves [0,1]; None if it does not.

    Args:
        images: Any shape; NaN is outside.
    """
    if images.numel() == 0:
        return None
    low, high = (float(edge) for edge in images.detach().aminmax())
    return None if low >= -_ROUNDING and high <= 1 + _ROUNDING else f"images reach from {low:g} to {high:g}"
