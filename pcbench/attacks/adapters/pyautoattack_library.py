"""AutoAttack and its parts, as pyautoattack implements them (pyautoattack 0.2.0).

Images are attacked one by one, each under its own seed: the library draws random numbers for the whole batch, so
neighbours would change an image's outcome. The parts run in the order of the version, until one succeeds.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pyautoattack.autoattack import AutoAttack
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen, seeded
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import UnknownNameError, UsageError

_PARTS: dict[str, tuple[str, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "apgd-ce": ("apgd-ce",),
    "apgd-dlr": ("apgd-dlr",),
    "apgd-t": ("apgd-t",),
    "fab": ("fab",),
    "fab-t": ("fab-t",),
    "square": ("square",),
}
_NORMS: dict[str, Literal["Linf", "L2"]] = {"linf": "Linf", "l2": "L2"}
# The targeted difference-of-logits-ratio loss divides by the difference to the fourth largest logit, the untargeted
# one by that to the third.
_FEWEST_CLASSES = {"apgd-t": 4, "apgd-dlr": 3}


class AutoAttackAdapter:
    """AutoAttack, or one of its parts.

    Args:
        definition: `attack` is ``"standard"`` or the name of a part; `steps` is the number of iterations of a
            gradient part, or of queries of Square (default: the library's).

    Raises:
        UnknownNameError: pyautoattack has no such version or part.
        UsageError: The definition asks for what these attacks do not have.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        if definition.attack not in _PARTS:
            raise UnknownNameError("attack in pyautoattack", definition.attack, _PARTS)
        if definition.targeted or definition.parameters or definition.relative_step_size is not None:
            raise UsageError(
                f"{definition.name}: pyautoattack's attacks take no target, step size or parameters; "
                "they choose targets and steps by themselves"
            )
        self._definition = definition

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius, image by image."""
        if task.epsilon == 0:
            return Found(task.images, torch.zeros(len(task.images), dtype=torch.int64))
        for part in _PARTS[self._definition.attack]:
            if task.classes_known < _FEWEST_CLASSES.get(part, 2):
                raise UsageError(
                    f"{part} needs at least {_FEWEST_CLASSES[part]} classes; this model has {task.classes_known}"
                )
        found = [self._one(classifier, task.one(place), seed) for place, seed in enumerate(task.image_seeds())]
        return Found(torch.cat([images for images, _ in found]), torch.tensor([queries for _, queries in found]))

    def _one(self, classifier: nn.Module, task: Task, seed: int) -> tuple[Tensor, int]:
        counted = Counted(classifier)
        library = self._library(counted, task, seed)
        images = task.images
        with frozen(classifier), seeded(seed, task.images.device):
            for part in _PARTS[self._definition.attack]:
                images = _attack(library, part).perturb(task.images, task.classes).detach()
                spent = counted.images
                with torch.no_grad():
                    if bool((classifier(images).argmax(dim=1) != task.classes).all()):
                        break
                counted.images = spent
        return images, counted.images

    def _library(self, classifier: nn.Module, task: Task, seed: int) -> Any:
        norm = _NORMS[self._definition.norm]
        library: Any = AutoAttack(classifier, norm=norm, eps=task.epsilon, seed=seed, device=task.images.device)
        library.apgd_targeted.n_target_classes = library.fab.n_target_classes = min(9, task.classes_known - 1)
        for attack in (library.apgd, library.apgd_targeted, library.fab, library.square):
            attack.seed = seed
        if self._definition.steps is not None:
            library.square.n_queries = self._definition.steps
            library.apgd.n_iter = library.apgd_targeted.n_iter = library.fab.n_iter = self._definition.steps
        return library


def _attack(library: Any, part: str) -> Any:
    if part in {"apgd-ce", "apgd-dlr"}:
        library.apgd.loss = part.removeprefix("apgd-")
        return library.apgd
    if part in {"fab", "fab-t"}:
        library.fab.targeted = part == "fab-t"
        return library.fab
    return library.apgd_targeted if part == "apgd-t" else library.square


def make(definition: AttackDefinition) -> AutoAttackAdapter:
    """Make the adapter of AutoAttack or one of its parts."""
    return AutoAttackAdapter(definition)
