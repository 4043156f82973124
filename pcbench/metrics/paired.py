"""Paired comparisons: two answers of every image, and whether their difference is real."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pcbench.metrics.bootstrap import RESAMPLES, SEED, bca_interval, resampled_means
from pcbench.metrics.rates import Booleans, Estimate, Floats, two_sided_quantile

_FLIPS_IN_A_BLOCK = 100
_DRAWS_A_COMPARISON = 100


class Difference(NamedTuple):
    """A paired difference of two means over the same images."""

    value: float
    """Second mean minus first."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    p: float
    """Two-sided p value of no difference."""


def mcnemar(
    first: Booleans,
    second: Booleans,
    *,
    method: Literal["exact", "midp"] = "exact",
    alternative: Literal["two-sided", "greater"] = "two-sided",
) -> float:
    """Return the p value of McNemar's test.

    Among the images on which the two answers differ, either is as likely to be the right one if there is no
    difference (Q. McNemar, Psychometrika 12, 1947).

    Args:
        first: Whether each image is answered rightly, shape (images,).
        second: The same of the other classifier.
        method: ``"exact"`` never rejects a true null more often than it says, for few images as for many, and is
            conservative. ``"midp"`` counts half the probability of what was observed, and keeps its level on
            average only (M. W. Fagerland et al., BMC Medical Research Methodology 13:91, 2013).
        alternative: ``"greater"`` asks only whether the second is True more often; ``"two-sided"`` asks either way.
    """
    gained = int(np.count_nonzero(second & ~first))
    lost = int(np.count_nonzero(first & ~second))
    return 1.0 if gained + lost == 0 else _mcnemar(gained, lost, method, alternative)


# Many comparisons have the same few counts, and SciPy's test takes half a millisecond.
@functools.lru_cache(maxsize=4096)
def _mcnemar(
    gained: int, lost: int, method: Literal["exact", "midp"], alternative: Literal["two-sided", "greater"]
) -> float:
    from scipy.stats import binom, binomtest  # its import takes as long as a third of PyTorch's

    p = float(binomtest(gained, gained + lost, alternative=alternative).pvalue)
    if method == "exact":
        return p
    observed = float(binom.pmf(gained, gained + lost, 0.5))
    return p - (observed if alternative == "two-sided" else observed / 2)


def paired_rate_change(first: Booleans, second: Booleans) -> Estimate:
    """Return the change of a rate between two answers of the same images, with its 95 % interval.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions: one image is added to those that
    gained and one to those that lost. Unlike the bootstrap it holds where few images changed, and equal answers of
    few images claim no certainty (D. G. Bonett and R. M. Price, British Journal of Mathematical and Statistical
    Psychology 65, 2012).

    Args:
        first: Whether each image is answered rightly, shape (images,), at least one.
        second: The same of the other classifier.
    """
    images = len(first)
    gained, lost = np.count_nonzero(second & ~first), np.count_nonzero(first & ~second)
    up, down = (gained + 1) / (images + 2), (lost + 1) / (images + 2)
    spread = float(two_sided_quantile() * np.sqrt((up + down - (up - down) ** 2) / (images + 2)))
    centre, value = up - down, (gained - lost) / images
    # If every image changed in the same way, the centre lies inside, but the change itself may not.
    low, high = max(-1.0, min(centre - spread, value)), min(1.0, max(centre + spread, value))
    return Estimate(float(value), float(low), float(high), images)


def enough_draws(comparisons: int) -> int:
    """Return how many draws the answer to a question of several comparisons needs.

    With few, Holm's factor would take the smallest p value that they can show above every level (S. Holm, Scand. J.
    Statist. 6, 1979).
    """
    return max(RESAMPLES, _DRAWS_A_COMPARISON * comparisons)


def paired_differences(differences: NDArray[np.floating], *, resamples: int = RESAMPLES) -> list[Difference]:
    """Return the mean of every column with its BCa interval and p value by the bootstrap over images.

    An image is drawn with all its columns together. The p value is twice the share of resamples on the far side of
    zero, at least 2 / (resamples + 1): no difference is called more certain than the resamples can show (B. Efron and
    R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 14 and 16).

    Args:
        differences: Second score minus first, shape (images, columns).
        resamples: How many times the images are drawn.
    """
    columns = differences.astype(np.float32)
    means = resampled_means(columns, resamples, SEED)
    return [_difference(column.astype(np.float64), means[:, index]) for index, column in enumerate(columns.T)]


def _difference(column: Floats, resampled: Floats) -> Difference:
    value = float(column.mean())
    if not np.any(column != column[0]):
        # Every image differs in the same way, so resampling changes nothing.
        return Difference(value, value, value, 1.0 if value == 0 else 2 / (len(resampled) + 1))
    low, high = bca_interval(value, resampled, column)
    tail = min(int(np.count_nonzero(resampled <= 0)), int(np.count_nonzero(resampled >= 0)))
    return Difference(value, low, high, min(1.0, 2 * (tail + 1) / (len(resampled) + 1)))


def sign_flip_p_values(differences: NDArray[np.floating], *, flips: int = RESAMPLES) -> list[float]:
    """Return the two-sided p value of every column's sum by Fisher's randomisation test (R. A. Fisher, 1935).

    Without a difference the two scores of an image could be exchanged, so its difference could have either sign. This
    holds its level exactly where few images differ, and there the bootstrap does not: of five images that differ in the
    same way, 6 % of all signs do as much, but a resample of a hundred images leaves all five out once in 160 times.

    Args:
        differences: Second score minus first, shape (images, columns).
        flips: How many vectors of random signs are drawn, one sign an image, the same for all columns.
    """
    differing = differences[np.any(differences != 0, axis=1)].astype(np.float32)
    # Equal sums that were added in another order differ in their last bits; they must count as equal.
    sums = np.abs(differing.sum(axis=0, dtype=np.float64)) * (1 - 1e-5)
    random = np.random.default_rng(SEED)
    as_large = np.ones(differences.shape[1], dtype=np.int64)
    for start in range(0, flips, _FLIPS_IN_A_BLOCK):
        shape = (min(_FLIPS_IN_A_BLOCK, flips - start), len(differing))
        signs = 2.0 * random.integers(0, 2, shape, dtype=np.int8) - 1
        as_large += (np.abs(signs.astype(np.float32) @ differing) >= sums).sum(axis=0)
    return [float(p) for p in as_large / (flips + 1)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for all questions of one family (S. Holm, Scand. J. Statist. 6, 1979).

    The k-th smallest of m is multiplied by m - k + 1, and none is smaller than the one before it.
    """
    ordered = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[ordered] = np.minimum(np.maximum.accumulate(np.asarray(p_values)[ordered] * factors), 1)
    return [float(p) for p in adjusted]
