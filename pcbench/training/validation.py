"""The score of hyperparameters: accuracy on validation images, clean and with noise on e_0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from pcbench.catalog import suite_folder
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.corruptions.input_noise import network_input_noise
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters

#: The suite whose noise validation and studies use, and the severity that means "no noise".
NOISE_SUITE = "gaussian-noise"
CLEAN = 0
_KEPT_CELLS = 2**27


@cache
def noise_definition() -> CorruptionDefinition:
    """Return the noise of the suite `gaussian-noise`; its severities are the paper's five standard deviations."""
    return load_corruption_suite(suite_folder(NOISE_SUITE)[1]).corruption("gaussian_noise")


CONDITIONS = (CLEAN, *noise_definition().severities)


@dataclass(frozen=True)
class Validation:
    """Images that hyperparameters are chosen on, and the conditions."""

    source: ImageSource
    """Images that are used neither for training nor for any reported result."""
    timesteps: int
    """T; the answers at T count."""
    conditions: tuple[int, ...] = CONDITIONS
    """0 for clean images, 1 to 5 for the severities of the suite `gaussian-noise`."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 180
    """Images in one pass."""

    def __post_init__(self) -> None:
        if self.timesteps < 1:
            raise UsageError("hyperparameters are tuned for at least one timestep")
        if (self.source.labels < 0).any():
            raise UsageError(
                f"{self.source.name}: tuning asks which answers are right, and these images have no labels; give "
                "images that have"
            )
        unknown = [condition for condition in self.conditions if condition not in CONDITIONS]
        if unknown or not self.conditions:
            raise UsageError(f"conditions are 0 (clean) to 5 (the strongest noise), not {list(self.conditions)}")


@dataclass(frozen=True)
class Score:
    """The score of some hyperparameters."""

    accuracies: tuple[tuple[float, ...], ...]
    """At each t = 0..T, one list per condition."""
    diverged: int
    """Number of images whose representations grew without bound, over all conditions."""
    cross_entropies: tuple[tuple[float, ...], ...] = ()
    """Mean over the images at each t = 0..T, one list per condition; none in records of before it was measured."""

    @property
    def loss(self) -> float:
        """The cross-entropy averaged over t = 0..T and the conditions; infinite where the dynamics diverge."""
        if self.diverged:
            return math.inf
        return math.fsum(math.fsum(row) / len(row) for row in self.cross_entropies) / len(self.cross_entropies)

    @property
    def value(self) -> float:
        """The accuracy at t = T averaged over the conditions; 0 where the dynamics diverge."""
        return 0.0 if self.diverged else sum(row[-1] for row in self.accuracies) / len(self.accuracies)

    @property
    def start(self) -> float:
        """The same at t = 0."""
        return sum(row[0] for row in self.accuracies) / len(self.accuracies)


def standard_deviation(condition: int) -> float:
    """Return σ of a condition in units of e_0; 0 for clean images."""
    return 0.0 if condition == CLEAN else float(noise_definition().parameters["standard_deviation"][condition - 1])


def add_noise(inputs: Tensor, condition: int, *, seed: int, ids: Sequence[str]) -> Tensor:
    """Return e_0 with the noise of one condition added, unclipped.

    Args:
        inputs: e_0, (batch, 3, height, width).
        condition: 0 adds no noise; 1 to 5 are severities of the suite `gaussian-noise`.
        seed: Another seed is another draw.
        ids: Names of the images; each image has its own noise.
    """
    if condition == CLEAN:
        return inputs
    noise = network_input_noise(noise_definition(), condition, inputs.shape, seed=seed, ids=ids)
    return inputs + noise.to(device=inputs.device, dtype=inputs.dtype)


def noisy_inputs(
    network: PredictiveNetwork, source: ImageSource, condition: int, *, seed: int, batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield e_0 with noise and the labels, batch by batch, in the order of the source."""
    device = next(network.parameters()).device
    for batch in source.batches(batch_size):
        inputs = network.normalise(batch.images.to(device).float() / 255)
        yield add_noise(inputs, condition, seed=seed, ids=batch.ids), batch.labels.to(device)


Batches = Callable[[int], Iterable[tuple[Tensor, Tensor]]]


def prepared(network: PredictiveNetwork, validation: Validation) -> Batches:
    """Return a function that gives the inputs and labels of a condition; small inputs are drawn once and kept."""

    def draw(condition: int) -> Iterator[tuple[Tensor, Tensor]]:
        return noisy_inputs(
            network, validation.source, condition, seed=validation.seed, batch_size=validation.batch_size
        )

    cells = math.prod(network.configuration.table.input_size) * len(validation.source) * len(validation.conditions)
    if cells > _KEPT_CELLS:
        return draw
    kept = {condition: list(draw(condition)) for condition in validation.conditions}
    return kept.__getitem__


def evaluate(
    network: PredictiveNetwork,
    validation: Validation,
    hyperparameters: Sequence[Hyperparameters] | None = None,
    batches: Batches | None = None,
) -> Score:
    """Measure the accuracy of every timestep under every condition.

    Args:
        network: The network.
        validation: The images and the conditions; the cross-entropy is measured too.
        hyperparameters: β, λ, α of each PCoder; None means the network's own.
        batches: The result of `prepared`, to be reused for several evaluations.
    """
    batches = batches or prepared(network, validation)
    accuracies: list[tuple[float, ...]] = []
    cross_entropies: list[tuple[float, ...]] = []
    diverged = 0
    for condition in validation.conditions:
        hits = torch.zeros(validation.timesteps + 1, dtype=torch.int64)
        losses = torch.zeros(validation.timesteps + 1, dtype=torch.float64)
        for inputs, labels in batches(condition):
            with torch.no_grad():
                out = network.unroll_input(inputs, validation.timesteps, hyperparameters=hyperparameters)
            hits += (out.logits.argmax(2) == labels).sum(1).cpu()
            losses += torch.stack([F.cross_entropy(row, labels, reduction="sum") for row in out.logits.double()]).cpu()
            diverged += int(out.diverged().sum())
        total = len(validation.source)
        accuracies.append(tuple(int(hit) / total for hit in hits))
        cross_entropies.append(tuple(float(loss) / total for loss in losses))
    return Score(tuple(accuracies), diverged, tuple(cross_entropies))
