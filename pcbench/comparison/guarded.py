"""Which accuracies of a suite are guarded, and each image's score in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pcbench.comparison.scores import SuiteScores
from pcbench.metrics.cells import Cell
from pcbench.names import severities_words

Guard = Literal["all", "pooled"]

MEAN_OF = "mean of "
"""What the words for a row begin with that is a mean over several corruptions or noises."""

_Key = tuple[str, str, int]
"""Kind of condition, what was done to the images, timestep."""


@dataclass(frozen=True)
class GuardedRow:
    """An accuracy that is guarded."""

    suite: str
    """The suite's name."""
    what: str
    """What was done to the images, in words."""
    timestep: int
    """The timestep."""
    pooled: bool
    """Whether it is one of the few rows that sum a suite up, rather than a single corruption."""

    def __str__(self) -> str:
        return f"{self.suite}, {self.what}, t = {self.timestep}"


def guarded_rows(scores: SuiteScores, guard: Guard) -> Iterator[tuple[GuardedRow, list[int]]]:
    """Return the rows of a suite that are guarded, each with the indices of its conditions in `scores.cells`."""
    groups: defaultdict[_Key, list[int]] = defaultdict(list)
    for index, cell in enumerate(scores.cells):
        # A budget of 0 leaves the image unchanged.
        if cell.condition.kind != "attack" or cell.condition.epsilon:
            groups[cell.condition.kind, _what(cell, scores.severities), cell.timestep].append(index)
    for kind in dict.fromkeys(kind for kind, *_ in groups):
        keys = [key for key in groups if key[0] == kind]
        single = kind in ("clean", "attack") or len({what for _, what, _ in keys}) == 1
        if not single:
            yield from _pooled(scores, groups, keys)
        if single or guard == "all":
            for key in keys:
                yield GuardedRow(scores.suite, key[1], key[2], pooled=single), groups[key]


def _pooled(
    scores: SuiteScores, groups: defaultdict[_Key, list[int]], keys: list[_Key]
) -> Iterator[tuple[GuardedRow, list[int]]]:
    names = len({what for _, what, _ in keys})
    for timestep in sorted({timestep for *_, timestep in keys}):
        each = [groups[key] for key in keys if key[2] == timestep]
        cells = [index for indices in each for index in indices]
        # Where numbers of severities differ, this is not the mean of the corruptions' means, which mCE is of.
        alike = len({len(indices) for indices in each}) == 1
        levels = "" if alike else f", {len(cells)} severities in all"
        levels = levels if scores.severities is None else f", {severities_words(scores.severities)}"
        yield GuardedRow(scores.suite, f"{MEAN_OF}{names} {keys[0][0]}s{levels}", timestep, pooled=True), cells


def _what(cell: Cell, severities: Sequence[int] | None) -> str:
    condition = cell.condition
    parts = [condition.name]
    if condition.severity is not None and severities is not None:
        parts[0] += f", {severities_words(severities)}"
    if condition.kind == "attack":
        parts += [part for part in (condition.norm, condition.gradient) if part]
        parts += ["targeted"] if condition.targeted else []
        if condition.attacked_timestep != cell.timestep:
            attacked = condition.attacked_timestep
            parts.append("all timesteps attacked" if attacked is None else f"t = {attacked} attacked")
    return " ".join(parts)


def share(scores: SuiteScores, correct: NDArray[np.bool_], cells: list[int]) -> NDArray[np.float64]:
    """Return each image's share of right answers; under an attack, within each budget rather than at it.

    Args:
        scores: The suite.
        correct: Its answers, shape (conditions, images); those of `scores` or another run's in the same order.
        cells: Indices of the conditions of the row.

    Returns:
        Shape (images,), 0 to 1.
    """
    if scores.cells[cells[0]].condition.kind != "attack":
        return correct[cells].mean(axis=0)
    return within_budgets(scores, correct, cells).mean(axis=0)


def within_budgets(scores: SuiteScores, correct: NDArray[np.bool_], cells: list[int]) -> NDArray[np.bool_]:
    """Return whether each image is right within each budget of an attack, (budgets, images), budgets ascending.

    Args:
        scores: As for `share`.
        correct: As for `share`.
        cells: Indices of the conditions of an attack.
    """
    ordered = sorted(cells, key=lambda index: scores.cells[index].condition.epsilon or 0.0)
    return np.logical_and.accumulate(correct[ordered], axis=0)
