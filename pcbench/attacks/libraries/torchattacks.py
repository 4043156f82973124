"""Attacks of torchattacks, by the names of their classes (torchattacks 3.5.1).

Its step sizes are absolute by default (2/255: ten steps never reach a large epsilon), and its AutoAttack assumes ten
classes; here the step scales with epsilon and the number of classes is the model's. Attacks that draw random numbers
run image by image, each under its own seed: the library draws from the global generator for the whole batch.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import UnknownNameError, UsageError
from pcbench.extras import require
from pcbench.network.seeding import seeded

# These draw nothing where they do not start at random, so a batch may hold any images.
_DETERMINISTIC = {"FGSM", "BIM", "PGD", "PGDL2", "MIFGSM", "NIFGSM", "DeepFool", "CW"}


class TorchattacksAdapter:
    """One torchattacks attack.

    Args:
        definition: `attack` names a class of `torchattacks`; `steps`, `relative_step_size`, `random_start`, the
            epsilon, the number of classes and `parameters` become its arguments, as far as it takes them.

    Raises:
        MissingExtraError: torchattacks is not installed.
        UnknownNameError: torchattacks has no such attack, or it takes no such parameter.
        UsageError: torchattacks and robustbench are both installed, or the attack cannot be run as configured.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        self._definition = definition
        self._class = _attack_class(require("torchattacks"), definition.attack)
        self._taken = set(inspect.signature(self._class).parameters) - {"model"}
        self._check()

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius.

        Raises:
            UsageError: The attack is for images of three channels, and these have others.
        """
        if self._definition.colours_only and task.images.shape[1] != 3:
            attack, channels = self._definition.attack, task.images.shape[1]
            raise UsageError(f"torchattacks' {attack} is made for images of 3 channels, not of {channels}")
        if task.epsilon == 0 and self._definition.search == "fixed_epsilon":
            return Found(task.images, torch.zeros(len(task.images), dtype=torch.int64))
        if self._definition.attack in _DETERMINISTIC and not self._definition.random_start:
            return self._run(classifier, task)
        found: list[Found] = []
        for index, seed in enumerate(task.image_seeds()):
            with seeded(seed, task.images.device):
                found.append(self._run(classifier, task.one(index)))
        return Found(torch.cat([one.images for one in found]), torch.cat([one.queries for one in found]))

    def _run(self, classifier: nn.Module, task: Task) -> Found:
        counted = Counted(classifier)
        attack = self._class(counted, **self._arguments(task))
        attack.set_device(task.images.device)
        if self._definition.targeted:
            attack.set_mode_targeted_by_label(quiet=True)
        with frozen(classifier), torch.enable_grad():
            images = attack(task.images, task.classes)
        queries = torch.full((len(task.images),), round(counted.images / len(task.images)), dtype=torch.int64)
        return Found(images, queries)

    def _arguments(self, task: Task) -> dict[str, Any]:
        definition = self._definition
        possible: dict[str, Any] = {
            "eps": task.epsilon,
            "steps": definition.steps,
            "random_start": definition.random_start,
            "n_classes": task.classes_known,
            "norm": definition.ball.library_name,
        }
        if definition.relative_step_size is not None:
            possible["alpha"] = definition.relative_step_size * task.epsilon
        given = {name: value for name, value in possible.items() if name in self._taken and value is not None}
        return {**given, **definition.parameters}

    def _check(self) -> None:
        definition = self._definition
        asked = {"steps": definition.steps, "alpha": definition.relative_step_size}
        for name, value in asked.items():
            one_step = definition.attack == "FGSM" and value in (1, 1.0)
            if value is not None and name not in self._taken and not one_step:
                raise UsageError(f"torchattacks' {definition.attack} takes no {name}; leave it out")
        for name in definition.parameters:
            if name not in self._taken:
                raise UnknownNameError(f"parameter of torchattacks' {definition.attack}", name, self._taken)
        if "eps" not in self._taken and definition.search == "fixed_epsilon":
            raise UsageError(f'torchattacks\' {definition.attack} takes no epsilon; write search = "minimal_norm"')


def _attack_class(library: Any, name: str) -> Any:
    known: dict[str, Any] = dict(inspect.getmembers(library, inspect.isclass))
    if name not in known:
        raise UnknownNameError("attack in torchattacks", name, known)
    return known[name]


def make(definition: AttackDefinition) -> TorchattacksAdapter:
    """Make the adapter of a torchattacks attack."""
    return TorchattacksAdapter(definition)
