"""Saved adversarial images scored at every timestep of a model that they may not have been made for."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.attacks.classify import Judge, check_classes, check_images, classify, eligible_images
from pcbench.attacks.ledger import Ledger, ScoredBatch, distances
from pcbench.attacks.sweep import Sweep, as_sweeps
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Made
from pcbench.harness.work.attacks import sweep_table
from pcbench.models.draws import drawing
from pcbench.results.adversarials import Adversarials
from pcbench.results.saved_suite import SavedSuite
from pcbench.results.schema import OUTCOMES


def compute(unit: Unit, inputs: Inputs, context: Context) -> Made:
    """Score the saved images of a block of clean ones."""
    del inputs
    suite, settings = context.suite(unit.condition.suite), context.settings
    if not isinstance(suite.definition, SavedSuite):
        raise RunError(f"{suite.name} holds no saved adversarial images")
    for _ in context.batches(unit):
        pass  # the clean images are those that were planned
    sweeps: list[tuple[Sweep, ...]] = []
    for held in suite.definition.images(unit.condition, unit.block.start, unit.block.stop):
        for start in range(0, len(held.ids), settings.batch_size):
            part = held.some(start, min(start + settings.batch_size, len(held.ids)))
            with drawing(settings.seed, part.ids, repeated=True):
                sweeps.append(score_adversarials(_judge(context), part, settings.batch_size))
            context.meter.step(unit.passes.work * len(part.ids), len(part.ids))
    if not sweeps:
        return Made(OUTCOMES.empty_table())
    return Made(sweep_table(unit.condition, sweeps, range(settings.timesteps + 1)))


def _judge(context: Context) -> Judge:
    model, timesteps = context.model, context.settings.timesteps

    def judge(pixels: torch.Tensor) -> torch.Tensor:
        return model.answer(pixels.to(model.device), timesteps).cpu()

    return judge


def score_adversarials(judge: Judge, adversarials: Adversarials, batch_size: int) -> tuple[Sweep, ...]:
    """Score saved images by another model.

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
