"""Oracle: counts by hand, and what must hold whatever the attack: monotone in ε, clean accuracy at ε = 0."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import quantile_test

from pcbench.errors import UsageError
from pcbench.metrics.attack import (
    attack_success_rate,
    attack_success_rate_common,
    attack_success_rate_within,
    median_distance,
    robust_accuracy,
)

CLEAN = np.array([True, True, True, True, False])
BROKEN = np.array([True, False, False, True, False])


def test_success_counts_only_images_correct_before() -> None:
    estimate = attack_success_rate_within(BROKEN, CLEAN)
    assert (estimate.value, estimate.images) == (0.5, 4)


def test_success_at_exactly_epsilon_needs_every_image_attacked() -> None:
    everything = np.array([True, True, True, True, False])
    assert attack_success_rate(BROKEN, everything, CLEAN).value == 0.5
    with pytest.raises(UsageError, match="not every image was attacked"):
        attack_success_rate(BROKEN, np.array([True, True, True, False, False]), CLEAN)


def test_common_success_is_over_images_correct_at_every_timestep() -> None:
    other = np.array([True, True, False, False, True])
    estimate = attack_success_rate_common(BROKEN, [CLEAN, other])
    assert (estimate.value, estimate.images) == (0.5, 2)


def test_robust_accuracy_is_over_all_images_and_never_rises() -> None:
    """An image that a larger ε misses again stays broken: within means at this ε or a smaller one."""
    generator = np.random.default_rng(0)
    sweep = [CLEAN, *(CLEAN & (generator.random(5) > 0.5) for _ in range(6))]
    values = [robust_accuracy(sweep[: count + 1]).value for count in range(len(sweep))]
    assert values[0] == 0.8
    assert values == sorted(values, reverse=True)


def test_no_correct_image_is_refused() -> None:
    with pytest.raises(UsageError, match="no images"):
        attack_success_rate_within(BROKEN, np.zeros(5, dtype=bool))


def test_the_median_distance_counts_images_that_stand_as_infinitely_far() -> None:
    assert median_distance(np.array([1.0, 5.0, np.inf])).value == 5.0
    assert median_distance(np.array([1.0, np.inf, np.inf])).value == np.inf
    assert median_distance(np.array([1.0, 2.0, 3.0, np.inf])).value == 2.0


def test_the_median_s_interval_is_scipy_s() -> None:
    # Oracle: scipy's inversion of the sign test, which gives order statistics too, and the 40th and 61st of 100.
    for images in (6, 25, 100, 731):
        distances = np.random.default_rng(images).gamma(2.0, size=images)
        estimate = median_distance(distances)
        expected = quantile_test(distances, p=0.5).confidence_interval(0.95)
        assert (estimate.low, estimate.high) == (expected.low, expected.high)
    estimate = median_distance(np.arange(1.0, 101.0))
    assert (estimate.low, estimate.high) == (40.0, 61.0)
    few = median_distance(np.array([1.0, 2.0]))
    assert (few.low, few.high) == (0.0, np.inf)
