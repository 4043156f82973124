"""What is done to training images: noise on e_0, shuffled rows or columns, and, for backbones, small affine changes.

Source: scripts that train Predify's predictors on noisy images, or, as a control, on images whose rows or columns are
in another order (each image in an order of its own, the same in every epoch).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pcbench.corruptions.randomness import corruption_generator, standard_normal

Shuffle = Literal["rows", "columns"]
NoiseTarget = Literal["noisy", "clean"]
_AXES: dict[Shuffle, int] = {"rows": 1, "columns": 2}


@dataclass(frozen=True)
class Augmentation:
    """How far an image is turned, scaled, sheared and moved; each is drawn uniformly, for each image in each epoch."""

    rotation: float
    """Largest angle, in degrees."""
    scale: float
    """Largest change of size, as a share of it."""
    shear: float
    """Largest shear along the rows, a tangent."""
    shift: float
    """Largest shift in either direction, as a share of the half side."""


AUGMENTATION = Augmentation(rotation=10.0, scale=0.1, shear=0.1, shift=0.125)
"""Of the backbones that the project trains itself."""


@dataclass(frozen=True)
class InputChange:
    """What is done to the images of a training. It depends on seed, image and epoch, never on the batch around it."""

    seed: int
    """Another seed is another draw of everything."""
    noise: tuple[float, ...] = ()
    """Standard deviations, in units of e_0; each image draws one of them anew in every epoch."""
    shuffle: Shuffle | None = None
    """What of an image is put into an order of its own, the same in every epoch."""
    augmentation: Augmentation | None = None
    """Draws an affine change of each image in each epoch; None leaves images where they are."""

    def moved(self, images: Tensor, ids: Sequence[str], epoch: int) -> Tensor:
        """Return images after their affine change: bilinear, the edge repeated; float32 if there is any.

        Args:
            images: (batch, channels, height, width).
            ids: One for each image.
            epoch: Counted from 0.
        """
        if self.augmentation is None:
            return images
        largest = self.augmentation
        generators = (corruption_generator(self.seed, name, "augmentation", epoch) for name in ids)
        drawn = np.stack([generator.uniform(-1, 1, 5) for generator in generators])
        turn, grow, shear, right, down = torch.from_numpy(drawn).float().unbind(1)
        angle, size = turn * math.radians(largest.rotation), 1 + grow * largest.scale
        upper = torch.stack([angle.cos(), shear * largest.shear - angle.sin()], 1) * size[:, None]
        lower = torch.stack([angle.sin(), angle.cos()], 1) * size[:, None]
        maps = torch.cat([torch.stack([upper, lower], 1), torch.stack([right, down], 1)[..., None] * largest.shift], 2)
        grid = F.affine_grid(maps, list(images.shape), align_corners=False)
        return F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)

    def shuffled(self, images: Tensor, ids: Sequence[str]) -> Tensor:
        """Return images with their rows or columns in another order.

        Args:
            images: (batch, channels, height, width).
            ids: One for each image.
        """
        if self.shuffle is None:
            return images
        axis = _AXES[self.shuffle]
        orders = [
            corruption_generator(self.seed, name, f"shuffled {self.shuffle}", 0).permutation(images.shape[axis + 1])
            for name in ids
        ]
        return torch.stack(
            [image.index_select(axis, torch.from_numpy(order)) for image, order in zip(images, orders, strict=True)]
        )

    def noise_of(self, shape: Sequence[int], ids: Sequence[str], epoch: int) -> Tensor | None:
        """Return the noise of some images in one epoch, float32 on the CPU; None where there is none.

        Args:
            shape: (batch, channels, height, width).
            ids: One for each image.
            epoch: Counted from 0.
        """
        if not self.noise:
            return None
        drawn: list[Tensor] = []
        for name in ids:
            generator = corruption_generator(self.seed, name, "training noise", epoch)
            deviation = self.noise[int(generator.integers(len(self.noise)))]
            drawn.append(torch.from_numpy(standard_normal(generator, tuple(shape[1:]))) * deviation)
        return torch.stack(drawn)
