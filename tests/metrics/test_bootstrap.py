"""Oracle: scipy's own BCa bootstrap, closed forms, and simulation of coverage on made tables."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from scipy import stats

from pcbench.metrics.bootstrap import Sample, bca_interval, resampled_means
from pcbench.metrics.rates import wilson_interval

MEAN = partial(np.mean, axis=-1)


def _errors(generator: np.random.Generator, images: int, rate: float, conditions: int = 5) -> tuple[np.ndarray, float]:
    """Errors of images under several conditions, correlated within an image, and their expected mean."""
    ease = generator.normal(size=(images, 1)) * np.sqrt(0.7) + generator.normal(size=(images, conditions)) * np.sqrt(
        0.3
    )
    hardness = stats.norm.ppf(rate) + 0.3 * (np.arange(conditions) - conditions // 2)
    return ease < hardness, float(stats.norm.cdf(hardness).mean())


def test_the_interval_is_scipys_bca() -> None:
    """Oracle: scipy.stats.bootstrap(method="BCa"), which resamples on its own: ends agree except for that noise."""
    errors, _ = _errors(np.random.default_rng(0), 200, 0.1)
    sample = Sample({index: errors[:, index] for index in range(5)}, resamples=20000)
    ours = sample.estimate(MEAN, range(5))
    theirs = stats.bootstrap(
        (errors.mean(axis=1),), np.mean, method="BCa", n_resamples=20000, random_state=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(errors.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_resampled_means_are_means_of_drawn_images() -> None:
    """Oracle: expectation and variance of the mean of n draws with replacement."""
    column = np.random.default_rng(2).random(300).astype(np.float32)
    means = resampled_means(column[:, None], resamples=20000)[:, 0]
    assert means.mean() == pytest.approx(column.mean(), abs=4 * column.std() / np.sqrt(300 * 20000))
    assert means.std() == pytest.approx(column.std() / np.sqrt(300), rel=0.03)


def test_all_columns_of_an_image_are_drawn_together() -> None:
    column = np.random.default_rng(3).random(50) < 0.3
    means = resampled_means(np.column_stack([column, ~column]).astype(np.float32), resamples=100)
    assert np.allclose(means.sum(axis=1), 1)


def test_the_seed_alone_decides() -> None:
    columns = (np.random.default_rng(4).random((40, 3)) < 0.5).astype(np.float32)
    assert np.array_equal(resampled_means(columns, 50, seed=1), resampled_means(columns, 50, seed=1))
    assert not np.array_equal(resampled_means(columns, 50, seed=1), resampled_means(columns, 50, seed=2))


def test_images_that_are_all_alike_get_wilsons_interval() -> None:
    """Oracle: Wilson's interval for 0 of 30; resampling equal images would claim certainty."""
    estimate = Sample({"a": np.zeros(30), "b": np.zeros(30)}).estimate(MEAN, ["a", "b"])
    low, high = wilson_interval(0, 30)
    assert (estimate.low, estimate.high) == (float(low), float(high))


def test_an_interval_without_spread_is_the_value() -> None:
    assert bca_interval(1.0, np.ones(100), np.ones(20)) == (1.0, 1.0)


def test_pooled_intervals_cover() -> None:
    """95 % intervals cover, averaged over rates and sizes, in 94 to 96 % of made tables, and nowhere under 92 %."""
    generator = np.random.default_rng(5)
    made = itertools.product((100, 1000), (0.05, 0.2, 0.5, 0.8, 0.95))
    covered = [_coverage(generator, images, rate, tables=500) for images, rate in made]
    assert 0.94 <= np.mean(covered) <= 0.96
    assert min(covered) >= 0.92


def _coverage(generator: np.random.Generator, images: int, rate: float, tables: int) -> float:
    """Make many tables at once: each is a column whose images are resampled with the others'."""
    drawn = [_errors(generator, images, rate) for _ in range(tables)]
    truth = drawn[0][1]
    means = np.column_stack([errors.mean(axis=1) for errors, _ in drawn])
    resampled = resampled_means(means.astype(np.float32), resamples=1000, seed=int(generator.integers(1 << 30)))
    hits = 0
    for index in range(tables):
        low, high = bca_interval(float(means[:, index].mean()), resampled[:, index], means[:, index])
        hits += low <= truth <= high
    return hits / tables
