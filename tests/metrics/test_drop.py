"""Oracles: full enumeration of all signs; Wilson's interval (statsmodels), of which the bound is the paired form;
and simulation, which must show the promised rates of false alarms and of detection."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.proportion import proportion_confint

from pcbench.metrics.drop import Side, critical_value, detectable_drop, find_drops, needed_images

# Enough for the simulations: 0.01 of 1,000 sign vectors are 10.
FLIPS = 999


def difficulties(random: np.random.Generator, images: int, rows: int) -> np.ndarray:
    """Chances of a right answer that differ between images and go together between rows, as those of timesteps do."""
    logits = random.normal(1, 2, (images, 1)) + random.normal(0, 1, (images, rows))
    return 1 / (1 + np.exp(-logits))


def answers(random: np.random.Generator, chances: np.ndarray, pooled: int) -> np.ndarray:
    """Each image's share of right answers over some conditions."""
    return (random.random((pooled, *chances.shape)) < chances).mean(axis=0)


def test_critical_value_equals_that_of_all_signs() -> None:
    values = np.random.default_rng(0).choice([-1.0, 0.0, 0.5, 1.0], (10, 3))
    unit = values / np.sqrt((values**2).sum(axis=0))
    sums = [(np.array(signs)[:, None] * unit).sum(axis=0).max() for signs in itertools.product((-1, 1), repeat=10)]
    for alpha in (0.05, 0.2):
        ours = critical_value(values, (values**2).sum(axis=0), alpha=alpha, side="drop", flips=9_999, seed=0)
        above = np.mean(np.array(sums) > ours)
        assert above <= alpha + 3 * np.sqrt(alpha / 9_999)
        assert np.mean(np.array(sums) >= ours * (1 - 1e-4)) >= alpha - 3 * np.sqrt(alpha / 9_999)


def test_lower_bound_of_losses_alone_is_wilsons() -> None:
    """Where no image gains, the mean drop is a proportion, and the score bound at c is Wilson's at z = c."""
    differences = np.zeros((200, 1))
    differences[:30] = 1
    found = find_drops(differences, tolerated=0)
    low, high = proportion_confint(30, 200, alpha=2 * norm.sf(found.critical), method="wilson")
    ratio = found.critical**2 / 200
    # Wilson takes the variance at the bound, ours the sample's: they agree to the order of c²/n.
    assert abs(found.lower[0] - low) < ratio
    assert abs(found.upper[0] - high) < ratio
    assert found.estimates[0] == pytest.approx(0.15)


def test_an_identical_run_passes_and_bounds_are_zero() -> None:
    found = find_drops(np.zeros((50, 4)), tolerated=0)
    assert not found.failed.any()
    assert found.lower.tolist() == found.upper.tolist() == found.estimates.tolist() == [0, 0, 0, 0]


def test_a_run_that_lost_everything_fails_and_one_that_gained_everything_passes() -> None:
    assert find_drops(np.ones((50, 2)), tolerated=0.5).failed.all()
    assert not find_drops(-np.ones((50, 2)), tolerated=0).failed.any()
    assert find_drops(-np.ones((50, 2)), tolerated=0, side="change").failed.all()


def test_too_few_images_never_fail() -> None:
    found = find_drops(np.ones((4, 1)), tolerated=0)
    assert not found.failed.any()
    assert np.isnan(found.detectable[0])


def test_rows_may_lack_images() -> None:
    random = np.random.default_rng(1)
    whole = random.choice([-1.0, 0.0, 1.0], (80, 1), p=[0.1, 0.6, 0.3])
    padded = np.vstack([whole, np.full((40, 1), np.nan)])
    one, other = find_drops(whole, tolerated=0.05), find_drops(padded, tolerated=0.05)
    assert one.estimates == pytest.approx(other.estimates)
    assert one.lower == pytest.approx(other.lower, abs=0.02)
    assert one.detectable == pytest.approx(other.detectable, abs=0.02)


def test_bound_and_failure_agree_with_the_tolerated_drop() -> None:
    random = np.random.default_rng(2)
    differences = random.choice([-1.0, 0.0, 1.0], (400, 3), p=[0.05, 0.65, 0.3])
    lowest = find_drops(differences, tolerated=0).lower
    for row in range(3):
        for tolerated, fails in ((lowest[row] - 1e-6, True), (lowest[row] + 1e-6, False)):
            assert find_drops(differences, tolerated=tolerated).failed[row] == fails


@pytest.mark.parametrize(
    ("images", "rows", "pooled", "side"), [(100, 9, 1, "drop"), (150, 9, 5, "drop"), (60, 5, 5, "change")]
)
def test_false_alarms_of_1000_unchanged_runs_with_other_seeds(images: int, rows: int, pooled: int, side: Side) -> None:
    """At most 1 % of unchanged runs fail although nothing is tolerated; the bound leaves 99.9 % of simulations."""
    random = np.random.default_rng(images + rows + pooled)
    chances = difficulties(random, images, rows)
    alarms = 0
    for seed in range(1000):
        differences = answers(random, chances, pooled) - answers(random, chances, pooled)
        alarms += bool(find_drops(differences, tolerated=0, side=side, flips=FLIPS, seed=seed).failed.any())
    assert alarms <= binom.isf(0.001, 1000, 0.01)


@pytest.mark.parametrize("tolerated", [0.02, 0.1])
def test_false_alarms_when_every_row_truly_drops_by_what_is_tolerated(tolerated: float) -> None:
    random = np.random.default_rng(5)
    alarms = 0
    for seed in range(500):
        chance = random.random((200, 9))
        differences = np.where(chance < tolerated + 0.05, 1.0, np.where(chance < tolerated + 0.1, -1.0, 0.0))
        alarms += bool(find_drops(differences, tolerated=tolerated, flips=FLIPS, seed=seed).failed.any())
    assert alarms <= binom.isf(0.001, 500, 0.01)


@pytest.mark.parametrize(("images", "pooled", "tolerated"), [(100, 5, 0.0), (360, 1, 0.02), (360, 5, 0.0)])
def test_a_drop_of_the_stated_size_is_found_nine_times_in_ten(images: int, pooled: int, tolerated: float) -> None:
    """The drop is stated from unchanged runs; then images lose their answers in one row until it drops so much."""
    random = np.random.default_rng(images)
    chances = difficulties(random, images, 9)
    stated = np.mean(
        [
            find_drops(
                answers(random, chances, pooled) - answers(random, chances, pooled), tolerated=tolerated, flips=FLIPS
            ).detectable
            for _ in range(20)
        ],
        axis=0,
    )
    worse = chances.copy()
    worse[:, 4] *= 1 - stated[4] / chances[:, 4].mean()
    found = sum(
        bool(
            find_drops(
                answers(random, chances, pooled) - answers(random, worse, pooled),
                tolerated=tolerated,
                flips=FLIPS,
                seed=seed,
            ).failed[4]
        )
        for seed in range(200)
    )
    assert found >= binom.isf(0.999, 200, 0.9)


def test_detectable_drop_shrinks_with_images_and_solves_its_equation() -> None:
    sizes = [detectable_drop(n, 0.05, critical=3.0, tolerated=0.01, power=0.9) for n in (100, 1000, 10_000, 100_000)]
    assert sizes == sorted(sizes, reverse=True)
    drop = sizes[1]
    spread = np.sqrt((0.05 + drop - drop**2) / (1000 - 9))
    assert drop - 0.01 == pytest.approx((3 + norm.ppf(0.9)) * spread)
    # Where unchanged runs agree on every image, the drop itself is all there is of spread.
    ratio = (3 + norm.ppf(0.9)) ** 2 / (1000 - 9)
    alone = detectable_drop(1000, 0.0, critical=3.0, tolerated=0.0, power=0.9)
    assert alone == pytest.approx(ratio / (1 + ratio))
    assert np.isnan(detectable_drop(12, 0.5, critical=3.0, tolerated=0.5, power=0.9))


def test_the_images_that_a_drop_needs_are_those_at_which_it_is_the_smallest_found() -> None:
    """Oracle: a search over n of the function that tells the smallest drop of n images."""
    for disagreement in (0.0, 0.02, 0.3):
        for drop in (0.03, 0.05, 0.4):
            limits = {"critical": 3.4, "tolerated": 0.01, "power": 0.9}
            found = needed_images(drop, disagreement, **limits)
            assert detectable_drop(found, disagreement, **limits) <= drop + 1e-9
            assert not detectable_drop(found - 1, disagreement, **limits) <= drop


@pytest.mark.parametrize(("disagreement", "drop"), [(0.04, 0.05), (0.1, 0.08)])
def test_so_many_images_find_the_drop_nine_times_in_ten(disagreement: float, drop: float) -> None:
    """Oracle: simulation. Single answers change either way, and others are lost, in one row of nine."""
    limits = {"tolerated": 0.01, "power": 0.9}
    images = needed_images(drop, disagreement, critical=norm.isf(0.01 / 9), **limits)

    def rate(count: int) -> float:
        random = np.random.default_rng(count)
        found = 0
        for seed in range(200):
            differences = random.choice(
                [-1.0, 0.0, 1.0], (count, 9), p=[disagreement / 2, 1 - disagreement, disagreement / 2]
            )
            # An image that loses its answer was right before and is wrong now, whatever it would have done.
            lost = random.random(count) < drop
            differences[lost, 4] = 1
            found += bool(find_drops(differences, tolerated=0.01, flips=FLIPS, seed=seed).failed[4])
        return found / 200

    assert rate(images) >= binom.isf(0.999, 200, 0.9) / 200
    # Half as many would not do: the number is needed, and not only enough.
    assert rate(images // 2) < 0.9
