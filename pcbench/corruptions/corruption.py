"""What every corruption function is: parameters at one severity, a draw for each image, and batched arithmetic.

The two steps are separate on purpose. `draw` takes everything random from one image's generator, always on the CPU, so
that a GPU corrupts with the same noise. `apply` is torch arithmetic over a batch on whatever device the images are.

Inside, images are in grey levels (0 to 255), as uint8 or as float32: a uint8 image then passes through unchanged
where nothing is done to it, which k / 255 * 255 in single precision does not promise.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.catalog import Definition

Drawn = tuple[NDArray[np.generic], ...]
ROUNDING_ERROR = 2.0**-10


class Corruption(Definition):
    """One corruption function with its parameters at one severity; a parameter is a field, checked when read."""

    data_libraries: ClassVar[tuple[str, ...]] = ()
    """Libraries whose files the function reads, as frost's photographs; their versions belong to a run's key."""
    made_for: ClassVar[tuple[int, ...]] = ()
    """The numbers of channels that the function has a meaning for: 3 are red, green and blue, 1 is grey; empty for any
    number, where what is done to a channel does not depend on what it stands for."""

    @property
    def is_random(self) -> bool:
        """Whether anything is drawn for an image."""
        return type(self).draw is not Corruption.draw

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:  # noqa: ARG002
        """Draw what is random for one image.

        Args:
            generator: The image's own generator.
            channels: Channels of the image. The first channel's draws do not depend on their number.
            height: Rows of the image.
            width: Columns of the image.

        Returns:
            Arrays whose shapes depend on the image's size only; none for a corruption without randomness.
        """
        return ()

    @abstractmethod
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Corrupt a batch.

        Args:
            images: (batch, channels, height, width) in grey levels 0 to 255, uint8 or float32; not changed.
            drawn: What `draw` returned, stacked over the batch.

        Returns:
            The same shape in grey levels: uint8, or float32 that need not lie within 0 to 255 yet.
        """


def as_float(images: torch.Tensor) -> torch.Tensor:
    """Return grey levels as float32; float32 images are returned as they are, not copied."""
    return images.to(torch.float32)


def whole_levels(levels: torch.Tensor) -> torch.Tensor:
    """Cut float32 values, which are changed, off to whole grey levels from 0 to 255, uint8.

    A value that the arithmetic of real numbers puts on a whole level may come out a rounding error below it, and
    then would lose a level by chance: so a thousandth of a level is added first.
    """
    levels = levels.add_(ROUNDING_ERROR).clamp_(0, 255)
    if levels.device.type != "cpu":
        return levels.to(torch.uint8)
    # NumPy cuts off three times as fast as torch.
    return torch.from_numpy(levels.numpy().astype(np.uint8))


GREY_OR_COLOUR = (1, 3)
"""Channels of a function that mixes light: grey is what three equal colours are."""


def one_per_image(values: torch.Tensor) -> torch.Tensor:
    """Shape one number per image, (batch,), so that it broadcasts over (batch, channels, height, width)."""
    return values.reshape(-1, 1, 1, 1)
