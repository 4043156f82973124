"""Rates: the share of images for which something holds, with the interval that belongs to it.

Source: top-1 accuracy as in ILSVRC (Russakovsky et al., IJCV 115, 2015, arXiv 1409.0575); intervals by E. B. Wilson,
JASA 22, 1927.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pcbench.errors import UsageError

CONFIDENCE = 0.95

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A number with its interval."""

    value: float
    """The number itself."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end of its 95 % interval."""
    images: int
    """How many images it is a number about."""


def accuracy(correct: npt.ArrayLike) -> float:
    """Return the share of images that are classified correctly.

    Args:
        correct: Booleans of any shape, one per answer.

    Raises:
        UsageError: There is no answer at all.
    """
    answers = np.asarray(correct, dtype=bool)
    if answers.size == 0:
        raise UsageError("the accuracy over no images is not defined; run on at least one image")
    return float(np.count_nonzero(answers) / answers.size)


def error(correct: npt.ArrayLike) -> float:
    """Return the share of images that are classified wrongly, 1 - accuracy."""
    return 1.0 - accuracy(correct)


def rate(hits: Booleans, counted: Booleans | None = None) -> Estimate:
    """Return the share of hits among the counted images, with Wilson's interval.

    Args:
        hits: Shape (images,).
        counted: Shape (images,); the eligible images, all if not given.

    Raises:
        UsageError: No image is counted.
    """
    among = hits if counted is None else hits[counted]
    value = accuracy(among)
    low, high = wilson_interval(np.count_nonzero(among), among.size)
    return Estimate(value, float(low), float(high), int(among.size))


def two_sided_quantile(confidence: float = CONFIDENCE) -> float:
    """Return how many standard deviations a normal interval goes to either side of its middle.

    Args:
        confidence: Its coverage, in (0, 1).
    """
    from scipy.special import ndtri  # attacks import this module, and no more of SciPy is needed before the tables

    return float(-ndtri((1 - confidence) / 2))


def wilson_interval(
    hits: npt.ArrayLike, trials: npt.ArrayLike, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return Wilson's score interval for binomial rates; the right one where one row is one image.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        hits: Numbers of hits, any shape.
        trials: Numbers of trials, same shape, at least 1.
        confidence: Nominal coverage, in (0, 1).

    Returns:
        Lower and upper ends, in [0, 1].
    """
    hit, total = np.asarray(hits, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z, share = two_sided_quantile(confidence), hit / total
    shrinking = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / shrinking
    half = z * np.sqrt(share * (1.0 - share) / total + z**2 / (4.0 * total**2)) / shrinking
    low, high = np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
    # At no hits, and at nothing but hits, rounding would leave the rate itself just outside.
    return np.where(hit == 0, 0.0, low), np.where(hit == total, 1.0, high)
