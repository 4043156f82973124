"""Calibration: whether a network's probabilities are the shares of images on which it is right.

Nothing is recalibrated: probabilities are the softmax of the logits, or the mean over the draws of a random network, as
the outcomes hold them. Images whose logits are not finite have none and are left out.

Source: C. Guo et al., "On calibration of modern neural networks", ICML 2017, arXiv:1706.04599.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from pcbench.metrics.bootstrap import RESAMPLES, SEED
from pcbench.metrics.cells import Cell, CellOutcomes
from pcbench.metrics.rates import CONFIDENCE, Booleans, Estimate, Floats
from pcbench.metrics.rows import Row, cell_row

BINS = 15
"""Bins of equal width from 0 to 1, each with its upper end and without its lower one; 0 itself is in the first."""
_NEARER = 1.0
"""Standard deviations; chosen by simulation (`benchmarks/calibration.py`), as `UNCERTAIN` was."""
UNCERTAIN = 0.5
"""The standard deviation of the excess of a calibration error, as a share of it."""
_LEAST = float(np.finfo(np.float32).smallest_subnormal)
LARGEST_LOSS = -math.log(_LEAST)
"""The largest negative log likelihood of an image, 103.3: that of the least probability above 0 that is stored."""

_Probabilities = NDArray[np.floating]


def calibration_rows(cell: Cell, answers: CellOutcomes) -> Iterator[Row]:
    """Return the rows of one condition at one timestep; none of what its outcomes do not hold."""
    known = ~np.isnan(answers.confidence)
    if known.any():
        found = expected_calibration_error(answers.confidence[known], answers.correct[known])
        yield cell_row(cell, "expected_calibration_error", found)
        yield cell_row(cell, "mean_confidence", student_mean(answers.confidence[known], highest=1.0))
    labelled = ~np.isnan(answers.true_label_probability)
    if labelled.any():
        losses = negative_log_likelihoods(answers.true_label_probability[labelled])
        yield cell_row(cell, "negative_log_likelihood", student_mean(losses, highest=LARGEST_LOSS))


def expected_calibration_error(confidence: _Probabilities, correct: Booleans, bins: int = BINS) -> Estimate:
    """Return the expected calibration error: over the bins of confidence, the mean distance of accuracy from it.

    Each bin counts by its share of images. The error of finite samples is too large rather than too small, most where
    the network is calibrated: chance differences count in either direction.

    Args:
        confidence: Shape (images,), at least one: the probability of the predicted class, 0 to 1.
        correct: Shape (images,).
        bins: How many bins of equal width.

    Returns:
        The error, 0 to 1, with an interval over images that holds at least 95 %, for a calibrated network too. With d_b
        the true sum over bin b of right answers minus confidence, divided by the images, and D_b the observed one:
        sum |D_b| - sum |d_b| is at most sum |D_b - d_b|, whose 97.5 % quantile is subtracted below, and
        sum |d_b| - sum |D_b| is at most the sum of d_b - D_b under the signs of d_b, a normal number whose variance is
        at most the mean squared difference, divided by the images, whatever the signs are.
    """
    images = len(confidence)
    above = correct - confidence.astype(np.float64)
    index = _bins_of(confidence, bins)
    sums, squares = (np.bincount(index, weights=one, minlength=bins) / images for one in (above, above**2))
    value = float(np.abs(sums).sum())
    outside = (1 - CONFIDENCE) / 2
    chance = np.quantile(_chance(bins) @ np.sqrt(squares / images), 1 - outside)
    high = value - float(ndtri(outside)) * math.sqrt(squares.sum() / images)
    return Estimate(value, max(0.0, value - float(chance)), min(1.0, high), images)


def _bins_of(confidence: _Probabilities, bins: int) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence.astype(np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)


class CalibrationTerms(NamedTuple):
    """A calibration error as a mean over images."""

    terms: Floats
    """(images,): each image's part. Their mean is the error less the excess. A small change of an image's weight leaves
    the sign of every bin as it is, so that their spread over images is that of the error (F. R. Hampel, "The influence
    curve and its role in robust estimation", Journal of the American Statistical Association, 1974)."""
    excess: float
    """By how much chance makes the error too large in the mean, as it is estimated: at least 0."""


def calibration_terms(confidence: _Probabilities, correct: Booleans, image: NDArray[np.intp]) -> CalibrationTerms:
    """Return the expected calibration error of pooled answers, several to an image, less what chance adds to it.

    The bins are those of `expected_calibration_error`, and each holds the answers of all conditions. A bin's sum of
    right answers minus confidence is about normal; at x of its standard deviations from 0, its size is too large by
    2 φ(x) - 2 x Φ(-x) of them in the mean. x is not known: it is taken one deviation nearer to 0 than it was found.

    Args:
        confidence: Shape (answers,), at least one: the probability of the predicted class, 0 to 1.
        correct: Shape (answers,).
        image: Shape (answers,): which image each is of, 0, 1, …; answers of one image depend on each other.
    """
    images, answers = int(image.max()) + 1, len(confidence)
    cell = _bins_of(confidence, BINS) * images + image
    above = np.bincount(cell, weights=correct - confidence.astype(np.float64), minlength=BINS * images)
    above = above.reshape(BINS, images) / answers
    sums, deviations = above.sum(axis=1), np.sqrt((above**2).sum(axis=1))
    away = np.maximum(np.abs(sums) / np.where(deviations > 0, deviations, 1) - _NEARER, 0)
    density = np.exp(-(away**2) / 2) / math.sqrt(2 * math.pi)
    outside = np.array([math.erfc(one / math.sqrt(2)) for one in away])
    excess = float(deviations @ (2 * density - away * outside))
    return CalibrationTerms(images * (np.sign(sums) @ above) - excess, excess)


@functools.cache
def _chance(bins: int) -> Floats:
    """Return the sizes of standard normal numbers, (resamples, bins)."""
    return np.abs(np.random.default_rng(SEED).standard_normal((RESAMPLES, bins)))


def negative_log_likelihoods(true_label_probability: _Probabilities) -> Floats:
    """Return the negative natural logarithm of the label's probability of each image, 0 to `LARGEST_LOSS`, (images,).

    Args:
        true_label_probability: Shape (images,), 0 to 1, of 32 bits: one that has become 0 counts as the least number
            above 0.
    """
    return -np.log(np.maximum(true_label_probability.astype(np.float64), _LEAST))


def student_mean(values: _Probabilities, *, highest: float) -> Estimate:
    """Return a mean over images with Student's interval (Student, Biometrika 6, 1908).

    Args:
        values: Shape (images,), at least one, from 0 to `highest`.
        highest: Where the interval ends at most; one image alone says no more than these limits.
    """
    images, value = len(values), float(values.mean(dtype=np.float64))
    if images == 1:
        return Estimate(value, 0.0, highest, images)
    deviation = float(values.std(ddof=1, dtype=np.float64))
    half = _students_factor(images - 1) * deviation / math.sqrt(images)
    return Estimate(value, max(0.0, value - half), min(highest, value + half), images)


@functools.cache
def _students_factor(freedom: int) -> float:
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
