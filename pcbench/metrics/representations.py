"""What noise does to representations: distances between a network's states for a clean and for a noisy image.

Source: Choksi et al., NeurIPS 2021 (arXiv 2106.02749), where timesteps move the representation of a noisy image towards
that of the clean one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pcbench.metrics.bootstrap import bca_interval, resampled_means
from pcbench.metrics.rates import CONFIDENCE, Estimate, Floats
from pcbench.metrics.rows import CHANGE, Row, summary_row

CORRELATION_DISTANCE = "correlation_distance"
"""Between e_n(t) of the clean and of the noisy image, both at the same t."""

CORRELATION_DISTANCE_TO_START = "correlation_distance_to_clean_t0"
"""Between e_n(t) of the noisy image and e_n(0) of the clean one: the representation in the plain backbone."""

RECONSTRUCTION_ERROR = "reconstruction_error"
"""Mean squared difference between d_1(t) of the noisy image and the clean e_0."""

_PCODER = "_pcoder"


def correlation_distance(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> Floats:
    """Return 1 - r of each image, r being Pearson's correlation over all cells of a representation.

    Args:
        first: (batch, …).
        second: The same shape.

    Returns:
        (batch,), 0 to 2; NaN where one of the two is constant, because r is not defined there.
    """
    centred = [_centred(values) for values in (first, second)]
    norms = [np.sqrt((values**2).sum(1)) for values in centred]
    defined = (norms[0] > 0) & (norms[1] > 0)
    product = np.where(defined, norms[0] * norms[1], 1.0)
    correlation = (centred[0] * centred[1]).sum(1) / product
    return np.where(defined, 1 - np.clip(correlation, -1, 1), np.nan)


def _centred(values: NDArray[np.floating[Any]]) -> Floats:
    flat = values.reshape(len(values), -1).astype(np.float64)
    constant = (flat == flat[:, :1]).all(1)
    # The mean of equal numbers may differ from them by a rounding error, which is not a variation.
    return np.where(constant[:, None], 0.0, flat - flat.mean(1, keepdims=True))


def reconstruction_error(reconstruction: NDArray[np.floating[Any]], clean: NDArray[np.floating[Any]]) -> Floats:
    """Return the mean squared difference of each image over its cells, shape (batch,), in squared units of e_0.

    Args:
        reconstruction: d_1, the prediction of e_0, (batch, …).
        clean: e_0 of the clean image, the same shape.
    """
    difference = reconstruction.astype(np.float64) - clean.astype(np.float64)
    return (difference**2).reshape(len(difference), -1).mean(1)


def mean_over_images(values: Floats) -> Estimate:
    """Return the mean of one number per image with its BCa bootstrap interval over the images.

    Images for which the number is not defined (NaN) are left out and not counted.

    Args:
        values: (images,).

    Returns:
        NaN and 0 images where it is not defined for any image.
    """
    defined = values[~np.isnan(values)]
    count = len(defined)
    if count == 0:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(defined.mean())
    if count == 1 or bool((defined == defined[0]).all()):
        return Estimate(mean, mean, mean, count)
    with np.errstate(over="ignore", invalid="ignore"):  # errors of a network that diverges
        resampled = resampled_means(defined[:, None].astype(np.float32))[:, 0]
    without_one = (defined.sum() - defined) / (count - 1)
    low, high = bca_interval(mean, resampled, -without_one, CONFIDENCE)
    return Estimate(mean, low, high, count)


def pcoders_of(metric: str, names: Iterable[object]) -> dict[str, int | None]:
    """Return the names under which `representation_rows` wrote a metric, and the PCoder that each is about.

    Args:
        metric: Such as `CORRELATION_DISTANCE`.
        names: The metrics of a tidy table; others are left out.

    Returns:
        By name, in the order of the first appearance; None where the metric is not about a PCoder.
    """
    written = re.compile(rf"{metric}(?:{_PCODER}(\d+))?")
    found = {str(name): written.fullmatch(str(name)) for name in dict.fromkeys(names)}
    return {name: int(match[1]) if match[1] else None for name, match in found.items() if match is not None}


def representation_rows(measured: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows of the tidy table, without the model: means over images with BCa intervals.

    The metric of a PCoder carries its number (`correlation_distance_pcoder2`); its paired change since the first
    timestep ends in `_minus_t0`.

    Args:
        measured: One row for each image x noise x timestep x metric x PCoder, with the columns of
            `pcbench.results.schema.REPRESENTATIONS`.
    """
    keys = ["suite", "name", "severity", "epsilon", "metric", "pcoder"]
    for key, group in measured.groupby(keys, sort=True, dropna=False, observed=True):
        columns: dict[str, Any] = dict(zip(keys, key, strict=True))
        metric, pcoder = str(columns.pop("metric")), columns.pop("pcoder")
        name = metric if pd.isna(pcoder) else f"{metric}{_PCODER}{int(pcoder)}"
        by_timestep = group.pivot(index="image_id", columns="timestep", values="value")
        start = by_timestep[by_timestep.columns[0]].to_numpy(dtype=np.float64)
        for index, timestep in enumerate(by_timestep.columns):
            values = by_timestep[timestep].to_numpy(dtype=np.float64)
            yield summary_row(name, int(timestep), mean_over_images(values), kind="noise", **columns)
            if index:
                change = mean_over_images(values - start)
                yield summary_row(name + CHANGE, int(timestep), change, kind="noise", **columns)
