"""Attacks that a sound white-box attack beats, or at least equals: where one of them wins, gradients may be broken.

Source: Athalye, Carlini and Wagner, ICML 2018, arXiv 1802.00420, section 3.1; Carlini et al., 2019, arXiv 1902.06705.
"""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Found, Task
from pcbench.attacks.classify import single
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import loss_gradient
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.ledger import positions
from pcbench.attacks.starts import unit_starts
from pcbench.attacks.sweep import Sweep, SweepOptions, sweep_batch
from pcbench.norms import broadcast, project

RANDOM_TRIALS = 50
SQUARE_QUERIES = 300
SMOOTHED_STEPS = 6
SMOOTHED_DRAWS = 4
"""Noisy copies of an image over which a gradient is averaged."""


class RandomCorners:
    """Random search: corners of the L∞ ball, or points on the L2 sphere, until one breaks the image.

    The plainest attack there is; an attack that follows gradients and loses to it follows nothing useful.
    """

    mixes_epsilons = True

    def __init__(self, definition: AttackDefinition, trials: int | None = None) -> None:
        self._norm, self._trials = definition.ball, RANDOM_TRIALS if trials is None else trials

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Try random perturbations of full length, image by image seeded."""
        if not bool((task.epsilons > 0).any()):
            return Found(task.images, torch.zeros(len(task.images), dtype=torch.int64))
        generators = task.generators()
        best, standing = task.images.clone(), torch.ones(len(task.images), dtype=torch.bool, device=task.images.device)
        queries = torch.zeros(len(task.images), dtype=torch.int64)
        for _ in range(self._trials):
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


class SmoothedDescent:
    """Steps along gradients that are averaged over noise of the budget's size, until the image is broken.

    Where a gradient is right at a point and useless at the size of the budget (saturated units, steep stairs, small
    ripples), the average over a neighbourhood follows what the point does not show.

    Args:
        definition: The judged attack: its norm, and the sign of its steps.
        steps: How many steps, each of 1.5 ε / steps.
        draws: Noisy copies a step.
    """

    mixes_epsilons = True

    def __init__(self, definition: AttackDefinition, steps: int | None = None, draws: int | None = None) -> None:
        self._norm = definition.ball
        self._steps = SMOOTHED_STEPS if steps is None else steps
        self._draws = SMOOTHED_DRAWS if draws is None else draws

    def perturb(self, classifier: nn.Module, task: Task) -> Found:
        """Attack a batch; broken images are left as they are, and cost nothing more."""
        images = task.images.clone()
        queries = torch.zeros(len(images), dtype=torch.int64)
        if not bool((task.epsilons > 0).any()):
            return Found(images, queries)
        generators = task.generators()
        for _ in range(self._steps):
            with torch.no_grad():
                wrong = classifier(images).argmax(dim=1) != task.classes
            left = positions(~wrong).tolist()
            if not left:
                break
            images[left] = self._step(classifier, task.some(left), images[left], [generators[index] for index in left])
            queries[left] += 1 + self._draws
        return Found(images, queries)

    def _step(self, classifier: nn.Module, task: Task, images: Tensor, generators: list[torch.Generator]) -> Tensor:
        radii = broadcast(task.epsilons, images).to(images)
        total = torch.zeros_like(images)
        for _ in range(self._draws):
            noisy = (images + radii * unit_starts(images, self._norm, generators)).clamp(0, 1)
            # One noisy copy without a finite gradient would spoil the mean of all.
            total += loss_gradient(classifier, noisy, task.classes).nan_to_num(0, 0, 0)
        moved = images + 1.5 / self._steps * radii * self._norm.ascent(total)
        return project(moved, task.images, task.epsilons, self._norm).clamp(0, 1)


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
