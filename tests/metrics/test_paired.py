"""Oracles: statsmodels' McNemar and Holm, SciPy's bootstrap, all signs written out, Holm's own example worked by hand,
and simulation."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
from scipy.stats import binom, bootstrap, multivariate_normal, norm
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from pcbench.metrics.paired import holm, mcnemar, paired_differences, paired_rate_change, sign_flip_p_values

SEED = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
"""What SciPy calls it; the latter before 1.15."""


@pytest.mark.parametrize(("gained", "lost"), [(0, 1), (3, 9), (10, 10), (120, 80), (700, 900)])
def test_mcnemar_equals_statsmodels_exact(gained: int, lost: int) -> None:
    first = np.repeat([False, True, True, False], [gained, lost, 500, 100])
    second = np.repeat([True, False, True, False], [gained, lost, 500, 100])
    oracle = statsmodels_mcnemar([[500, lost], [gained, 100]], exact=True).pvalue
    assert mcnemar(first, second) == pytest.approx(oracle)


def test_midp_is_the_exact_value_less_half_the_observed_on_either_side() -> None:
    first, second = np.repeat([False, True], [3, 9]), np.repeat([True, False], [3, 9])
    oracle = 2 * binom.cdf(3, 12, 0.5) - binom.pmf(3, 12, 0.5)
    assert mcnemar(first, second, method="midp") == pytest.approx(oracle)


def test_midp_keeps_its_level_on_average_where_exact_is_conservative() -> None:
    random = np.random.default_rng(7)
    rejected = {"exact": 0, "midp": 0}
    for _ in range(3000):
        answers = random.random((2, 60)) < 0.7
        for method in rejected:
            rejected[method] += mcnemar(answers[0], answers[1], method=method) <= 0.05
    assert rejected["exact"] < rejected["midp"] <= binom.isf(0.001, 3000, 0.05)


def test_mcnemar_of_equal_answers_is_one() -> None:
    answers = np.array([True, False, True])
    assert mcnemar(answers, answers) == 1.0


def test_mcnemar_rejects_a_true_null_at_most_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    chances = random.beta(2, 1, 300)
    rejected = sum(mcnemar(random.random(300) < chances, random.random(300) < chances) <= 0.05 for _ in range(2000))
    assert rejected <= binom.isf(0.001, 2000, 0.05)


def test_the_interval_of_a_changed_rate_is_bonett_and_price_s() -> None:
    # Oracle: the formula written out for 5 gained and 2 lost of 60.
    first = np.array([True] * 40 + [False] * 20)
    second = first.copy()
    second[38:40], second[40:45] = False, True
    up, down = 6 / 62, 3 / 62
    half = 1.959964 * np.sqrt((up + down - (up - down) ** 2) / 62)
    expected = (3 / 60, up - down - half, up - down + half, 60)
    assert paired_rate_change(first, second) == pytest.approx(expected, abs=1e-6)


def test_equal_answers_claim_no_certainty_and_opposite_ones_stay_within_bounds() -> None:
    same = paired_rate_change(np.ones(100, bool), np.ones(100, bool))
    assert same.value == 0
    assert same.low == -same.high == pytest.approx(-1.96 * np.sqrt(2) / 102, abs=1e-4)
    all_gained = paired_rate_change(np.zeros(30, bool), np.ones(30, bool))
    assert all_gained.value == all_gained.high == 1.0
    assert all_gained.low > 0.8


def test_intervals_of_changed_rates_cover() -> None:
    """95 % intervals cover, averaged over rates and sizes, in 94 to 96 % of made tables, and nowhere under 92 %.

    Oracle: the normal distribution in two dimensions. An image's ease at either timestep is normal, with a correlation
    of 0.8; it is right where this exceeds a hardness.
    """
    random = np.random.default_rng(6)
    covered = []
    ease = multivariate_normal(cov=[[1, 0.8], [0.8, 1]])
    made = itertools.product((100, 300, 1000, 10_000), (-1.6, -0.8, 0.0, 0.8, 1.6), (-0.27, 0.09))
    for images, hardness, harder in made:
        both = float(ease.cdf([-hardness, -hardness - harder]))
        before, after = norm.sf(hardness), norm.sf(hardness + harder)
        cells = (both, before - both, after - both, 1 - before - after + both)
        tables = random.multinomial(images, cells, size=1200 if images < 10_000 else 400)
        found = [
            paired_rate_change(
                np.repeat([True, True, False, False], table), np.repeat([1, 0, 1, 0], table).astype(bool)
            )
            for table in tables
        ]
        covered.append(np.mean([change.low <= after - before <= change.high for change in found]))
    assert 0.94 <= np.mean(covered) <= 0.96
    assert min(covered) >= 0.92


def test_interval_equals_scipys_but_for_resampling() -> None:
    random = np.random.default_rng(1)
    differences = random.normal(0.02, 0.2, (400, 1)) + 0.3 * (random.random((400, 1)) < 0.1)
    (ours,) = paired_differences(differences, resamples=20_000)
    oracle = bootstrap((differences[:, 0],), np.mean, n_resamples=20_000, **{SEED: np.random.default_rng(2)})
    width = oracle.confidence_interval.high - oracle.confidence_interval.low
    assert ours.value == pytest.approx(differences.mean())
    assert abs(ours.low - oracle.confidence_interval.low) < 0.03 * width
    assert abs(ours.high - oracle.confidence_interval.high) < 0.03 * width


def test_95_percent_intervals_cover_and_p_values_keep_their_level() -> None:
    random = np.random.default_rng(3)
    # 60 columns are 60 tables of independent images; their true difference is zero.
    covered = rejected = tables = 0
    for _ in range(25):
        first = (random.random((5, 200, 60)) < 0.7).mean(axis=0)
        second = (random.random((5, 200, 60)) < 0.7).mean(axis=0)
        found = paired_differences(second - first, resamples=1000)
        covered += sum(difference.low <= 0 <= difference.high for difference in found)
        rejected += sum(difference.p <= 0.05 for difference in found)
        tables += len(found)
    assert 0.93 <= covered / tables <= 0.965
    assert rejected <= binom.isf(0.001, tables, 0.055)


def test_differences_without_spread() -> None:
    same, all_gained = paired_differences(np.column_stack([np.zeros(50), np.ones(50)]), resamples=999)
    assert same == (0.0, 0.0, 0.0, 1.0)
    assert all_gained == (1.0, 1.0, 1.0, pytest.approx(0.002))


def test_columns_are_resampled_together() -> None:
    """A column and its double must have intervals that are exactly double: the same images were drawn."""
    random = np.random.default_rng(4)
    column = random.integers(-1, 2, 300).astype(float)
    one, two = paired_differences(np.column_stack([column, 2 * column]))
    assert two.low == pytest.approx(2 * one.low, rel=1e-5)
    assert two.high == pytest.approx(2 * one.high, rel=1e-5)
    assert two.p == one.p


def test_random_signs_are_a_sample_of_all_signs() -> None:
    random = np.random.default_rng(5)
    differences = np.zeros((200, 3))
    differences[:10, 0] = random.normal(0.5, 1, 10)
    differences[:5, 1] = 0.125
    signs = np.array(list(itertools.product((-1, 1), repeat=10)))
    sums = np.abs(signs @ differences[:10])
    oracle = (sums >= np.abs(differences.sum(axis=0)) - 1e-9).mean(axis=0)
    found = sign_flip_p_values(differences, flips=20_000)
    assert found == pytest.approx(list(oracle), abs=0.01)
    assert found[2] == 1
    assert oracle[1] == 2 / 2**5


def test_random_signs_hold_their_level_where_few_images_differ_and_the_bootstrap_does_not() -> None:
    random = np.random.default_rng(8)
    changes = np.zeros((100, 1000))
    changes[:4] = random.choice([-1, 1], (4, 1000))
    by_signs = np.array(sign_flip_p_values(changes))
    by_bootstrap = np.array([one.p for one in paired_differences(changes)])
    # All four agree in an eighth of the tables.
    assert (by_signs <= 0.05).sum() == 0
    assert (by_bootstrap <= 0.05).mean() > 0.1


@pytest.mark.parametrize("count", [1, 2, 8, 250])
def test_holm_equals_statsmodels(count: int) -> None:
    p_values = list(np.random.default_rng(count).random(count) ** 4)
    p_values[: count // 3] = [0.01] * (count // 3)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_by_hand() -> None:
    # 4 x 0.01, 3 x 0.013, 2 x 0.02, 1 x 0.9, none smaller than the one before.
    assert holm([0.02, 0.01, 0.9, 0.013]) == pytest.approx([0.04, 0.04, 0.9, 0.04])
    assert holm([]) == []
