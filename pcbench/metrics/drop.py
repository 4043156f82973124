"""Did accuracy drop? A paired test over many rows at once, exact for a run that has not changed.

A row is one accuracy (one timestep under one corruption, say). Image i scores a share of correct answers in [0, 1]
in the reference and in the run; x = reference - run is its drop in that row. If only seeds have changed, the
two scores of an image are exchangeable, so all its drops may change their signs together without changing their joint
distribution. The largest standardised drop over all rows,

    U = max_r U_r,   U_r = Σ_i x_ir / sqrt(Σ_i x_ir²),

is therefore compared with its distribution under random signs, one sign an image (Fisher's randomisation test with
the maximum of Westfall and Young, 1993): whatever the number of images, the discreteness of their scores and the
dependence between rows, an unchanged run exceeds the critical value c with a probability of at most α. Nothing is
assumed to be normal and no correction for the number of rows is needed on top.

The lower bound of a row's drop is the m at which U_r, taken of x - m, falls to c; with the mean x̄ and the variance v
(divisor n) of a row of n images this is x̄ - c sqrt(v / (n - c²)), which needs n > c².
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

#: Random sign vectors; with the observed one they make 10,000, so that α = 0.01 is a whole number of them.
FLIPS = 9_999
_CHUNK = 500

Side = Literal["drop", "change"]


@dataclass(frozen=True)
class Drops:
    """What `find_drops` found; all arrays have the shape (rows,)."""

    estimates: NDArray[np.float64]
    """Mean drop, -1 to 1; positive is worse."""
    lower: NDArray[np.float64]
    """Lower bounds of the drops, simultaneous over all rows at the level α (one-sided)."""
    upper: NDArray[np.float64]
    """Upper bounds of the drops by the same critical value; with ``side="change"`` the two hold together."""
    failed: NDArray[np.bool_]
    """Whether the lower bound exceeds the tolerated drop (or the upper bound is below its negative, with
    ``side="change"``)."""
    detectable: NDArray[np.float64]
    """The smallest true drop that is found with a probability of at least `power`, given this many images and the
    disagreement seen; NaN where even a drop to 0 would not be found."""
    critical: float
    """The critical value c."""
    disagreement: NDArray[np.float64]
    """Mean square of the images' drops, 0 to 1."""
    ceiling: float
    """What `detectable` takes for c: the bound of independent rows where it is larger."""


def find_drops(
    differences: NDArray[np.float64],
    *,
    tolerated: float,
    alpha: float = 0.01,
    power: float = 0.9,
    side: Side = "drop",
    flips: int = FLIPS,
    seed: int = 0,
) -> Drops:
    """Test every row for a drop that exceeds the tolerated one.

    Args:
        differences: Reference score minus run score, shape (images, rows), -1 to 1; NaN where a row does not have
            the image.
        tolerated: The drop m that is tolerated, 0 to 1.
        alpha: Probability of at least one failure, over all rows, for a run that has not changed.
        power: Probability with which the drops in `detectable` are found.
        side: ``"drop"`` fails for losses only, ``"change"`` for gains as well.
        flips: Random sign vectors; best such that alpha (flips + 1) is a whole number.
        seed: Seed of the random signs.
    """
    absent = np.isnan(differences)
    values = np.where(absent, 0.0, differences)
    counts = (~absent).sum(axis=0)
    squares = np.einsum("ir,ir->r", values, values)
    critical = critical_value(values, squares, alpha=alpha, side=side, flips=flips, seed=seed)
    means = values.sum(axis=0) / counts
    variances = np.maximum(squares / counts - means**2, 0)
    margin = _margins(variances, counts, critical)
    lower, upper = np.maximum(means - margin, -1), np.minimum(means + margin, 1)
    failed = lower > tolerated
    if side == "change":
        failed |= upper < -tolerated
    # If all rows agree, the signs do not determine c; the bound of independent rows is the larger one.
    sides = 1 if side == "drop" else 2
    ceiling = max(critical, _upper_quantile(alpha / (sides * len(means))))
    disagreement = squares / counts
    detectable = np.array(
        [
            detectable_drop(int(count), float(share), critical=ceiling, tolerated=tolerated, power=power)
            for count, share in zip(counts, disagreement, strict=True)
        ]
    )
    return Drops(means, lower, upper, failed, detectable, critical, disagreement, ceiling)


def critical_value(
    values: NDArray[np.float64], squares: NDArray[np.float64], *, alpha: float, side: Side, flips: int, seed: int
) -> float:
    """Return what the largest standardised drop of an unchanged run exceeds with a probability of at most alpha.

    Args:
        values: Drops, shape (images, rows); 0 where a row does not have the image.
        squares: Sums of their squares by row, shape (rows,).
        alpha: That probability.
        side: Whether the largest drop counts or the largest change of either sign.
        flips: Random sign vectors.
        seed: Seed of the random signs.
    """
    # Images that agree everywhere and rows in which all agree add 0 whatever the signs are.
    rows = values[:, squares > 0] / np.sqrt(squares[squares > 0])
    rows = rows[np.any(rows != 0, axis=1)].astype(np.float32)
    if rows.size == 0:
        return 0.0
    random = np.random.Generator(np.random.PCG64(seed))
    largest = [_largest(np.ones((1, len(rows)), dtype=np.float32) @ rows, side)]
    for start in range(0, flips, _CHUNK):
        signs = random.integers(0, 2, (min(_CHUNK, flips - start), len(rows)), dtype=np.int8)
        largest.append(_largest((2 * signs - 1).astype(np.float32) @ rows, side))
    ordered = np.sort(np.concatenate(largest))
    # Of the flips + 1 sign vectors, at most alpha (flips + 1) lie above this one.
    index = int(np.ceil((1 - alpha) * (flips + 1) - 1e-9)) - 1
    # Equal sums that were added in another order differ in their last bits; they must count as equal.
    return float(ordered[index]) * (1 + 1e-5)


def detectable_drop(images: int, disagreement: float, *, critical: float, tolerated: float, power: float) -> float:
    """Return the smallest true drop d > m that the test finds with a given probability, or NaN without one.

    A drop d adds at most d to the mean square of the images' drops, so their variance is at most
    s² = disagreement + d - d², and the lower bound exceeds m with this probability when
    d - m = (c + z) s / sqrt(n - c²), z the standard normal quantile of the power.

    Args:
        images: n, the number of images of the row.
        disagreement: Mean square of the images' drops between unchanged runs.
        critical: c.
        tolerated: m.
        power: Wanted probability.
    """
    if images <= critical**2:
        return float("nan")
    ratio = (critical + _quantile(power)) ** 2 / (images - critical**2)
    # (d - m)² = ratio (disagreement + d - d²) is quadratic in d; below its larger root the drop may be missed.
    linear = 2 * tolerated + ratio
    constant = tolerated**2 - ratio * disagreement
    drop = (linear + np.sqrt(linear**2 - 4 * (1 + ratio) * constant)) / (2 * (1 + ratio))
    return float(drop) if drop <= 1 else float("nan")


def needed_images(drop: float, disagreement: float, *, critical: float, tolerated: float, power: float) -> int:
    """Return how many images make a drop the smallest that is found: `detectable_drop`, solved for n.

    (d - m)² = (c + z)² (disagreement + d - d²) / (n - c²) gives n.

    Args:
        drop: d, above `tolerated`, at most 1.
        disagreement: As for `detectable_drop`.
        critical: As for `detectable_drop`.
        tolerated: As for `detectable_drop`.
        power: As for `detectable_drop`.
    """
    spread = disagreement + drop - drop**2
    needed = critical**2 + (critical + _quantile(power)) ** 2 * spread / (drop - tolerated) ** 2
    # A whole number that was rounded up in its last bits stays that number.
    return int(np.ceil(needed - 1e-6))


@functools.cache
def _quantile(probability: float) -> float:
    return float(ndtri(probability))


@functools.cache
def _upper_quantile(probability: float) -> float:
    return -float(ndtri(probability))


def _largest(sums: NDArray[np.float32], side: Side) -> NDArray[np.float32]:
    return (np.abs(sums) if side == "change" else sums).max(axis=1)


def _margins(variances: NDArray[np.float64], counts: NDArray[np.int64], critical: float) -> NDArray[np.float64]:
    room = counts - critical**2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0, critical * np.sqrt(variances / room), np.inf)
