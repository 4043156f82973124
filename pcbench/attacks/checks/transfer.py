"""Adversarial images made against one timestep, scored at every timestep.

Source: transferred images as in Papernot, McDaniel and Goodfellow, 2016, arXiv 1605.07277; from timestep to timestep
is our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcbench.attacks.checks.rows import JUDGED_GRADIENT, Numbers, is_true
from pcbench.attacks.definitions import AttackDefinition
from pcbench.errors import DataError
from pcbench.network.gradient import Gradient
from pcbench.norms import NormName


@dataclass(frozen=True)
class TransferMatrix:
    """How one attack's images carry over from timestep to timestep."""

    attack: str
    """The attack's name."""
    norm: NormName
    """The ball's norm."""
    epsilon: float
    """The budget."""
    gradient: Gradient
    """How the attack differentiated the error terms."""
    timesteps: tuple[int, ...]
    """The timesteps attacked (rows) and scored (columns), ascending."""
    broken: NDArray[np.bool_]
    """``broken[a, e, i]``: image i, made against timestep a, is misclassified at timestep e; (T, T, N)."""
    correct: NDArray[np.bool_]
    """``correct[t, i]``: image i is right at timestep t when clean; (T, N)."""

    def rates(self) -> NDArray[np.float64]:
        """Return the success rate of each pair of timesteps over the images right at both, (T, T); NaN where none."""
        both = self.correct[:, None] & self.correct[None]
        counts = both.sum(axis=2)
        hits = (self.broken & both).sum(axis=2)
        return np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)

    def rows(self) -> list[dict[str, float | int | str | None]]:
        """Return one row a pair: attacked and scored timestep, rate, and the number of images right at both."""
        rates = self.rates()
        both = (self.correct[:, None] & self.correct[None]).sum(axis=2)
        return [
            {
                "attack": self.attack,
                "norm": self.norm,
                "epsilon": self.epsilon,
                "gradient": self.gradient,
                "attacked_timestep": made,
                "timestep": scored,
                "attack_success_rate": None if np.isnan(rates[row, column]) else float(rates[row, column]),
                "n": int(both[row, column]),
            }
            for row, made in enumerate(self.timesteps)
            for column, scored in enumerate(self.timesteps)
        ]


def transfer_matrix(
    numbers: Numbers, definition: AttackDefinition, epsilon: float, timesteps: Sequence[int]
) -> TransferMatrix:
    """Join the evidence of kind `transfer` of all timesteps.

    Args:
        numbers: All evidence.
        definition: The attack.
        epsilon: The budget.
        timesteps: The timesteps that were attacked, and are scored.

    Raises:
        DataError: An image was not attacked, or not scored, at one of the timesteps.
    """
    ids = tuple(numbers.of("transfer", timesteps[0], "right"))

    def complete(attacked: int, metric: str, scored: int) -> NDArray[np.bool_]:
        found = numbers.of("transfer", attacked, metric, scored)
        if not ids or tuple(found) != ids:
            raise DataError(
                f"the evidence 'transfer' at t = {attacked}, scored at t = {scored}, is of {len(found)} images and "
                f"not of the same {len(ids)} as at t = {timesteps[0]}; gather it again"
            )
        return is_true(found, ids)

    return TransferMatrix(
        attack=definition.name,
        norm=definition.norm,
        epsilon=epsilon,
        gradient=JUDGED_GRADIENT,
        timesteps=tuple(timesteps),
        broken=np.stack([[complete(made, "broken", scored) for scored in timesteps] for made in timesteps]),
        # Where an image was attacked it was asked whether it can be; that answer counts.
        correct=np.stack([complete(made, "right", made) for made in timesteps]),
    )
