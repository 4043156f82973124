"""Adversarial images scored at timesteps that they were not made against, or by another model."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.attacks.classify import Judge, check_classes, check_images, classify, eligible_images
from pcbench.attacks.kept_images import join_sweeps
from pcbench.attacks.ledger import Ledger, ScoredBatch, distances
from pcbench.attacks.sweep import Sweep, as_sweeps
from pcbench.harness.context import Context
from pcbench.models.draws import drawing
from pcbench.models.model import Model
from pcbench.results.adversarials import Adversarials
from pcbench.results.conditions import Condition


def judge_of(model: Model, timesteps: int) -> Judge:
    """Return what scores images at every timestep of a model, up to and including `timesteps`."""

    def judge(pixels: torch.Tensor) -> torch.Tensor:
        return model.answer(pixels.to(model.device), timesteps).cpu()

    return judge


def score_everywhere(own: Sweep, condition: Condition, context: Context) -> tuple[Sweep, ...]:
    """Score the images of a sweep at all timesteps, as `pcbench run --adversarials` would score them later.

    Args:
        own: The sweep, with its images, of one batch.
        condition: What was attacked: one timestep by itself.
        context: The worker's network and settings.

    Returns:
        One sweep for each timestep, in order; that of the attacked timestep is `own`. In the others the attack ran on
        an image where it ran on it in `own`, and asked the network nothing.
    """
    spec, settings = context.spec, context.settings
    source = context.suite(condition.suite).source.name
    made = join_sweeps([own], condition, model=str(spec.model["name"]), seed=settings.seed, data=source)
    judge = judge_of(context.model_of(condition.suite), settings.timesteps)
    with drawing(settings.seed, made.ids, repeated=True):
        found = score_adversarials(judge, made, settings.batch_size)
    return tuple(
        own if timestep == condition.attacked_timestep else _where_attacked(one, own)
        for timestep, one in enumerate(found)
    )


def _where_attacked(scored: Sweep, own: Sweep) -> Sweep:
    attacked = own.attacked & scored.eligible
    changed = {"attacked": attacked, "spot_checked": own.columns["spot_checked"] & attacked}
    return dataclasses.replace(scored, columns={**scored.columns, **changed})


def score_adversarials(judge: Judge, adversarials: Adversarials, batch_size: int) -> tuple[Sweep, ...]:
    """Score adversarial images by another model, or at other timesteps than they were made against.

    Args:
        judge: Images in [0, 1] -> logits (T+1, batch, classes).
        adversarials: The images.
        batch_size: How many at a time.

    Returns:
        One sweep for each timestep of the judge, over the images that are eligible by this judge's answers; an image
        broken at a smaller budget stays broken.

    Raises:
        UsageError: The judge has too few classes.
    """
    clean = adversarials.images(0)
    check_images(clean, torch.zeros(len(clean), dtype=torch.int64))
    classes = adversarials.labels if adversarials.targets is None else adversarials.targets
    scores = classify(judge, clean, adversarials.labels, batch_size)
    check_classes(classes, scores.classes)
    eligible = eligible_images(scores.prediction, adversarials.labels, adversarials.targets)
    ledger = Ledger(scores, eligible.cpu().numpy(), len(adversarials.epsilons))
    indices: NDArray[np.intp] = np.arange(len(adversarials.ids))
    for budget in range(len(adversarials.epsilons)):
        images = adversarials.images(budget)
        check_images(images, torch.zeros(len(images), dtype=torch.int64))
        same = (images == clean).flatten(1).all(dim=1)
        found = scores.where(same, classify(judge, images, adversarials.labels, batch_size))
        reached = (found.prediction == classes) == (adversarials.targets is not None)
        queries = torch.zeros(len(images), dtype=torch.int64)
        scored = ScoredBatch(images, found, reached, distances(images, clean), queries)
        ledger.record(np.full_like(indices, budget), indices, scored)
    targets = None if adversarials.targets is None else adversarials.targets.numpy()
    attack = (adversarials.condition.name, adversarials.norm)
    known = (adversarials.labels.numpy(), targets)
    return as_sweeps(ledger, attack, adversarials.epsilons, adversarials.ids, known)
