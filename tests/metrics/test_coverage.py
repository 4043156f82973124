"""Oracles: nominal coverage, the power that was asked for, and the interval of `two_way` itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from pcbench.metrics.coverage import SPREADS, LatentSpread, simulated_coverage
from pcbench.metrics.two_way import POWER, VarianceParts, detectable_effect, two_way, variance_parts


@pytest.mark.parametrize("name", [name for name in SPREADS if name != "unlike seeds"])
def test_the_interval_holds_the_effect(name: str) -> None:
    found = simulated_coverage(3, 180, accuracy=0.8, spread=SPREADS[name], draws=400)
    assert found.coverage >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 400)
    narrow = simulated_coverage(3, 180, accuracy=0.8, spread=SPREADS[name], draws=400, method="satterthwaite")
    assert narrow.width < found.width


def test_the_smallest_detectable_effect_is_found_as_often_as_said() -> None:
    generator, parts = np.random.default_rng(5), VarianceParts(1e-4, 0.02, 0.05)
    for seeds, images in ((3, 200), (10, 500)):
        effect = detectable_effect(parts, seeds, images)
        found = [
            two_way(
                effect
                + generator.normal(0, math.sqrt(parts.seeds), (seeds, 1))
                + generator.normal(0, math.sqrt(parts.images), (1, images))
                + generator.normal(0, math.sqrt(parts.rest), (seeds, images))
            ).low
            > 0
            for _ in range(300)
        ]
        assert np.mean(found) == pytest.approx(POWER, abs=0.1)


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
