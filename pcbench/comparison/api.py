"""Comparing and checking runs for Python users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from pcbench.arguments import a_word, public, read_path
from pcbench.comparison.answer import answers
from pcbench.comparison.compare import ComparedRow, compare_runs, compare_timesteps
from pcbench.comparison.compare_output import as_frame
from pcbench.comparison.gate import GateReport, check_run
from pcbench.comparison.guarded import Guard
from pcbench.comparison.reference import Reference, freeze, read_reference
from pcbench.comparison.sentences import sentences
from pcbench.metrics.drop import Side
from pcbench.results.directory import Run
from pcbench.results.given import GivenRun, given_run, given_runs


@dataclass(frozen=True)
class RunComparison:
    """Runs, or the timesteps of a run, compared on the same images."""

    rows: tuple[ComparedRow, ...]
    """One comparison each."""
    sentences: tuple[str, ...]
    """What was found, in words: the answer of a run first, where its timesteps are compared."""

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One comparison a row, as in `comparison.csv`.

        `first_value`, `second_value`, `difference` (second − first) with `ci_low` and `ci_high` are shares of images,
        0 to 1, or ratios for mCE; `p_holm` is p by Holm's correction over the timesteps.
        """
        return as_frame(self.rows)

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        shown_columns = ["suite", "figure", "first", "second", "difference", "ci_low", "ci_high", "p_holm"]
        return str(self.frame[shown_columns].to_html(index=False, float_format="{:.4f}".format))  # it escapes names

    def __str__(self) -> str:
        return "\n".join(self.sentences)


@public()
def compare(run: GivenRun, other: GivenRun | Sequence[GivenRun] | None = None) -> RunComparison:
    """Compare runs on the same images, or the timesteps of one run with t = 0.

    Args:
        run: A run or its folder.
        other: One or several more, each compared with the first; None compares the timesteps of `run`.

    Returns:
        `.frame` is a pandas DataFrame, one comparison a row, with paired differences, 95 % intervals and p;
        `.sentences` says them in words, which `print` shows.

    Raises:
        UsageError: No such run; the runs differ in images or suites; or one run has one timestep only.
        DataError: A run is damaged or was changed.
    """
    first = given_run(run)
    if other is None:
        rows = compare_timesteps(first)
        return RunComparison(tuple(rows), (*(one.text for one in answers(first)), *sentences(rows)))
    rows = [row for second in given_runs(other) for row in compare_runs(first, second, compared_names(first, second))]
    return RunComparison(tuple(rows), tuple(sentences(rows)))


def compared_names(first: Run, second: Run) -> tuple[str, str]:
    """Name two runs by their models, or by their folders where the models have the same name."""
    models = str(first.spec.model["name"]), str(second.spec.model["name"])
    return models if models[0] != models[1] else (first.folder.name, second.folder.name)


@public()
def check(
    run: GivenRun,
    reference: Reference | GivenRun,
    *,
    tolerated: float = 0.01,
    alpha: float = 0.01,
    guard: Guard = "all",
    side: Side = "drop",
    tolerated_changes: float | None = None,
) -> GateReport:
    """Check a run against a reference, as `pcbench check` does in CI.

    Args:
        run: A run or its folder.
        reference: A file of `pcbench freeze`, what `read_reference` read, or a run, or the folder of one.
        tolerated: The drop that is tolerated in every row, a share of the images, 0 to 1.
        alpha: Probability of any false alarm over all rows, at most 0.5.
        guard: ``"all"`` rows, or the ``"pooled"`` ones: clean, all corruptions together, each attack.
        side: ``"drop"`` fails for losses, ``"change"`` for gains as well.
        tolerated_changes: Fail as well where more than this share of single answers differ, 0 to 1.

    Returns:
        `.passed`, and `.rows`, one guarded accuracy each.

    Raises:
        UsageError: No such run or reference, the two are not comparable, or a number is out of range.
        DataError: One of them is damaged.
    """
    a_word("guard", guard, ("all", "pooled"))
    a_word("side", side, ("drop", "change"))
    return check_run(
        given_run(run),
        _reference(reference),
        tolerated=tolerated,
        alpha=alpha,
        guard=guard,
        side=side,
        tolerated_changes=tolerated_changes,
    )


def _reference(value: Reference | GivenRun) -> Reference:
    if isinstance(value, Reference):
        return value
    if isinstance(value, Run):
        return freeze(value)
    path = read_path("reference", value)
    return freeze(given_run(path)) if path.is_dir() else read_reference(path)
