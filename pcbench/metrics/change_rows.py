"""The rows of changes under corruption and noise since the first timestep, on the same images.

A change of one condition is a paired difference of two rates. Where conditions are pooled, an image's score is its
share of right answers, and the interval is the bootstrap's over images, as in `pcbench compare`: same images in the
same order, same draws, same numbers.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pcbench.metrics.bootstrap import RESAMPLES
from pcbench.metrics.cells import Cell, SuiteOutcomes
from pcbench.metrics.paired import enough_draws, paired_differences, paired_rate_change
from pcbench.metrics.rates import Booleans, Estimate
from pcbench.metrics.rows import CHANGE, Row, cell_row, summary_row
from pcbench.results.conditions import CORRUPTED

ACCURACY_CHANGE = "accuracy" + CHANGE
FAMILY = "family"
"""The kind of a row that pools the corruptions of one family, which is its name."""

Families = Mapping[str, str]
"""The family of each corruption, by its name."""

_Condition = tuple[str, int]
"""A corruption or noise and its severity."""


@dataclasses.dataclass(frozen=True)
class _Pool:
    """Conditions that are pooled, and the columns of the tidy table that say so."""

    columns: Mapping[str, object]
    conditions: tuple[_Condition, ...]


def accuracy_change_rows(
    outcomes: SuiteOutcomes, errors: Mapping[tuple[str, int, int], Booleans], families: Families | None = None
) -> Iterator[Row]:
    """Return the paired change of accuracy since the first timestep.

    Of every condition, every severity, every corruption or noise, every family, and all together.

    Args:
        outcomes: One suite's.
        errors: The errors, image by image, by corruption, severity and timestep, as `error_columns` returns them.
        families: The family of each corruption; corruptions without one are in none.
    """
    cells = {
        (cell.condition.name, cell.condition.severity, cell.timestep): cell
        for cell in outcomes.cells
        if cell.condition.kind in CORRUPTED and cell.condition.severity is not None
    }
    timesteps = sorted({timestep for *_, timestep in cells})
    for (name, severity, timestep), cell in cells.items():
        before = errors.get((name, severity, timesteps[0]))
        if timestep > timesteps[0] and before is not None:
            yield cell_row(cell, ACCURACY_CHANGE, paired_rate_change(~before, ~errors[name, severity, timestep]))
    if len(timesteps) > 1:
        pools = list(_pools(cells, timesteps, families or {}))
        order = np.argsort(np.array(outcomes.image_ids))
        yield from _pooled_rows(pools, timesteps, errors, order)


def _pools(cells: Mapping[tuple[str, int, int], Cell], timesteps: list[int], families: Families) -> Iterator[_Pool]:
    """Yield what is pooled, all conditions first; conditions that a timestep lacks are left out."""
    known = dict.fromkeys((name, severity) for name, severity, _ in cells)
    conditions = [one for one in known if all((*one, timestep) in cells for timestep in timesteps)]
    if not conditions:
        return
    kind = next(iter(cells.values())).condition.kind
    yield _Pool({"kind": "summary"}, tuple(conditions))
    for severity, pooled in sorted(_grouped(conditions, {one: one[1] for one in conditions}).items()):
        yield _Pool({"kind": "summary", "severity": severity}, pooled)
    for name, pooled in _grouped(conditions, {one: one[0] for one in conditions}).items():
        yield _Pool({"kind": kind, "name": name}, pooled)
    of_families = {one: families[one[0]] for one in conditions if one[0] in families}
    for family, pooled in _grouped(list(of_families), of_families).items():
        yield _Pool({"kind": FAMILY, "name": family}, pooled)


def _grouped(
    conditions: Iterable[_Condition], key: Mapping[_Condition, object]
) -> dict[object, tuple[_Condition, ...]]:
    groups: defaultdict[object, list[_Condition]] = defaultdict(list)
    for condition in conditions:
        groups[key[condition]].append(condition)
    return {name: tuple(pooled) for name, pooled in groups.items()}


def _pooled_rows(
    pools: list[_Pool],
    timesteps: list[int],
    errors: Mapping[tuple[str, int, int], Booleans],
    order: NDArray[np.intp],
) -> Iterator[Row]:
    """Yield the rows of pooled conditions; `order` sorts the images by their ids, as a comparison does."""
    found: dict[tuple[int, int], Estimate] = {}
    asked: list[tuple[int, int]] = []
    differences: list[NDArray[np.float32]] = []
    for number, pool in enumerate(pools):
        right = np.stack([_right_answers(pool, timestep, errors)[order] for timestep in timesteps])
        shares = right / len(pool.conditions)
        binary = bool((right % len(pool.conditions) == 0).all())
        for index, timestep in enumerate(timesteps[1:], 1):
            if binary:
                found[number, timestep] = paired_rate_change(shares[0] > 0, shares[index] > 0)
            else:
                asked.append((number, timestep))
                differences.append((shares[index] - shares[0]).astype(np.float32))
    if asked:
        found |= dict(zip(asked, _bootstrapped(asked, np.column_stack(differences), len(timesteps) - 1), strict=True))
    for number, pool in enumerate(pools):
        for timestep in timesteps[1:]:
            yield summary_row(ACCURACY_CHANGE, timestep, found[number, timestep], **pool.columns)


def _right_answers(pool: _Pool, timestep: int, errors: Mapping[tuple[str, int, int], Booleans]) -> NDArray[np.int32]:
    """Return how many of the pooled conditions each image is answered rightly under, (images,)."""
    wrong = sum(errors[name, severity, timestep].astype(np.int32) for name, severity in pool.conditions)
    return len(pool.conditions) - np.asarray(wrong, dtype=np.int32)


def _bootstrapped(asked: list[tuple[int, int]], differences: NDArray[np.float32], comparisons: int) -> list[Estimate]:
    """Return the means of columns with their intervals; that of all conditions has as many draws as a comparison."""
    found = paired_differences(differences)
    draws = enough_draws(comparisons)
    of_all = [index for index, (number, _) in enumerate(asked) if number == 0]
    if draws > RESAMPLES and of_all:
        for index, one in zip(of_all, paired_differences(differences[:, of_all], resamples=draws), strict=True):
            found[index] = one
    return [Estimate(one.value, one.low, one.high, len(differences)) for one in found]
