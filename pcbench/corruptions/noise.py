"""Corruptions by noise in every channel of every pixel (Hendrycks & Dietterich, ICLR 2019, section 3)."""

from __future__ import annotations

import functools
from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from typing_extensions import override

from pcbench.corruptions import levels, randomness
from pcbench.corruptions.corruption import Corruption, Drawn, as_float
from pcbench.corruptions.randomness import LEVELS_16_BIT

_FINE_BITS = 6
"""Of a draw's 16, those that the coarse table of shot noise leaves out: 256 levels and 10 bits are 512 KiB."""


class Noise(Corruption):
    """A noise: it can also be put on the network's input, see `pcbench.corruptions.input_noise`."""

    @property
    @abstractmethod
    def level(self) -> float:
        """How strong it is: the standard deviation, or the share of values that are replaced."""


class GaussianNoise(Noise):
    """Normal noise added to every value, as in poor light. Source: `gaussian_noise` of ImageNet-C."""

    standard_deviation: PositiveFloat
    """Standard deviation of the noise, as a share of the range from black to white."""

    @property
    @override
    def level(self) -> float:
        return self.standard_deviation

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        return (randomness.standard_normal(generator, (channels, height, width), 255 * self.standard_deviation),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return as_float(images) + drawn[0]


class SpeckleNoise(Noise):
    """Normal noise that grows with the value it is added to. Source: `speckle_noise` of ImageNet-C's extra four."""

    standard_deviation: PositiveFloat
    """Standard deviation of the noise, as a share of the value."""

    @property
    @override
    def level(self) -> float:
        return self.standard_deviation

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        return (randomness.standard_normal(generator, (channels, height, width)),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return as_float(images) * (1 + drawn[0] * self.standard_deviation)


class ShotNoise(Noise):
    """The chance of counting light in photons: Poisson noise. Source: `shot_noise` of ImageNet-C.

    A value is drawn by inverting the Poisson distribution at one of 65,536 evenly spaced probabilities. For uint8
    images, whose values have 256 rates, the inverse is a table.
    """

    photons: PositiveFloat
    """Expected count at white."""

    @property
    @override
    def level(self) -> float:
        """The standard deviation at white, as a share of the range from black to white."""
        return self.photons**-0.5

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        return (randomness.uniform_16_bit(generator, (channels, height, width)),)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if levels.has_tables(images):
            return torch.from_numpy(_photon_levels(images.numpy(), drawn[0].numpy(), self.photons))
        sixteen_bits = drawn[0].to(torch.int32)
        if images.dtype == torch.uint8:
            table = torch.from_numpy(_poisson_levels(self.photons)).to(images.device)
            indices = images.to(torch.int32).mul_(LEVELS_16_BIT).add_(sixteen_bits)
            return table.index_select(0, indices.flatten()).reshape(images.shape)
        rates = images.to(torch.float64) * (self.photons / 255)
        return _poisson_counts(rates, (sixteen_bits + 0.5) / LEVELS_16_BIT).mul_(255 / self.photons).float()


class ImpulseNoise(Noise):
    """Values replaced by black or white, as by faulty bits: salt and pepper. Source: `impulse_noise` of ImageNet-C."""

    share: float = Field(ge=0, le=1)
    """Share of the values that are replaced, half of them by white."""

    @property
    @override
    def level(self) -> float:
        return self.share

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        drawn = randomness.uniform_16_bit(generator, (channels, height, width))
        replaced = round(self.share * LEVELS_16_BIT)
        # Bytes of ones where a value stays, and where it becomes white.
        stays, white = (drawn >= replaced).view(np.uint8), (drawn < replaced // 2).view(np.uint8)
        return stays * np.uint8(255), white * np.uint8(255)

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        stays, white = drawn
        if images.dtype == torch.uint8:
            return (images & stays) | white
        return torch.where(stays > 0, images, as_float(white))


def _poisson_counts(rates: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Return the smallest count whose cumulative probability reaches `probabilities`, value by value, as float64."""
    from scipy.stats import poisson  # its import takes as long as a third of PyTorch's

    counts = torch.zeros_like(rates)
    term = torch.exp(-rates)
    cumulative = term.clone()
    last = int(poisson.isf(0.25 / LEVELS_16_BIT, float(rates.max()))) + 1
    for count in range(1, last + 1):
        counts += cumulative < probabilities
        term *= rates / count
        cumulative += term
    return counts


def _photon_levels(images: NDArray[np.uint8], drawn: NDArray[np.uint16], photons: float) -> NDArray[np.uint8]:
    """Return the noisy grey levels of uint8 images and their 16-bit draws, of the same shape.

    The whole table is larger than a processor's caches. A share of it, which is not, knows all but a few in a hundred.
    """
    indices = images.astype(np.int32)
    indices <<= 16
    indices |= drawn
    indices = indices.reshape(-1)
    noisy = _coarse_poisson_levels(photons).index_select(0, torch.from_numpy(indices >> _FINE_BITS)).numpy()
    unknown = np.flatnonzero(noisy < 0)
    noisy[unknown] = _poisson_levels(photons).take(indices.take(unknown))
    return noisy.astype(np.uint8).reshape(images.shape)


@functools.lru_cache(maxsize=5)
def _coarse_poisson_levels(photons: float) -> torch.Tensor:
    """Return the noisy level for each level and each draw without its last bits; -1 where these matter."""
    ranges = _poisson_levels(photons).reshape(-1, 1 << _FINE_BITS)
    lowest, highest = ranges[:, 0], ranges[:, -1]  # a level rises with its draw
    return torch.from_numpy(np.where(lowest == highest, lowest.astype(np.int16), np.int16(-1)))


# A table is 16 MiB: those of one corruption's five severities are kept.
@functools.lru_cache(maxsize=5)
def _poisson_levels(photons: float) -> NDArray[np.uint8]:
    """Return the noisy grey level for each grey level (slow index) and each 16-bit draw (fast index)."""
    from scipy.stats import poisson  # as above

    grid = (np.arange(LEVELS_16_BIT) + 0.5) / LEVELS_16_BIT
    most = int(poisson.isf(0.25 / LEVELS_16_BIT, photons)) + 1
    counts = np.arange(most + 1)
    of_counts = np.floor(np.minimum(counts / photons, 1) * 255).astype(np.uint8)
    table = np.empty((256, LEVELS_16_BIT), np.uint8)
    for level in range(256):
        cumulative = poisson.cdf(counts[:-1], level / 255 * photons)
        table[level] = np.repeat(
            of_counts, np.diff(np.searchsorted(grid, cumulative, side="right"), prepend=0, append=LEVELS_16_BIT)
        )
    return table.reshape(-1)
