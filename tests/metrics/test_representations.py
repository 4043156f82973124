"""Oracles: scipy's correlation distance; closed forms; scipy's bootstrap."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from scipy.spatial.distance import correlation
from scipy.stats import bootstrap

from pcbench.metrics.representations import correlation_distance, mean_over_images, reconstruction_error

SEED = "rng" if "rng" in inspect.signature(bootstrap).parameters else "random_state"
"""What SciPy calls it; the latter before 1.15."""


def test_correlation_distance_is_scipys() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 6, 4, 5, 5))
    expected = [correlation(one.ravel(), other.ravel()) for one, other in zip(first, second, strict=True)]
    np.testing.assert_allclose(correlation_distance(first, second), expected, rtol=1e-12)


def test_correlation_distance_of_shifted_scaled_and_mirrored_images() -> None:
    # Oracle: r is 1 under a positive affine map and -1 under a negative one, and undefined for a constant.
    first = np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype(np.float32)
    assert correlation_distance(first, 3 * first + 7)[0] == pytest.approx(0, abs=1e-6)
    assert correlation_distance(first, -2 * first)[0] == pytest.approx(2, abs=1e-6)
    assert np.isnan(correlation_distance(first, np.full_like(first, 0.1))[0])


def test_reconstruction_error_is_the_mean_square_of_each_image() -> None:
    clean = np.zeros((2, 3, 2, 2))
    off = clean + np.array([0.5, 2.0])[:, None, None, None]
    np.testing.assert_allclose(reconstruction_error(off, clean), [0.25, 4.0])


def test_the_mean_over_images_has_a_bootstrap_interval_and_leaves_undefined_images_out() -> None:
    # Oracle: scipy.stats.bootstrap with the BCa method; its draws are others, so its ends agree to a few per cent.
    values = np.random.default_rng(2).gamma(2.0, size=150)
    estimate = mean_over_images(np.append(values, [np.nan, np.nan]))
    expected = bootstrap((values,), np.mean, method="BCa", n_resamples=4000, **{SEED: 3}).confidence_interval
    width = expected.high - expected.low
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.images == 150
    assert estimate.low == pytest.approx(expected.low, abs=0.06 * width)
    assert estimate.high == pytest.approx(expected.high, abs=0.06 * width)


def test_the_mean_of_nothing_is_no_number() -> None:
    estimate = mean_over_images(np.array([np.nan, np.nan]))
    assert np.isnan(estimate.value)
    assert estimate.images == 0
    assert mean_over_images(np.array([0.25, 0.25])) == (0.25, 0.25, 0.25, 2)
