"""The four of ImageNet-C-bar that cover parts of an image, or bend its light.

Source of all: Mintun, Kirillov and Xie, On Interaction Between Augmentations and Corruptions in Natural Corruption
Robustness, NeurIPS 2021, arXiv 2102.11273, appendix; written from the description, and compared with the output of the
released code. Lengths are shares of the shorter side. Patterns are computed in double precision.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field

from pcbench.corruptions.bar_noise import between, coordinates, spread
from pcbench.corruptions.corruption import Corruption, Drawn, as_float
from pcbench.corruptions.filters import gaussian_blur

_STARS = 5
_FEWEST_RAYS, _MOST_RAYS = 50, 200
_UNEVEN = 0.25
"""The standard deviation of a ray's length, as a share of it."""
_WHITE = 255.0
_GREY = 128.0
_MOST_CELLS = 40
_ETA = 4.0
"""How much the water bends light."""


def _rays(generator: np.random.Generator, stars: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw how many rays each star has, and normal deviations of their lengths, (stars, 200)."""
    counts = generator.integers(_FEWEST_RAYS, _MOST_RAYS, size=stars, dtype=np.int64)
    return counts, generator.standard_normal((stars, _MOST_RAYS))


def _glow(
    place: tuple[torch.Tensor, torch.Tensor],
    centre: torch.Tensor,
    count: torch.Tensor,
    lengths: torch.Tensor,
    power: float,
) -> torch.Tensor:
    """Return how bright a star is at every pixel, (height, width), from 0 to 1.

    Args:
        place: Rows and columns.
        centre: The star's row and column.
        count: How many rays it has.
        lengths: Their lengths in pixels; those beyond the number are not used.
        power: How fast its light falls with the distance.
    """
    down, right = place[0] - centre[0], place[1] - centre[1]
    turn = (torch.atan2(right, down) + math.pi) / (2 * math.pi) * count
    ray = turn.floor()
    between_rays = turn - ray
    here, after = (lengths[(ray.long() + step) % count] for step in (0, 1))
    length = here + between_rays * (after - here)
    fall = (length.square() / (down.square() + right.square() + 1e-4)) ** power
    return ((1 - (between_rays - 0.5).square()) * fall).clamp(0, 1)


class Sparkles(Corruption):
    """Five white stars, each of 50 to 199 rays of uneven length. Source: `sparkles` of ImageNet-C-bar."""

    radius: Annotated[float, Field(gt=0, le=1)]
    """Of a star, as a share of the shorter side."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the centres (5, 2), and the rays."""
        del channels
        return generator.random((_STARS, 2)) * [height, width], *_rays(generator, _STARS)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Put the stars over the image, one after another."""
        place, radius = coordinates(images), self.radius * min(images.shape[-2:])
        results = as_float(images).clone()
        for result, centres, counts, deviations in zip(results, *drawn, strict=True):
            lengths = (radius * (1 + _UNEVEN * deviations)).clamp_min(1)
            for centre, count, rays in zip(centres, counts, lengths, strict=True):
                glow = _glow(place, centre, count, rays, 1.0).float()
                result.lerp_(torch.full_like(result, _WHITE), glow.expand_as(result))
        return results


class InverseSparkles(Corruption):
    """White around a star of half the image's width, inside which the image is seen.

    Source: `inverse_sparkles` of ImageNet-C-bar.
    """

    falloff: Annotated[float, Field(gt=0, le=10)]
    """The power of the distance with which the image fades."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the centre (2,), and the rays."""
        del channels
        centre = (0.25 + 0.5 * generator.random(2)) * [height, width]
        return centre, *_rays(generator, 1)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Cover what is outside the star."""
        place, radius = coordinates(images), 0.25 * min(images.shape[-2:])
        seen = [
            _glow(place, centre, counts[0], radius * (1 + _UNEVEN * deviations[0]), self.falloff)
            for centre, counts, deviations in zip(*drawn, strict=True)
        ]
        return _WHITE + torch.stack(seen).float()[:, None] * (as_float(images) - _WHITE)


class CheckerboardCutout(Corruption):
    """Grey squares: of the black squares of a turned chessboard a share, chosen by chance.

    Source: `checkerboard_cutout` of ImageNet-C-bar.
    """

    share: Annotated[float, Field(gt=0, le=1)]
    """Of the black squares that are grey."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the board's angle and the side of its squares in pixels, and a number for each square."""
        del channels
        side = max(between(generator, 0.1, 0.25) * min(height, width), 1.0)
        return np.array([between(generator, 0, 2 * math.pi), side]), generator.random((_MOST_CELLS, _MOST_CELLS))

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Make squares grey."""
        angle, side = (spread(one) for one in drawn[0].unbind(dim=1))
        rows, columns = coordinates(images)
        first = (torch.cos(angle) * rows + torch.sin(angle) * columns) / side
        second = (torch.cos(angle) * columns - torch.sin(angle) * rows) / side
        black = torch.remainder(first, 2).floor() == torch.remainder(second, 2).floor()
        cells = (4 * min(images.shape[-2:]) / side).floor()
        # Squares left and right of an axis through the corner have one number.
        row, column = (torch.remainder(one.trunc(), cells).long() for one in (first, second))
        chosen = torch.stack(
            [
                cuts[rows_of, columns_of] < self.share
                for cuts, rows_of, columns_of in zip(drawn[1], row, column, strict=True)
            ]
        )
        return torch.where((black & chosen)[:, None], _GREY, as_float(images))


class CausticRefraction(Corruption):
    """The image at the ground of moving water: its light is bent, and gathered in bright lines.

    Source: `caustic_refraction` of ImageNet-C-bar.
    """

    bending: Annotated[float, Field(gt=0, le=5)]
    """How far light is moved, as a share of the shorter side, where the surface is steepest."""
    lighting: Annotated[float, Field(ge=0, le=10)]
    """How much brighter and darker the slopes are."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the time, and the size of the waves in pixels."""
        del channels
        return (np.array([between(generator, 0.5, 2.0), between(generator, 0.75, 1.25) * min(height, width)]),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Bend the light."""
        time, size = (spread(one) for one in drawn[0].unbind(dim=1))
        surface = _caustics(*coordinates(images), time, size).float()[:, None]
        water = F.pad(gaussian_blur(surface, 1.0, "reflect")[:, 0].double(), (1, 1, 1, 1))
        down = water[:, 2:, 1:-1] - water[:, :-2, 1:-1]
        right = water[:, 1:-1, 2:] - water[:, 1:-1, :-2]
        steepness = torch.hypot(down, right)
        angle = torch.atan(steepness)
        moved = torch.sin(angle - torch.asin(torch.sin(angle) / _ETA)) / steepness.clamp_min(1e-12)
        # A surface that is nearly even bends nothing.
        moved = torch.where(torch.cos(angle) >= 1 - 1e-3, 0, moved) * self.bending * min(images.shape[-2:])
        shift_down, shift_right = ((moved * one * 1000).round() / 1000 for one in (down, right))
        bent = _bilinear(as_float(images).double(), shift_down, shift_right)
        light = self.lighting * (down - right)
        return (bent + 255 * light[:, None]).float()


def _caustics(rows: torch.Tensor, columns: torch.Tensor, time: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Return the bright lines that moving water casts on its ground, (batch, height, width), from 0 to 1."""
    down, right = (torch.remainder(one / size, 1) * 2 * math.pi - 250 for one in (rows, columns))
    down, right = down + 0 * right, right + 0 * down
    first, second, gathered = down, right, torch.ones_like(down)
    for wave in range(1, 6):
        at = time * (1 - 3.5 / wave)
        first, second = (
            down + torch.cos(at - first) + torch.sin(at + second),
            right + torch.sin(at - second) + torch.cos(at + first),
        )
        gathered = gathered + 1 / torch.hypot(
            down * 0.005 / torch.sin(first + at), right * 0.005 / torch.cos(second + at)
        )
    return (1.17 - (gathered / 5) ** 1.4).abs().pow(8).clamp(0, 1)


def _bilinear(images: torch.Tensor, down: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return images read at displaced pixels; beyond their edges they are black.

    Args:
        images: (batch, channels, height, width).
        down: How many rows further each pixel is read, (batch, height, width).
        right: How many columns further.
    """
    rows, columns = coordinates(images)
    height, width = images.shape[-2:]
    grid = torch.stack([2 * (columns + right) / (width - 1) - 1, 2 * (rows + down) / (height - 1) - 1], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
