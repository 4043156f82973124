"""Corruptions by blur (Hendrycks & Dietterich, ICLR 2019, section 3)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from typing_extensions import override

from pcbench.corruptions import filters, randomness
from pcbench.corruptions.corruption import Corruption, Drawn, as_float, whole_levels


class GaussianBlur(Corruption):
    """A Gaussian low pass. Source: `gaussian_blur` of ImageNet-C's extra four."""

    sigma: PositiveFloat
    """Standard deviation in pixels."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return filters.gaussian_blur(as_float(images), self.sigma)


class DefocusBlur(Corruption):
    """An image out of focus: a disk-shaped point spread. Source: `defocus_blur` of ImageNet-C."""

    radius: PositiveFloat
    """Radius of the disk, in pixels."""
    edge_blur: PositiveFloat
    """Standard deviation in pixels of the Gaussian that smooths the disk's edge."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        kernel = filters.disk_kernel_of_levels if images.dtype == torch.uint8 else filters.disk_kernel
        return filters.correlate(as_float(images), kernel(self.radius, self.edge_blur), "mirror")


class GlassBlur(Corruption):
    """The view through frosted glass: pixels swapped for neighbours, blurred before and after.

    Source: `glass_blur` of ImageNet-C. Its loop visits the pixels from the last to the first and writes over each
    with a pixel up to `reach` away; what it reads may have been written over before. (The line that looks like a
    swap there only copies, since both sides are views.) Following these chains of reads to their ends, by pointer
    doubling over all pixels at once, gives the same image.
    """

    sigma: PositiveFloat
    """Standard deviation in pixels of both blurs."""
    reach: PositiveInt
    """The neighbour lies within -reach to reach - 1 pixels on each axis."""
    iterations: NonNegativeInt
    """How often all pixels are visited."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        drawn = randomness.uniform_16_bit(generator, (2, self.iterations, height, width))
        # 16 bits times the number of offsets, the high half kept: uniform to one part in 65536 / (2 * reach).
        offsets = drawn.astype(np.uint32)
        offsets *= np.uint32(2 * self.reach)
        offsets >>= np.uint32(16)
        down, across = offsets.view(np.int32)
        down *= width
        down += across
        down -= self.reach * (width + 1)
        return (down,)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        blurred = as_float(whole_levels(filters.gaussian_blur(as_float(images), self.sigma)))
        # Plane after plane, so that one list of indices serves every image of a colour.
        flat = blurred.transpose(0, 1).flatten(1)
        if self.iterations:
            visits = [self._sources(steps) for steps in drawn[0].unbind(1)]
            indices = functools.reduce(lambda first, second: first.index_select(0, second), visits)
            flat = flat.index_select(1, indices)
        shuffled = flat.reshape(-1, len(images), *images.shape[-2:]).transpose(0, 1)
        return filters.gaussian_blur(shuffled, self.sigma)

    def _sources(self, steps: torch.Tensor) -> torch.Tensor:
        """Return where each pixel's value comes from after one visit of all pixels.

        Args:
            steps: (batch, height, width), for each pixel the distance to the pixel it reads, in flat order.

        Returns:
            (batch * height * width) int32, indices into the flattened batch.
        """
        # Pixels near the edges are not visited: they keep what they have.
        inner = torch.zeros_like(steps)
        rows, columns = (slice(self.reach + 1, side - self.reach + 1) for side in steps.shape[1:])
        inner[:, rows, columns] = steps[:, rows, columns]
        distances = inner.flatten()
        here = torch.arange(len(distances), dtype=torch.int32, device=steps.device)
        # A later pixel has its new value by now: the chain goes on there.
        jump = here + distances.clamp(min=0)
        while True:
            further = jump.index_select(0, jump)
            if torch.equal(further, jump):
                return here.add_(distances).index_select(0, jump)
            jump = further


class MotionBlur(Corruption):
    """A camera that moves along a line. Source: `motion_blur` of imagecorruptions (ImageNet-C used ImageMagick's)."""

    radius: PositiveInt
    """The trace has 2 * radius + 1 pixels."""
    sigma: PositiveFloat
    """Standard deviation in pixels of the half Gaussian along the trace."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        return (np.asarray(generator.uniform(-45, 45)),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        levels, angles = as_float(images), drawn[0].cpu().double().numpy()
        moved: list[torch.Tensor] = []
        for index, angle in enumerate(angles):
            taps = filters.motion_taps(self.radius, self.sigma, float(angle), (images.shape[2], images.shape[3]))
            moved.append(filters.trace(levels[index : index + 1], taps))
        return torch.cat(moved)


class ZoomBlur(Corruption):
    """A camera that moves towards its object: the mean of ever larger images. Source: `zoom_blur` of ImageNet-C."""

    end: float = Field(gt=1)
    """The factors are 1, 1 + step, and so on, below this one (as numpy.arange rounds it)."""
    step: PositiveFloat
    """How much one factor is above the one before."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        levels = as_float(images)
        factors = np.arange(1, self.end, self.step).tolist()
        return filters.zoom_sum(levels, factors).add_(levels).div_(len(factors) + 1)
