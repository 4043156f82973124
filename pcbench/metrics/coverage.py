"""How often the interval over seeds and images holds the true effect: by simulation, at a study's own sizes.

Source: Own simulation. Where an image is answered rightly or wrongly, it is right where a normal number, its ease,
passes a threshold; seeds, images and both together move it. Where it has a mean over several conditions, its
difference itself is the sum of normal numbers of seeds, images and both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from pcbench.metrics.bootstrap import SEED
from pcbench.metrics.rates import CONFIDENCE, Floats
from pcbench.metrics.two_way import MeanSquares, VarianceParts, half_widths, mean_squares, mean_variances, two_way

_CELLS_AT_ONCE = 2_000_000

IntervalMethod = Literal["joined", "satterthwaite"]
"""``"joined"`` is that of `pcbench.metrics.two_way`."""


@dataclass(frozen=True)
class LatentSpread:
    """How much networks and images differ in a simulation: standard deviations of what is added to an image's ease.

    Eases have a standard deviation of 1 over images, and an image is right where its ease is above a threshold.
    """

    seeds: float
    """Of each seed's effect on all images."""
    images: float
    """Of an effect on an image that all seeds have in common."""
    rest: float
    """Of what is each seed's own on each image."""

    @classmethod
    def like(cls, parts: VarianceParts, accuracy: float) -> LatentSpread:
        """Return about the spread that gives accuracies of 0 to 1, exclusive, these variances."""
        density = math.exp(-(float(ndtri(accuracy)) ** 2) / 2) / math.sqrt(2 * math.pi)
        changed = parts.images + parts.rest  # of 1, 0 and -1, about the share that is not 0
        total = changed / density / math.sqrt(2 / math.pi)
        share = parts.images / changed if changed > 0 else 0.0
        return cls(math.sqrt(parts.seeds) / density, total * math.sqrt(share), total * math.sqrt(1 - share))


SPREADS: Mapping[str, LatentSpread] = {
    "no effect of seeds": LatentSpread(0.0, 0.3, 0.3),
    "alike seeds": LatentSpread(0.02, 0.2, 0.2),
    "alike seeds, unlike images": LatentSpread(0.02, 0.6, 0.1),
    "mixed": LatentSpread(0.15, 0.3, 0.3),
    "unlike seeds": LatentSpread(0.5, 0.3, 0.3),
}
"""The spreads that the intervals were compared under."""


@dataclass(frozen=True)
class SimulatedCoverage:
    """What a simulation found of an interval."""

    coverage: float
    """The share of intervals that hold the true effect, 0 to 1."""
    width: float
    """The mean width, as a share of images."""
    found: float
    """The share of studies that find a difference at the level: the power where there is one."""


def simulated_coverage(
    shape: tuple[int, int],
    *,
    accuracy: float,
    spread: LatentSpread,
    difference: float = 0.0,
    level: float = 1 - CONFIDENCE,
    draws: int = 1000,
    method: IntervalMethod = "joined",
) -> SimulatedCoverage:
    """Draw studies whose images are right or wrong, and count how often the interval of each holds the truth.

    Args:
        shape: (seeds, images) of each study, at least two of each.
        accuracy: Of the network that is compared with, which has no seed; 0 to 1, exclusive.
        spread: How much seeds and images differ; `LatentSpread.like` makes it of measured variances.
        difference: The true difference in accuracy; accuracy and difference together are between 0 and 1, exclusive.
        level: A difference is found where its p value is below it.
        draws: How many studies.
        method: Which interval.
    """
    generator, threshold = np.random.default_rng(SEED), float(-ndtri(accuracy))
    total = math.sqrt(1 + spread.seeds**2 + spread.images**2 + spread.rest**2)
    moved = threshold + total * float(ndtri(accuracy + difference))

    def drawn(count: int) -> Floats:
        ease = generator.standard_normal((count, 1, shape[1]), dtype=np.float32)
        after = ease + moved + _drawn(generator, (spread.seeds, spread.images, spread.rest), (count, *shape))
        return (after > threshold).astype(np.float64) - (ease > threshold)

    return _counted(drawn, difference, shape, draws, (level, method))


def simulated_coverage_of_means(
    shape: tuple[int, int],
    *,
    parts: VarianceParts,
    difference: float = 0.0,
    level: float = 1 - CONFIDENCE,
    draws: int = 1000,
) -> SimulatedCoverage:
    """Draw studies whose images have means over several conditions, and count as `simulated_coverage` does.

    Args:
        shape: (seeds, images) of each study, at least two of each.
        parts: The variances of single differences.
        difference: The true difference.
        level: A difference is found where its p value is below it.
        draws: How many studies.
    """
    generator = np.random.default_rng(SEED)
    deviations = math.sqrt(parts.seeds), math.sqrt(parts.images), math.sqrt(parts.rest)

    def drawn(count: int) -> Floats:
        return difference + _drawn(generator, deviations, (count, *shape))

    return _counted(drawn, difference, shape, draws, (level, "joined"))


def _drawn(
    generator: np.random.Generator, deviations: tuple[float, float, float], shape: tuple[int, int, int]
) -> Floats:
    """Return what seeds, images and both add in some studies, (studies, seeds, images)."""
    count, seeds, images = shape
    of_seeds, of_images, rest = (np.float32(one) for one in deviations)
    moved = of_seeds * generator.standard_normal((count, seeds, 1), dtype=np.float32)
    moved = moved + of_images * generator.standard_normal((count, 1, images), dtype=np.float32)
    return np.asarray(moved + rest * generator.standard_normal(shape, dtype=np.float32), np.float64)


def _counted(
    drawn: Callable[[int], Floats],
    true: float,
    shape: tuple[int, int],
    draws: int,
    interval: tuple[float, IntervalMethod],
) -> SimulatedCoverage:
    """Return what the intervals of some studies hold; `drawn` returns the differences of so many studies."""
    held = found = width = 0.0
    level, method = interval
    rows = max(1, _CELLS_AT_ONCE // (shape[0] * shape[1]))
    for start in range(0, draws, rows):
        squares = mean_squares(drawn(min(rows, draws - start)))
        half = _halves(method, squares, shape, CONFIDENCE)
        held += float((np.abs(squares.mean - true) <= half).sum())
        found += float((np.abs(squares.mean) > _halves(method, squares, shape, 1 - level)).sum())
        width += float(2 * half.sum())
    return SimulatedCoverage(held / draws, width / draws, found / draws)


def _halves(method: IntervalMethod, squares: MeanSquares, shape: tuple[int, int], confidence: float) -> Floats:
    if method == "joined":
        half = half_widths(*mean_variances(squares, shape), shape, confidence)
    else:
        half = _halves_by_satterthwaite(squares, shape, confidence)
    none = two_way(np.zeros((2, shape[1])), confidence).high  # where no image differs
    return np.where(half > 0, half, none)


def _halves_by_satterthwaite(squares: MeanSquares, shape: tuple[int, int], confidence: float) -> Floats:
    seeds, images = shape
    each = tuple(one / (seeds * images) for one in (squares.seeds, squares.images, squares.rest))
    variance = np.maximum(each[0] + each[1] - each[2], 0)
    terms = each[0] ** 2 / (seeds - 1) + each[1] ** 2 / (images - 1) + each[2] ** 2 / ((seeds - 1) * (images - 1))
    freedom = np.divide(variance**2, terms, out=np.ones_like(terms), where=(terms > 0) & (variance > 0))
    return np.asarray(stdtrit(freedom, (1 + confidence) / 2), np.float64) * np.sqrt(variance)
