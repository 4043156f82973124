"""The outcomes of a sweep while they come in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcbench.attacks.classify import Scores


@dataclass
class Scored:
    """What the harness saw on a batch of an attack's images, after clipping; S timesteps judged each.

    Attributes:
        images: What was fed to the judge, (batch, channels, height, width).
        answers: Its answers, (S, batch).
        success: Whether the attack's goal is reached, (S, batch).
        linf: Measured norms, (batch,).
        l2: Likewise.
        queries: Forward passes spent by the attack, (batch,).
    """

    images: Tensor
    answers: Scores
    success: Tensor
    linf: Tensor
    l2: Tensor
    queries: Tensor


class Ledger:
    """Arrays (S, E, N) over timesteps judged, budgets and images; every image starts as its clean self.

    Args:
        clean: The answers to the clean images, (S, N).
        eligible: Images over which success is a rate, (S, N).
        epsilons: How many budgets.
        kept: The clean images where the scored ones are to be kept, else None.
    """

    def __init__(self, clean: Scores, eligible: NDArray[np.bool_], epsilons: int, kept: Tensor | None) -> None:
        timesteps, images = eligible.shape
        shape = (timesteps, epsilons, images)
        self.eligible = eligible
        self.prediction = np.empty(shape, np.int32)
        self.prediction[:] = clean.predictions.cpu().numpy()[:, None]
        self.confidence = np.empty(shape, np.float32)
        self.confidence[:] = clean.confidences.cpu().numpy()[:, None]
        self.margin = np.empty(shape, np.float32)
        self.margin[:] = clean.margins.cpu().numpy()[:, None]
        self.linf, self.l2 = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.queries = np.zeros(shape, np.int32)
        self.attacked, self.success = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self.spot_checked = np.zeros(shape[1:], np.bool_)
        self.success_within = np.zeros(shape, np.bool_)
        self.images = None if kept is None else kept.cpu().repeat(timesteps, epsilons, 1, 1, 1, 1)

    def record(self, budgets: NDArray[np.intp], indices: NDArray[np.intp], scored: Scored) -> None:
        """Enter a batch: what was attacked at which budget, and what came of it; a restart adds to earlier ones.

        The adversarial image of the smallest budget is carried on to all larger ones, in whichever order they come;
        a failed attempt stands for its own budget.
        """
        images = scored.images.cpu()
        for timestep in range(len(self.eligible)):
            columns = [
                column.cpu().numpy()
                for column in (
                    scored.success[timestep],
                    scored.answers.predictions[timestep],
                    scored.answers.confidences[timestep],
                    scored.answers.margins[timestep],
                    scored.linf,
                    scored.l2,
                    scored.queries,
                )
            ]
            for row, (budget, index) in enumerate(zip(budgets, indices, strict=True)):
                if self.eligible[timestep, index]:
                    self._enter((timestep, int(budget), int(index)), [column[row] for column in columns], images[row])

    def _enter(self, where: tuple[int, int, int], values: list[np.generic], image: Tensor) -> None:
        timestep, budget, index = where
        success, prediction, confidence, margin, linf, l2, queries = values
        self.attacked[where] = True
        self.success[where] |= success
        self.queries[where] += queries
        if self.success_within[where]:
            return
        reach = (timestep, slice(budget, None if success else budget + 1), index)
        self.prediction[reach], self.confidence[reach] = prediction, confidence
        self.margin[reach], self.linf[reach], self.l2[reach] = margin, linf, l2
        self.success_within[reach] = success
        if self.images is not None:
            self.images[reach] = image

    def broken(self, budgets: NDArray[np.intp], indices: NDArray[np.intp], *, within: bool) -> NDArray[np.bool_]:
        """Return which images are broken at every timestep at which they can be, (batch,).

        Args:
            budgets: The index of each pair's epsilon in the list.
            indices: The image of each pair.
            within: Broken at this budget or a smaller one, instead of at exactly this one.
        """
        success = self.success_within if within else self.success
        return np.asarray((success[:, budgets, indices] | ~self.eligible[:, indices]).all(axis=0))


def positions(mask: Tensor) -> NDArray[np.intp]:
    """Return where a mask (N,) holds."""
    return torch.nonzero(mask)[:, 0].cpu().numpy()
