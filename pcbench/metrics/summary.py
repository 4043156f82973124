"""From outcomes to the tidy table of numbers that a run leaves behind."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pcbench.errors import DataError
from pcbench.metrics.attack_rows import attack_rows
from pcbench.metrics.calibration import calibration_rows
from pcbench.metrics.cells import NEEDED_COLUMNS, PROBABILITIES, SuiteOutcomes, collect
from pcbench.metrics.corruption import BaselineErrors
from pcbench.metrics.corruption_rows import StatedCorruptions, clean_change_rows, corruption_rows
from pcbench.metrics.draw_rows import draw_rows
from pcbench.metrics.rates import rate
from pcbench.metrics.representations import representation_rows
from pcbench.metrics.rows import Row, cell_row, finite_rows
from pcbench.results.metrics_table import metrics_table, subset_baseline
from pcbench.results.schema import read_outcomes, read_table


@dataclasses.dataclass(frozen=True)
class _Known:
    """What is known of suites beside their outcomes, by their names."""

    baselines: Mapping[str, BaselineErrors]
    corruptions: Mapping[str, StatedCorruptions]


def summarise(
    outcomes: pd.DataFrame,
    *,
    model: str,
    baselines: Mapping[str, BaselineErrors],
    corruptions: Mapping[str, StatedCorruptions] | None = None,
    subsets: Collection[str] = (),
) -> pd.DataFrame:
    """Turn outcomes into the tidy table of `metrics.csv`.

    Args:
        outcomes: One row per image x condition x timestep, with the columns of `pcbench.results.schema`.
        model: The model's name, the first column.
        baselines: The baseline of each corruption suite that has one, by the suite's name.
        corruptions: What is stated of each suite's corruptions, by the suite's name; see `corruption_rows`.
        subsets: Suites that were run on a subset of their images or classes: their CE and mCE are marked
            "subset, not comparable".

    Returns:
        The columns `pcbench.results.columns.METRICS_COLUMNS`: rates and CE as ratios (the baseline is 1.0),
        epsilon in [0,1] pixel units. Wilson intervals where one row is one image, BCa bootstrap over images where
        conditions are pooled. `n` is the number of eligible images.

    Raises:
        DataError: There are no outcomes, or a condition lacks an image that others have.
    """
    table = pa.Table.from_pandas(outcomes, preserve_index=False)
    return _summary(iter([table]), model, _Known(baselines, corruptions or {}), subsets)


def summarise_folder(
    folder: Path,
    *,
    model: str,
    baselines: Mapping[str, BaselineErrors],
    corruptions: Mapping[str, StatedCorruptions] | None = None,
    subsets: Collection[str] = (),
    incomplete: Collection[str] = (),
) -> pd.DataFrame:
    """Turn a folder of Parquet files of outcomes into the tidy table, file by file; see `summarise`.

    Args:
        folder: Holds the files.
        model: As for `summarise`.
        baselines: As for `summarise`.
        corruptions: As for `summarise`.
        subsets: As for `summarise`.
        incomplete: Suites some of whose work could not be done: images that a condition lacks are left out of all
            conditions, and the suite is marked as a subset.

    Raises:
        DataError: There are no outcomes, a file is damaged, or a condition lacks an image that others have.
    """
    known = _Known(baselines, corruptions or {})
    tables = outcome_tables(folder, [*NEEDED_COLUMNS, *PROBABILITIES])
    return _summary(tables, model, known, {*subsets, *incomplete}, incomplete)


def summarise_representations(folder: Path, *, model: str) -> pd.DataFrame:
    """Turn a folder of Parquet files about representations into rows of the tidy table; see `representation_rows`.

    Raises:
        DataError: There are none, or a file is damaged.
    """
    tables = [read_table(path, "representations") for path in sorted(folder.rglob("*.parquet"))]
    if not tables:
        raise DataError(f"{folder}: there are no representations to summarise; run a suite that measures them")
    rows = representation_rows(pa.concat_tables(tables).unify_dictionaries().to_pandas())
    return metrics_table([{"model": model, **row} for row in rows])


def outcome_tables(folder: Path, columns: Sequence[str] = NEEDED_COLUMNS) -> Iterator[pa.Table]:
    """Read a folder of outcomes one file at a time, in the order of the files' names."""
    return (read_outcomes(path, columns) for path in sorted(folder.rglob("*.parquet")))


def _summary(
    tables: Iterator[pa.Table],
    model: str,
    known: _Known,
    subsets: Collection[str],
    incomplete: Collection[str] = (),
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    for suite, outcomes in collect(tables).items():
        if suite in incomplete:
            outcomes.keep_common()
        for row in _suite_rows(outcomes, known):
            if row.get("baseline") is not None and suite in subsets:
                row["baseline"] = subset_baseline(str(row["baseline"]))
            rows.append({"model": model, "suite": suite, **row})
    if not rows:
        raise DataError("there are no outcomes to summarise; run a suite first")
    return metrics_table(rows)


def _suite_rows(outcomes: SuiteOutcomes, known: _Known) -> Iterator[Row]:
    for cell in outcomes.cells:
        if cell.condition.kind != "attack":
            answers = outcomes.answers(cell)
            yield cell_row(cell, "accuracy", rate(answers.correct))
            yield cell_row(cell, "error", rate(~answers.correct))
            yield from finite_rows(cell, answers)
            yield from calibration_rows(cell, answers)
    yield from clean_change_rows(outcomes)
    suite = outcomes.suite
    yield from corruption_rows(outcomes, known.baselines.get(suite), known.corruptions.get(suite))
    yield from attack_rows(outcomes)
    yield from draw_rows(outcomes)
