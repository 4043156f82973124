"""FGSM, BIM and PGD as one loop that takes images of different budgets in one batch.

The arithmetic is foolbox's (`L2`/`LinfBaseGradientDescent`), operation by operation, so that outcomes are the same bit
for bit at equal batches and starts; the tests compare the two. Unlike foolbox it computes no gradients of the
parameters, and the gradient at the clean image, which is the same for every budget, only once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Found, Task
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import unit_starts
from pcbench.errors import UsageError
from pcbench.models.scores import margins
from pcbench.norms import Norm, broadcast, project

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits and classes -> one loss per image, (batch,)."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return each image's cross-entropy, (batch,), from logits (batch, classes)."""
    return F.cross_entropy(logits, classes, reduction="none")


def mean_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the mean over timesteps of each image's cross-entropy, from logits (T+1, batch, classes)."""
    return _per_timestep(logits, classes).mean(dim=0)


def least_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the smallest of the timesteps' cross-entropies: it grows only if the network is wrong at all of them."""
    return _per_timestep(logits, classes).amin(dim=0)


def greatest_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the largest of the timesteps' cross-entropies: it falls only if the target is predicted at all of them."""
    return _per_timestep(logits, classes).amax(dim=0)


def _per_timestep(logits: Tensor, classes: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, 1), classes.repeat(len(logits))).reshape(logits.shape[:2])


def loss_gradient(classifier: nn.Module, images: Tensor, classes: Tensor, loss: Loss = cross_entropy) -> Tensor:
    """Return the gradient of each image's loss with respect to that image.

    Args:
        classifier: Images in [0, 1] -> logits.
        images: (batch, channels, height, width).
        classes: (batch,), int64.
        loss: A loss of the logits and classes.

    Raises:
        UsageError: The logits do not depend on the images in a way that autograd can follow.
    """
    asked = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = classifier(asked)
        total = loss(logits, classes).sum()
    gradient = torch.autograd.grad(total, asked, allow_unused=True)[0] if total.requires_grad else None
    if gradient is None:
        raise UsageError(
            "the model gives no gradient with respect to its images; use a black-box attack (suite 'blackbox') "
            "or a differentiable model"
        )
    return gradient


def linear_reach(classifier: nn.Module, images: Tensor, labels: Tensor, norm: Norm) -> Tensor:
    """Return the radius at which each image would be broken if the classifier were linear, (batch,).

    It is the margin (the label's logit minus the largest other one), divided by the dual norm of its gradient; infinite
    where the gradient is zero.
    """
    slopes = norm.dual(loss_gradient(classifier, images, labels, margins))
    with torch.no_grad():
        return margins(classifier(images), labels).clamp_min(0) / slopes


class GradientDescent:
    """Steps along the normalised gradient, each followed by a projection; the last iterate is the answer.

    Args:
        definition: With `steps` and `relative_step_size`.
        loss: What is increased, or, under a targeted attack, decreased.
    """

    mixes_epsilons = True

    def __init__(self, definition: AttackDefinition, loss: Loss = cross_entropy) -> None:
        if definition.steps is None or definition.relative_step_size is None:
            raise UsageError(f"the attack {definition.name!r} needs steps and relative_step_size")
        self._definition, self._norm, self._loss = definition, definition.ball, loss
        self._steps, self._relative_step = definition.steps, definition.relative_step_size
        self._direction = -1.0 if definition.targeted else 1.0
        self._clean_directions: dict[str, Tensor] = {}

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch; images whose radius is 0 are returned as they are, because no other image is allowed."""
        queries = torch.full((len(task.images),), self._steps, dtype=torch.int64)
        if not bool((task.epsilons > 0).any()):
            return Found(task.images, queries)
        images = self._starts(task)
        # The product is taken in double precision and rounded once, as Python does for foolbox.
        step = broadcast(self._relative_step * task.epsilons, images) * self._direction
        for index in range(self._steps):
            direction = self._ascent(classifier, images, task, first=index == 0)
            images = project(images + step * direction, task.images, task.epsilons, self._norm).clamp(0, 1)
        return Found(images, queries)

    def _starts(self, task: Task) -> Tensor:
        if not self._definition.random_start:
            return task.images
        starts = unit_starts(task.images, self._norm, task.generators())
        return (task.images + broadcast(task.epsilons, starts) * starts).clamp(0, 1)

    def _ascent(self, classifier: nn.Module, images: Tensor, task: Task, *, first: bool) -> Tensor:
        if not first or self._definition.random_start:
            return self._norm.ascent(loss_gradient(classifier, images, task.classes, self._loss))
        self._learn_clean_directions(classifier, task)
        return torch.stack([self._clean_directions[image_id] for image_id in task.ids])

    def _learn_clean_directions(self, classifier: nn.Module, task: Task) -> None:
        """Without a random start the first step of every budget starts at the clean image: one gradient serves all."""
        new = [index for index, image_id in enumerate(task.ids) if image_id not in self._clean_directions]
        if not new:
            return
        gradient = loss_gradient(classifier, task.images[new], task.classes[new], self._loss)
        directions = self._norm.ascent(gradient)
        self._clean_directions.update({task.ids[index]: directions[row] for row, index in enumerate(new)})
