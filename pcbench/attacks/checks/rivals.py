"""Attacks that a sound white-box attack beats, or at least equals: where one of them wins, gradients may be broken."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Found, Task
from pcbench.attacks.classify import single
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.starts import unit_starts
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep_batch
from pcbench.norms import broadcast

RANDOM_TRIALS = 50
SQUARE_QUERIES = 300


class RandomCorners:
    """Random search: corners of the L∞ ball, or points on the L2 sphere, until one breaks the image.

    The plainest attack there is; an attack that follows gradients and loses to it follows nothing useful.
    """

    mixes_epsilons = True

    def __init__(self, definition: AttackDefinition) -> None:
        self._norm = definition.ball

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Try random perturbations of full length, image by image seeded."""
        generators = task.generators()
        best, standing = task.images.clone(), torch.ones(len(task.images), dtype=torch.bool, device=task.images.device)
        queries = torch.zeros(len(task.images), dtype=torch.int64)
        for _ in range(RANDOM_TRIALS):
            trial = (task.images + broadcast(task.epsilons, best) * self._directions(task, generators)).clamp(0, 1)
            queries[standing.cpu()] += 1
            with torch.no_grad():
                broken = standing & (classifier(trial).argmax(dim=1) != task.classes)
            best[broken] = trial[broken]
            standing = standing & ~broken
            if not bool(standing.any()):
                break
        return Found(best, queries)

    def _directions(self, task: Task, generators: list[torch.Generator]) -> Tensor:
        return self._norm.extreme(unit_starts(task.images, self._norm, generators))


def attack_timestep(
    classifier: nn.Module,
    eval_batch: EvalBatch,
    definition: AttackDefinition,
    adapter: Adapter,
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Run one attack on one timestep."""
    return sweep_batch(eval_batch, definition, adapter, classifier, single(classifier), options)[0]


def square(definition: AttackDefinition) -> AttackDefinition:
    """Return Square in the same ball, on whole batches: an attack that never sees a gradient.

    One draw of random numbers serves a batch, so the outcome depends on which images are in it. That is accepted:
    image by image it would take many times as long, and each batch is as fair a trial as any other.
    """
    return AttackDefinition(
        name="square_check",
        title="Square",
        library="pyautoattack",
        attack="square",
        norm=definition.norm,
        epsilons=definition.epsilons,
        white_box=False,
        steps=SQUARE_QUERIES,
        parameters={"together": True},
        source="Andriushchenko et al., ECCV 2020, arXiv:1912.00049",
    )


def with_more_steps(definition: AttackDefinition, factor: int = 2) -> AttackDefinition:
    """Return the attack with more steps of the same length, from the same starts."""
    return definition.model_copy(update={"steps": (definition.steps or 1) * factor})
