"""Whether a network's answer to an image is a function of that image alone.

What else it may depend on: the images beside it (batch statistics), its place among them, chance (dropout, noise), and
what was asked before (a state that is kept). Only chance can be measured: its draws are seeded, and averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from pcbench.errors import UsageError, named
from pcbench.network.seeding import seeded, states

ROUNDING = 1e-3
"""How far two answers to an image may be apart by rounding, in shares of the largest logit."""

LARGE = 128
"""From which height or width images are large."""

SAMPLES = ((16, 4.0), (64, 8.0))
"""Over how many draws a random network's answers are averaged, where they are compared, and how many standard errors
two means must be apart to be different: a few draws first, and more where these look different."""
_SELDOM = 100
"""How often a network that draws random numbers without effect is asked again: they may have one now and then."""

Ask = Callable[[Tensor], Tensor]
"""Images (batch, channels, height, width) -> logits (..., batch, classes)."""

Answers = Literal["alike", "draws", "random", "state"]
"""What answers to the same images are: equal; equal, although random numbers were drawn; different, and equal where the
generators are seeded alike; or different even then, so that something is kept, or drawn from elsewhere."""

RANDOM = (
    "answers the same image differently each time, since it draws random numbers (dropout, noise): give stochastic=20 "
    "to measure the mean of 20 draws, and attack it by expectation over draws"
)
KEEPS_STATE = (
    "answers the same image differently each time, from equal seeds too: it keeps a state, which is to be reset in "
    "forward(), or draws from a generator of its own instead of the global ones of PyTorch, NumPy or Python"
)


def check_function(name: str, ask: Ask, images: Tensor) -> Answers:
    """Ask about images together, in another order, again, and about the first one alone.

    Args:
        name: The network's, for messages.
        ask: Asks the network.
        images: At least two different ones, of the type that the network computes in.

    Returns:
        What it answers to the same images. A network that fails on these images is not judged: what it is measured on
        may be others.

    Raises:
        UsageError: The answer to an image depends on the others, or there is none to an image alone.
    """
    # bfloat16 has 8 bits: its rounding shows. So does that of any type where all logits are nearly zero.
    least = 8 * torch.finfo(images.dtype).eps
    with seeded(0, images.device):
        try:
            before = states(images.device)
            together, turned, again = ask(images), ask(images.flip(0)), ask(images)
        except Exception:  # noqa: BLE001 - a network of the user's own may raise anything
            return "alike"
        draws = before != states(images.device)
        differs = bool(_apart(together, again, least)) or (draws and _differs_seldom(ask, images, together, least))
        if differs and _keeps_state(ask, images, least):
            return "state"
        alone = _alone(name, ask, images, together)
        if differs:
            difference = _apart_on_average(ask, images, least)
        else:
            difference = _apart(together[..., :1, :], alone, least) or _apart(together, turned.flip(-2), least)
    if difference:
        raise UsageError(
            f"{name} answers an image otherwise among other images (logits differ by {difference:.2g}): every number "
            "would be one of the batch size; use statistics of its own, such as those of batch norms in eval()"
        )
    if differs:
        return "random"
    return "draws" if draws else "alike"


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


def _alone(name: str, ask: Ask, images: Tensor, together: Tensor) -> Tensor:
    """Return the answer to the first image alone.

    Raises:
        UsageError: There is none, or it has another form.
    """
    try:
        alone = ask(images[:1])
    except Exception as error:
        raise UsageError(f"{name} fails on one image alone, and batches are of any size: {named(error)}") from error
    if alone.shape != together[..., :1, :].shape:
        raise UsageError(
            f"{name} gives {tuple(alone.shape)} for 1 image and {tuple(together.shape)} for {len(images)}: not one row "
            "of logits for each image"
        )
    return alone


def _differs_seldom(ask: Ask, images: Tensor, together: Tensor, least: float) -> bool:
    """Return whether random numbers that had no effect have one in some answers."""
    return any(_apart(together, ask(images), least) for _ in range(_SELDOM))


def _keeps_state(ask: Ask, images: Tensor, least: float) -> bool:
    """Return whether answers differ although the generators are seeded alike."""

    def drawn(seed: int, asked: Tensor) -> Tensor:
        with seeded(seed, images.device):
            return ask(asked)

    first = drawn(0, images)
    drawn(1, images.flip(0))
    return bool(_apart(first, drawn(0, images), least))


def _apart_on_average(ask: Ask, images: Tensor, least: float) -> float:
    """Return by how much the mean answers to the first image differ, alone and among others, beyond what is chance."""
    found = 0.0
    for draws, unlikely in SAMPLES:
        alone = torch.stack([ask(images[:1]) for _ in range(draws)]).double()
        among = torch.stack([ask(images)[..., :1, :] for _ in range(draws)]).double()
        error = ((alone.var(dim=0) + among.var(dim=0)) / draws).sqrt()
        difference = (alone.mean(dim=0) - among.mean(dim=0)).abs()
        rounding = max(ROUNDING, least) * float(alone.abs().max()) + least
        found = float(torch.where(difference > unlikely * error + rounding, difference, 0.0).max())
        if not found:
            break
    return found


def _apart(one: Tensor, other: Tensor, least: float) -> float:
    """Return by how much answers differ, if by more than rounding explains (at least `least`); NaN is equal to NaN."""
    if one.shape != other.shape:
        return float("inf")
    one, other = one.double().nan_to_num(), other.double().nan_to_num()
    difference = float((one - other).abs().max())
    return difference if difference > max(ROUNDING, least) * float(one.abs().max()) + least else 0.0
