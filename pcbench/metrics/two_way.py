"""The interval of a mean difference where both the training seeds and the images are random.

The difference of image i under seed s is taken as μ + a_s + b_i + c_si: two-way variance components (S. R. Searle,
G. Casella and C. E. McCulloch, "Variance Components", 1992, chapter 4). The part of the seeds has few degrees of
freedom and gets Student's factor, that of the images has many and gets Student's for as many images; both half-widths
are joined in quadrature.

It was chosen by simulation (`benchmarks/coverage.py`, 4,000 studies a case; 3, 5 and 10 seeds, 180, 500 and 1,000
images, five spreads, accuracies of 50, 80 and 97 %; nominal 95 %). It held 94.5 to 98.5 % where seeds differ by a few
points or less, and 92.4 to 95.7 % where they differ by 10 points and more; Satterthwaite's degrees of freedom, whose
intervals are up to a quarter narrower, held 91.1 to 96.5 % and 89.5 to 95.2 %. Seeds that differ by so many points at
97 %, where most of them can only be worse, are too few to show it: 87.8 to 96.9 % (82.0 to 96.0 %). A report simulates
its own sizes and spread, by `pcbench.metrics.coverage.simulated_coverage`, and prints what it finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, stdtrit

from pcbench.metrics.rates import CONFIDENCE, Floats

POWER = 0.8
"""A difference that would be found less often than this could have been missed."""
_SMALLEST_P = 1e-12
_DRAWS = 200


@dataclass(frozen=True)
class TwoWay:
    """A mean difference over seeds and images."""

    value: float
    """The mean of all differences."""
    low: float
    high: float
    """The ends of its 95 % interval."""
    p: float
    """Of the hypothesis that it is 0: the level at which the interval would end at 0."""
    of_seeds: float
    """The variance of the mean that comes from the seeds, with what is neither the seed's nor the image's, and at least
    the latter: few seeds may show less by chance."""
    of_images: float
    """The variance of the mean that comes from the images."""
    seeds: int
    images: int

    def smallest(self, comparisons: int = 1) -> float:
        """Return the true difference that is found in 80 of 100 studies of this size and these variances.

        Where no image differs there are no variances: twice half the width of the interval stands for it.

        Args:
            comparisons: How many comparisons are corrected for together. It is found at the strictest level of Holm's
                correction, whatever the others show.
        """
        if self.of_seeds + self.of_images == 0:
            return 2 * (self.high - self.value)
        level = (1 - CONFIDENCE) / comparisons
        return smallest_found(self.of_seeds, self.of_images, (self.seeds, self.images), level)


@dataclass(frozen=True)
class VarianceParts:
    """The variances of a difference; in its unit squared."""

    seeds: float
    """Between seeds, of an effect that is the same for all images."""
    images: float
    """Between images, of an effect that is the same for all seeds."""
    rest: float
    """Of what is left of a single difference."""


class MeanSquares(NamedTuple):
    """The analysis of variance of studies of one size; every array has the shape (studies,)."""

    mean: Floats
    """The mean of all differences."""
    seeds: Floats
    """The mean square between seeds."""
    images: Floats
    """That between images."""
    rest: Floats
    """That of what is neither."""


def two_way(
    differences: Floats, confidence: float = CONFIDENCE, largest: float = 1.0, uncertain: float = 0.0
) -> TwoWay:
    """Return the mean of paired differences with its interval.

    With one seed the interval is over images alone, and a claim is about that training. Where no image differs, the
    interval is as wide as the share of images that may still differ (the exact upper limit for none of so many).

    Args:
        differences: (seeds, images), of the same images in every row.
        confidence: Nominal coverage, in (0, 1).
        largest: How large a single difference can be: 1 for accuracies.
        uncertain: A standard deviation of the mean that neither seeds nor images show, as of a correction of all.

    Raises:
        ValueError: There are fewer than two images, or a difference is not finite.
    """
    if differences.ndim != 2 or differences.shape[1] < 2 or not np.isfinite(differences).all():
        raise ValueError(f"differences are finite numbers (seeds, images) of two images or more {differences.shape}")
    seeds, images = shape = differences.shape
    differences = differences.astype(np.float64)
    of_seeds, of_images, of_rest = _variances(differences)
    value = float(differences.mean())
    if of_seeds + of_images == 0:
        half = largest * (1 - ((1 - confidence) / 2) ** (1 / images))
        return TwoWay(value, value - half, value + half, 1.0, 0.0, 0.0, seeds, images)
    of_images += uncertain**2
    half = _half(of_seeds, of_images, shape, confidence)
    p = _p(value, of_seeds, of_images, shape)
    return TwoWay(value, value - half, value + half, p, max(of_seeds, of_rest), of_images, seeds, images)


def smallest_found(of_seeds: float, of_images: float, shape: tuple[int, int], level: float) -> float:
    """Return the true difference that is found with a probability of `POWER`.

    The mean of a study is normal about the true difference. Each study estimates both variances anew, as χ² of their
    degrees of freedom, so that half its interval varies, too; the probability is the mean over both.

    Args:
        of_seeds: The variance of the mean that comes from the seeds and the rest.
        of_images: That which comes from the images; both together are above 0.
        shape: (seeds, images) of the study.
        level: A difference is found where its p value is below it.
    """
    drawn = of_seeds * _mean_squares_drawn(shape[0] - 1)[:, None], of_images * _mean_squares_drawn(shape[1] - 1)
    halves, deviation = half_widths(*drawn, shape, 1 - level), math.sqrt(of_seeds + of_images)

    def missing(difference: float) -> float:
        beyond = ndtr((difference - halves) / deviation) + ndtr((-difference - halves) / deviation)
        return POWER - float(beyond.mean())

    found: float = brentq(missing, 0, halves.max() + 3 * deviation)  # pyright: ignore[reportAssignmentType]  # SciPy's types allow more
    return found


def _mean_squares_drawn(freedom: int) -> Floats:
    """Return the quantiles of a mean square whose expectation is 1, at equal steps of probability."""
    if freedom == 0:
        return np.ones(1)
    steps = (np.arange(_DRAWS) + 0.5) / _DRAWS
    return np.asarray(2 * gammaincinv(freedom / 2, steps) / freedom, np.float64)


def variance_parts(differences: Floats) -> VarianceParts:
    """Return the variances of paired differences of several seeds, (seeds, images); none is below 0."""
    seeds, images = differences.shape
    found = mean_squares(differences[None])
    return VarianceParts(
        max(0.0, float(found.seeds[0] - found.rest[0]) / images),
        max(0.0, float(found.images[0] - found.rest[0]) / seeds),
        float(found.rest[0]),
    )


def mean_squares(differences: Floats) -> MeanSquares:
    """Return the analysis of variance of studies of several seeds.

    Args:
        differences: Shape (studies, seeds, images).
    """
    _, seeds, images = differences.shape
    by_seed, by_image, mean = differences.mean(axis=2), differences.mean(axis=1), differences.mean(axis=(1, 2))
    of_seeds = images * ((by_seed - mean[:, None]) ** 2).sum(axis=1)
    of_images = seeds * ((by_image - mean[:, None]) ** 2).sum(axis=1)
    whole = ((differences - mean[:, None, None]) ** 2).sum(axis=(1, 2))
    rest = np.maximum(whole - of_seeds - of_images, 0)
    return MeanSquares(mean, of_seeds / (seeds - 1), of_images / (images - 1), rest / ((seeds - 1) * (images - 1)))


def mean_variances(found: MeanSquares, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the variances of means of the shape (seeds, images): that of seeds and the rest, and that of images."""
    single = shape[0] * shape[1]
    return found.seeds / single, np.maximum(found.images - found.rest, 0) / single


def half_widths(of_seeds: Floats, of_images: Floats, shape: tuple[int, int], confidence: float = CONFIDENCE) -> Floats:
    """Return half the widths of intervals of means of the shape (seeds, images), from `mean_variances`."""
    tail = (1 + confidence) / 2
    images = float(stdtrit(shape[1] - 1, tail)) ** 2 * of_images
    # One seed says nothing of others.
    return np.sqrt(images if shape[0] == 1 else float(stdtrit(shape[0] - 1, tail)) ** 2 * of_seeds + images)


def _variances(differences: Floats) -> tuple[float, float, float]:
    """Return the variances of the mean that come from the seeds with the rest, from the images, and from the rest."""
    if len(differences) == 1:
        return 0.0, float(differences[0].var(ddof=1)) / differences.shape[1], 0.0
    found = mean_squares(differences[None])
    of_seeds, of_images = mean_variances(found, differences.shape)
    return float(of_seeds[0]), float(of_images[0]), float(found.rest[0]) / differences.size


def _half(of_seeds: float, of_images: float, shape: tuple[int, int], confidence: float) -> float:
    return float(half_widths(np.array(of_seeds), np.array(of_images), shape, confidence))


def _p(value: float, of_seeds: float, of_images: float, shape: tuple[int, int]) -> float:
    """Return 1 less the confidence at which the interval ends at 0."""
    if value == 0:
        return 1.0

    def beyond(p: float) -> float:
        return _half(of_seeds, of_images, shape, 1 - p) - abs(value)

    if beyond(_SMALLEST_P) < 0:
        return _SMALLEST_P
    if beyond(1 - _SMALLEST_P) > 0:  # a rounding error away from 0
        return 1.0
    found: float = brentq(beyond, _SMALLEST_P, 1 - _SMALLEST_P, xtol=1e-14)  # pyright: ignore[reportAssignmentType]  # SciPy's types allow more
    return found
