"""What is done to the images that predictors learn from: noise on e_0, and shuffled rows or columns.

Source: scripts that train Predify's predictors on noisy images, or, as a control, on images whose rows or columns are
in another order (each image in an order of its own, the same in every epoch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pcbench.corruptions.randomness import corruption_generator, standard_normal

Shuffle = Literal["rows", "columns"]
NoiseTarget = Literal["noisy", "clean"]
_AXES: dict[Shuffle, int] = {"rows": 1, "columns": 2}


@dataclass(frozen=True)
class InputChange:
    """What is done to the images of a training. It depends on seed, image and epoch, never on the batch around it."""

    seed: int
    """Another seed is another draw of everything."""
    noise: tuple[float, ...] = ()
    """Standard deviations, in units of e_0; each image draws one of them anew in every epoch."""
    shuffle: Shuffle | None = None
    """What of an image is put into an order of its own, the same in every epoch."""

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
