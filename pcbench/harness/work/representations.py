"""Measuring representations: what noise on e_0 does to every PCoder at every timestep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from pcbench.corruptions.definitions import CorruptionDefinition, CorruptionSuite
from pcbench.corruptions.input_noise import input_noise_level, noisy_input
from pcbench.data.image_source import Batch
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.scoring import to_unit_range
from pcbench.metrics.representations import (
    CORRELATION_DISTANCE,
    CORRELATION_DISTANCE_TO_START,
    RECONSTRUCTION_ERROR,
    correlation_distance,
    reconstruction_error,
)
from pcbench.network.network import PredictiveNetwork
from pcbench.network.unrolling import Unrolled
from pcbench.results.conditions import Condition
from pcbench.results.schema import joined, made_table


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Measure every image of a block under every severity of a noise.

    The rows are one per image x severity x timestep x metric x PCoder: `epsilon` is the noise's standard deviation at
    its severity, metrics as in `pcbench.metrics.representations`, PCoders from 1 and empty for the reconstruction.
    """
    del inputs
    suite = context.suite(unit.condition.suite)
    if not isinstance(suite.definition, CorruptionSuite):
        raise RunError(f"{suite.name} is not a suite of corruptions")
    network = context.model.predictive_network(f"the suite {suite.name}")
    noise, settings = suite.definition.corruption(unit.condition.name), context.settings
    tables: list[pa.Table] = []
    for batch in context.batches(unit):
        tables += measure(
            network,
            batch,
            unit.condition,
            noise,
            seed=settings.seed,
            timesteps=settings.timesteps,
            severities=settings.severities,
        )
        context.meter.step(len(batch.ids) * unit.passes.work, len(batch.ids))
    return Made(joined(tables, "representations"))


def measure(
    network: PredictiveNetwork,
    batch: Batch,
    condition: Condition,
    noise: CorruptionDefinition,
    *,
    seed: int,
    timesteps: int,
    severities: Sequence[int] | None = None,
) -> Iterator[pa.Table]:
    """Measure one batch; all timesteps' representations of it are held at once."""
    device = next(network.parameters()).device

    def normalise(images: torch.Tensor) -> torch.Tensor:
        return network.normalise(images.to(device))

    inputs = normalise(to_unit_range(batch.images, device))
    clean = unrolled_whole(network, inputs, timesteps)
    for severity in noise.measured(severities):
        noisy_inputs = noisy_input(noise, severity, batch.images, normalise, seed=seed, ids=batch.ids)
        noisy = unrolled_whole(network, noisy_inputs, timesteps)
        for timestep in range(timesteps + 1):
            for metric, pcoder, values in _compared(clean, noisy, _array(inputs), timestep):
                yield made_table(
                    "representations",
                    {
                        "image_id": np.array(batch.ids),
                        "suite": condition.suite,
                        "name": condition.name,
                        "severity": severity,
                        "epsilon": input_noise_level(noise, severity),
                        "timestep": timestep,
                        "metric": metric,
                        "pcoder": pcoder,
                        "value": values,
                    },
                )


def unrolled_whole(network: PredictiveNetwork, inputs: torch.Tensor, timesteps: int) -> Unrolled:
    """Return a pass with all that is compared of it, which is held for two passes at a time."""
    keep = ("representations",) if network.targets.image is None else ("representations", "reconstructions")
    with torch.no_grad():
        return network.unroll_input(inputs, timesteps, keep=keep)


def _compared(
    clean: Unrolled, noisy: Unrolled, inputs: NDArray[np.float32], timestep: int
) -> Iterator[tuple[str, int | None, NDArray[np.float64]]]:
    """Yield metric, PCoder and one value per image, for one timestep."""
    for index, representation in enumerate(noisy.representations[timestep]):
        found = _array(representation)
        now, start = (_array(clean.representations[at][index]) for at in (timestep, 0))
        yield CORRELATION_DISTANCE, index + 1, correlation_distance(now, found)
        yield CORRELATION_DISTANCE_TO_START, index + 1, correlation_distance(start, found)
    if noisy.reconstructions:
        yield RECONSTRUCTION_ERROR, None, reconstruction_error(_array(noisy.reconstructions[timestep]), inputs)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.float().cpu().numpy()
