"""Oracles: closed forms, statsmodels, a textbook's numbers, and simulated counts for the coverage of the interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from pcbench.errors import UsageError
from pcbench.metrics.rates import accuracy, error, rate, wilson_interval


def test_accuracy_and_error_by_hand() -> None:
    assert accuracy([True, True, False, True]) == 0.75
    assert error([True, True, False, True]) == 0.25
    with pytest.raises(UsageError, match="no images"):
        accuracy([])


def test_a_rate_counts_only_its_denominator() -> None:
    hits, counted = np.array([True, True, False, True]), np.array([True, False, True, False])
    estimate = rate(hits, counted)
    assert (estimate.value, estimate.images) == (0.5, 2)


def test_wilson_is_the_solution_of_the_score_equation() -> None:
    """Oracle: the ends p of Wilson's interval solve |p̂ - p| = z √(p (1-p) / n)."""
    low, high = wilson_interval([81, 15], [263, 148])
    for end, hits, trials in [
        *zip(low, [81, 15], [263, 148], strict=True),
        *zip(high, [81, 15], [263, 148], strict=True),
    ]:
        z = abs(hits / trials - end) / np.sqrt(end * (1 - end) / trials)
        assert z == pytest.approx(stats.norm.ppf(0.975), rel=1e-9)


def test_wilson_equals_statsmodels() -> None:
    generator = np.random.default_rng(0)
    trials = np.concatenate([np.arange(1, 200), generator.integers(200, 10**7, 2000)])
    hits = np.floor(generator.random(trials.size) * (trials + 1)).astype(int)
    for confidence in (0.9, 0.95, 0.99):
        found = wilson_interval(hits, trials, confidence)
        expected = proportion_confint(hits, trials, alpha=1 - confidence, method="wilson")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_wilson_stays_within_zero_and_one() -> None:
    low, high = wilson_interval([0, 50], [50, 50])
    assert low[0] == 0
    assert 0.05 < high[0] < 0.1
    assert high[1] == 1


def test_wilson_covers() -> None:
    """95 % intervals cover, averaged over rates and sizes, in 94 to 96 % of made tables, and nowhere under 92 %."""
    generator = np.random.default_rng(1)
    covered: list[float] = []
    for images in (100, 300, 1000, 3000, 10000):
        for true_rate in np.linspace(0.05, 0.95, 19):
            low, high = wilson_interval(generator.binomial(images, true_rate, 4000), np.full(4000, images))
            covered.append(float(np.mean((low <= true_rate) & (true_rate <= high))))
    assert 0.94 <= np.mean(covered) <= 0.96
    assert min(covered) >= 0.92
