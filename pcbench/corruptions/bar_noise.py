"""The six of ImageNet-C-bar that add a pattern or noise, or cut pixels out by it.

Source of all: Mintun, Kirillov and Xie, On Interaction Between Augmentations and Corruptions in Natural Corruption
Robustness, NeurIPS 2021, arXiv 2102.11273, appendix; written from the description, and compared with the output of the
released code. Lengths are shares of the shorter side, so that a pattern looks the same in images of other sizes.
Patterns are computed in double precision.
"""

from __future__ import annotations

import math
from typing import Annotated, cast

import numpy as np
import torch
from pydantic import Field

from pcbench.corruptions.corruption import Corruption, Drawn, as_float
from pcbench.corruptions.randomness import below

Strength = Annotated[float, Field(gt=0, le=255)]
"""A pattern's amplitude, in grey levels of 255."""
_LATTICE = 256
"""How many gradients Perlin noise has before it repeats."""
_OCTAVES = 5
_CELLS = 7.0
"""Cells of the coarsest octave along a side: 32 pixels each at 224."""


def coordinates(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows (height, 1) and columns (1, width) of images, counted from 0, in double precision."""
    height, width = images.shape[-2:]
    rows = torch.arange(height, dtype=torch.float64, device=images.device)
    columns = torch.arange(width, dtype=torch.float64, device=images.device)
    return rows[:, None], columns[None, :]


def spread(values: torch.Tensor) -> torch.Tensor:
    """Shape one number per image, (batch,), so that it broadcasts over (batch, height, width)."""
    return values.double().reshape(-1, 1, 1)


def between(generator: np.random.Generator, low: float, high: float) -> float:
    """Draw from the uniform distribution over [low, high)."""
    return low + (high - low) * float(generator.random())


class SingleFrequencyGreyscale(Corruption):
    """A plane wave of any direction, no shorter than two pixels, in all channels alike.

    Source: `single_frequency_greyscale` of ImageNet-C-bar.
    """

    amplitude: Strength
    """In grey levels of 255."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the two frequencies, in radians a pixel, and the phase."""
        del channels, height, width
        larger = between(generator, -math.pi, math.pi)
        other = between(generator, -abs(larger), abs(larger))
        pair = (larger, other) if below(generator, 2) == 0 else (other, larger)
        return (np.array([*pair, between(generator, 0, 2 * math.pi)]),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Add the wave."""
        along_x, along_y, phase = (spread(one) for one in drawn[0].unbind(dim=1))
        rows, columns = coordinates(images)
        wave = torch.sin(columns * along_x + rows * along_y + phase)
        return as_float(images) + (self.amplitude * wave).float()[:, None]


class CocentricSineWaves(Corruption):
    """Rings around a point, whose radius swings with the angle, as a saw tooth in all channels alike.

    Source: `cocentric_sine_waves` of ImageNet-C-bar.
    """

    amplitude: Strength
    """In grey levels of 255."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the centre, the swings in a turn, their height and the width of a ring, in pixels."""
        del channels
        most = min(height, width) / 10
        centre = between(generator, 0, width), between(generator, 0, height)
        swings = between(generator, 0, 10)
        # A ring of no width would divide by zero.
        heights, widths = between(generator, 0, most), most - between(generator, 0, most)
        return (np.array([*centre, swings, heights, widths]),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Add the rings."""
        x, y, swings, swing_height, ring_width = (spread(one) for one in drawn[0].unbind(dim=1))
        rows, columns = coordinates(images)
        angle = torch.atan2(columns - x, rows - y) * swings
        radius = torch.hypot(columns - x, rows - y) + torch.sin(angle) * swing_height
        rings = torch.remainder(radius, ring_width) / ring_width - 0.5
        return as_float(images) + (self.amplitude * rings).float()[:, None]


class PlasmaNoise(Corruption):
    """Colours that swirl: sines of coordinates that were displaced by finer and finer sines.

    Source: `plasma_noise` of ImageNet-C-bar.
    """

    made_for = (3,)

    amplitude: Strength
    """In grey levels of 255."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the time, the number of displacements, their sharpness, and the scale in pixels."""
        del channels
        time, iterations = between(generator, 0, 6 * math.pi), 4 + below(generator, 3)
        sharpness = between(generator, 0.5, 1.0)
        return (np.array([time, iterations, sharpness, between(generator, 0.075, 0.2) * min(height, width)]),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Blend the colours in."""
        time, iterations, sharpness, scale = (spread(one) for one in drawn[0].unbind(dim=1))
        rows, columns = coordinates(images)
        x, y = columns / scale + 0 * rows, rows / scale + 0 * columns
        finer, slower, weaker = 1.0, 1.0, torch.ones_like(sharpness)
        for step in range(int(iterations.max())):
            first = torch.cos(y * finer + time / slower) / weaker
            second = torch.sin(x * finer + time / slower) / weaker
            moves = step < iterations
            x = x + torch.where(moves, first - 0.3 * second, 0)
            y = y + torch.where(moves, second + 0.3 * first, 0)
            finer, slower, weaker = finer * 1.93, slower * 1.15, weaker * (2.25 - sharpness)
        colours = torch.stack(
            [torch.sin(x - time), torch.sin((x + y + torch.sin(time)) * 0.5), torch.sin(y + time)], dim=1
        )
        return as_float(images) * (1 - self.amplitude / 255) + (self.amplitude * colours).float()


class PerlinNoise(Corruption):
    """Turbulence: five octaves of Perlin's gradient noise, blended in, in all channels alike.

    Source: `perlin_noise` of ImageNet-C-bar.
    """

    share: Annotated[float, Field(gt=0, le=1)]
    """Of the noise in the blend."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the order of the lattice's points and their gradients, of length 1, (256, 2)."""
        del channels, height, width
        gradients = 2 * generator.random((_LATTICE, 2)) - 1
        length = np.maximum(np.linalg.norm(gradients, axis=1, keepdims=True), 1e-12)
        return generator.permutation(_LATTICE), gradients / length

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Blend the turbulence in."""
        cell = min(images.shape[-2:]) / _CELLS
        rows, columns = coordinates(images)
        noises = [_turbulence(rows / cell, columns / cell, *one) for one in zip(*drawn, strict=True)]
        noise = (0.5 * torch.stack(noises) + 0.5).clamp(0, 1)
        return as_float(images) * (1 - self.share) + (255 * self.share * noise).float()[:, None]


def _turbulence(
    rows: torch.Tensor, columns: torch.Tensor, order: torch.Tensor, gradients: torch.Tensor
) -> torch.Tensor:
    """Return the sum of the octaves' absolute values, (height, width), each half as strong as the one before."""
    octaves = (2**octave for octave in range(_OCTAVES))
    parts = [_gradient_noise(rows * one, columns * one, order, gradients).abs() / one for one in octaves]
    return torch.stack(parts).sum(dim=0)


def _gradient_noise(
    rows: torch.Tensor, columns: torch.Tensor, order: torch.Tensor, gradients: torch.Tensor
) -> torch.Tensor:
    """Return Perlin's noise at points, 1.5 times as strong as in his paper.

    Source: Perlin, An Image Synthesizer, SIGGRAPH 1985.
    """
    down, right = rows.floor(), columns.floor()
    in_rows, in_columns = rows - down, columns - right

    def corner(below_it: int, beside: int) -> torch.Tensor:
        first = order[(down.long() + below_it) % _LATTICE]
        gradient = gradients[order[(first + right.long() + beside) % _LATTICE]]
        return gradient[..., 0] * (in_rows - below_it) + gradient[..., 1] * (in_columns - beside)

    smooth_rows, smooth_columns = (one.square() * (3 - 2 * one) for one in (in_rows, in_columns))
    left = torch.lerp(corner(0, 0), corner(1, 0), smooth_rows.expand(rows.shape[0], columns.shape[1]))
    beside = torch.lerp(corner(0, 1), corner(1, 1), smooth_rows.expand(rows.shape[0], columns.shape[1]))
    return 1.5 * torch.lerp(left, beside, smooth_columns.expand_as(left))


class BrownishNoise(Corruption):
    """Noise whose spectrum falls with the square of the frequency, of its own in each channel.

    Source: `brownish_noise` of ImageNet-C-bar.
    """

    standard_deviation: Strength
    """Of the noise, in grey levels of 255."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the phases of each channel's spectrum."""
        return (np.stack([_phases(generator, height, width) for _ in range(channels)]),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Add the noise."""
        distance = _from_centre(images)
        noise = _coloured_noise(1 / (distance.square() + 1), drawn[0])
        return as_float(images) + (self.standard_deviation * noise).float()


class BlueNoiseSample(Corruption):
    """Black pixels, spread evenly: where noise whose spectrum grows with the frequency is below a threshold.

    Source: `blue_noise_sample` of ImageNet-C-bar.
    """

    threshold: Annotated[float, Field(ge=-5, le=5)]
    """In standard deviations of the noise."""

    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        """Draw the phases of the spectrum."""
        del channels
        return (_phases(generator, height, width),)

    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Make pixels black."""
        kept = _coloured_noise(_from_centre(images), drawn[0]) > self.threshold
        return images * kept[:, None]


def _phases(
    generator: np.random.Generator, height: int, width: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Draw phases (height, width) that are the same on both sides of the centre."""
    half = 2 * math.pi * generator.random((height, width // 2))
    if width % 2 == 0:
        return np.concatenate([half, half[::-1, ::-1]], axis=1)
    column = 2 * math.pi * generator.random((height // 2, 1))
    middle = np.concatenate([column, np.zeros((height % 2, 1)), column[::-1]])
    return np.concatenate([half, middle, half[::-1, ::-1]], axis=1)


def _from_centre(images: torch.Tensor) -> torch.Tensor:
    """Return the distance of each frequency from zero, which lies in the middle, (height, width)."""
    rows, columns = coordinates(images)
    return torch.hypot(columns - images.shape[-1] / 2, rows - images.shape[-2] / 2)


def _coloured_noise(amplitudes: torch.Tensor, phases: torch.Tensor) -> torch.Tensor:
    """Return noise of standard deviation 1 with a given spectrum (height, width) and phases (…, height, width)."""
    height, width = amplitudes.shape
    spectrum = torch.polar(amplitudes.expand_as(phases).contiguous(), phases)
    noise = cast("torch.Tensor", torch.fft.ifft2(spectrum.roll((height // 2, width // 2), dims=(-2, -1)))).real
    return noise / noise.std(dim=(-2, -1), keepdim=True, correction=0)
