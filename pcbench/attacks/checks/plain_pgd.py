"""The attack that the cheap form judges where a suite has none whose gradients could be: PGD, for the checks alone.

Suites that look for the nearest adversarial image, ask only for answers, attack all timesteps at once or take one step
still say something about a network, and a network whose gradients are broken may make it wrong. So plain PGD attacks a
few of their images, at the budget that the suite's own outcomes show. Its numbers are evidence, and no part of a table.

Source: Madry et al., ICLR 2018, arXiv 1706.06083.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pcbench.attacks.adapters.registry import select
from pcbench.attacks.checks.cheap import SWEEP
from pcbench.attacks.checks.evidence import Checked, has_judged_attack, judged_attack
from pcbench.attacks.checks.rivals import attack_timestep
from pcbench.attacks.checks.rows import EvidenceRow, Measured, as_rows
from pcbench.attacks.classify import classify
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import scored_images
from pcbench.network.gradient import Gradient

PLAIN_STEPS = 10
"""Its gradient steps."""
PLAIN_STEP_SIZE = 0.2
"""Their length, as a share of ε."""


@dataclass(frozen=True)
class CheapSubject:
    """What the cheap form judges."""

    judged: AttackDefinition
    """The suite's own strongest such attack, or plain PGD."""
    swept: AttackDefinition
    """The attack of the suite whose outcomes say at which budget, and which images were attacked first."""

    @property
    def is_own(self) -> bool:
        """Whether the suite itself runs the attack that is judged."""
        return self.judged is self.swept


def cheap_subject(definitions: Sequence[AttackDefinition]) -> CheapSubject:
    """Return what the cheap form judges of a suite with these attacks, one at least.

    Plain PGD is of the norm that most of the attacks have, and of two that equally many have the first one's.
    """
    if has_judged_attack(definitions):
        own = judged_attack(definitions)
        return CheapSubject(own, own)
    number = Counter(one.norm for one in definitions)
    swept = max(definitions, key=lambda one: number[one.norm])
    plain = AttackDefinition(
        name="plain_pgd",
        title=f"PGD, {PLAIN_STEPS} steps, for the checks alone",
        library="foolbox",
        attack=f"{swept.ball.library_name}ProjectedGradientDescentAttack",
        norm=swept.norm,
        epsilons=swept.epsilons,
        steps=PLAIN_STEPS,
        relative_step_size=PLAIN_STEP_SIZE,
        random_start=True,
        source="Madry et al., ICLR 2018, arXiv:1706.06083",
    )
    return CheapSubject(plain, swept)


def plain_rows(
    model: Checked,
    attacked: EvalBatch,
    definition: AttackDefinition,
    *,
    timestep: int,
    epsilon: float,
    timesteps: Sequence[int],
    gradient: Gradient,
) -> tuple[dict[str, bool], list[EvidenceRow]]:
    """Attack a batch of images with plain PGD at one budget, and score what it made at every timestep.

    Args:
        model: The model.
        attacked: Images that are right at the timestep; no pass holds more.
        definition: Plain PGD.
        timestep: The timestep attacked.
        epsilon: The budget.
        timesteps: All timesteps of the run.
        gradient: How the run's attacks differentiate the error terms.

    Returns:
        Whether it broke each image, by id; and rows `broken` under ``"sweep"`` at the other timesteps.
    """
    if not attacked.ids:
        return {}, []
    size, last = len(attacked.ids), max(timesteps)
    classifier = model.at(timestep, gradient)
    made = attack_timestep(
        classifier, attacked, definition, select(definition), epsilons=[epsilon], keep_images=True, batch_size=size
    )
    right = made.eligible
    success = dict(zip(attacked.some(right).ids, made.success[-1][right].tolist(), strict=True))
    images = scored_images(made)[-1].to(attacked.images.device)
    scores = classify(lambda batch: model.answer(batch, last), images, attacked.labels, size)
    broken = ~scores.columns["correct"].cpu().numpy()
    ids = attacked.some(right).ids
    others = [Measured(ids, "broken", np.asarray(broken[t][right]), t) for t in timesteps if t != timestep]
    return success, as_rows(SWEEP, timestep, others)
