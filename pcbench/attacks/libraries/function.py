"""Attacks that are a function of the user's own: (model, images, labels, epsilon) -> images.

Images are attacked one by one, each under its own seed, because a function may draw from the global generators for the
whole batch. `together = true` among the parameters gives it whole batches: faster, and an image's outcome then depends
on the batch where the function draws. The other parameters become keyword arguments.
"""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import RunError, named
from pcbench.network.seeding import seeded
from pcbench.own_code import copied

logger = logging.getLogger("pcbench")

_ROUNDING = 1e-4
"""By how much of its budget, and of the pixel range, an attack may miss both by rounding alone."""


class FunctionAdapter:
    """One function, called with a classifier, images in [0, 1], classes and a budget.

    Args:
        definition: `attack` names the function as ``"module:name"``, or it was given in Python; for a minimal-norm
            attack the budget is infinite.

    Raises:
        UsageError: The function cannot be imported.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        self._definition, self._function = definition, copied(definition.own)
        self._arguments = {name: value for name, value in definition.parameters.items() if name != "together"}
        self._together = bool(definition.parameters.get("together", False))
        self._told = False

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius.

        Raises:
            RunError: The function returns something else than images like those that it was given.
        """
        if self._fixed and task.epsilon == 0:
            return Found(task.images, torch.zeros(len(task.images), dtype=torch.int64))
        seeds = task.image_seeds()
        if self._together:
            return self._run(classifier, task, seeds[0])
        found = [self._run(classifier, task.one(index), seed) for index, seed in enumerate(seeds)]
        return Found(torch.cat([one.images for one in found]), torch.cat([one.queries for one in found]))

    @property
    def _fixed(self) -> bool:
        return self._definition.search == "fixed_epsilon"

    def _run(self, classifier: nn.Module, task: Task, seed: int) -> Found:
        own = self._copied(classifier)
        counted = Counted(own)
        epsilon = task.epsilon if self._fixed else math.inf
        with frozen(own), seeded(seed, task.images.device), torch.enable_grad():
            answer = self._function(counted, task.images.clone(), task.classes.clone(), epsilon, **self._arguments)
        images = self._checked(answer, task.images)
        if self._fixed and not self._told:
            self._tell_outside(images, task)
        queries = torch.full((len(images),), round(counted.images / len(images)), dtype=torch.int64)
        return Found(images, queries)

    def _copied(self, classifier: nn.Module) -> nn.Module:
        """Return a network of the function's own: what it does to it, such as `train()`, no other attack meets.

        Raises:
            RunError: The network cannot be copied.
        """
        try:
            return copy.deepcopy(classifier)
        except Exception as error:
            raise RunError(
                f"the attack {self._definition.name} gets a copy of the network, and this one cannot be copied "
                f"({named(error)}); give its class a __deepcopy__"
            ) from error

    def _checked(self, answer: Any, clean: Tensor) -> Tensor:
        """Return the images that a function returns as a tensor like those that it was given.

        Raises:
            RunError: They are of another kind, shape or type.
        """
        name, wanted = self._definition.name, f"it is to return images like those it is given, {tuple(clean.shape)}"
        if isinstance(answer, np.ndarray):
            answer = torch.from_numpy(answer)
        if not isinstance(answer, Tensor):
            raise RunError(f"the attack {name} returns {type(answer).__name__}; {wanted}")
        if answer.shape != clean.shape:
            raise RunError(f"the attack {name} returns images of shape {tuple(answer.shape)}; {wanted}")
        if not answer.is_floating_point():
            raise RunError(f"the attack {name} returns {answer.dtype}; {wanted}, floating point in [0, 1]")
        return answer.detach().to(clean)

    def _tell_outside(self, images: Tensor, task: Task) -> None:
        radii = task.epsilons.to(images) * (1 + _ROUNDING) + _ROUNDING
        allowed = self._definition.ball.length(images - task.images) <= radii  # False of what is not a number
        allowed &= ((images >= -_ROUNDING) & (images <= 1 + _ROUNDING)).flatten(1).all(dim=1)
        if bool(images.isnan().any()):
            self._told = True
            logger.warning(
                "the attack %s returns NaN at ε = %s: such pixels are those of the clean image",
                self._definition.name,
                self._definition.ball.text(task.epsilon),
            )
        elif not bool(allowed.all()):
            self._told = True
            logger.warning(
                "the attack %s leaves its budget (%s, ε = %s) or [0, 1]: its images are clipped, and judged as clipped",
                self._definition.name,
                self._definition.ball.symbol,
                self._definition.ball.text(task.epsilon),
            )


def make(definition: AttackDefinition) -> FunctionAdapter:
    """Make the adapter of a function."""
    return FunctionAdapter(definition)
