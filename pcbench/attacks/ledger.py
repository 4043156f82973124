"""The outcomes of a sweep while they arrive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcbench.attacks.adapters.base import HIDDEN, Gradients
from pcbench.models.scores import Scores
from pcbench.norms import NORMS, perturbation_norms
from pcbench.results.columns import GRADIENT_STATES

_STEPS: Mapping[str, Callable[[Gradients], NDArray[np.int8]]] = {
    "first_step_gradient": lambda found: found.first.cpu().numpy(),
    "later_step_gradient": lambda found: found.later.cpu().numpy(),
}
"""The columns of outcomes that say what an attack found at its steps."""


@dataclass
class ScoredBatch:
    """What the harness saw on a batch of an attack's images, after clipping; S timesteps scored each."""

    images: Tensor
    """What was fed to the judge, (batch, channels, height, width)."""
    scores: Scores
    """What it said about them."""
    success: Tensor
    """Whether the attack's goal is reached, (S, batch)."""
    distances: Mapping[str, Tensor]
    """Measured norms of the perturbations, (batch,), by the names of columns of outcomes."""
    queries: Tensor
    """Forward passes spent by the attack, (batch,)."""
    gradients: Gradients | None = None
    """What the attack found at its steps."""

    def carried(self, timestep: int) -> dict[str, NDArray[Any]]:
        """Return the columns that stay with the scored image at larger budgets, each (batch,)."""
        scores = {name: values[timestep] for name, values in self.scores.columns.items()}
        return {name: values.cpu().numpy() for name, values in {**scores, **self.distances}.items()}


class Ledger:
    """Arrays (S, E, N) over timesteps scored, budgets and images; every image starts as its clean self.

    Args:
        clean: The scores of the clean images, (S, N).
        eligible: Images over which success is a rate, (S, N).
        epsilons: How many budgets.
        kept: The clean images where the scored ones are to be kept, else None.
    """

    def __init__(self, clean: Scores, eligible: NDArray[np.bool_], epsilons: int, kept: Tensor | None = None) -> None:
        timesteps, images = eligible.shape
        shape = (timesteps, epsilons, images)
        self.eligible = eligible
        self.carried: dict[str, NDArray[Any]] = {
            name: np.repeat(values[:, None], epsilons, axis=1) for name, values in clean.arrays().items()
        }
        self.carried |= {norm.column: np.zeros(shape, np.float32) for norm in NORMS.values()}
        self.attacked, self.success = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self.spot_checked = np.zeros(shape[1:], np.bool_)
        self.success_within = np.zeros(shape, np.bool_)
        self.queries = np.zeros(shape, np.int32)
        self.gradients = {name: np.full(shape, HIDDEN, np.int8) for name in _STEPS}
        self.images = None if kept is None else kept.cpu().repeat(timesteps, epsilons, 1, 1, 1, 1)

    def columns(self, timestep: int) -> dict[str, NDArray[Any]]:
        """Return the columns of outcomes that a sweep makes for one of the timesteps scored, each (E, N)."""
        return {
            **{name: values[timestep] for name, values in self.carried.items()},
            "attacked": self.attacked[timestep],
            "spot_checked": self.spot_checked & self.attacked[timestep],
            "success": self.success[timestep],
            "success_within": self.success_within[timestep],
            "queries": self.queries[timestep],
            **{name: _state_names(states[timestep]) for name, states in self.gradients.items()},
        }

    def record(self, budgets: NDArray[np.intp], indices: NDArray[np.intp], scored: ScoredBatch) -> None:
        """Record a batch: what was attacked at which budget, and the result; a restart adds to earlier ones.

        The adversarial image of the smallest budget is carried on to all larger ones, in whichever order they come;
        a failed attempt counts for its own budget.
        """
        images, queries = scored.images.cpu(), scored.queries.cpu().numpy()
        found = {} if scored.gradients is None else {name: step(scored.gradients) for name, step in _STEPS.items()}
        for timestep in range(len(self.eligible)):
            success, carried = scored.success[timestep].cpu().numpy(), scored.carried(timestep)
            for row, (budget, index) in enumerate(zip(budgets.tolist(), indices.tolist(), strict=True)):
                if not self.eligible[timestep, index]:
                    continue
                where = (timestep, budget, index)
                self.attacked[where] = True
                self.success[where] |= success[row]
                self.queries[where] += queries[row]
                for name, states in found.items():
                    self.gradients[name][where] = max(self.gradients[name][where], states[row])
                if not self.success_within[where]:
                    reach = (timestep, slice(budget, None if success[row] else budget + 1), index)
                    self._carry(reach, {name: values[row] for name, values in carried.items()})
                    self.success_within[reach] = success[row]
                    if self.images is not None:
                        self.images[reach] = images[row]

    def _carry(self, reach: tuple[int, slice, int], values: Mapping[str, np.generic]) -> None:
        for name, value in values.items():
            self.carried[name][reach] = value

    def broken(self, budgets: NDArray[np.intp], indices: NDArray[np.intp], *, within: bool) -> NDArray[np.bool_]:
        """Return which images are broken at every timestep at which they can be, (batch,).

        Args:
            budgets: The index of each pair's epsilon in the list.
            indices: The image of each pair.
            within: Broken at this budget or a smaller one, instead of at exactly this one.
        """
        success = self.success_within if within else self.success
        return np.asarray((success[:, budgets, indices] | ~self.eligible[:, indices]).all(axis=0))


def _state_names(states: NDArray[np.int8]) -> NDArray[np.str_]:
    """Return the names of states; masked where they are not known."""
    return np.ma.array(np.array(GRADIENT_STATES)[states.clip(0)], mask=states == HIDDEN)


def distances(images: Tensor, clean: Tensor) -> dict[str, Tensor]:
    """Return the measured norms of the perturbations of a batch, each (batch,), by the columns of outcomes."""
    measured = perturbation_norms(images, clean)
    return {norm.column: measured[name] for name, norm in NORMS.items()}


def positions(mask: Tensor) -> NDArray[np.intp]:
    """Return the indices where a mask (N,) holds."""
    return torch.nonzero(mask)[:, 0].cpu().numpy()
