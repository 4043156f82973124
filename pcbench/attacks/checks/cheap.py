"""The cheap form of the checks, which every suite of attacks gets: a few images, and few passes for each.

It judges the suite's own sweep of the judged attack. What that attack broke within the budget is known already, so a
rival is first run on the images that are left. If it breaks too few of these to be significantly better, whatever it
does to the others, it is run on no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Adapter, Task
from pcbench.attacks.checks.comparison import fewest_telling
from pcbench.attacks.checks.gradients import Quotients, gradient_numbers
from pcbench.attacks.checks.rivals import RandomCorners, SmoothedDescent
from pcbench.attacks.checks.rows import EvidenceRow, Measured, as_rows
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import loss_gradient
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.starts import start_generator, unit_starts
from pcbench.attacks.sweep import Sweep
from pcbench.models.draws import drawing
from pcbench.models.scores import scores
from pcbench.network.timestep_model import unchecked
from pcbench.norms import broadcast, project, within_budget

CHEAP = "cheap"
"""What its units are called."""
SWEEP = "sweep"
"""The check whose rows say what the suite's own sweep broke: `success`, and `broken` at every timestep scored."""
CHEAP_IMAGES = 32
"""How many images it looks at, those that are attacked first."""
TRIALS = 8
"""Random perturbations an image."""
NOISE_STEPS = 3
"""Steps along averaged gradients."""
NOISE_DRAWS = 3
"""Noisy copies in each average."""
WIDEST_STEPS = 8
"""Steps at the widest ε, at most."""
WIDEST_STEP = 0.25
"""The length of each, as a share of it: four reach any point of the ball."""


def gradient_rows(
    classifier: nn.Module, attacked: EvalBatch, definition: AttackDefinition, *, timestep: int, epsilon: float
) -> list[EvidenceRow]:
    """Return what `gradient_numbers` says of a batch of images, one row per image and number.

    Args:
        classifier: One timestep in full precision, with its true gradient: images in [0, 1] -> logits.
        attacked: Images that are right at the timestep; no pass holds more.
        definition: The judged attack.
        timestep: The timestep.
        epsilon: The budget that the attack is judged at.
    """
    if not attacked.ids:
        return []
    quotients = Quotients.up_to(epsilon, definition.ball, attacked.images, few=True)
    numbers = gradient_numbers(classifier, attacked, quotients)
    return as_rows("gradients", timestep, [Measured(attacked.ids, name, values) for name, values in numbers.items()])


def rival_rows(
    classifier: nn.Module,
    attacked: EvalBatch,
    success: Mapping[str, bool],
    definition: AttackDefinition,
    *,
    timestep: int,
    epsilon: float,
) -> list[EvidenceRow]:
    """Run the rivals of the judged attack on a batch of images.

    Args:
        classifier: One timestep as the suite's attacks see it.
        attacked: Images that are right at the timestep; no pass holds more.
        success: Whether the judged attack broke each of them within the budget, by id.
        definition: The judged attack.
        timestep: The timestep.
        epsilon: The budget that the attack is judged at.

    Returns:
        One row per image and number: `success` under ``"sweep"``, and `broken` under ``"random_noise"``,
        ``"smoothed"`` and ``"widest"``. A rival that is run on a part of the images has rows of these only.
    """
    if not attacked.ids:
        return []
    classifier = unchecked(classifier)
    broken = np.array([success[name] for name in attacked.ids], dtype=np.bool_)
    rows = as_rows(SWEEP, timestep, [Measured(attacked.ids, "success", broken)])
    rivals: dict[str, Adapter] = {
        "random_noise": RandomCorners(definition, TRIALS),
        "smoothed": SmoothedDescent(definition, NOISE_STEPS, NOISE_DRAWS),
    }
    for name, adapter in rivals.items():
        rows += as_rows(name, timestep, _rival(classifier, attacked, broken, (definition, adapter), epsilon))
    return [*rows, *as_rows("widest", timestep, [_widest(classifier, attacked, definition)])]


def cheap_rows(
    classifier: nn.Module,
    eval_batch: EvalBatch,
    swept: Sweep,
    definition: AttackDefinition,
    *,
    timestep: int,
    epsilon: float,
) -> list[EvidenceRow]:
    """Return all rows about the first images that a sweep attacked.

    Args:
        classifier: One timestep in full precision: images in [0, 1] -> logits.
        eval_batch: The images of the sweep.
        swept: The sweep of the judged attack.
        definition: The judged attack.
        timestep: The timestep.
        epsilon: The budget that the attack is judged at.
    """
    attacked = eval_batch.some(swept.eligible & (np.cumsum(swept.eligible) <= CHEAP_IMAGES))
    within = swept.success_within[swept.epsilons.index(epsilon)]
    success = dict(zip(swept.ids, within.tolist(), strict=True))
    rows = gradient_rows(classifier, attacked, definition, timestep=timestep, epsilon=epsilon)
    return rows + rival_rows(classifier, attacked, success, definition, timestep=timestep, epsilon=epsilon)


def _rival(
    classifier: nn.Module,
    attacked: EvalBatch,
    broken: NDArray[np.bool_],
    rival: tuple[AttackDefinition, Adapter],
    epsilon: float,
) -> Iterator[Measured]:
    left = attacked.some(~broken)
    found = _breaks(classifier, left, rival, epsilon)
    yield Measured(left.ids, "broken", found)
    if found.sum() >= fewest_telling():
        others = attacked.some(broken)
        yield Measured(others.ids, "broken", _breaks(classifier, others, rival, epsilon))


def _breaks(
    classifier: nn.Module, batch: EvalBatch, rival: tuple[AttackDefinition, Adapter], epsilon: float
) -> NDArray[np.bool_]:
    """Return which images an attack breaks, (N,); what it returns is clipped to the ball and classified again."""
    definition, adapter = rival
    if not batch.ids:
        return np.zeros(0, dtype=np.bool_)
    radii = torch.full((len(batch.ids),), epsilon, dtype=torch.float64, device=batch.images.device)
    # No attack of a rival asks how many classes there are.
    task = Task(batch.images, batch.labels, radii, batch.ids, batch.seed, definition.name, 0, 0)
    with drawing(batch.seed, batch.ids, f"rival {type(adapter).__name__}"):
        found = adapter.perturb(classifier, task).images
    return _wrong(classifier, batch, within_budget(found, batch.images, radii, definition.ball))


def _wrong(classifier: nn.Module, batch: EvalBatch, images: Tensor) -> NDArray[np.bool_]:
    """Return which images, in the place of a batch's, are not classified right; an answer not finite is not right."""
    with torch.no_grad(), drawing(batch.seed, batch.ids):
        return ~scores(classifier(images)[None], batch.labels).columns["correct"][0].cpu().numpy()


def _widest(classifier: nn.Module, attacked: EvalBatch, definition: AttackDefinition) -> Measured:
    """Return which images steps along the gradient break in a ball that holds nearly every image.

    They start at the clean image, for a random start in this ball is noise, which anything misclassifies. An image that
    withstands them counts only if its negative, or noise, is known to be misclassified there: an untrained network may
    answer the same whatever it sees.
    """
    norm, left, images = definition.ball, attacked, attacked.images
    widest = norm.widest(images.shape[1:])
    for _ in range(WIDEST_STEPS):
        radii = torch.full((len(left.ids),), widest, dtype=torch.float64, device=images.device)
        with drawing(left.seed, left.ids, "widest", repeated=True):
            # A slope that is not a number leads nowhere.
            gradient = loss_gradient(classifier, images, left.labels).nan_to_num(0, 0, 0)
        moved = images + WIDEST_STEP * broadcast(radii, images) * norm.ascent(gradient)
        images = project(moved, left.images, radii, norm).clamp(0, 1)
        stands = ~_wrong(classifier, left, images)
        left, images = left.some(stands), images[torch.from_numpy(stands).to(images.device)]
        if not left.ids:
            break
    standing = set(left.ids)
    known = dict(zip(left.ids, _can_be_broken(classifier, left, definition), strict=True)) if left.ids else {}
    counted = [name for name in attacked.ids if known.get(name, True)]
    return Measured(counted, "broken", np.array([name not in standing for name in counted], dtype=np.bool_))


def _can_be_broken(classifier: nn.Module, batch: EvalBatch, definition: AttackDefinition) -> NDArray[np.bool_]:
    """Return which images of a batch are misclassified as their negatives, or as noise, in the widest ball."""
    norm, images = definition.ball, batch.images
    radii = torch.full((len(images),), norm.widest(images.shape[1:]), dtype=torch.float64, device=images.device)
    generators = [start_generator(batch.seed, image_id, "widest", 0) for image_id in batch.ids]
    noise = (images + broadcast(radii, images) * unit_starts(images, norm, generators)).clamp(0, 1)
    found = np.zeros(len(batch.ids), dtype=np.bool_)
    for other in (1 - images, noise):
        found |= _wrong(classifier, batch, within_budget(other, images, radii, norm))
    return found
