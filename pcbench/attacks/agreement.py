"""The same PGD by two libraries: do they break the same images?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.sweep import sweep
from pcbench.metrics.paired import mcnemar
from pcbench.metrics.rates import rate

_CLASSES: dict[str, str] = {"foolbox": "LinfProjectedGradientDescentAttack", "torchattacks": "PGD"}


@dataclass(frozen=True)
class Agreement:
    """Two libraries at one budget, over the images that are right from the start."""

    epsilon: float
    """The budget."""
    n: int
    """How many images were attacked."""
    rates: tuple[float, float]
    """The share broken by foolbox and by torchattacks."""
    intervals: tuple[tuple[float, float], tuple[float, float]]
    """Wilson intervals of both."""
    foolbox_only: int
    """Images only foolbox broke."""
    torchattacks_only: int
    """Images only torchattacks broke."""
    p_value: float
    """p value of the two-sided exact McNemar test."""
    agrees: bool
    """Whether each rate lies in the other's interval."""


def library_agreement(
    classifier: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilons: tuple[float, ...],
    steps: int = 20,
    random_start: bool = True,
) -> list[Agreement]:
    """Run the same L∞ PGD through foolbox's own code and through torchattacks', at every budget.

    Both take `steps` steps of 2.5 epsilon / steps. Random starts are seeded by image in both, but drawn differently.

    Args:
        classifier: Images in [0, 1] -> logits, in evaluation mode.
        images: (N, channels, height, width).
        labels: (N,).
        epsilons: Budgets, in (0, 1], ascending.
        steps: Steps of both attacks.
        random_start: Without it both are deterministic, and should find the same images up to float rounding.

    Raises:
        MissingExtraError: torchattacks is not installed.
        UsageError: As for `sweep`.
    """
    ids = [str(index) for index in range(len(images))]
    broken: list[np.ndarray] = []
    eligible = np.zeros(len(images), dtype=np.bool_)
    for library in ("foolbox", "torchattacks"):
        definition = AttackDefinition(
            name="pgd",
            title="PGD",
            library=library,
            attack=_CLASSES[library],
            norm="linf",
            epsilons=epsilons,
            steps=steps,
            relative_step_size=2.5 / steps,
            random_start=random_start,
            source="Madry et al., ICLR 2018, arXiv:1706.06083",
        )
        outcome = sweep(classifier, images, labels, definition, ids=ids, seed=0, plain=True, library_only=True)
        broken.append(outcome.success[1:])
        eligible = outcome.eligible
    return [
        _agreement(epsilon, broken[0][row][eligible], broken[1][row][eligible]) for row, epsilon in enumerate(epsilons)
    ]


def _agreement(epsilon: float, foolbox: np.ndarray, torchattacks: np.ndarray) -> Agreement:
    first, second = rate(foolbox), rate(torchattacks)
    return Agreement(
        epsilon=epsilon,
        n=first.images,
        rates=(first.value, second.value),
        intervals=((first.low, first.high), (second.low, second.high)),
        foolbox_only=int((foolbox & ~torchattacks).sum()),
        torchattacks_only=int((torchattacks & ~foolbox).sum()),
        p_value=mcnemar(foolbox, torchattacks),
        agrees=second.low <= first.value <= second.high and first.low <= second.value <= first.high,
    )
