"""From rows of outcomes to one answer per image: the vectors that all metrics are made of.

A cell is a condition at one timestep. Its vectors are in the same order of images for every cell of a suite, which is
what makes comparisons paired. Rows are taken in table by table, so that a run of tens of millions of rows is never
held as a whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pcbench.errors import DataError
from pcbench.metrics.rates import Booleans
from pcbench.norms import NORMS
from pcbench.results.columns import GRADIENT_STATES
from pcbench.results.conditions import Condition

_KEYS = [field.name for field in dataclasses.fields(Condition)]
_ANSWERS = ["correct", "attacked", "success", "success_within", "finite"]
_STEPS = ["first_step_gradient", "later_step_gradient"]
_COUNTED = _ANSWERS.index("success_within")
_NORMS = {name: norm.column for name, norm in NORMS.items()}
_DRAWS = "draws_right"
NEEDED_COLUMNS = ["image_id", *_KEYS, "timestep", *_ANSWERS, *_STEPS, *_NORMS.values(), _DRAWS]
"""The columns of outcomes that metrics need."""
PROBABILITIES = ["confidence", "true_label_probability"]
"""Those that calibration needs beside them."""
_MEASURED = 2 + len(PROBABILITIES)

_ABSENT = -1


@dataclasses.dataclass(frozen=True)
class Cell:
    """A condition at one timestep."""

    condition: Condition
    timestep: int


@dataclasses.dataclass(frozen=True)
class CellOutcomes:
    """What became of each image in one cell; every array has shape (images,)."""

    correct: Booleans
    """Whether the prediction is the label."""
    attacked: Booleans
    """Whether the attack ran on the image at this ε; False where it did not or where there is none."""
    success: Booleans
    """Whether it reached its goal at exactly this ε."""
    success_within: Booleans
    """Whether it reached its goal at this ε or a smaller one."""
    counted: Booleans
    """Whether a rate of success is over the image: it was right before (or, under a targeted attack, neither
    at its target nor of it)."""
    finite: Booleans
    """Whether the logits are finite; True in tables that do not say."""
    gradient: npt.NDArray[np.int8]
    """The worst that the attack found at any step: an index of `GRADIENT_STATES`, or -1 where it is not known."""
    perturbation: npt.NDArray[np.float32]
    """How far the scored image lies from the clean one in the attack's norm; NaN where there is not an attack.
    """
    draws_right: npt.NDArray[np.float32]
    """The share of single draws of a random network that are right; NaN where nothing is drawn."""

    confidence: npt.NDArray[np.float32]
    """The probability of the predicted class; NaN where there is none or it was not read."""
    true_label_probability: npt.NDArray[np.float32]
    """That of the label; NaN likewise."""


_Numbers = npt.NDArray[np.float32] | None
_Part = tuple[npt.NDArray[np.int32], npt.NDArray[np.int8], list[_Numbers]]


class SuiteOutcomes:
    """The outcomes of one suite, image by image.

    Args:
        suite: Its name, for messages.
    """

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self._ids = pd.Index([], dtype=object)
        self._rows: dict[Cell, list[_Part]] = {}
        self._kept: Booleans | None = None

    @property
    def image_ids(self) -> list[str]:
        """The images, in the order of all vectors."""
        ids = self._ids if self._kept is None else self._ids[self._kept]
        return [str(image) for image in ids]

    def keep_common(self) -> bool:
        """Leave out the images that a cell lacks, so that comparisons stay paired; return whether there are any."""
        kept = np.ones(len(self._ids), dtype=np.bool_)
        for parts in self._rows.values():
            kept &= sum(np.bincount(indices, minlength=len(kept)) for indices, *_ in parts) == 1
        self._kept = kept
        return not bool(kept.all())

    @property
    def cells(self) -> list[Cell]:
        """All cells, in the order in which they came."""
        return list(self._rows)

    def add(self, cell: Cell, part: _Part) -> None:
        """Take in rows of one cell.

        Args:
            cell: The cell.
            part: The images' indices, their answers, shape (6, rows), -1 where empty, the last of them the state of
                the gradient; and the numbers that `CellOutcomes` ends with, each of shape (rows,), or None where there
                is none.
        """
        self._rows.setdefault(cell, []).append(part)

    def indices(self, image_ids: pd.Index) -> npt.NDArray[np.int32]:
        """Return the indices of images in the vectors, making room for those not seen before."""
        if image_ids.equals(self._ids):
            return np.arange(len(image_ids), dtype=np.int32)
        self._ids = self._ids.append(image_ids[~image_ids.isin(self._ids)])
        return self._ids.get_indexer(image_ids).astype(np.int32)

    def answers(self, cell: Cell) -> CellOutcomes:
        """Return the vectors of one cell.

        Raises:
            DataError: The cell lacks an image that other cells have, or has one twice.
        """
        images = len(self._ids)
        table = np.full((len(_ANSWERS) + 1, images), _ABSENT, dtype=np.int8)
        seen = np.zeros(images, dtype=np.int64)
        numbers = np.full((_MEASURED, images), np.nan, dtype=np.float32)
        for indices, answers, measured in self._rows[cell]:
            seen += np.bincount(indices, minlength=images)
            table[:, indices] = answers
            for row, values in zip(numbers, measured, strict=True):
                if values is not None:
                    row[indices] = values
        if self._kept is not None:
            table, numbers, seen = table[:, self._kept], numbers[:, self._kept], seen[self._kept]
        if not (seen == 1).all():
            self._refuse(cell, seen)
        correct, attacked, success, success_within, _ = table[:-1] == 1
        finite = table[_ANSWERS.index("finite")] != 0
        counted = table[_COUNTED] != _ABSENT
        return CellOutcomes(correct, attacked, success, success_within, counted, finite, table[-1], *numbers)

    def _refuse(self, cell: Cell, seen: npt.NDArray[np.int64]) -> None:
        image = self._ids[int(np.flatnonzero(seen != 1)[0])]
        state = "twice" if seen.max() > 1 else "missing"
        named = f"{cell.condition.name!r} at t = {cell.timestep} of suite {self.suite!r}"
        raise DataError(f"the outcomes of {named} are not one per image ({image!r} is {state}); run it again")


def collect(tables: Iterator[pa.Table]) -> dict[str, SuiteOutcomes]:
    """Sort the rows of tables of outcomes into suites and cells.

    Args:
        tables: Tables with at least `NEEDED_COLUMNS`, and `PROBABILITIES` where they are asked for; a cell may be
            spread over several.
    """
    suites: dict[str, SuiteOutcomes] = {}
    for table in tables:
        _take_in(table, suites)
    return suites


def _take_in(table: pa.Table, suites: dict[str, SuiteOutcomes]) -> None:
    if not table.num_rows:
        return
    images, image_of_row = _encoded(table, "image_id")
    here = pd.Index(images, dtype=object)
    states = np.maximum(*(_state(table, name) for name in _STEPS))
    answers = np.stack([*(_answer(table, name) for name in _ANSWERS), states])
    norms = {norm: _numbers(table, column) for norm, column in _NORMS.items()}
    others = [_numbers(table, name) if name in table.column_names else None for name in (_DRAWS, *PROBABILITIES)]
    # Most tables hold one suite, and every cell of it all its images: these are looked up once.
    indices_of_all: dict[str, npt.NDArray[np.int32]] = {}
    for values, rows in _groups(table):
        condition = Condition(**{name: values[name] for name in _KEYS})
        outcomes = suites.setdefault(condition.suite, SuiteOutcomes(condition.suite))
        used = image_of_row[rows]
        present = np.zeros(len(here), dtype=bool)
        present[used] = True
        if present.all():
            if condition.suite not in indices_of_all:
                indices_of_all[condition.suite] = outcomes.indices(here)
            indices = indices_of_all[condition.suite]
        else:
            indices = np.full(len(here), _ABSENT, dtype=np.int32)
            indices[present] = outcomes.indices(here[present])
        # No probability under an attack is a metric.
        wanted = others[:1] + ([None] * len(PROBABILITIES) if condition.kind == "attack" else others[1:])
        measured = [None if one is None else one[rows] for one in (norms.get(condition.norm or ""), *wanted)]
        outcomes.add(Cell(condition, int(values["timestep"])), (indices[used], answers[:, rows], measured))


def _groups(table: pa.Table) -> Iterator[tuple[dict[str, Any], npt.NDArray[np.int64]]]:
    """Yield the common values and the rows of every cell in a table."""
    names = [*_KEYS, "timestep"]
    encoded = {name: _encoded(table, name) for name in names}
    group = np.zeros(table.num_rows, dtype=np.int64)
    for values, codes in encoded.values():
        if len(values) > 1 or codes.min() != codes.max():
            group = group * (len(values) + 1) + codes + 1
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=group[order[0]] - 1))
    for rows in np.split(order, starts[1:]):
        first = {name: (values, codes[rows[0]]) for name, (values, codes) in encoded.items()}
        yield {name: None if code < 0 else values[code] for name, (values, code) in first.items()}, rows


def _encoded(table: pa.Table, name: str) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return a column's values and, for every row, which of them it is (-1 where it is empty)."""
    column = cast("Any", table.column(name))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    codes = array.indices.fill_null(_ABSENT).to_numpy(zero_copy_only=False).astype(np.int64)
    return array.dictionary.to_pylist(), codes


def _numbers(table: pa.Table, name: str) -> _Numbers:
    """Return a column of numbers, NaN where it is empty; None where it is empty throughout."""
    column: Any = table.column(name)
    if column.null_count == table.num_rows:
        return None
    return np.asarray(column.cast(pa.float32()).to_numpy(), dtype=np.float32)


def _state(table: pa.Table, name: str) -> npt.NDArray[np.int8]:
    """Return a column of states as indices of `GRADIENT_STATES`, -1 where it is empty."""
    values, codes = _encoded(table, name)
    known = np.array([*(GRADIENT_STATES.index(value) for value in values), _ABSENT], dtype=np.int8)
    return known[codes]


def _answer(table: pa.Table, name: str) -> npt.NDArray[np.int8]:
    """Return a column of booleans as 1, 0 and -1 where it is empty."""
    column: Any = table.column(name).cast(pa.bool_()).cast(pa.int8())
    return np.asarray(column.fill_null(_ABSENT).to_numpy(), dtype=np.int8)
