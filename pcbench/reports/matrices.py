"""Tables with a column for each timestep: corruption errors with their mean, robust accuracy by ε."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd

from pcbench.metrics.marks import AT_CHANCE, MARKS, marks_title
from pcbench.metrics.shown import own_timestep
from pcbench.names import attack_title, words
from pcbench.norms import epsilon_text
from pcbench.percent import decimal, in_percent, interval
from pcbench.reports.charts import in_order
from pcbench.results.conditions import CORRUPTED
from pcbench.results.corruption_means import shown_mean
from pcbench.results.verdicts import Verdicts

ROBUST = "robust_accuracy"
"""The metric that no title names without the verdict on the attacks."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A number in percent with its 95 % interval."""

    timestep: int
    """The timestep."""
    value: float
    """In percent."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    n: int
    """Number of images."""
    at_chance: bool = False
    """Whether it is an accuracy that is not above that of guessing."""
    row: int = 0
    """The label of its row in the tidy table."""

    @property
    def number(self) -> str:
        """The number as it is printed."""
        return decimal(self.value)

    @property
    def interval(self) -> str:
        """The interval as it is printed, and whether the number is at chance."""
        return interval(self.low, self.high, decimal) + f" {AT_CHANCE}" * self.at_chance

    @property
    def text(self) -> str:
        """The number and its interval as they are printed."""
        return f"{self.number} {self.interval}"


@dataclasses.dataclass(frozen=True)
class MatrixRow:
    """A named row, its entries in the order of the timesteps."""

    name: str
    cells: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A table with a column for each timestep."""

    name: str
    """Its name in file names."""
    title: str
    """One line that says what the numbers are and in which unit."""
    first: str
    """The heading of the rows' names."""
    timesteps: tuple[int, ...]
    """The columns."""
    rows: tuple[MatrixRow, ...]
    """The rows."""
    mean: MatrixRow | None = None
    """The mean of the rows, if there is one."""

    @property
    def cells(self) -> list[Entry]:
        """All numbers, row by row, those of the mean last."""
        return [cell for row in (*self.rows, self.mean) if row is not None for cell in row.cells]


def matrices(rows: pd.DataFrame, label: str, verdicts: Verdicts) -> list[Matrix]:
    """Return the tables of one run on one suite.

    Args:
        rows: The rows of the tidy table.
        label: The run's name in titles.
        verdicts: What is known of its attacks.
    """
    made = [*_error_matrices(rows, label), *_attack_matrices(rows, label, verdicts)]
    return [dataclasses.replace(one, title=one.title + marks_title(rows)) for one in made]


def verdict_on(rows: pd.DataFrame, verdicts: Verdicts) -> str:
    """Return the verdict on all attacks that some rows of one suite are about, in words."""
    timesteps = sorted({int(t) for t in rows["timestep"]}, reverse=True)
    return verdicts.words(str(rows["suite"].iloc[0]), timesteps)


def entry(row: pd.Series) -> Entry:
    """Return a row of the tidy table as an entry; ratios become percent."""
    value, low, high = (in_percent(row[column]) for column in ("value", "ci_low", "ci_high"))
    marks = row.get(MARKS)
    at_chance = isinstance(marks, str) and AT_CHANCE in marks.split("; ")
    return Entry(int(row["timestep"]), value, low, high, int(row["n"]), at_chance, int(str(row.name)))


def _error_matrices(rows: pd.DataFrame, label: str) -> Iterator[Matrix]:
    shown = shown_mean(rows)
    if shown is None:
        return
    means = rows[rows["metric"] == shown.metric]
    each = rows[(rows["metric"] == shown.each) & rows["kind"].isin(CORRUPTED)]
    baseline, suite = means["baseline"].iloc[0], str(rows["suite"].iloc[0])
    unit = "in %" if pd.isna(baseline) else f"in % of the errors of {baseline}"
    yield Matrix(
        f"{suite}-corruption-error",
        f"{shown.each_title} of {label} on {suite}, {unit}",
        "corruption",
        tuple(sorted(int(t) for t in means["timestep"])),
        tuple(matrix_row(words(name), each[each["name"] == name]) for name in in_order(each["name"])),
        matrix_row(shown.row, means),
    )


def _attack_matrices(rows: pd.DataFrame, label: str, verdicts: Verdicts) -> Iterator[Matrix]:
    own = own_timestep(rows[rows["metric"] == ROBUST])
    for (name, norm), part in own.groupby(["name", "norm"], sort=False, observed=True):
        suite = str(part["suite"].iloc[0])
        budgets = sorted(float(value) for value in part["epsilon"].unique())
        yield Matrix(
            f"{suite}-{name}-{norm}-robust-accuracy",
            f"Robust accuracy of {label} under {attack_title(name)} ({verdict_on(part, verdicts)}), in %",
            "ε",
            tuple(sorted(int(t) for t in part["timestep"].unique())),
            tuple(
                matrix_row(epsilon_text(epsilon, str(norm)), part[part["epsilon"] == epsilon]) for epsilon in budgets
            ),
        )


def matrix_row(name: str, part: pd.DataFrame) -> MatrixRow:
    """Return the row of this name from rows of the tidy table, one for each timestep."""
    return MatrixRow(name, tuple(entry(row) for _, row in part.sort_values("timestep").iterrows()))
