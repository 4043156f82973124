"""Paired comparisons: the same images under two attacks at exactly the same epsilon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcbench.metrics.paired import holm, mcnemar

#: The chance that a sound timestep is called suspicious by its comparisons, if its attacks were equally strong.
SUSPICION_LEVEL = 0.01


@dataclass(frozen=True)
class Comparison:
    """A rival against the judged attack."""

    sign: str
    """The sign of broken gradients that this comparison looks for, in words."""
    epsilon: float
    """The budget of both."""
    n: int
    """How many images both attacked."""
    judged_rate: float
    """The share that the judged attack broke."""
    rival_rate: float
    """The share that the rival broke."""
    rival_only: int
    """How many images only the rival broke."""
    judged_only: int
    """How many only the judged attack broke."""
    p_value: float
    """How likely at least this many images broken by the rival alone are, if neither attack were better (one-sided
    exact McNemar test)."""


def compare_rates(sign: str, epsilon: float, judged: NDArray[np.bool_], rival: NDArray[np.bool_]) -> Comparison:
    """Compare two attacks on the same images, (N,) each: True where broken."""
    rival_only, judged_only = int((rival & ~judged).sum()), int((judged & ~rival).sum())
    return Comparison(
        sign=sign,
        epsilon=epsilon,
        n=len(judged),
        judged_rate=float(judged.mean()) if len(judged) else 0.0,
        rival_rate=float(rival.mean()) if len(rival) else 0.0,
        rival_only=rival_only,
        judged_only=judged_only,
        p_value=mcnemar(judged, rival, alternative="greater"),
    )


def fewest_telling() -> int:
    """Return how many images the rival alone must break for a comparison to be significant: 2^-n is below the level."""
    return math.ceil(-math.log2(SUSPICION_LEVEL))


def too_few_broken(sign: str, epsilon: float, broken: NDArray[np.bool_], allowed: float) -> Comparison:
    """Test whether too many images withstand an attack that should break nearly all (exact binomial test)."""
    from scipy.stats import binomtest  # its import takes as long as a third of PyTorch's

    standing = int((~broken).sum())
    p_value = binomtest(standing, len(broken), allowed, alternative="greater").pvalue if len(broken) else 1.0
    rate = float(broken.mean()) if len(broken) else 0.0
    return Comparison(sign, epsilon, len(broken), rate, 1 - allowed, standing, 0, float(p_value))


def significant(comparisons: Sequence[Comparison], level: float) -> list[Comparison]:
    """Return the comparisons that are significant together at a level, by Holm's correction; the smallest p first."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    ordered = sorted(zip(adjusted, comparisons, strict=True), key=lambda pair: pair[1].p_value)
    return [comparison for p_value, comparison in ordered if p_value <= level]
