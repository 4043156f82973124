"""How often the interval over seeds and images holds the true effect: by simulation, at a study's own sizes.

Source: Own simulation. An image is answered rightly where a normal number, its ease, passes a threshold; seeds,
images and both together move it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

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
    """The share of intervals that leave out 0: the power where there is an effect."""


def simulated_coverage(
    seeds: int,
    images: int,
    *,
    accuracy: float,
    spread: LatentSpread,
    effect: float = 0.0,
    draws: int = 1000,
    method: IntervalMethod = "joined",
) -> SimulatedCoverage:
    """Draw studies of some size, and count how often the interval of each holds the true effect.

    Args:
        seeds: Seeds of each study, at least two.
        images: Its images, at least two.
        accuracy: Of the network that is compared with, which has no seed; 0 to 1, exclusive.
        spread: How much seeds and images differ; `LatentSpread.like` makes it of measured variances.
        effect: What is added to the eases of all images: 0.1 is 1 to 4 points of accuracy.
        draws: How many studies.
        method: Which interval.
    """
    generator, threshold = np.random.default_rng(SEED), float(-ndtri(accuracy))
    total = math.sqrt(1 + spread.seeds**2 + spread.images**2 + spread.rest**2)
    true = float(ndtr((effect - threshold) / total)) - accuracy
    held = found = width = 0.0
    rows = max(1, _CELLS_AT_ONCE // (seeds * images))
    for start in range(0, draws, rows):
        count = min(rows, draws - start)

        def drawn(deviation: float, *shape: int, count: int = count) -> NDArray[np.float32]:
            return np.float32(deviation) * generator.standard_normal((count, *shape), dtype=np.float32)

        ease = drawn(1.0, 1, images)
        moved = drawn(spread.seeds, seeds, 1) + drawn(spread.images, 1, images) + drawn(spread.rest, seeds, images)
        differences = (ease + moved + effect > threshold).astype(np.float64) - (ease > threshold)
        squares = mean_squares(differences)
        value = squares.mean
        half = _halves(method, squares, (seeds, images))
        half = np.where(half > 0, half, _none_of(images))
        held += float((np.abs(value - true) <= half).sum())
        found += float((np.abs(value) > half).sum())
        width += float(2 * half.sum())
    return SimulatedCoverage(held / draws, width / draws, found / draws)


def _none_of(images: int) -> float:
    """Return half the width where no difference differs from 0."""
    return two_way(np.zeros((2, images))).high


def _halves(method: IntervalMethod, squares: MeanSquares, shape: tuple[int, int]) -> Floats:
    if method == "joined":
        return half_widths(*mean_variances(squares, shape), shape)
    seeds, images = shape
    each = tuple(one / (seeds * images) for one in (squares.seeds, squares.images, squares.rest))
    variance = np.maximum(each[0] + each[1] - each[2], 0)
    terms = each[0] ** 2 / (seeds - 1) + each[1] ** 2 / (images - 1) + each[2] ** 2 / ((seeds - 1) * (images - 1))
    freedom = np.divide(variance**2, terms, out=np.ones_like(terms), where=(terms > 0) & (variance > 0))
    return np.asarray(stdtrit(freedom, (1 + CONFIDENCE) / 2), np.float64) * np.sqrt(variance)
