"""Attacks of foolbox, by the names of their classes (foolbox 3.3.4)."""

from __future__ import annotations

import copy
import inspect
import logging
import math
import warnings
from collections.abc import Mapping
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

logger = logging.getLogger("pcbench")

# Attacks that draw no random number, so that a batch may hold any images. All others run image by image, each under
# its own seed: foolbox draws for the whole batch from the global generator, so neighbours would change the draw.
_BLACK_BOX = {
    f"foolbox.attacks.{name}"
    for name in (
        *("additive_noise", "blended_noise", "blur", "boundary_attack", "contrast", "contrast_min", "dataset_attack"),
        *("gen_attack", "hop_skip_jump", "inversion", "pointwise", "saltandpepper", "spatial_attack"),
    )
}
"""The modules of attacks that use no gradient."""

_DETERMINISTIC = (L2DeepFoolAttack, LinfDeepFoolAttack, DDNAttack, L2FMNAttack, LInfFMNAttack)


class FoolboxAdapter:
    """One foolbox attack.

    Args:
        definition: `attack` names a class of `foolbox.attacks`; `steps`, `relative_step_size`, `random_start` and
            `parameters` become its arguments. Or an attack object was given, of which a copy is run.

    Raises:
        UnknownNameError: foolbox has no such attack.
        UsageError: The attack takes no such parameter.
    """

    mixes_epsilons = False

    def __init__(self, definition: AttackDefinition) -> None:
        self._definition = definition
        given = definition.own
        self._attack: Any = (
            copy.deepcopy(given) if given is not None else _attack_class(definition)(**_arguments(definition))
        )
        # What another class than foolbox's own draws is not known.
        known = type(self._attack).__module__.startswith("foolbox.")
        self._whole_batches = known and isinstance(self._attack, (BaseGradientDescent, *_DETERMINISTIC))

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch whose images share one radius."""
        if self._whole_batches:
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
        descends = self._whole_batches and isinstance(self._attack, BaseGradientDescent)
        if not (self._definition.random_start and descends):
            return
        starts = unit_starts(task.images, self._definition.ball, task.generators())

        def get_random_start(x0: Any, epsilon: float) -> Any:
            noise: Tensor = broadcast(torch.full((len(starts),), epsilon, dtype=torch.float64), starts) * starts
            return x0 + PyTorchTensor(noise)

        self._attack.get_random_start = get_random_start


def make(definition: AttackDefinition) -> FoolboxAdapter:
    """Make the adapter of a foolbox attack."""
    return FoolboxAdapter(definition)


def given(attack: object) -> tuple[Any, Mapping[str, Any]]:
    """Return a copy of an attack object, and the keys of a definition that it states.

    Raises:
        UsageError: It is no attack of a fixed epsilon or a minimal norm, or of another norm than pcbench's.
    """
    name = type(attack).__name__
    if not isinstance(attack, FixedEpsilonAttack | MinimizationAttack):
        raise UsageError(
            f"foolbox's {name} is not an attack of a fixed epsilon or a minimal norm; give one of these, and "
            "own_attack(attack, restarts=3) in place of attack.repeat(3)"
        )
    searches = "minimal_norm" if isinstance(attack, MinimizationAttack) else "fixed_epsilon"
    black_box = any(cls.__module__ in _BLACK_BOX for cls in type(attack).__mro__)
    found: dict[str, Any] = {"search": searches, "white_box": not black_box}
    norm = _norm_of(attack)
    if norm is not None:
        found["norm"] = norm
    if not isinstance(attack, BaseGradientDescent):
        return copy.deepcopy(attack), found
    found["random_start"] = attack.random_start
    reaches = attack.abs_stepsize is not None or attack.steps * attack.rel_stepsize >= 1
    if not reaches:
        logger.warning("foolbox's %s takes steps that cannot reach the edge of its ball: %s", name, vars(attack))
    as_named = type(attack) is vars(attacks).get(name) and set(vars(attack)) == _DESCRIBED
    if not reaches or attack.abs_stepsize is not None or not as_named:
        return copy.deepcopy(attack), found
    # Nothing of the object is left: its name and these say the same.
    return None, found | {"steps": attack.steps, "relative_step_size": attack.rel_stepsize}


_DESCRIBED = {"rel_stepsize", "abs_stepsize", "steps", "random_start"}


def _norm_of(attack: FixedEpsilonAttack | MinimizationAttack) -> str | None:
    """Return the name of the norm that an attack measures; None where it takes any and states none."""
    try:
        order = getattr(attack.distance, "p", None)
    except ValueError:
        return None  # foolbox's word for: the distance is an argument that was not given
    known = {2: "l2", math.inf: "linf"}
    if order not in known:
        raise UsageError(
            f"foolbox's {type(attack).__name__} measures {attack.distance}; pcbench measures L∞ and L2, so give an "
            "attack of one of these, or a function that calls yours, with the norm in which its images are to be kept"
        )
    return known[order]


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
