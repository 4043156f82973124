"""Adversarial images made against one timestep, scored at every timestep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pcbench.attacks.classify import Judge, classify
from pcbench.attacks.definitions import Norm
from pcbench.attacks.sweep import DEFAULT_BATCH_SIZE, Sweep, scored_images


@dataclass(frozen=True)
class TransferMatrix:
    """How one attack's images carry over from timestep to timestep.

    Attributes:
        attack: The attack's name.
        norm: The ball's norm.
        epsilon: The budget.
        timesteps: The timesteps attacked (rows) and scored (columns), ascending.
        broken: ``broken[a, e, i]``: image i, made against timestep a, is misclassified at timestep e; (T, T, N).
        correct: ``correct[t, i]``: image i is right at timestep t when clean; (T, N).
    """

    attack: str
    norm: Norm
    epsilon: float
    timesteps: tuple[int, ...]
    broken: NDArray[np.bool_]
    correct: NDArray[np.bool_]

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
                "attacked_timestep": made,
                "timestep": scored,
                "attack_success_rate": None if np.isnan(rates[row, column]) else float(rates[row, column]),
                "n": int(both[row, column]),
            }
            for row, made in enumerate(self.timesteps)
            for column, scored in enumerate(self.timesteps)
        ]


def transfer_matrix(
    judge: Judge, sweeps: Sequence[Sweep], timesteps: Sequence[int], device: torch.device
) -> TransferMatrix:
    """Score the images of one attack at one budget at every timestep.

    Args:
        judge: Images in [0, 1] -> logits (T+1, batch, classes) of all timesteps.
        sweeps: For each of the timesteps, the attack against it on the same images: one budget above 0, with
            `keep_images=True`.
        timesteps: The timesteps that were attacked, and are scored.
        device: Where the judge computes.
    """
    chosen = torch.tensor(list(timesteps))
    labels = torch.from_numpy(sweeps[0].labels)
    broken: list[NDArray[np.bool_]] = []
    for outcome in sweeps:
        answers = classify(judge, scored_images(outcome)[-1].to(device), DEFAULT_BATCH_SIZE)
        broken.append((answers.predictions.cpu()[chosen] != labels).numpy())
    return TransferMatrix(
        attack=sweeps[0].attack,
        norm=sweeps[0].norm,
        epsilon=sweeps[0].epsilons[-1],
        timesteps=tuple(timesteps),
        broken=np.stack(broken),
        correct=np.stack([outcome.denominator for outcome in sweeps]),
    )
