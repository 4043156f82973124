"""The interval of a mean difference where both the training seeds and the images are random.

The difference of image i under seed s is taken as μ + a_s + b_i + c_si: two-way variance components (S. R. Searle,
G. Casella and C. E. McCulloch, "Variance Components", 1992, chapter 4). The part of the seeds has few degrees of
freedom and gets Student's factor, that of the images has many and gets Student's for as many images; both half-widths
are joined in quadrature.

It was chosen by simulation (`benchmarks/coverage.py`, 4,000 studies a case; 3, 5 and 10 seeds, 180, 500 and 1,000
images, five spreads, accuracies of 50, 80 and 97 %; nominal 95 %). It held 93.9 to 98.4 % where seeds differ by a few
points or less, and 92.8 to 95.7 % where they differ by 10 points and more; Satterthwaite's degrees of freedom, whose
intervals are up to a quarter narrower, held 91.0 to 95.7 % and 90.4 to 95.2 %. Seeds that differ by so many points at
97 %, where most of them can only be worse, are too few to show it: 88.6 to 92.3 % (84.4 to 91.5 %). A report simulates
its own sizes and spread, by `pcbench.metrics.coverage.simulated_coverage`, and prints what it finds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from pcbench.metrics.rates import CONFIDENCE, Floats

POWER = 0.8
"""A difference that would be found less often than this could have been missed."""
_SMALLEST_P = 1e-12


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
    smallest: float
    """The difference that would be found in 80 of 100 studies of this size and these variances."""
    seeds: int
    images: int


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


@dataclass(frozen=True)
class _Parts:
    value: float
    of_seeds: float
    """The variance of the mean that comes from the seeds, with what is neither the seed's nor the image's."""
    of_images: float
    """The variance of the mean that comes from the images."""
    seeds: int
    images: int

    def half(self, confidence: float) -> float:
        """Return half the width of the interval."""
        found = half_widths(np.array(self.of_seeds), np.array(self.of_images), (self.seeds, self.images), confidence)
        return float(found)


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
    parts = _parts(differences)
    if parts.of_images + parts.of_seeds == 0:
        half = largest * float(1 - ((1 - confidence) / 2) ** (1 / parts.images))
        return TwoWay(parts.value, parts.value - half, parts.value + half, 1.0, 2 * half, parts.seeds, parts.images)
    parts = replace(parts, of_images=parts.of_images + uncertain**2)
    half = parts.half(confidence)
    smallest = half + parts.half(2 * POWER - 1)
    low, high = parts.value - half, parts.value + half
    return TwoWay(parts.value, low, high, _p(parts), smallest, parts.seeds, parts.images)


def detectable_effect(parts: VarianceParts, seeds: int, images: int, power: float = POWER) -> float:
    """Return the smallest effect whose 95 % interval leaves out 0 with some probability, of a study that is planned.

    Args:
        parts: The variances that are expected, such as `variance_parts` gives of a former study.
        seeds: How many seeds.
        images: How many images.
        power: That probability, from 0.5, below 1.
    """
    of_seeds = parts.seeds / seeds + parts.rest / (seeds * images) if seeds > 1 else 0.0
    of_images = (parts.images + (parts.rest if seeds == 1 else 0.0)) / images
    planned = _Parts(0.0, of_seeds, of_images, seeds, images)
    return planned.half(CONFIDENCE) + planned.half(2 * power - 1)


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


def _parts(differences: Floats) -> _Parts:
    seeds, images = differences.shape
    if seeds == 1:
        return _Parts(float(differences.mean()), 0.0, float(differences[0].var(ddof=1)) / images, seeds, images)
    found = mean_squares(differences[None].astype(np.float64))
    of_seeds, of_images = mean_variances(found, differences.shape)
    return _Parts(float(found.mean[0]), float(of_seeds[0]), float(of_images[0]), seeds, images)


def _p(parts: _Parts) -> float:
    """Return 1 less the confidence at which the interval ends at 0."""
    size = abs(parts.value)
    if size == 0:
        return 1.0

    def beyond(p: float) -> float:
        return parts.half(1 - p) - size

    if beyond(_SMALLEST_P) < 0:
        return _SMALLEST_P
    if beyond(1 - _SMALLEST_P) > 0:  # a rounding error away from 0
        return 1.0
    found: float = brentq(beyond, _SMALLEST_P, 1 - _SMALLEST_P, xtol=1e-14)  # pyright: ignore[reportAssignmentType]  # SciPy's types allow more
    return found
