"""Oracle: numbers printed by Hendrycks & Dietterich (ICLR 2019, Table 1) and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from pcbench.errors import UsageError
from pcbench.metrics.corruption import (
    THE_FIFTEEN,
    corruption_error,
    error_relative_to_start,
    mean_corruption_error,
    mean_over_corruptions,
    mean_over_severities,
    relative_corruption_error,
)

RESNET50_CES = [80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77]
ALEXNET_GAUSSIAN_NOISE = [0.69528, 0.82542, 0.93554, 0.98138, 0.99452]


def test_mce_of_the_published_resnet50_ces() -> None:
    """The 15 printed CEs average to 76.9; the printed mCE, from unrounded CEs, is 76.7."""
    mce = mean_corruption_error(dict(zip(THE_FIFTEEN, RESNET50_CES, strict=True)))
    assert round(float(mce), 1) == 76.9
    assert float(mce) == pytest.approx(76.7, abs=0.5)


def test_alexnet_against_itself_is_exactly_one() -> None:
    assert corruption_error(ALEXNET_GAUSSIAN_NOISE, ALEXNET_GAUSSIAN_NOISE) == 1.0
    assert relative_corruption_error(ALEXNET_GAUSSIAN_NOISE, 0.43478, ALEXNET_GAUSSIAN_NOISE, 0.43478) == 1.0
    ones = dict.fromkeys(THE_FIFTEEN, corruption_error(ALEXNET_GAUSSIAN_NOISE, ALEXNET_GAUSSIAN_NOISE))
    assert mean_corruption_error(ones) == 1.0


def test_a_baseline_known_only_as_a_mean_gives_the_same_ratio() -> None:
    errors = [0.1, 0.2, 0.3, 0.4, 0.5]
    of_mean = corruption_error(errors, float(np.mean(ALEXNET_GAUSSIAN_NOISE)))
    assert of_mean == pytest.approx(float(corruption_error(errors, ALEXNET_GAUSSIAN_NOISE)), rel=1e-15)


def test_ce_is_a_ratio_of_sums_not_a_mean_of_ratios() -> None:
    """Oracle: by hand, (0.1 + 4 x 0.5) / (0.2 + 4 x 1.0) = 0.5 where the mean of ratios is 0.5 too; 2.4 / 4.2 not."""
    assert corruption_error([0.4, 0.5, 0.5, 0.5, 0.5], [0.2, 1.0, 1.0, 1.0, 1.0]) == pytest.approx(2.4 / 4.2)


def test_relative_ce_by_hand() -> None:
    """Oracle: by hand, (0.5 - 0.1) / (0.8 - 0.4) = 1, and negative where corruption helps."""
    assert relative_corruption_error([0.5] * 5, 0.1, [0.8] * 5, 0.4) == pytest.approx(1.0)
    assert relative_corruption_error([0.05] * 5, 0.1, [0.8] * 5, 0.4) == pytest.approx(-0.125)


def test_error_relative_to_the_first_timestep_by_hand() -> None:
    assert error_relative_to_start([0.1, 0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.2]) == 0.5
    assert mean_over_severities([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(0.3)


def test_leading_axes_are_kept() -> None:
    errors = np.random.default_rng(0).random((7, 3, 5))
    together = corruption_error(errors, ALEXNET_GAUSSIAN_NOISE)
    assert together.shape == (7, 3)
    assert together[4, 2] == pytest.approx(float(corruption_error(errors[4, 2], ALEXNET_GAUSSIAN_NOISE)))


def test_zero_denominators_are_refused() -> None:
    with pytest.raises(UsageError, match="baseline makes no error"):
        corruption_error([0.1] * 5, [0.0] * 5)
    with pytest.raises(UsageError, match="does not raise the baseline's error"):
        relative_corruption_error([0.1] * 5, 0.1, [0.3] * 5, 0.3)
    with pytest.raises(UsageError, match="no error at t = 0"):
        error_relative_to_start([0.1] * 5, [0.0] * 5)
    with pytest.raises(UsageError, match="at least one corruption"):
        mean_over_corruptions({})


@pytest.mark.parametrize("names", [THE_FIFTEEN[:14], (*THE_FIFTEEN, "speckle_noise")])
def test_only_the_fifteen_have_an_mce(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="mCE is the mean over the 15"):
        mean_corruption_error(dict.fromkeys(names, 1.0))
    assert mean_over_corruptions(dict.fromkeys(names, 1.0)) == 1.0


def test_other_severities_than_the_baseline_s_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        corruption_error([], 0.5)
    with pytest.raises(UsageError, match="one error for each severity"):
        corruption_error([0.1] * 5, [0.5] * 4)
    assert corruption_error([0.1, 0.2, 0.3], [0.4, 0.4, 0.4]) == pytest.approx(0.5)
