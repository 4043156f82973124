"""Whether a cut backbone has the gradient of the backbone itself.

A trace records operations, and not what a backbone's own code says about gradients: an `autograd.Function`, a
`no_grad` block, `detach` or a gradient hook. The logits are then equal to the bit and the gradient is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pcbench.network.own_modules import logits_of

COTANGENTS = 2
"""How many random weightings of the logits are differentiated."""
APART = 1e-4
"""How far two gradients may be apart, in shares of the largest absolute value of either."""
NOISE = 10.0
"""And in multiples of how far the gradient of the original is from itself when it is computed again."""

_Module = Callable[[Tensor], object]
_Products = list[Tensor] | None


def same_gradient(original: _Module, other: _Module, images: Iterable[Tensor]) -> bool:
    """Return whether two modules with equal logits have equal vector-Jacobian products.

    Args:
        original: Maps images to logits (batch, classes).
        other: Likewise.
        images: Batches (batch, channels, height, width). The second one is asked about only where the gradient of the
            original vanishes at the first one, and so on.
    """
    for batch in images:
        expected, found = _products(original, batch), _products(other, batch)
        # Most are equal: only where they are not, it is asked how noisy the original is.
        if not _close(expected, found) and not _close(
            expected, found, noise=_apart(expected, _products(original, batch))
        ):
            return False
        if expected is None or any(product.any() for product in expected):
            return True
    return True


def _close(expected: _Products, found: _Products, noise: float = 0.0) -> bool:
    if expected is None or found is None:
        return expected is found
    if not all(torch.equal(one.isfinite(), other.isfinite()) for one, other in zip(expected, found, strict=True)):
        return False
    largest = max(float(product.nan_to_num(0, 0, 0).abs().max()) for product in (*expected, *found))
    return _apart(expected, found) <= APART * largest + NOISE * noise


def _apart(expected: _Products, found: _Products) -> float:
    """Return the largest difference of finite entries."""
    both = zip(expected or (), found or (), strict=False)
    return max((float((one - other).nan_to_num(0, 0, 0).abs().max()) for one, other in both), default=0.0)


def _products(module: _Module, images: Tensor) -> _Products:
    """Return the gradient with respect to the images for each cotangent; None where it cannot be computed.

    Where the logits do not depend on the images by any operation that can be differentiated, it is zero.
    """
    with torch.enable_grad():
        inputs = images.detach().clone().requires_grad_()
        try:
            # Not the leaf itself: a backbone may work in place.
            logits = logits_of(module(inputs.clone()))
            if not logits.requires_grad:
                return [torch.zeros_like(inputs)] * COTANGENTS
            numbers = torch.Generator().manual_seed(0)
            products: list[Tensor] = []
            for _ in range(COTANGENTS):
                cotangent = torch.randn(logits.shape, generator=numbers).to(logits)
                products += torch.autograd.grad(logits, inputs, cotangent, retain_graph=True, materialize_grads=True)
        except Exception:  # noqa: BLE001 - a backbone's own code, or the backward pass of it, may raise anything
            return None
    return products
