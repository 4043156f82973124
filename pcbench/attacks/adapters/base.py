"""What every attack is asked and what it answers, whichever library runs it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from pcbench.attacks.starts import image_seed, start_generator


@dataclass(frozen=True)
class Task:
    """One batch to attack."""

    images: Tensor
    """Clean images, (batch, channels, height, width), float in [0, 1]."""
    classes: Tensor
    """The labels to leave, or, for a targeted attack, the classes to reach; (batch,), int64."""
    epsilons: Tensor
    """Each image's radius, (batch,), float64."""
    ids: tuple[str, ...]
    """The images' ids; with `seed`, `attack` and `restart` they determine every random draw."""
    seed: int
    """The run's seed."""
    attack: str
    """The definition's name."""
    restart: int
    """Which of the attack's independent runs this is, from 0."""
    classes_known: int
    """How many classes the classifier has."""

    def generators(self) -> list[torch.Generator]:
        """Return one generator for each image."""
        return [start_generator(self.seed, image_id, self.attack, self.restart) for image_id in self.ids]

    def image_seeds(self) -> list[int]:
        """Return one 32-bit seed for each image, for libraries that are seeded by a number."""
        return [image_seed(self.seed, image_id, self.attack, self.restart) % 2**32 for image_id in self.ids]

    def some(self, indices: Sequence[int]) -> Task:
        """Return the task of some images of the batch."""
        here = torch.tensor(indices, device=self.images.device)
        ids = tuple(self.ids[index] for index in indices)
        return replace(
            self, images=self.images[here], classes=self.classes[here], epsilons=self.epsilons[here], ids=ids
        )

    def one(self, index: int) -> Task:
        """Return the task of a single image of the batch."""
        return self.some([index])

    @property
    def epsilon(self) -> float:
        """The one radius of the batch; only for adapters that do not mix radii."""
        return float(self.epsilons[0])


@dataclass(frozen=True)
class Gradients:
    """What an attack found at its steps: an index of `GRADIENT_STATES` for each image, or `HIDDEN`; (batch,), int8."""

    first: Tensor
    """At the first step."""
    later: Tensor
    """The worst of all later steps."""


HIDDEN = -1
"""Stands for the state of a gradient that is not known, or that there is none of."""


@dataclass(frozen=True)
class Found:
    """What an attack returned."""

    images: Tensor
    """Shaped like those it was given; they are checked again."""
    queries: Tensor
    """Forward passes spent on each, (batch,), int64."""
    gradients: Gradients | None = None
    """None where the attack uses none, or takes its steps inside a library."""


class Adapter(Protocol):
    """One attack, ready to be run on batches."""

    mixes_epsilons: bool
    """Whether the images of one batch may have different radii."""

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch; the caller clips, re-classifies and measures."""
        ...


class Counted(nn.Module):
    """A classifier that counts the images it is asked about."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.training = classifier.training
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        """Classify, counting."""
        self.images += len(images)
        return self.classifier(images)


@contextmanager
def frozen(classifier: nn.Module) -> Generator[None]:
    """Stop a library's `backward()` from computing, and storing, gradients of the classifier's parameters."""
    learning = [parameter for parameter in classifier.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
