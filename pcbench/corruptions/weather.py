"""Corruptions by weather (Hendrycks & Dietterich, ICLR 2019, section 3), and by drops on the lens.

Snow, fog and drops are layers that do not depend on the image: they are made when they are drawn. Frost lies on the
image as a photograph: see `frost_textures`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from typing_extensions import override

from pcbench.corruptions import filters, randomness
from pcbench.corruptions.corruption import GREY_OR_COLOUR, Corruption, Drawn, as_float, one_per_image
from pcbench.corruptions.frost_textures import TEXTURES, frost_texture
from pcbench.corruptions.opencv import cv2
from pcbench.data.channels import LUMA

_QUARTER = np.float32(0.25)
_WATER, _MUD = (175.0, 238.0, 238.0), (63.0, 42.0, 20.0)  # pale turquoise, brown: grey levels of red, green, blue


class Snow(Corruption):
    """Flakes that fall in two directions over a whitened image.

    Source: `snow` of imagecorruptions (ImageNet-C blurred the flakes by ImageMagick).
    """

    made_for = GREY_OR_COLOUR

    mean: float
    """Mean of the normal noise that becomes flakes."""
    standard_deviation: PositiveFloat
    """Standard deviation of that noise."""
    zoom: float = Field(ge=1)
    """How much the noise is enlarged."""
    threshold: float
    """Noise below it is not a flake."""
    radius: PositiveInt
    """The flakes' traces have 2 * radius + 1 pixels."""
    sigma: PositiveFloat
    """Standard deviation in pixels of the half Gaussian along a trace."""
    clarity: float = Field(ge=0, le=1)
    """Share of the image that is not whitened."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        # Only the middle of the noise would be seen: the rest is not drawn.
        rows, columns = int(np.ceil(height / self.zoom)), int(np.ceil(width / self.zoom))
        noise = torch.from_numpy(randomness.standard_normal(generator, (1, 1, rows, columns)))
        noise.mul_(self.standard_deviation).add_(self.mean)
        size = (round(rows * self.zoom), round(columns * self.zoom))
        flakes = filters.zero_below(filters.resize(noise, size), self.threshold).clamp_(0, 1)
        taps = filters.motion_taps(self.radius, self.sigma, float(generator.uniform(-135, -45)), size)
        fallen = filters.trace(flakes, taps).mul_(255).round_()[0, :, :height, :width]
        return ((fallen + fallen.rot90(2, (1, 2))).numpy(),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        levels = as_float(images)
        grey = levels if levels.shape[1] == 1 else _luma(levels)
        whitened = torch.maximum(levels, grey * 1.5 + 127.5).mul_(1 - self.clarity)
        return (levels * self.clarity).add_(whitened).add_(drawn[0])


class Frost(Corruption):
    """Ice crystals on the lens: a random piece of one of five photographs. Source: `frost` of ImageNet-C.

    On a grey image the photograph is grey too.
    """

    data_libraries = ("imagecorruptions",)
    made_for = GREY_OR_COLOUR

    image_weight: NonNegativeFloat
    """Multiplies the image."""
    frost_weight: NonNegativeFloat
    """Multiplies the photograph of frost."""
    scale: PositiveFloat
    """Factor by which the photograph is enlarged first; more where it would be smaller than the image."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        texture = frost_texture(randomness.below(generator, TEXTURES), self.scale, height, width)
        top = randomness.below(generator, texture.shape[1] - height)
        left = randomness.below(generator, texture.shape[2] - width)
        return (texture[:, top : top + height, left : left + width],)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        levels, frost = as_float(images), as_float(drawn[0])
        frost = _luma(frost) if levels.shape[1] == 1 else frost
        return (levels * self.image_weight).add_(frost, alpha=self.frost_weight)


class Fog(Corruption):
    """Fog as a fractal: the diamond-square algorithm. Source: `fog` of ImageNet-C."""

    density: PositiveFloat
    """Density of the fog where it is thickest, as a share of the range from black to white."""
    decay: PositiveFloat
    """Factor by which the fractal's roughness shrinks from one scale to the next finer."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        side = 1 << (max(height, width) - 1).bit_length()
        return (plasma_fractal(generator, side, self.decay, height, width)[None],)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        density = 255 * self.density
        brightest = one_per_image(images.amax(dim=(1, 2, 3)).float())
        return (as_float(images) + drawn[0] * density).mul_(brightest / (brightest + density))


class Spatter(Corruption):
    """Drops of water or mud on the lens. Source: `spatter` of ImageNet-C's extra four.

    On a grey image water and mud are grey too.
    """

    made_for = GREY_OR_COLOUR

    mean: float
    """Mean of the normal noise that becomes drops."""
    standard_deviation: PositiveFloat
    """Standard deviation of that noise."""
    sigma: PositiveFloat
    """Standard deviation in pixels of the Gaussian that smooths it."""
    threshold: float
    """Noise below it is not a drop."""
    strength: PositiveFloat
    """Water: brightness of the brightest drop. Mud: standard deviation in pixels of the blur of the drops' edges."""
    mud: bool
    """Mud covers, water brightens."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        noise = torch.from_numpy(randomness.standard_normal(generator, (1, 1, height, width)))
        liquid = filters.gaussian_blur(noise.mul_(self.standard_deviation).add_(self.mean), self.sigma)
        drops = filters.zero_below(liquid, self.threshold)
        if not self.mud:
            return (_water(drops[0, 0].numpy())[None] * np.float32(self.strength),)
        cover = filters.gaussian_blur((drops > self.threshold).float(), self.strength)
        return (filters.zero_below(cover, 0.8)[0].numpy(),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        levels, cover = as_float(images), drawn[0]
        colour = torch.tensor(_MUD if self.mud else _WATER, device=levels.device).reshape(1, 3, 1, 1)
        colour = _luma(colour) if levels.shape[1] == 1 else colour
        return levels * (1 - cover) + colour * cover if self.mud else levels + colour * cover


def _luma(levels: torch.Tensor) -> torch.Tensor:
    """Return the grey values of colours, (batch, 3, height, width) -> (batch, 1, height, width)."""
    red, green, blue = (levels[:, channel : channel + 1] * weight for channel, weight in enumerate(LUMA))
    return red.add_(green).add_(blue)


def plasma_fractal(
    generator: np.random.Generator, side: int, decay: float, rows: int, columns: int
) -> NDArray[np.float32]:
    """Make a fractal landscape by the diamond-square algorithm on a torus.

    Args:
        generator: Draws the roughness.
        side: Rows and columns of the torus, a power of two.
        decay: Factor by which the amplitude shrinks from one scale to the next finer.
        rows: Rows of the piece that is returned.
        columns: Its columns.

    Returns:
        (rows, columns); the whole torus reaches from 0 to 1.
    """
    # All roughness is drawn at once, coarsest scale first: in each, the squares' centres, then the two kinds of edges.
    roughness = randomness.uniform(generator, -1, 1, (side * side - 1,))
    # The first row and column stand again at the end, where the torus closes: neighbours are slices then.
    landscape = np.zeros((2, 2), np.float32)
    amplitude = 100.0
    while (count := len(landscape) - 1) < side:
        drawn = roughness[count * count - 1 : 4 * count * count - 1].reshape(3, count, count)
        landscape = _finer(landscape, drawn * np.float32(amplitude * amplitude))
        amplitude /= decay
    heights = landscape[:side, :side]
    lowest, highest = heights.min(), heights.max()
    piece = heights[:rows, :columns] - lowest
    piece /= highest - lowest
    return piece


def _finer(corners: NDArray[np.float32], rough: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a landscape at the next finer scale.

    Args:
        corners: (count + 1, count + 1), the last row and column being the first.
        rough: (3, count, count), added to the centres, the upper edges and the left edges of the squares.

    Returns:
        (2 * count + 1, 2 * count + 1), closed like `corners`.
    """
    count = len(corners) - 1
    across, down = corners[:, :-1] + corners[:, 1:], corners[:-1] + corners[1:]
    centres = np.empty((count + 1, count + 1), np.float32)  # with those of the row and the column before
    _mean_and_rough(np.add(across[:-1], across[1:]), rough[0], centres[1:, 1:])
    centres[0, 1:], centres[1:, 0] = centres[-1, 1:], centres[1:, -1]
    finer = np.empty((2 * count + 1, 2 * count + 1), np.float32)
    finer[:-1:2, :-1:2], finer[1::2, 1::2] = corners[:-1, :-1], centres[1:, 1:]
    upper, left = centres[1:, 1:] + centres[:-1, 1:], centres[1:, 1:] + centres[1:, :-1]
    _mean_and_rough(np.add(upper, across[:-1], out=upper), rough[1], finer[:-1:2, 1::2])
    _mean_and_rough(np.add(left, down[:, :-1], out=left), rough[2], finer[1::2, :-1:2])
    finer[-1], finer[:, -1] = finer[0], finer[:, 0]
    return finer


def _mean_and_rough(total: NDArray[np.float32], rough: NDArray[np.float32], into: NDArray[np.float32]) -> None:
    total *= _QUARTER
    np.add(total, rough, out=into)


def _water(drops: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shade drops by their distance to their edges, embossed; the brightest is 1, all are 0 where there is none."""
    liquid = np.clip(drops * 255, 0, 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    shade = cv2.equalizeHist(cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    shade = cv2.blur(cv2.filter2D(shade, cv2.CV_8U, emboss), (3, 3)).astype(np.float32)
    lit = liquid * shade
    brightest = lit.max()
    return (lit / brightest if brightest > 0 else lit).astype(np.float32)
