"""Whether a network's answer to an image is a function of that image alone.

What else it may depend on: the images beside it (batch statistics), chance (dropout, noise) and what was asked before
(a state that is kept). The first makes every number one of the batch size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pcbench.errors import UsageError, named

ROUNDING = 1e-3
"""How far two answers to an image may be apart by rounding, in shares of the largest logit."""

LARGE = 128
"""From which height or width images are large."""

Ask = Callable[[Tensor], Tensor]
"""Images (batch, channels, height, width) -> logits (..., batch, classes)."""


def check_function(name: str, ask: Ask, images: Tensor) -> bool:
    """Ask about images together, again, and about the first one alone.

    Args:
        name: The network's, for messages.
        ask: Asks the network.
        images: At least two different ones, of the type that the network computes in.

    Returns:
        Whether it answers the same images alike each time. A network that fails on these images is not judged: what it
        is measured on may be others.

    Raises:
        UsageError: The answer to an image depends on the others, or there is none to an image alone.
    """
    # bfloat16 has 8 bits: its rounding shows. So does that of any type where all logits are nearly zero.
    least = 8 * torch.finfo(images.dtype).eps
    try:
        together, again = ask(images), ask(images)
    except Exception:  # noqa: BLE001 - a network of the user's own may raise anything
        return True
    if _apart(together, again, least):
        return False
    try:
        alone = ask(images[:1])
    except Exception as error:
        raise UsageError(f"{name} fails on one image alone, and batches are of any size: {named(error)}") from error
    if alone.shape != together[..., :1, :].shape:
        raise UsageError(
            f"{name} gives {tuple(alone.shape)} for 1 image and {tuple(together.shape)} for {len(images)}: not one row "
            "of logits for each image"
        )
    difference = _apart(together[..., :1, :], alone, least)
    if difference:
        raise UsageError(
            f"{name} answers an image otherwise among other images (logits differ by {difference:.2g}): every number "
            "would be one of the batch size; use statistics of its own, such as those of batch norms in eval()"
        )
    return True


def smaller(ask: Ask, images: Tensor) -> Tensor:
    """Return every fourth pixel of large images where the network takes these as well, else the images.

    What a network does to its gradient, or makes of a batch, seldom depends on the size, and asking about large images
    takes seconds.
    """
    reduced = images[..., ::4, ::4].contiguous()
    if min(images.shape[2:]) < LARGE:
        return images
    try:
        ask(reduced)
    except Exception:  # noqa: BLE001 - whatever a network raises that takes one size alone
        return images
    return reduced


def _apart(one: Tensor, other: Tensor, least: float) -> float:
    """Return by how much answers differ, if by more than rounding explains (at least `least`); NaN is equal to NaN."""
    if one.shape != other.shape:
        return float("inf")
    one, other = one.double().nan_to_num(), other.double().nan_to_num()
    difference = float((one - other).abs().max())
    return difference if difference > max(ROUNDING, least) * float(one.abs().max()) + least else 0.0
