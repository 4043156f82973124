"""Random starting points that depend on the run, the image, the attack and the restart, and on nothing else.

Batch size, order, epsilon and timestep change nothing, so the same image starts in the same direction everywhere and
sweeps over budgets and timesteps are paired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from pcbench.norms import Norm


def image_seed(seed: int, image_id: str, attack: str, restart: int) -> int:
    """Return a 63-bit seed for one image of one attack."""
    key = "\0".join([str(seed), image_id, attack, str(restart)])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1


def start_generator(seed: int, image_id: str, attack: str, restart: int) -> torch.Generator:
    """Return the CPU generator of one image of one attack."""
    return torch.Generator().manual_seed(image_seed(seed, image_id, attack, restart))


def unit_starts(images: Tensor, norm: Norm, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw one point of the unit ball for each image, uniformly.

    Args:
        images: (batch, channels, height, width); gives shape, type and device.
        norm: The ball's norm.
        generators: One generator for each image.

    Returns:
        Perturbations of norm at most 1, shaped like `images`.
    """
    shape = images.shape[1:]
    return torch.stack([norm.point(shape, generator) for generator in generators]).to(images)
