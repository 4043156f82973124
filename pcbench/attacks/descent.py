"""FGSM, BIM and PGD as one loop that takes images of different budgets in one batch.

The arithmetic is foolbox's (`L2`/`LinfBaseGradientDescent`), operation by operation, so that outcomes are the same bit
for bit at equal batches and starts; the tests compare the two. Unlike foolbox it computes no gradients of the
parameters, and the gradient at the clean image, which is the same for every budget, only once.

Source: Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv 1412.6572 (FGSM); Kurakin, Goodfellow and Bengio, 2016, arXiv
1607.02533 (BIM); Madry et al., ICLR 2018, arXiv 1706.06083 (PGD).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.attacks.adapters.base import HIDDEN, Found, Gradients, Task
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import unit_starts
from pcbench.errors import UsageError
from pcbench.models.scores import margins
from pcbench.norms import Norm, broadcast, project

ALIVE, ZERO, NONFINITE = range(3)
"""The states of a gradient; `pcbench.results.columns.GRADIENT_STATES` names them in this order."""
_TOO_SHORT = 0.5
"""Directions have length 1."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits and classes -> one loss per image, (batch,)."""


def cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return each image's cross-entropy, (batch,), from logits (batch, classes)."""
    return F.cross_entropy(logits, classes, reduction="none")


def logit_difference(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the largest other logit minus that of each image's class, (batch,), from logits (batch, classes).

    Unlike the cross-entropy it has a slope wherever the logits have one, however certain the network is.
    """
    return -margins(logits, classes)


def over_timesteps(loss: Loss, pooling: Callable[[Tensor], Tensor]) -> Loss:
    """Return the loss of logits (T+1, batch, classes) that pools one loss over the timesteps.

    Args:
        loss: Of the logits of one timestep.
        pooling: Losses (T+1, batch) -> (batch,). The smallest grows only if the network is wrong at all timesteps, the
            largest falls only if the target is predicted at all of them.
    """

    def pooled(logits: Tensor, classes: Tensor) -> Tensor:
        losses = loss(logits.flatten(0, 1), classes.repeat(len(logits)))
        return pooling(losses.reshape(logits.shape[:2]))

    return pooled


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

    An image whose gradient is not finite stays where it is from that step on.

    Args:
        definition: With `steps` and `relative_step_size`.
        loss: What is increased, or, under a targeted attack, decreased.
        mend: Take pixels at which the gradient is not finite as flat, instead of ending the image's attack.
    """

    mixes_epsilons = True

    def __init__(self, definition: AttackDefinition, loss: Loss = cross_entropy, *, mend: bool = False) -> None:
        if definition.steps is None or definition.relative_step_size is None:
            raise UsageError(f"the attack {definition.name!r} needs steps and relative_step_size")
        self._definition, self._norm, self._loss, self._mend = definition, definition.ball, loss, mend
        self._steps, self._relative_step = definition.steps, definition.relative_step_size
        self._direction = -1.0 if definition.targeted else 1.0
        self._clean_directions: dict[str, tuple[Tensor, Tensor]] = {}

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch; images whose radius is 0 are returned as they are, because no other image is allowed."""
        queries = torch.full((len(task.images),), self._steps, dtype=torch.int64)
        if not bool((task.epsilons > 0).any()):
            return Found(task.images, queries)
        images = self._starts(task)
        # The product is taken in double precision and rounded once, as Python does for foolbox.
        step = broadcast(self._relative_step * task.epsilons, images) * self._direction
        allowed = moving = task.epsilons.to(images.device) > 0
        first = later = torch.full_like(moving, HIDDEN, dtype=torch.int8)
        for index in range(self._steps):
            direction, state = self._ascent(classifier, images, task, first=index == 0)
            if index == 0:
                first = state
            else:
                later = torch.maximum(later, state.where(moving, later))
            moving = moving & (state != NONFINITE)
            stepped = project(images + step * direction, task.images, task.epsilons, self._norm).clamp(0, 1)
            images = stepped.where(moving.reshape(-1, 1, 1, 1), images)
        return Found(images, queries, Gradients(first.where(allowed, HIDDEN), later.where(allowed, HIDDEN)))

    def _starts(self, task: Task) -> Tensor:
        if not self._definition.random_start:
            return task.images
        starts = unit_starts(task.images, self._norm, task.generators())
        return (task.images + broadcast(task.epsilons, starts) * starts).clamp(0, 1)

    def _ascent(self, classifier: nn.Module, images: Tensor, task: Task, *, first: bool) -> tuple[Tensor, Tensor]:
        """Return directions of length 1, and the state of the gradient of each image, (batch,)."""
        if not first or self._definition.random_start:
            return self._normalised(loss_gradient(classifier, images, task.classes, self._loss))
        self._learn_clean_directions(classifier, task)
        known = [self._clean_directions[image_id] for image_id in task.ids]
        return torch.stack([direction for direction, _ in known]), torch.stack([state for _, state in known])

    def _normalised(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        if self._mend:
            gradient = gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        direction = self._norm.ascent(gradient)
        # Of a gradient that is zero, or too small or too large to be divided by its length, no direction is left.
        length = self._norm.length(direction)
        state = torch.where(length > _TOO_SHORT, ALIVE, ZERO)
        broken = ~(gradient.flatten(1).isfinite().all(dim=1) & length.isfinite())
        return direction, state.where(~broken, NONFINITE).to(torch.int8)

    def _learn_clean_directions(self, classifier: nn.Module, task: Task) -> None:
        """Without a random start the first step of every budget starts at the clean image: one gradient serves all."""
        new = [index for index, image_id in enumerate(task.ids) if image_id not in self._clean_directions]
        if not new:
            return
        gradient = loss_gradient(classifier, task.images[new], task.classes[new], self._loss)
        directions, states = self._normalised(gradient)
        self._clean_directions.update(
            {task.ids[index]: (directions[row], states[row]) for row, index in enumerate(new)}
        )
