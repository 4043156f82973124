"""The score of hyperparameters: accuracy on validation images, clean, with noise on e_0, or corrupted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pcbench.corruptions.input_noise import network_input_noise
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.conditions import CLEAN, TuningCondition, noise_definition, numbered_condition

_KEPT_CELLS = 2**27

CONDITIONS = (CLEAN, *noise_definition().severities)
Asked = int | TuningCondition
"""A condition, or its number: 0 for clean images, 1 to 5 for the severities of the suite `gaussian-noise`."""


@dataclass(frozen=True)
class Validation:
    """Images that hyperparameters are chosen on, and the conditions."""

    source: ImageSource
    """Images that are used neither for training nor for any reported result."""
    timesteps: int
    """T; the answers at T count."""
    conditions: tuple[Asked, ...] = CONDITIONS
    """What is done to images."""
    seed: int = 0
    """Seed of the noise."""
    batch_size: int = 180
    """Images in one pass."""
    stride: int = 1
    """Condition c, from 0, is measured on every so manieth image, from image c on: many conditions share them."""

    def __post_init__(self) -> None:
        if self.timesteps < 1:
            raise UsageError("hyperparameters are tuned for at least one timestep")
        if (self.source.labels < 0).any():
            raise UsageError(
                f"{self.source.name}: tuning asks which answers are right, and these images have no labels; give "
                "images that have"
            )
        known = (one for one in self.conditions if not isinstance(one, TuningCondition))
        if not self.conditions or any(condition not in CONDITIONS for condition in known):
            raise UsageError(f"conditions are 0 (clean) to 5 (the strongest noise), not {list(self.conditions)}")

    def indices(self, condition: Asked) -> NDArray[np.int64]:
        """Return the indices of the images that a condition is measured on."""
        first = self.conditions.index(condition) % self.stride
        return np.arange(len(self.source))[first :: self.stride]

    @property
    def pairs(self) -> list[tuple[Asked, int]]:
        """Every condition with each of its images."""
        return [(condition, int(index)) for condition in self.conditions for index in self.indices(condition)]

    @property
    def titles(self) -> list[str]:
        """The conditions in words."""
        return [as_condition(condition).title for condition in self.conditions]


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
        return self._mean([math.fsum(row) / len(row) for row in self.cross_entropies])

    @property
    def final_loss(self) -> float:
        """The cross-entropy at t = T averaged over the conditions; infinite where the dynamics diverge."""
        return self._mean([row[-1] for row in self.cross_entropies])

    def _mean(self, values: Sequence[float]) -> float:
        return math.inf if self.diverged or not values else math.fsum(values) / len(values)

    @property
    def value(self) -> float:
        """The accuracy at t = T averaged over the conditions; 0 where the dynamics diverge."""
        return 0.0 if self.diverged else sum(row[-1] for row in self.accuracies) / len(self.accuracies)

    @property
    def start(self) -> float:
        """The same at t = 0."""
        return sum(row[0] for row in self.accuracies) / len(self.accuracies)


def as_condition(condition: Asked) -> TuningCondition:
    """Return a condition that may be given by its number."""
    return condition if isinstance(condition, TuningCondition) else numbered_condition(condition)


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


class ValidationInputs:
    """The inputs and labels of every condition; small ones are drawn once and kept.

    Args:
        network: Its normalisation counts.
        validation: The images and conditions.
    """

    def __init__(self, network: PredictiveNetwork, validation: Validation) -> None:
        self._network, self._validation = network, validation
        cells = math.prod(network.configuration.table.input_size) * len(validation.pairs)
        self._keeps = cells <= _KEPT_CELLS
        self._kept: dict[Asked, tuple[Tensor, Tensor]] = {}

    def __call__(self, condition: Asked) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the inputs and labels of a condition, batch by batch."""
        size, indices = self._validation.batch_size, self._validation.indices(condition)
        for start in range(0, len(indices), size):
            yield self._some(condition, np.arange(start, min(start + size, len(indices))))

    def of_pairs(self, pairs: Sequence[tuple[Asked, int]]) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels of some pairs of a condition and the index of an image."""
        inputs: list[Tensor] = []
        labels: list[Tensor] = []
        for condition in dict.fromkeys(one for one, _ in pairs):
            wanted = [index for one, index in pairs if one == condition]
            found = self._some(condition, np.searchsorted(self._validation.indices(condition), wanted))
            inputs.append(found[0])
            labels.append(found[1])
        return torch.cat(inputs), torch.cat(labels)

    def _some(self, condition: Asked, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels at some places among the images of a condition."""
        if not self._keeps:
            return self._draw(condition, places)
        if condition not in self._kept:
            size, count = self._validation.batch_size, len(self._validation.indices(condition))
            parts = [
                self._draw(condition, np.arange(first, min(first + size, count))) for first in range(0, count, size)
            ]
            self._kept[condition] = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        inputs, labels = self._kept[condition]
        chosen = torch.from_numpy(places)
        return inputs[chosen], labels[chosen]

    def _draw(self, condition: Asked, places: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        source = self._validation.source
        indices = self._validation.indices(condition)[places]
        names = [source.ids[int(index)] for index in indices]
        inputs = as_condition(condition).inputs(self._network, source.load(indices), names, self._validation.seed)
        return inputs, torch.from_numpy(source.labels[indices]).to(inputs.device)


def prepared(network: PredictiveNetwork, validation: Validation) -> ValidationInputs:
    """Return what gives the inputs and labels of every condition; small inputs are drawn once and kept."""
    return ValidationInputs(network, validation)


def evaluate(
    network: PredictiveNetwork,
    validation: Validation,
    hyperparameters: Sequence[Hyperparameters] | None = None,
    batches: ValidationInputs | None = None,
) -> Score:
    """Measure the accuracy and the cross-entropy of every timestep under every condition.

    Args:
        network: The network.
        validation: The images and the conditions.
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
        total = len(validation.indices(condition))
        accuracies.append(tuple(int(hit) / total for hit in hits))
        cross_entropies.append(tuple(float(loss) / total for loss in losses))
    return Score(tuple(accuracies), diverged, tuple(cross_entropies))
