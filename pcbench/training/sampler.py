"""Which images a training step sees: this depends only on seed, epoch and step, so that a training can be resumed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.training.inputs import InputChange

_KEPT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class TrainingStep:
    """The part of one training step that one process does."""

    number: int
    """Number of the step, counted from 0 over all epochs."""
    indices: NDArray[np.int64]
    """Indices of the images in the source."""
    batch: int
    """How many images all processes see together in this step."""
    epoch: int
    """Counted from 0."""


@dataclass(frozen=True)
class Sampler:
    """Decides which images each step of a training sees, and in which order.

    Every epoch has its own permutation. The images of a step are distributed over the processes in turn, so that all
    processes together see the same images as a single process would.

    Raises:
        UsageError: In the last step of an epoch there would be fewer images than processes.
    """

    images: int
    """How many there are."""
    batch_size: int
    """Images in one step, over all processes."""
    seed: int
    """Another seed gives another order of the images."""
    process: int = 0
    """Which of the processes this is, from 0."""
    processes: int = 1
    """How many there are."""

    def __post_init__(self) -> None:
        last = self.images % self.batch_size or self.batch_size
        if last < self.processes:
            raise UsageError(
                f"the last step of an epoch holds {last} images for {self.processes} processes; "
                f"change the batch size ({self.batch_size}) or use fewer processes"
            )

    @property
    def steps_per_epoch(self) -> int:
        """How many steps see every image once; the last may see fewer images."""
        return math.ceil(self.images / self.batch_size)

    def steps(self, first: int, last: int) -> Iterator[TrainingStep]:
        """Yield the steps from number `first` up to but not including `last`."""
        for number in range(first, last):
            epoch, index = divmod(number, self.steps_per_epoch)
            permutation = np.random.default_rng([self.seed, epoch]).permutation(self.images)
            whole = permutation[index * self.batch_size : (index + 1) * self.batch_size]
            mine = whole[self.process :: self.processes]
            yield TrainingStep(number, mine, len(whole), epoch)


class _Images(Dataset[tuple[Tensor, Tensor, Tensor | None]]):
    """A source, as PyTorch's loader wants it: asked for a step, it gives images, labels and noise."""

    def __init__(self, source: ImageSource, change: InputChange) -> None:
        self._source, self._change = source, change
        self._kept = _in_memory(source)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        step: TrainingStep = index
        ids = [self._source.ids[int(one)] for one in step.indices.tolist()]
        images = self._source.load(step.indices) if self._kept is None else self._kept[torch.from_numpy(step.indices)]
        images = self._change.shuffled(self._change.moved(images, ids, step.epoch), ids)
        noise = self._change.noise_of(images.shape, ids, step.epoch)
        return images, torch.from_numpy(self._source.labels[step.indices]), noise


def _in_memory(source: ImageSource) -> Tensor | None:
    """Return all images, (images, 3, height, width), where they are small enough to be decoded once and kept."""
    needed = source.load([0]).numel() * len(source)
    return source.load(np.arange(len(source))) if needed <= _KEPT_BYTES else None


def load_steps(
    source: ImageSource, sampler: Sampler, steps: range, change: InputChange, workers: int = 0
) -> Iterator[tuple[TrainingStep, Tensor, Tensor, Tensor | None]]:
    """Yield each step with its images in [0,1], (batch, channels, height, width), their labels, and noise for e_0.

    Args:
        source: Where the images come from.
        sampler: Which of them a step sees.
        steps: The numbers of the steps.
        change: What is done to the images.
        workers: Processes that decode images ahead of time; 0 decodes in this process.
    """
    planned = list(sampler.steps(steps.start, steps.stop))
    loader: DataLoader[Any] = DataLoader(
        _Images(source, change), batch_size=None, sampler=planned, num_workers=workers, generator=torch.Generator()
    )
    for step, (images, labels, noise) in zip(planned, loader, strict=True):
        yield step, images.float() / 255, labels, noise
