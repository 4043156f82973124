"""Gathering evidence in small units: one kind, one timestep, one batch of images.

A unit never passes more images at a time than its batch holds, and gives plain rows, so that a run can store it, stop,
and go on. `pcbench.attacks.checks.verdict.judge` pools the rows of all units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter
from pcbench.attacks.adapters.registry import is_descent, select
from pcbench.attacks.checks.gradients import Quotients, gradient_numbers
from pcbench.attacks.checks.rivals import RandomCorners, SmoothedDescent, attack_timestep, square, with_more_steps
from pcbench.attacks.checks.rows import JUDGED_GRADIENT, EvidenceRow, Measured, as_rows
from pcbench.attacks.classify import classify, single
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import scored_images
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.gradient import Gradient

#: The kinds of evidence of every suite; those of its one-step attacks are named after them, such as "shown_fgsm".
KINDS = ("gradients", "transfer", "random_search", "square", "smoothed", "more_steps", "widest", "stop_error")


class Checked(Protocol):
    """What is checked; a `pcbench.models.Model` is one."""

    def at(self, timestep: int, gradient: Gradient = "exact") -> nn.Module:
        """Return the classifier of one timestep."""
        ...

    def answer(self, images: Tensor, timesteps: int | None = None, gradient: Gradient = "exact") -> Tensor:
        """Return the logits of all timesteps, (T+1, batch, classes)."""
        ...


def has_judged_attack(definitions: Sequence[AttackDefinition]) -> bool:
    """Return whether a suite has an attack whose gradients can be judged in full."""
    return any(map(_is_iterative, definitions))


def judged_attack(definitions: Sequence[AttackDefinition]) -> AttackDefinition:
    """Return a suite's strongest iterative white-box attack, by the number of its gradients.

    Raises:
        UsageError: The suite has none.
    """
    if not has_judged_attack(definitions):
        raise UsageError("checks need an untargeted iterative white-box attack in the suite, such as PGD")
    return max(filter(_is_iterative, definitions), key=lambda one: (one.steps or 1) * one.restarts)


def shown_attacks(definitions: Sequence[AttackDefinition]) -> dict[str, AttackDefinition]:
    """Return a suite's one-step attacks, which are shown and not judged, by their kind of evidence."""
    return {f"shown_{one.name}": one for one in definitions if _is_able(one) and one.steps == 1}


def evidence_kinds(definitions: Sequence[AttackDefinition], timestep: int) -> tuple[str, ...]:
    """Return the kinds of evidence that a suite needs about one timestep.

    Nothing is fed back at t = 0, so there are no error terms to hold constant.
    """
    common = [kind for kind in KINDS if timestep > 0 or kind != "stop_error"]
    return (*common, *shown_attacks(definitions))


def gather(
    kind: str,
    model: Checked,
    eval_batch: EvalBatch,
    definitions: Sequence[AttackDefinition],
    *,
    timestep: int,
    epsilon: float,
    timesteps: Sequence[int],
) -> list[EvidenceRow]:
    """Gather one kind of evidence about one timestep on one batch of images.

    Only ``"square"`` depends on which images share a batch: one draw of random numbers serves all of them.

    Args:
        kind: One of `evidence_kinds`.
        model: The model.
        eval_batch: The batch; no pass holds more images.
        definitions: The suite's attacks.
        timestep: The timestep attacked.
        epsilon: The budget that the attack is judged at, the same in all units of a suite.
        timesteps: All timesteps that are checked; ``"transfer"`` scores each of them.

    Returns:
        One row per image and number. The metrics are, under ``"transfer"``, `right` (the clean image is classified
        right at the timestep attacked), `broken` (the image made against it is misclassified at the timestep scored)
        and `success` (the attack's own, at exactly this budget); under ``"gradients"`` those of `gradient_numbers`;
        under every other kind `broken`. Only an image that is right at the timestep attacked is attacked, so that
        others have `right` and `broken` under ``"transfer"`` and nothing else.

    Raises:
        UsageError: There is no attack to judge, or the kind is unknown.
    """
    kinds = evidence_kinds(definitions, timestep)
    if kind not in kinds:
        raise UnknownNameError(f"kind of evidence at t = {timestep}", kind, kinds)
    judged = judged_attack(definitions)
    if kind == "gradients":
        measured = _gradients(model.at(timestep), eval_batch, epsilon, judged)
    elif kind == "transfer":
        measured = _transfer(model, eval_batch, judged, timestep, epsilon, timesteps)
    else:
        rival = _rival(kind, judged, definitions, epsilon, eval_batch.images.shape[1:])
        measured = _broken(model.at(timestep, rival.gradient), eval_batch, rival)
    return as_rows(kind, timestep, measured)


def _is_able(definition: AttackDefinition) -> bool:
    return is_descent(definition) and not definition.targeted and definition.over_timesteps is None


def _is_iterative(definition: AttackDefinition) -> bool:
    return _is_able(definition) and (definition.steps or 1) > 1


def _gradients(
    classifier: nn.Module, eval_batch: EvalBatch, epsilon: float, judged: AttackDefinition
) -> Iterator[Measured]:
    scores = classify(single(classifier), eval_batch.images, eval_batch.labels, len(eval_batch.images))
    attacked = eval_batch.some(scores.columns["correct"][0].cpu().numpy())
    if attacked.ids:
        quotients = Quotients.up_to(epsilon, judged.ball, attacked.images)
        for metric, values in gradient_numbers(classifier, attacked, quotients).items():
            yield Measured(attacked.ids, metric, values)


def _transfer(
    model: Checked,
    eval_batch: EvalBatch,
    definition: AttackDefinition,
    timestep: int,
    epsilon: float,
    timesteps: Sequence[int],
) -> Iterator[Measured]:
    size, last = len(eval_batch.images), max(timesteps)
    made = attack_timestep(
        model.at(timestep, JUDGED_GRADIENT),
        eval_batch,
        definition,
        select(definition),
        epsilons=[epsilon],
        keep_images=True,
        batch_size=size,
    )
    right = made.eligible
    yield Measured(eval_batch.ids, "right", right)
    yield Measured(eval_batch.some(right).ids, "success", made.success[-1][right])
    images = scored_images(made)[-1].to(eval_batch.images.device)
    scores = classify(lambda batch: model.answer(batch, last), images, eval_batch.labels, size)
    broken = ~scores.columns["correct"].cpu().numpy()
    for scored in timesteps:
        yield Measured(eval_batch.ids, "broken", broken[scored], scored)


@dataclass(frozen=True)
class _Rival:
    """What the judged attack is compared with: another attack, its budget, or how it follows error terms."""

    definition: AttackDefinition
    adapter: Adapter
    epsilon: float
    gradient: Gradient = JUDGED_GRADIENT


def _rival(
    kind: str,
    judged: AttackDefinition,
    definitions: Sequence[AttackDefinition],
    epsilon: float,
    shape: Sequence[int],
) -> _Rival:
    if kind == "random_search":
        return _Rival(judged, RandomCorners(judged), epsilon)
    if kind == "smoothed":
        return _Rival(judged, SmoothedDescent(judged), epsilon)
    if kind == "widest":
        return _Rival(judged, select(judged), judged.ball.widest(shape))
    if kind == "stop_error":
        return _Rival(judged, select(judged), epsilon, gradient="stop_error")
    if kind == "square":
        definition = square(judged)
    elif kind == "more_steps":
        definition = with_more_steps(judged)
    else:
        definition = shown_attacks(definitions)[kind]
    return _Rival(definition, select(definition), epsilon)


def _broken(classifier: nn.Module, eval_batch: EvalBatch, rival: _Rival) -> Iterator[Measured]:
    size = len(eval_batch.images)
    outcome = attack_timestep(
        classifier, eval_batch, rival.definition, rival.adapter, epsilons=[rival.epsilon], batch_size=size
    )
    right = outcome.eligible
    yield Measured(eval_batch.some(right).ids, "broken", outcome.success[-1][right])
