"""Suites that measure representations: what noise on e_0 does to every PCoder at every timestep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pcbench.corruptions.api import input_noise_deviation, network_input_noise
from pcbench.corruptions.definitions import SEVERITIES, CorruptionDefinition
from pcbench.data.image_source import Batch, ImageSource
from pcbench.harness.corruption_suites import clean_unit
from pcbench.harness.plan import CorruptionPlan, Plan
from pcbench.harness.work import Meter, Unit
from pcbench.metrics.representations import (
    CORRELATION_DISTANCE,
    CORRELATION_DISTANCE_TO_START,
    RECONSTRUCTION_ERROR,
    correlation_distance,
    reconstruction_error,
)
from pcbench.network.network import PredictiveNetwork
from pcbench.network.unrolling import Unrolled
from pcbench.results.schema import representation_table

# A stopped run loses at most the work on so many images; their rows are held in memory.
_IMAGES_PER_UNIT = 256


@dataclass(frozen=True)
class ManifoldRequest:
    """What is measured on which images.

    Attributes:
        network: The predictive network.
        source: The images.
        suite: What the rows call the suite.
        noise: A corruption of the network's input, such as `gaussian_noise` of the suite `manifold`.
        timesteps: T.
        seed: Of the noise.
        batch_size: Images in one pass; all timesteps' representations of a batch are held at once.
    """

    network: PredictiveNetwork
    source: ImageSource
    suite: str
    noise: CorruptionDefinition
    timesteps: int
    seed: int = 0
    batch_size: int = 32


def manifold_units(plan: Plan, suite: CorruptionPlan) -> Iterator[Unit]:
    """Yield the work of a suite that is applied to representations: its noises on one block of images after another.

    The accuracy on the clean images comes first, as in every suite.
    """
    yield clean_unit(plan, suite)
    network = plan.subject.predictive_network(f"the suite {suite.definition.name}")
    for noise in suite.definition.corruptions:
        for block, start in enumerate(range(0, len(suite.source), _IMAGES_PER_UNIT)):
            places = np.arange(start, min(start + _IMAGES_PER_UNIT, len(suite.source)))
            source = suite.source.select(places, f"block {block} of {suite.source.name}")
            request = ManifoldRequest(
                network, source, suite.definition.name, noise, plan.timesteps, plan.request.seed, plan.batch_size
            )
            yield _unit(request, block)


def _unit(request: ManifoldRequest, block: int) -> Unit:
    passes = len(request.source) * (request.timesteps + 1) * (len(SEVERITIES) + 1)
    path = f"{request.suite}/{request.noise.name}-{block:04d}"
    title = f"{request.suite}: {request.noise.name}, images from {block * _IMAGES_PER_UNIT}"
    return Unit(path, title, passes, lambda meter: measure_manifold(request, meter), "representations")


def measure_manifold(request: ManifoldRequest, meter: Meter | None = None) -> pa.Table:
    """Measure every image.

    Args:
        request: What is measured.
        meter: Told after each batch what is done.

    Returns:
        One row an image x severity x timestep x metric x PCoder, with the columns of
        `pcbench.results.schema.REPRESENTATIONS`: severities 1 to 5, `epsilon` the noise's standard deviation, metrics
        as in `pcbench.metrics.representations`, PCoders from 1 and empty for the reconstruction.
    """
    tables: list[pa.Table] = []
    for batch in request.source.batches(request.batch_size):
        tables += _measure_batch(request, batch)
        if meter is not None:
            meter.step(len(batch.ids) * (request.timesteps + 1) * (len(SEVERITIES) + 1), len(batch.ids))
    return pa.concat_tables(tables).unify_dictionaries()


def _measure_batch(request: ManifoldRequest, batch: Batch) -> Iterator[pa.Table]:
    network = request.network
    device = next(network.parameters()).device
    inputs = network.normalise(batch.images.to(device).float() / 255)
    clean = _unrolled(request, inputs)
    for severity in SEVERITIES:
        noise = network_input_noise(request.noise, severity, inputs.shape, seed=request.seed, ids=batch.ids)
        noisy = _unrolled(request, inputs + noise.to(inputs))
        for timestep in range(request.timesteps + 1):
            for metric, pcoder, values in _compared(clean, noisy, _array(inputs), timestep):
                yield representation_table(
                    {
                        "image_id": np.array(batch.ids),
                        "suite": request.suite,
                        "name": request.noise.name,
                        "severity": severity,
                        "epsilon": input_noise_deviation(request.noise, severity),
                        "timestep": timestep,
                        "metric": metric,
                        "pcoder": pcoder,
                        "value": values,
                    }
                )


def _unrolled(request: ManifoldRequest, inputs: torch.Tensor) -> Unrolled:
    with torch.no_grad():
        return request.network.unroll(inputs, request.timesteps, keep=("representations", "reconstructions"))


def _compared(
    clean: Unrolled, noisy: Unrolled, inputs: NDArray[np.float32], timestep: int
) -> Iterator[tuple[str, int | None, NDArray[np.float64]]]:
    """Yield metric, PCoder and one value an image, for one timestep."""
    for index, representation in enumerate(noisy.representations[timestep]):
        found = _array(representation)
        now, start = (_array(clean.representations[at][index]) for at in (timestep, 0))
        yield CORRELATION_DISTANCE, index + 1, correlation_distance(now, found)
        yield CORRELATION_DISTANCE_TO_START, index + 1, correlation_distance(start, found)
    yield RECONSTRUCTION_ERROR, None, reconstruction_error(_array(noisy.reconstructions[timestep]), inputs)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
