"""Random starting points that depend on the run, the image, the attack and the restart, and on nothing else.

Batch size, order, epsilon and timestep change nothing, so the same image starts in the same direction everywhere and
sweeps over budgets and timesteps are paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from pcbench.attacks.definitions import Norm


def image_seed(seed: int, image_id: str, attack: str, restart: int) -> int:
    """Return a 63-bit seed for one image of one attack."""
    key = "\0".join([str(seed), image_id, attack, str(restart)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def image_generator(seed: int, image_id: str, attack: str, restart: int) -> torch.Generator:
    """Return the CPU generator of one image of one attack."""
    return torch.Generator().manual_seed(image_seed(seed, image_id, attack, restart))


def unit_starts(images: Tensor, norm: Norm, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw one point of the unit ball for each image, uniformly.

    The L2 points are the first n coordinates of a point on the sphere in n + 2 dimensions (Voelker, Gosmann and
    Stewart, Efficiently sampling vectors and coordinates from the n-sphere and n-ball, 2017).

    Args:
        images: (batch, channels, height, width); gives shape, type and device.
        norm: The ball's norm.
        generators: One generator for each image.

    Returns:
        Perturbations of norm at most 1, shaped like `images`.
    """
    shape = images.shape[1:]
    points = [_uniform_point(shape, norm, generator) for generator in generators]
    return torch.stack(points).to(images)


def _uniform_point(shape: torch.Size, norm: Norm, generator: torch.Generator) -> Tensor:
    if norm == "linf":
        return torch.rand(shape, generator=generator) * 2 - 1
    sphere = torch.randn(shape.numel() + 2, generator=generator)
    return (sphere / sphere.square().sum().sqrt())[: shape.numel()].reshape(shape)
