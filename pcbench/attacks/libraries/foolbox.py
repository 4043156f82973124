"""Attacks of foolbox, by the names of their classes (foolbox 3.3.4)."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import torch
from eagerpy.tensor.pytorch import PyTorchTensor
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import unit_starts
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.seeding import seeded
from pcbench.norms import broadcast

with warnings.catch_warnings():
    # foolbox 3.3.4 imports scipy.ndimage.filters, a deprecated name; SciPy 2, which removes it, is excluded by a pin.
    warnings.simplefilter("ignore", DeprecationWarning)
    from foolbox import attacks
    from foolbox.attacks.base import FixedEpsilonAttack, MinimizationAttack
    from foolbox.attacks.ddn import DDNAttack
    from foolbox.attacks.deepfool import L2DeepFoolAttack, LinfDeepFoolAttack
    from foolbox.attacks.fast_minimum_norm import L2FMNAttack, LInfFMNAttack
    from foolbox.attacks.gradient_descent_base import BaseGradientDescent
    from foolbox.criteria import Misclassification, TargetedMisclassification
    from foolbox.models.pytorch import PyTorchModel

# Attacks that draw no random number, so that a batch may hold any images. All others run image by image, each under
# its own seed: foolbox draws for the whole batch from the global generator, so neighbours would change the draw.
_DETERMINISTIC = (L2DeepFoolAttack, LinfDeepFoolAttack, DDNAttack, L2FMNAttack, LInfFMNAttack)


class FoolboxAdapter:
    """One foolbox attack.

    Args:
        definition: `attack` names a class of `foolbox.attacks`; `steps`, `relative_step_size`, `random_start` and
            `parameters` become its arguments.

    Raises:
        UnknownNameError: foolbox has no such attack.
        UsageError: The attack takes no such parameter.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        self._definition = definition
        self._attack: Any = _attack_class(definition)(**_arguments(definition))

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius."""
        if isinstance(self._attack, (BaseGradientDescent, *_DETERMINISTIC)):
            return self._run(classifier, task)
        found: list[Found] = []
        for position, seed in enumerate(task.image_seeds()):
            with seeded(seed, task.images.device):
                found.append(self._one(classifier, task.one(position)))
        return Found(torch.cat([one.images for one in found]), torch.cat([one.queries for one in found]))

    def _one(self, classifier: nn.Module, task: Task) -> Found:
        try:
            with warnings.catch_warnings():
                # foolbox also warns where the search for a starting point fails; the outcome shows it.
                warnings.filterwarnings("ignore", message=".*failed to draw sufficient random inputs")
                return self._run(classifier, task)
        except ValueError as error:
            # A decision-based attack starts from an adversarial image; where it finds none, it has failed.
            if not str(error).startswith("init_attack failed"):
                raise
            return Found(task.images, torch.zeros(1, dtype=torch.int64))

    def _run(self, classifier: nn.Module, task: Task) -> Found:
        counted = Counted(classifier)
        model = PyTorchModel(counted, bounds=(0, 1), device=task.images.device)
        if self._definition.targeted:
            criterion = TargetedMisclassification(task.classes)
        else:
            criterion = Misclassification(task.classes)
        self._start_where(task)
        with frozen(classifier):
            images = self._attack.run(model, task.images, criterion, **self._radius(task))
        queries = torch.full((len(task.images),), round(counted.images / len(task.images)), dtype=torch.int64)
        return Found(images, queries)

    def _radius(self, task: Task) -> dict[str, float]:
        return {"epsilon": task.epsilon} if isinstance(self._attack, FixedEpsilonAttack) else {}

    def _start_where(self, task: Task) -> None:
        if not (self._definition.random_start and isinstance(self._attack, BaseGradientDescent)):
            return
        starts = unit_starts(task.images, self._definition.ball, task.generators())

        def get_random_start(x0: Any, epsilon: float) -> Any:
            noise: Tensor = broadcast(torch.full((len(starts),), epsilon, dtype=torch.float64), starts) * starts
            return x0 + PyTorchTensor(noise)

        self._attack.get_random_start = get_random_start


def make(definition: AttackDefinition) -> FoolboxAdapter:
    """Make the adapter of a foolbox attack."""
    return FoolboxAdapter(definition)


def _attack_class(definition: AttackDefinition) -> type[Any]:
    known = {
        name: value
        for name, value in vars(attacks).items()
        if inspect.isclass(value) and issubclass(value, FixedEpsilonAttack | MinimizationAttack)
    }
    if definition.attack not in known:
        raise UnknownNameError("attack in foolbox", definition.attack, known)
    cls = known[definition.attack]
    searches = "minimal_norm" if issubclass(cls, MinimizationAttack) else "fixed_epsilon"
    if searches != definition.search:
        raise UsageError(f'foolbox\'s {definition.attack} is a {searches} attack; write search = "{searches}"')
    return cls


def _arguments(definition: AttackDefinition) -> dict[str, Any]:
    cls = _attack_class(definition)
    given: dict[str, Any] = dict(definition.parameters)
    if definition.steps is not None:
        given["steps"] = definition.steps
    if definition.relative_step_size is not None:
        given["rel_stepsize"] = definition.relative_step_size
    taken = inspect.signature(cls).parameters
    if "random_start" in taken:
        given["random_start"] = definition.random_start
    if not {"rel_stepsize", "steps"} & set(taken) and (given.pop("rel_stepsize", 1.0), given.pop("steps", 1)) != (
        1.0,
        1,
    ):
        raise UsageError(f"foolbox's {definition.attack} takes one step of the whole epsilon; use BIM or PGD for more")
    for name in given:
        if name not in taken:
            raise UnknownNameError(f"parameter of foolbox's {definition.attack}", name, taken)
    return given
