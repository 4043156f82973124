"""How often the interval of a difference of calibration errors holds the true one, under made-up networks.

    uv run python benchmarks/calibration.py [--draws 200]

Prints, for each size and each pair of networks, the coverage, the mean width in points, the share of intervals that
leave out 0, and the worst coverage. About five minutes on one core by default.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from pcbench.metrics.calibration import UNCERTAIN, CalibrationTerms, calibration_terms
from pcbench.metrics.rates import Booleans, Floats
from pcbench.metrics.two_way import TwoWay, two_way
from pcbench.percent import percent

CONDITIONS, IMAGES, SEEDS = (1, 5), (180, 360, 1000), (1, 3, 10)
NETWORKS = {
    "both too sure": (0.6, 0.6, 0.03),
    "one less so": (0.6, 0.7, 0.03),
    "both calibrated": (1.0, 1.0, 0.0),
    "the second calibrated": (0.7, 1.0, 0.03),
    "the first calibrated": (1.0, 0.8, 0.03),
    "the second, by little": (0.9, 1.0, 0.02),
}
"""The slopes of true log odds against stated ones, of both networks, and the deviation of the second over seeds."""
_LIKE = 0.95
"""The correlation of what decides whether an image is right, between both networks."""

Answers = tuple[Floats, Booleans]
"""Confidences and right answers, each (conditions, images)."""


def drawn(generator: np.random.Generator, shape: tuple[int, int], slopes: tuple[float, ...]) -> list[Answers]:
    """Return the answers of networks of some slopes on the same images, (conditions, images)."""
    conditions, images = shape
    easier = np.linspace(2.5, 0.3, conditions)[:, None] if conditions > 1 else 1.4
    odds = easier + generator.normal(0, 1.2, images) + generator.normal(0, 0.8, shape)
    moved = odds + generator.normal(0, 0.3, shape)
    luck = 0.6 * generator.normal(size=images) + 0.8 * generator.normal(size=shape)
    found: list[Answers] = []
    for number, slope in enumerate(slopes):
        own = odds if number == 0 else moved + generator.normal(0, 0.2, shape)
        chance = luck if number == 0 else _LIKE * luck + np.sqrt(1 - _LIKE**2) * generator.normal(size=shape)
        found.append((expit(own), ndtr(chance) < expit(slope * own)))
    return found


def error_of(answers: Answers) -> CalibrationTerms:
    """Return the calibration error of the pooled answers."""
    confidence, correct = answers
    image: NDArray[np.intp] = np.tile(np.arange(confidence.shape[1]), len(confidence))
    return calibration_terms(confidence.ravel(), correct.ravel(), image)


def difference(first: Answers, seconds: list[Answers]) -> TwoWay:
    """Return what a study says of the second network's calibration error less the first's."""
    before, after = error_of(first), [error_of(one) for one in seconds]
    excess = float(np.mean([one.excess for one in after]))
    terms = np.stack([one.terms for one in after]) - before.terms
    return two_way(terms, uncertain=UNCERTAIN * float(np.hypot(excess, before.excess)))


def true_difference(conditions: int, first: float, second: float, deviation: float) -> float:
    """Return the difference on very many images, as the mean over seeds (Gauss-Hermite quadrature)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    slopes = (first, *(second + deviation * float(node) for node in nodes))
    start, *others = drawn(np.random.default_rng(5), (conditions, 200_000), slopes)
    errors = [float(error_of(one).terms.mean()) for one in others]
    return float(np.average(errors, weights=weights)) - float(error_of(start).terms.mean())


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    worst = 1.0
    for conditions, (name, (first, second, deviation)) in itertools.product(CONDITIONS, NETWORKS.items()):
        for images, seeds in itertools.product(IMAGES, SEEDS):
            spread = deviation if seeds > 1 else 0.0
            true = true_difference(conditions, first, second, spread)
            generator = np.random.default_rng(1)
            found: list[TwoWay] = []
            for _ in range(draws):
                slopes = (first, *(second + spread * generator.normal(size=seeds)))
                start, *others = drawn(generator, (conditions, images), slopes)
                found.append(difference(start, others))
            coverage = float(np.mean([one.low <= true <= one.high for one in found]))
            width, power = np.mean([one.high - one.low for one in found]), np.mean([one.p < 0.05 for one in found])
            worst = min(worst, coverage)
            print(
                f"{conditions} conditions, {images} images, {seeds} seeds, {name}: true {percent(true, 2)}, "
                f"{percent(coverage)} % hold it, width {percent(float(width), 2)}, {percent(float(power))} % find it",
                flush=True,
            )
    print(f"worst: {percent(worst)} %")


if __name__ == "__main__":
    main()
