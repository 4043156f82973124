"""The answers of a run in a fixed order: a matrix of right and wrong, conditions by images, for each suite."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pcbench.errors import DataError
from pcbench.metrics.cells import Cell, SuiteOutcomes, collect
from pcbench.metrics.summary import outcome_tables
from pcbench.results.directory import Run, alone, incomplete_suites


@dataclass(frozen=True)
class SuiteScores:
    """One suite's answers, image by image."""

    suite: str
    """The suite's name."""
    images: int
    """Number of images."""
    ids_sha256: str
    """Hash over the sorted image ids."""
    cells: tuple[Cell, ...]
    """Conditions at their timesteps, in a fixed order: the timesteps of a condition follow each other."""
    correct: NDArray[np.bool_]
    """Whether the answer was right, shape (cells, images), images in the order of their sorted ids."""
    severities: tuple[int, ...] | None = None
    """The severities that the run names; None where all are measured."""


def read_scores(run: Run, *, common: bool = False) -> tuple[list[SuiteScores], dict[str, tuple[str, ...]]]:
    """Read the answers of a run.

    Args:
        run: The run.
        common: In suites of which some work could not be done, leave out the images that a condition lacks.

    Returns:
        One matrix a suite, and the sorted image ids of each suite by its name.

    Raises:
        UsageError: The run has several settings of hyperparameters.
        DataError: The run does not have outcomes, has those of a suite that its manifest does not name, or a condition
            lacks an image that others have.
    """
    collected = collect(outcome_tables(alone(run).folder / "outcomes"))
    if not collected:
        raise DataError(f"{run.folder}: does not have outcomes; run it again")
    foreign = collected.keys() - {suite.name for suite in run.spec.suites}
    if foreign:
        raise DataError(
            f"{run.folder}: its manifest does not name the suite {min(foreign)} of its outcomes; run it again"
        )
    if common:
        for suite in incomplete_suites(run.missing) & collected.keys():
            collected[suite].keep_common()
    named = run.spec.settings.severities
    scores = [replace(_suite_scores(outcomes), severities=named) for outcomes in collected.values()]
    return scores, {name: tuple(sorted(outcomes.image_ids)) for name, outcomes in collected.items()}


def hash_ids(ids: Sequence[str]) -> str:
    """Return the sha256 over sorted image ids."""
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def _suite_scores(outcomes: SuiteOutcomes) -> SuiteScores:
    order = np.argsort(np.array(outcomes.image_ids))
    cells = tuple(sorted(outcomes.cells, key=_sort_key))
    correct = np.stack([outcomes.answers(cell).correct[order] for cell in cells])
    return SuiteScores(outcomes.suite, len(order), hash_ids(outcomes.image_ids), cells, correct)


def _sort_key(cell: Cell) -> tuple[object, ...]:
    condition = cell.condition
    return (
        condition.kind,
        condition.name,
        condition.severity or 0,
        condition.norm or "",
        bool(condition.targeted),
        condition.gradient or "",
        -1.0 if condition.epsilon is None else condition.epsilon,
        # Attacks on a single timestep come in the order of timesteps, after those on several at once.
        cell.timestep,
        -1 if condition.attacked_timestep is None else condition.attacked_timestep,
    )
