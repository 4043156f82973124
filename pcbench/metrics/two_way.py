"""The interval of a mean difference where both the training seeds and the images are random.

The difference of image i under seed s is taken as μ + a_s + b_i + c_si: two-way variance components (S. R. Searle,
G. Casella and C. E. McCulloch, "Variance Components", 1992, chapter 4). The part of the seeds has few degrees of
freedom and gets Student's factor, that of the images has many and gets Student's for as many images; both half-widths
are joined in quadrature, which covers at least as often as Satterthwaite's degrees of freedom do, at more width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm
from scipy.stats import t as student

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
        tail = (1 + confidence) / 2
        images = float(student.ppf(tail, self.images - 1)) ** 2 * self.of_images
        if self.seeds == 1:
            return math.sqrt(images)
        return math.sqrt(float(student.ppf(tail, self.seeds - 1)) ** 2 * self.of_seeds + images)


def two_way(differences: Floats, confidence: float = CONFIDENCE, largest: float = 1.0) -> TwoWay:
    """Return the mean of paired differences with its interval.

    With one seed the interval is over images alone, and a claim is about that training. Where no image differs, the
    interval is as wide as the share of images that may still differ (the exact upper limit for none of so many).

    Args:
        differences: (seeds, images), of the same images in every row.
        confidence: Nominal coverage, in (0, 1).
        largest: How large a single difference can be: 1 for accuracies.

    Raises:
        ValueError: There are fewer than two images, or a difference is not finite.
    """
    if differences.ndim != 2 or differences.shape[1] < 2 or not np.isfinite(differences).all():
        raise ValueError(f"differences are finite numbers (seeds, images) of two images or more {differences.shape}")
    parts = _parts(differences)
    half = parts.half(confidence)
    if parts.of_images + parts.of_seeds == 0:
        half = largest * float(1 - ((1 - confidence) / 2) ** (1 / parts.images))
        return TwoWay(parts.value, parts.value - half, parts.value + half, 1.0, 2 * half, parts.seeds, parts.images)
    error = math.sqrt(parts.of_seeds + parts.of_images)
    smallest = half + float(norm.ppf(POWER)) * error
    low, high = parts.value - half, parts.value + half
    return TwoWay(parts.value, low, high, _p(parts), smallest, parts.seeds, parts.images)


def _parts(differences: Floats) -> _Parts:
    seeds, images = differences.shape
    value = float(differences.mean())
    by_image = differences.mean(0)
    if seeds == 1:
        return _Parts(value, 0.0, float(by_image.var(ddof=1)) / images, seeds, images)
    by_seed = differences.mean(1)
    rest = differences - by_seed[:, None] - by_image[None, :] + value
    of_rest = float((rest**2).sum()) / ((seeds - 1) * (images - 1)) / (seeds * images)
    of_images = max(float(by_image.var(ddof=1)) / images - of_rest, 0.0)
    return _Parts(value, float(by_seed.var(ddof=1)) / seeds, of_images, seeds, images)


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
