"""AutoAttack and its parts, as pyautoattack implements them (pyautoattack 0.2.0).

Images are attacked one by one, each under its own seed: the library draws random numbers for the whole batch, so
neighbours would change an image's outcome. `together = true` among the parameters attacks a batch at once, under the
seed of its first image: many times faster, and an image's outcome then depends on the batch. The parts run in the
order of the version, each on the images that the earlier ones did not break.
"""

from __future__ import annotations

from typing import Any

import torch
from pyautoattack.autoattack import AutoAttack
from torch import nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.seeding import seeded

_PARTS: dict[str, tuple[str, ...]] = {
    "standard": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "apgd-ce": ("apgd-ce",),
    "apgd-dlr": ("apgd-dlr",),
    "apgd-t": ("apgd-t",),
    "fab": ("fab",),
    "fab-t": ("fab-t",),
    "square": ("square",),
}
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
        UsageError: The definition asks for something that these attacks do not have.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        if definition.attack not in _PARTS:
            raise UnknownNameError("attack in pyautoattack", definition.attack, _PARTS)
        if definition.targeted or definition.relative_step_size is not None:
            raise UsageError(
                f"{definition.name}: pyautoattack's attacks take no target or step size; they choose both by themselves"
            )
        if definition.parameters.keys() - {"together"}:
            raise UnknownNameError("parameter of pyautoattack", min(definition.parameters.keys()), ["together"])
        self._definition = definition
        self._together = bool(definition.parameters.get("together", False))

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius, image by image."""
        if task.epsilon == 0:
            return Found(task.images, torch.zeros(len(task.images), dtype=torch.int64))
        for part in _PARTS[self._definition.attack]:
            if task.classes_known < _FEWEST_CLASSES.get(part, 2):
                raise UsageError(
                    f"{part} needs at least {_FEWEST_CLASSES[part]} classes; this model has {task.classes_known}"
                )
        if self._together:
            return self._run(classifier, task, task.image_seeds()[0])
        found = [self._run(classifier, task.one(index), seed) for index, seed in enumerate(task.image_seeds())]
        return Found(torch.cat([one.images for one in found]), torch.cat([one.queries for one in found]))

    def _run(self, classifier: nn.Module, task: Task, seed: int) -> Found:
        """Run the parts on images that share one draw of random numbers."""
        counted = Counted(classifier)
        images = task.images.clone()
        queries = torch.zeros(len(images), dtype=torch.int64)
        standing = torch.arange(len(images), device=images.device)
        with frozen(classifier), seeded(seed, images.device):
            for part in _PARTS[self._definition.attack]:
                some = task.some([int(index) for index in standing])
                counted.images = 0
                images[standing] = _attack(self._library(counted, some, seed), part).perturb(some.images, some.classes)
                # A batch's queries are shared out evenly; an image by itself has its own count.
                queries[standing.cpu()] += round(counted.images / len(standing))
                with torch.no_grad():
                    standing = standing[classifier(images[standing]).argmax(dim=1) == some.classes]
                if not len(standing):
                    break
        return Found(images, queries)

    def _library(self, classifier: nn.Module, task: Task, seed: int) -> Any:
        norm: Any = self._definition.ball.library_name  # the library refuses a norm that it does not have
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


def given(attack: object) -> tuple[Any, dict[str, Any]]:
    """Refuse an object of pyautoattack, which holds the network and the budget that it was made of.

    Raises:
        UsageError: Always; the message says what to give instead.
    """
    raise UsageError(
        f"pyautoattack's {type(attack).__name__} keeps its own network and budget; name the attack instead: "
        "attack='autoattack/autoattack', with epsilons=[…]"
    )


def make(definition: AttackDefinition) -> AutoAttackAdapter:
    """Make the adapter of AutoAttack or one of its parts."""
    return AutoAttackAdapter(definition)
