"""The bootstrap over images: where conditions are pooled, an image is drawn with all its conditions together.

Everything pooled here is a smooth function of means over images. So one matrix product per block of resamples gives
the resampled means of every column, and all statistics of all timesteps are made from the same resamples: that is
what makes their differences paired.

Intervals are BCa (bias-corrected and accelerated; B. Efron, "Better bootstrap confidence intervals", JASA 82, 1987),
because the plain percentile interval of a rate near 0 or 1 covers too little.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from pcbench.metrics.rates import CONFIDENCE, Estimate, Floats, wilson_interval

RESAMPLES = 2000
SEED = 20190324
_CELLS_IN_A_BLOCK = 8_000_000
_CELLS_KEPT = 2_000_000
"""Draws of so many cells at most are kept for the next table: four bytes each."""

KeyType = TypeVar("KeyType", bound=Hashable)

Statistic = Callable[[Floats], Floats]
"""A function of means: shape (..., columns) to shape (...)."""


class Sample(Generic[KeyType]):
    """Columns of numbers, one number for each image, resampled once for all statistics.

    Args:
        columns: One array of shape (images,) for each key, booleans or numbers in [0, 1].
        resamples: How many times the images are drawn.
        seed: Seed of the draws. The draws depend on it and on the number of images alone, so tables of the same
            images are resampled in the same way.
    """

    def __init__(
        self, columns: Mapping[KeyType, npt.NDArray[np.generic]], resamples: int = RESAMPLES, seed: int = SEED
    ) -> None:
        self._position = {key: position for position, key in enumerate(columns)}
        self._columns = np.column_stack([np.asarray(column, dtype=np.float32) for column in columns.values()])
        self._total = self._columns.sum(axis=0, dtype=np.float64)
        self._resampled = resampled_means(self._columns, resamples, seed)

    @property
    def images(self) -> int:
        """The number of images."""
        return len(self._columns)

    def estimate(self, statistic: Statistic, keys: Sequence[KeyType], confidence: float = CONFIDENCE) -> Estimate:
        """Return a statistic of the means of some columns, with its BCa interval.

        Args:
            statistic: Called with the means of the images themselves, shape (columns,), of all resamples, shape
                (resamples, columns), and of the images without one of them each, shape (images, columns).
            keys: The columns it takes, in order.
            confidence: Nominal coverage, in (0, 1).
        """
        chosen = [self._position[key] for key in keys]
        means = self._total[chosen] / self.images
        value = statistic(means)
        if self._alike(chosen):
            low, high = self._ends_of_constants(statistic, means, confidence)
        else:
            without_one = (self._total[chosen] - self._columns[:, chosen]) / (self.images - 1)
            resampled = statistic(self._resampled[:, chosen])
            low, high = bca_interval(float(value), resampled, -statistic(without_one), confidence)
        return Estimate(float(value), low, high, self.images)

    def change(self, statistic: Statistic, keys: Sequence[KeyType], keys_before: Sequence[KeyType]) -> Estimate:
        """Return the paired difference of a statistic between two sets of columns, the first minus the second.

        Args:
            statistic: As for `estimate`.
            keys: The columns it takes.
            keys_before: The corresponding columns of the set that is subtracted.
        """
        return self.estimate(
            lambda means: statistic(means[..., : len(keys)]) - statistic(means[..., len(keys) :]),
            [*keys, *keys_before],
        )

    def _alike(self, chosen: list[int]) -> bool:
        part = self._columns[:, chosen]
        return bool((part == part[0]).all())

    def _ends_of_constants(self, statistic: Statistic, means: Floats, confidence: float) -> tuple[float, float]:
        """Return the ends for images that are all equal: resampling cannot give an interval, so Wilson's is used."""
        ends = wilson_interval(means * self.images, np.full(means.shape, self.images), confidence)
        low, high = sorted(float(statistic(end)) for end in ends)
        return low, high


def resampled_means(columns: npt.NDArray[np.float32], resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return the mean of every column over images drawn with replacement.

    Columns of zeros and ones are summed exactly: the result does not depend on the machine or its threads.

    Args:
        columns: Shape (images, columns).
        resamples: How many times the images are drawn.
        seed: Seed of the draws.

    Returns:
        Shape (resamples, columns).
    """
    images = len(columns)
    means = np.empty((resamples, columns.shape[1]), dtype=np.float64)
    if resamples * images <= _CELLS_KEPT:
        means[:] = _few_weights(seed, resamples, images) @ columns
        return means / images
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_IN_A_BLOCK // images)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        means[start : start + rows] = _weights(generator, rows, images) @ columns
    return means / images


@functools.lru_cache(maxsize=4)
def _few_weights(seed: int, resamples: int, images: int) -> npt.NDArray[np.float32]:
    """Return the draws of few images, which all suites of a run share; not to be changed."""
    return _weights(np.random.default_rng(seed), resamples, images)


def _weights(generator: np.random.Generator, resamples: int, images: int) -> npt.NDArray[np.float32]:
    """Return how often each image is drawn, shape (resamples, images)."""
    weights = np.empty((resamples, images), dtype=np.float32)
    for row in weights:
        row[:] = np.bincount(generator.integers(0, images, images, dtype=np.int32), minlength=images)
    return weights


def bca_interval(
    value: float, resampled: Floats, influence: Floats, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return a bias-corrected, accelerated bootstrap interval.

    Args:
        value: The statistic of the images themselves.
        resampled: Shape (resamples,), the same of each resample.
        influence: Shape (images,): what one image adds to the statistic, up to a positive factor and a constant.
            Its skewness is the acceleration.
        confidence: Nominal coverage, in (0, 1).

    Returns:
        Lower and upper end. Where all resamples agree both are the value itself.
    """
    below = (np.count_nonzero(resampled < value) + 0.5 * np.count_nonzero(resampled == value)) / len(resampled)
    edge = 0.5 / len(resampled)
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, edge), 1 - edge))
    levels = [bias + normal.inv_cdf((1 + sign * confidence) / 2) for sign in (-1, 1)]
    acceleration = _acceleration(influence)
    shifted = [normal.cdf(bias + level / (1 - acceleration * level)) for level in levels]
    low, high = np.quantile(resampled, shifted)
    return float(low), float(high)


def _acceleration(influence: Floats) -> float:
    centred = influence - influence.mean()
    squares = float(np.sum(centred**2))
    return float(np.sum(centred**3)) / (6 * squares**1.5) if squares > 0 else 0.0
