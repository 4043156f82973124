"""Oracles: nominal coverage, the power that was asked for, and the difference that was put in."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from pcbench.metrics.coverage import SPREADS, LatentSpread, simulated_coverage, simulated_coverage_of_means
from pcbench.metrics.two_way import POWER, VarianceParts, smallest_found, variance_parts


@pytest.mark.parametrize("name", [name for name in SPREADS if name != "unlike seeds"])
def test_the_interval_holds_the_effect(name: str) -> None:
    found = simulated_coverage((3, 180), accuracy=0.8, spread=SPREADS[name], draws=400)
    assert found.coverage >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 400)
    narrow = simulated_coverage((3, 180), accuracy=0.8, spread=SPREADS[name], draws=400, method="satterthwaite")
    assert narrow.width < found.width


def test_a_difference_is_the_one_that_was_asked_for() -> None:
    # Oracle: the mean of many studies' differences, right answers after less right answers before, by Φ alone.
    spread, accuracy, difference = LatentSpread(0.1, 0.7, 0.3), 0.7, 0.05
    total = math.sqrt(1 + 0.1**2 + 0.7**2 + 0.3**2)
    moved = total * scipy.stats.norm.ppf(accuracy + difference) - scipy.stats.norm.ppf(accuracy)
    generator, threshold = np.random.default_rng(6), -scipy.stats.norm.ppf(accuracy)
    ease = generator.normal(size=(1, 200_000))
    after = ease + moved + generator.normal(0, math.hypot(0.1, 0.7, 0.3), (1, 200_000))
    assert (after > threshold).mean() - (ease > threshold).mean() == pytest.approx(difference, abs=0.004)
    # A difference that is far above the interval's half width is always found, none in 5 of 100 studies.
    large = simulated_coverage((10, 500), accuracy=accuracy, spread=spread, difference=0.25, draws=400)
    assert large.found > 0.99
    none = simulated_coverage((10, 500), accuracy=accuracy, spread=spread, draws=400)
    assert none.found == pytest.approx(1 - none.coverage)


@pytest.mark.parametrize("level", [0.05, 0.0125])
def test_the_smallest_difference_is_found_as_often_as_said(level: float) -> None:
    parts = VarianceParts(1e-4, 0.02, 0.05)
    for seeds, images in ((3, 200), (10, 500)):
        of_seeds, of_images = (parts.seeds + parts.rest / images) / seeds, parts.images / images
        smallest = smallest_found(of_seeds, of_images, (seeds, images), level)
        shape = seeds, images
        means = simulated_coverage_of_means(shape, parts=parts, difference=smallest, level=level)
        assert means.found == pytest.approx(POWER, abs=0.04)
        assert simulated_coverage_of_means(shape, parts=parts).coverage == pytest.approx(0.96, abs=0.02)
        spread = LatentSpread.like(parts, 0.7)
        single = simulated_coverage(shape, accuracy=0.7, spread=spread, difference=smallest, level=level)
        assert single.found == pytest.approx(POWER, abs=0.1)


def test_a_spread_like_measured_variances_gives_them_again() -> None:
    spread, accuracy = LatentSpread(0.15, 0.2, 0.2), 0.8
    generator, threshold = np.random.default_rng(1), float(-scipy.stats.norm.ppf(accuracy))
    ease = generator.normal(size=(1, 4000))
    moved = generator.normal(0, 0.15, (40, 1)) + generator.normal(0, 0.2, (1, 4000))
    after = ease + moved + generator.normal(0, 0.2, (40, 4000)) > threshold
    parts = variance_parts(after.astype(float) - (ease > threshold))
    like = LatentSpread.like(parts, accuracy)
    assert like.seeds == pytest.approx(spread.seeds, rel=0.35)
    assert math.hypot(like.images, like.rest) == pytest.approx(math.hypot(spread.images, spread.rest), rel=0.35)
