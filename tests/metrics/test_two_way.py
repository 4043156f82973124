"""Oracles: closed forms of balanced two-way data, SciPy's t test, and coverage over seeded simulated studies."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pcbench.metrics.two_way import smallest_found, two_way, variance_parts


def test_one_seed_is_students_interval_over_images() -> None:
    values = np.random.default_rng(0).normal(0.1, 1, (1, 50))
    found = two_way(values)
    expected = stats.ttest_1samp(values[0], 0)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), abs=1e-9)


def test_seeds_alone_are_students_interval_over_seeds() -> None:
    # Closed form: where all images of a seed differ alike, only the seeds are a sample.
    seeds = np.array([0.1, 0.3, 0.2, -0.1])
    found = two_way(np.repeat(seeds[:, None], 30, axis=1))
    expected = stats.ttest_1samp(seeds, 0)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), abs=1e-9)


def test_images_alone_are_students_interval_over_images() -> None:
    # Closed form: seeds that agree add nothing.
    images = np.random.default_rng(1).normal(0.2, 1, 40)
    found = two_way(np.repeat(images[None], 5, axis=0))
    expected = stats.ttest_1samp(images, 0)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, expected.pvalue), abs=1e-9)


def test_where_nothing_differs_the_interval_is_that_of_none_of_so_many() -> None:
    found = two_way(np.zeros((3, 100)))
    limit = stats.binomtest(0, 100).proportion_ci(0.95, method="exact").high  # Clopper and Pearson
    assert (found.value, found.low, found.high, found.p) == (0, pytest.approx(-limit), pytest.approx(limit), 1)


def test_an_uncertain_correction_widens_the_interval_in_quadrature() -> None:
    values = np.random.default_rng(4).normal(0.1, 1, (1, 50))
    plain, found = two_way(values), two_way(values, uncertain=0.2)
    factor = stats.t.ppf(0.975, 49)
    assert found.high - found.value == pytest.approx(np.hypot(plain.high - plain.value, factor * 0.2))
    assert found.p > plain.p


@pytest.mark.parametrize("spread", [(0.0, 0.3), (0.05, 0.3), (0.2, 0.3), (0.05, 0.05)])
def test_it_covers_the_true_difference_in_95_of_100_studies(spread: tuple[float, float]) -> None:
    # Oracle: the definition, over 2,000 seeded studies of three seeds and 60 images; 1.2 points is two standard errors.
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(2000):
        seeds, images = generator.normal(0, spread[0], (3, 1)), generator.normal(0, spread[1], (1, 60))
        found = two_way(0.1 + seeds + images + generator.normal(0, 0.2, (3, 60)))
        covered += found.low <= 0.1 <= found.high
    assert covered / 2000 >= 0.95 - 0.012


@pytest.mark.parametrize("comparisons", [1, 5])
@pytest.mark.parametrize("shape", [(1, 200), (1, 10), (2, 100), (3, 200), (10, 100)])
@pytest.mark.parametrize("parts", [(0.0, 0.3, 0.2), (0.05, 0.1, 0.3), (0.2, 0.1, 0.1)])
def test_the_smallest_difference_is_found_in_80_of_100_studies(
    parts: tuple[float, float, float], shape: tuple[int, int], comparisons: int
) -> None:
    # Oracle: the definition of power, over 1,500 seeded studies whose variances are known.
    (a, b, c), (seeds, images), generator = parts, shape, np.random.default_rng(3)
    of_seeds = (a**2 + c**2 / images) / seeds if seeds > 1 else 0.0
    of_images = (b**2 + (c**2 if seeds == 1 else 0.0)) / images
    smallest = smallest_found(of_seeds, of_images, shape, 0.05 / comparisons)
    found = 0
    for _ in range(1500):
        of_both = generator.normal(0, b, (1, images)) + generator.normal(0, c, shape)
        of_seed = generator.normal(0, a, (seeds, 1)) if seeds > 1 else 0.0
        found += two_way(smallest + of_seed + of_both).p < 0.05 / comparisons
    assert found / 1500 == pytest.approx(0.8, abs=0.05)


def test_the_smallest_difference_of_a_study_is_that_of_its_own_variances() -> None:
    values = np.random.default_rng(4).normal(0.1, 1, (3, 50))
    found = two_way(values)
    parts = variance_parts(values)
    of_seeds = (parts.seeds + parts.rest / 50) / 3
    assert (found.of_seeds, found.of_images) == pytest.approx((of_seeds, parts.images / 50))
    assert found.smallest(4) == smallest_found(found.of_seeds, found.of_images, (3, 50), 0.0125)
    assert found.smallest() < found.smallest(4)
    none = two_way(np.zeros((3, 100)))
    # Seeds whose means agree by chance: what is neither the seed's nor the image's is left.
    alike = values - values.mean(axis=1, keepdims=True)
    assert two_way(alike).of_seeds == pytest.approx(variance_parts(alike).rest / 150)
    assert none.smallest() == none.high - none.low


def test_a_difference_of_a_rounding_error_is_none() -> None:
    values = np.array([[0.1, -0.1, 0.3, -0.3]]) + 1e-17
    assert two_way(values).p == pytest.approx(1.0)
    assert two_way(np.array([[0.1 + 0.2 - 0.3, 1.0, -1.0, 0.0]])).p == pytest.approx(1.0)


def test_wrong_shapes_are_refused() -> None:
    for values in (np.zeros(5), np.zeros((2, 1)), np.full((2, 3), np.nan)):
        with pytest.raises(ValueError, match="finite numbers"):
            two_way(values)


def test_the_parts_of_balanced_data_are_those_that_were_put_in() -> None:
    # Contrasts that are orthogonal: every mean square is its closed form.
    seeds, images = np.array([-1.0, 0.0, 1.0]), np.array([-2.0, -1.0, 1.0, 2.0])
    rest = np.outer([1.0, -2.0, 1.0], [1.0, -1.0, -1.0, 1.0]) * 0.5
    differences = 0.5 + seeds[:, None] + images + rest
    parts, found = variance_parts(differences), two_way(differences)
    of_rest = (rest**2).sum() / 6
    assert parts.rest == pytest.approx(of_rest)
    assert parts.seeds == pytest.approx((seeds**2).sum() / 2 - of_rest / 4)
    assert parts.images == pytest.approx((images**2).sum() / 3 - of_rest / 3)
    of_seeds, of_images = (seeds**2).sum() / 2 / 3, ((images**2).sum() / 3 - of_rest / 3) / 4
    half = np.sqrt(stats.t.ppf(0.975, 2) ** 2 * of_seeds + stats.t.ppf(0.975, 3) ** 2 * of_images)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
