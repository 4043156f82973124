"""Attacks of torchattacks, by the names of their classes (torchattacks 3.5.1).

Its step sizes are absolute by default (2/255: ten steps never reach a large epsilon), and its AutoAttack assumes ten
classes; here the step scales with epsilon and the number of classes is the model's. Attacks that draw random numbers
run image by image, each under its own seed: the library draws from the global generator for the whole batch.
"""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Counted, Found, Task, frozen
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import RunError, UnknownNameError, UsageError, first_line
from pcbench.extras import require
from pcbench.network.seeding import seeded
from pcbench.norms import NORMS

logger = logging.getLogger("pcbench")

# These draw nothing where they do not start at random, so a batch may hold any images.
_DETERMINISTIC = {"FGSM", "BIM", "PGD", "PGDL2", "MIFGSM", "NIFGSM", "DeepFool", "CW"}
_BLACK_BOX = {"Square", "OnePixel", "Pixle", "SPSA"}
_OTHER_NORMS = {"SparseFool", "OnePixel", "Pixle", "JSMA", "EADL1", "EADEN"}
_BUDGETS = ("eps", "max_epsilon")
"""What torchattacks calls the radius of the ball."""


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
        self._whole_batches = definition.attack in _DETERMINISTIC and not definition.random_start
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
        if self._whole_batches:
            return self._run(classifier, task)
        found: list[Found] = []
        for index, seed in enumerate(task.image_seeds()):
            with seeded(seed, task.images.device):
                found.append(self._run(classifier, task.one(index)))
        return Found(torch.cat([one.images for one in found]), torch.cat([one.queries for one in found]))

    def _run(self, classifier: nn.Module, task: Task) -> Found:
        counted = Counted(classifier)
        attack = self._made(counted, task)
        attack.set_device(task.images.device)
        if self._definition.targeted:
            attack.set_mode_targeted_by_label(quiet=True)
        with frozen(classifier), torch.enable_grad():
            images = attack(task.images, task.classes)
        queries = torch.full((len(task.images),), round(counted.images / len(task.images)), dtype=torch.int64)
        return Found(images, queries)

    def _made(self, classifier: nn.Module, task: Task) -> Any:
        """Return the attack on a classifier."""
        return self._class(classifier, **self._arguments(task))

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


class GivenAdapter(TorchattacksAdapter):
    """One attack object, of which a copy attacks each timestep's classifier in place of the network it was made of.

    Its budget, and its step in proportion, become those of the sweep, and its seeds those of the images.

    Args:
        definition: Holds the object, as `given` returns it.
    """

    def __init__(self, definition: AttackDefinition) -> None:
        self._definition, self._object = definition, definition.own
        known = type(self._object).__module__.startswith("torchattacks.")
        self._whole_batches = known and definition.attack in _DETERMINISTIC and not definition.random_start

    def _made(self, classifier: nn.Module, task: Task) -> Any:
        attack = copy.deepcopy(self._object)
        (seed,) = task.image_seeds()[:1]
        for one in _attacks_in(attack):
            classes = getattr(one, "n_classes", task.classes_known)
            if classes != task.classes_known:
                raise UsageError(
                    f"torchattacks' {self._definition.attack} was made for {classes} classes, and this network has "
                    f"{task.classes_known}; make it with n_classes={task.classes_known}"
                )
            if isinstance(one.model, Slot):
                one.model.classifier = classifier
            if self._definition.search == "fixed_epsilon":
                _set_budget(one, task.epsilon)
            if hasattr(one, "seed"):
                one.seed = seed
        return attack


class Slot(nn.Module):
    """Stands in an attack object where its network was."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier: nn.Module | None = None
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Classify by the network that is attacked now."""
        if self.classifier is None:
            raise RunError("the attack object has no network to attack yet")
        return self.classifier(images)


def given(attack: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return an attack object without its network, and the keys of a definition that it states.

    Raises:
        UsageError: It is targeted, normalises, attacks several networks, or its budgets or norms differ.
    """
    name, inner = type(attack).__name__, _attacks_in(attack)
    if any(one.targeted for one in inner):
        raise UsageError(f"torchattacks' {name} is targeted; leave it untargeted, and give target_offset to own_attack")
    if any(one.normalization_used is not None for one in inner):
        raise UsageError(
            f"torchattacks' {name} normalises images, and pcbench's are in [0, 1], before the network's normalisation; "
            "leave set_normalization_used out"
        )
    slot = Slot()
    memo: dict[int, Any] = {id(one.model): slot for one in inner}
    if len(memo) > 1:
        raise UsageError(f"torchattacks' {name} holds attacks on {len(memo)} networks; make them all on one")
    try:
        copied = copy.deepcopy(attack, memo)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"torchattacks' {name} can't be copied ({first_line(error)}); give a fresh one") from error
    for one in _attacks_in(copied):
        one.set_device(torch.device("cpu"))
        if hasattr(one, "seed"):
            one.seed = 0  # torchattacks takes the time where none is given
    return copied, _stated(name, inner)


def _stated(name: str, inner: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"random_start": any(getattr(one, "random_start", False) for one in inner)}
    found["white_box"] = not all(
        type(one).__name__ in _BLACK_BOX for one in inner if type(one).__name__ != "MultiAttack"
    )
    budgets = {float(getattr(one, key)) for one in inner for key in _BUDGETS if hasattr(one, key)}
    norms = {norm for one in inner if (norm := _norm_of(one)) is not None}
    if len(budgets) > 1 or len(norms) > 1:
        raise UsageError(f"torchattacks' {name} holds attacks of several budgets or norms; give one attack for each")
    if budgets:
        found["epsilons"] = tuple(budgets)
        _tell_reach(name, inner, max(budgets))
    else:
        found["search"] = "minimal_norm"
    if norms:
        found["norm"] = norms.pop()
    return found


def _tell_reach(name: str, inner: Sequence[Any], epsilon: float) -> None:
    for one in inner:
        steps, alpha = getattr(one, "steps", None), getattr(one, "alpha", None)
        if isinstance(steps, int) and isinstance(alpha, float) and 0 < steps * alpha < epsilon * (1 - 1e-9):
            logger.warning(
                "torchattacks' %s takes %d steps of %.4g, which cannot reach its budget of %.4g",
                name,
                steps,
                alpha,
                epsilon,
            )


def _norm_of(attack: Any) -> str | None:
    """Return the name of the norm of an attack's budget; None where it does not say it.

    Raises:
        UsageError: It is another one than pcbench's.
    """
    name = type(attack).__name__
    stated = getattr(attack, "norm", None)
    if stated is None and name not in _OTHER_NORMS and any(hasattr(attack, key) for key in _BUDGETS):
        stated = "L2" if name.endswith("L2") else "Linf"
    if stated is None:
        return "l2" if name in ("CW", "DeepFool") else None
    known = {norm.library_name: norm.name for norm in NORMS.values()}
    if stated not in known:
        raise UsageError(f"torchattacks' {name} measures {stated}; pcbench measures {', '.join(known)}")
    return known[stated]


def _set_budget(attack: Any, epsilon: float) -> None:
    for key in _BUDGETS:
        if hasattr(attack, key):
            before = float(getattr(attack, key))
            setattr(attack, key, epsilon)
            if isinstance(getattr(attack, "alpha", None), float) and before not in (0, epsilon):
                attack.alpha *= epsilon / before


def _attacks_in(attack: Any) -> list[Any]:
    """Return an attack object and those that it holds, also in lists and tables."""
    base: Any = require("torchattacks").attack.Attack
    found: dict[int, Any] = {}
    waiting: list[object] = [attack]
    while waiting:
        one = waiting.pop()
        if isinstance(one, base):
            if id(one) not in found:
                found[id(one)] = one
                waiting.extend(vars(one).values())
        elif isinstance(one, Mapping):
            waiting.extend(cast("Mapping[object, object]", one).values())
        elif isinstance(one, list | tuple):
            waiting.extend(cast("Sequence[object]", one))
    return list(found.values())


def make(definition: AttackDefinition) -> TorchattacksAdapter:
    """Make the adapter of a torchattacks attack."""
    return TorchattacksAdapter(definition) if definition.own is None else GivenAdapter(definition)
