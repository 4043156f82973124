"""Errors under corruption, as Hendrycks & Dietterich (ICLR 2019, arXiv 1903.12261) define them, and related measures.

All are ratios: 1.0 is the baseline's error. Papers and pages print them times 100.

Every function takes arrays with leading axes, so that it serves one network as well as a thousand resamples of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pcbench.errors import UsageError
from pcbench.metrics.rates import Floats

THE_FIFTEEN = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The corruptions whose mean may be called mCE, in the order of the paper's tables."""


class BaselineErrors(Protocol):
    """The errors of the network by which corruption errors are divided (AlexNet for ImageNet-C)."""

    @property
    def name(self) -> str:
        """The network's name."""
        ...

    @property
    def errors(self) -> Mapping[str, Sequence[float] | None]:
        """The errors at each severity of each corruption; None where only their mean is known."""
        ...

    @property
    def clean_error(self) -> float | None:
        """The error on clean images."""
        ...

    def mean_error(self, corruption: str) -> float:
        """Return the mean over the severities of the error under one corruption."""
        ...


def corruption_error(errors: npt.ArrayLike, baseline_errors: npt.ArrayLike) -> Floats:
    """Return CE = Σ_s E_s / Σ_s E_s(baseline), the sums over all severities (paper, section 4.1).

    Args:
        errors: Shape (..., severities), in [0, 1].
        baseline_errors: Shape (severities,), or one number where only the mean over them is known: the published
            AlexNet error under JPEG compression is an example, and the ratio is the same.

    Returns:
        Shape (...).

    Raises:
        UsageError: The baseline has other severities, or makes no errors (a zero denominator).
    """
    denominator = float(np.mean(_same_severities(errors, baseline_errors)))
    return mean_over_severities(errors) / _positive(denominator, "the baseline makes no error under this corruption")


def relative_corruption_error(
    errors: npt.ArrayLike, clean_error: npt.ArrayLike, baseline_errors: npt.ArrayLike, baseline_clean_error: float
) -> Floats:
    """Return relative CE = Σ_s (E_s - E_clean) / Σ_s (E_s - E_clean)(baseline) (paper, section 4.1).

    Args:
        errors: Shape (..., severities), in [0, 1].
        clean_error: Shape (...), the same network's error on clean images.
        baseline_errors: Shape (severities,), or their mean.
        baseline_clean_error: The baseline's error on clean images.

    Raises:
        UsageError: The baseline has other severities, or the corruption does not hurt it.
    """
    denominator = float(np.mean(_same_severities(errors, baseline_errors))) - baseline_clean_error
    degradation = mean_over_severities(errors) - np.asarray(clean_error, dtype=np.float64)
    return degradation / _positive(denominator, "the corruption does not raise the baseline's error")


def error_relative_to_start(errors: npt.ArrayLike, errors_at_start: npt.ArrayLike) -> Floats:
    """Return Σ_s E_s(t) / Σ_s E_s(0), the figure of the Predify paper (Choksi et al., NeurIPS 2021).

    Its scripts call the mean over 19 corruptions "mCE". It is not an mCE: it is normalised by the network itself.

    Args:
        errors: Shape (..., severities), the errors at timestep t.
        errors_at_start: Shape (..., severities), the same network's errors at t = 0.

    Raises:
        UsageError: No error at t = 0.
    """
    start = mean_over_severities(errors_at_start)
    if not np.all(start > 0):
        raise UsageError("the network makes no error at t = 0, so that errors cannot be divided by it; use more images")
    return mean_over_severities(errors) / start


def mean_over_severities(errors: npt.ArrayLike) -> Floats:
    """Return the unnormalised error: the mean over the severities of one corruption.

    Args:
        errors: Shape (..., severities), in [0, 1].

    Raises:
        UsageError: There are no severities.
    """
    values = np.asarray(errors, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise UsageError("a corruption error is a mean over severities; give at least one")
    return values.mean(axis=-1)


def mean_corruption_error(corruption_errors: Mapping[str, npt.ArrayLike]) -> Floats:
    """Return mCE, the mean of the CEs of the 15 corruptions of ImageNet-C.

    The name is used only for these 15 and for a named baseline. Use it on relative CEs for relative mCE.

    Args:
        corruption_errors: CE of each corruption by name, as ratios, each of shape (...).

    Raises:
        UsageError: Any other set of corruptions; `mean_over_corruptions` takes these.
    """
    missing = [name for name in THE_FIFTEEN if name not in corruption_errors]
    foreign = [name for name in corruption_errors if name not in THE_FIFTEEN]
    if missing or foreign:
        names = ", ".join([f"without {name}" for name in missing] + [f"with {name}" for name in foreign])
        raise UsageError(
            f"mCE is the mean over the 15 corruptions of ImageNet-C, not {names}; give its mean another name"
        )
    return mean_over_corruptions(corruption_errors)


def mean_over_corruptions(values: Mapping[str, npt.ArrayLike]) -> Floats:
    """Return the plain mean over any set of corruptions. It is not an mCE, and must not be called so.

    Raises:
        UsageError: The mapping is empty.
    """
    if not values:
        raise UsageError("a mean needs at least one corruption; run at least one")
    return np.mean([np.asarray(value, dtype=np.float64) for value in values.values()], axis=0)


def _same_severities(errors: npt.ArrayLike, baseline_errors: npt.ArrayLike) -> Floats:
    values = np.asarray(baseline_errors, dtype=np.float64)
    if values.shape not in {(), np.shape(errors)[-1:]}:
        raise UsageError("a baseline gives one error for each severity that was run, or their mean")
    return values


def _positive(denominator: float, problem: str) -> float:
    if not denominator > 0:
        raise UsageError(f"{problem}, so errors cannot be divided by its error; use a baseline that makes errors")
    return denominator
