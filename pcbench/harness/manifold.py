"""The suite `manifold`: what noise on e_0 does to the representations of every PCoder at every timestep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pcbench.corruptions.api import network_input_noise
from pcbench.corruptions.definitions import SEVERITIES, CorruptionDefinition
from pcbench.data.image_source import Batch, ImageSource
from pcbench.metrics.representations import (
    CORRELATION_DISTANCE,
    CORRELATION_DISTANCE_TO_START,
    RECONSTRUCTION_ERROR,
    correlation_distance,
    mean_over_images,
    reconstruction_error,
)
from pcbench.metrics.table import metrics_table
from pcbench.network.network import PredictiveNetwork
from pcbench.network.unrolling import Unrolled

SUITE = "manifold"


@dataclass(frozen=True)
class ManifoldRequest:
    """What is measured on which images.

    Attributes:
        network: The predictive network.
        source: The images.
        noise: A corruption of the network's input, such as `gaussian_noise` of the suite `gaussian-noise`.
        timesteps: T.
        seed: Of the noise.
        batch_size: Images in one pass; all timesteps' representations of a batch are held at once.
    """

    network: PredictiveNetwork
    source: ImageSource
    noise: CorruptionDefinition
    timesteps: int
    seed: int = 0
    batch_size: int = 32


def measure_manifold(request: ManifoldRequest, report: Callable[[int], None] | None = None) -> pd.DataFrame:
    """Measure every image.

    Args:
        request: What is measured.
        report: Told after each batch how many images are done.

    Returns:
        One row an image x severity x timestep x metric x PCoder: columns `image_id`, `severity` (1 to 5), `timestep`,
        `metric` (see `pcbench.metrics.representations`), `pcoder` (from 1; 0 for the reconstruction) and `value`.
    """
    parts: list[pd.DataFrame] = []
    for batch in request.source.batches(request.batch_size):
        parts += _measure_batch(request, batch)
        if report is not None:
            report(len(batch.ids))
    return pd.concat(parts, ignore_index=True)


def _measure_batch(request: ManifoldRequest, batch: Batch) -> Iterator[pd.DataFrame]:
    network = request.network
    device = next(network.parameters()).device
    inputs = network.normalise(batch.images.to(device).float() / 255)
    clean = _unrolled(request, inputs)
    for severity in SEVERITIES:
        noise = network_input_noise(request.noise, severity, inputs.shape, seed=request.seed, ids=batch.ids)
        noisy = _unrolled(request, inputs + noise.to(inputs))
        for timestep in range(request.timesteps + 1):
            for metric, pcoder, values in _compared(clean, noisy, _array(inputs), timestep):
                columns = {"severity": severity, "timestep": timestep, "metric": metric, "pcoder": pcoder}
                yield pd.DataFrame({"image_id": list(batch.ids), **columns, "value": values})


def _unrolled(request: ManifoldRequest, inputs: torch.Tensor) -> Unrolled:
    with torch.no_grad():
        return request.network.unroll(inputs, request.timesteps, keep=("representations", "reconstructions"))


def _compared(
    clean: Unrolled, noisy: Unrolled, inputs: NDArray[np.float32], timestep: int
) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """Yield metric, PCoder and one value an image, for one timestep."""
    for index, representation in enumerate(noisy.representations[timestep]):
        found = _array(representation)
        now, start = (_array(clean.representations[at][index]) for at in (timestep, 0))
        yield CORRELATION_DISTANCE, index + 1, correlation_distance(now, found)
        yield CORRELATION_DISTANCE_TO_START, index + 1, correlation_distance(start, found)
    yield RECONSTRUCTION_ERROR, 0, reconstruction_error(_array(noisy.reconstructions[timestep]), inputs)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()


def manifold_metrics(measured: pd.DataFrame, *, model: str, noise: str) -> pd.DataFrame:
    """Return the tidy table of means over images, with BCa intervals, in the columns of `metrics.csv`.

    The metric of a PCoder carries its number: `correlation_distance_pcoder2`.

    Args:
        measured: What `measure_manifold` returned.
        model: The model's name.
        noise: The noise's name.
    """
    rows: list[dict[str, object]] = []
    keys = ["severity", "timestep", "metric", "pcoder"]
    for (severity, timestep, metric, pcoder), group in measured.groupby(keys, sort=True):
        estimate = mean_over_images(group["value"].to_numpy(dtype=np.float64))
        rows.append(
            {
                "model": model,
                "suite": SUITE,
                "kind": "noise",
                "name": noise,
                "severity": severity,
                "timestep": timestep,
                "metric": f"{metric}_pcoder{pcoder}" if pcoder else metric,
                "value": estimate.value,
                "ci_low": estimate.low,
                "ci_high": estimate.high,
                "n": estimate.images,
            }
        )
    return metrics_table(rows)
