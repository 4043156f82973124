"""What lies beside a page and is linked from it: the figures as drawings, the numbers of figures and tables."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench.files import write
from pcbench.reports.charts import Chart
from pcbench.reports.matrices import Matrix
from pcbench.reports.style import FIGURE_FORMATS
from pcbench.results.directory import Run
from pcbench.results.metrics_table import csv_frame

_FOLDER = "data"
"""Where the tables lie, in the folder of the page."""
_TABLE_FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class TablesBeside:
    """The tables beside a page: each is a choice of rows of the runs' own tables."""

    metrics: pd.DataFrame
    """The tidy tables of all runs, one below the other; of several runs with a column `run` before all others."""
    rows: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """The positions of each table's rows in it, by the name of its files without their ending."""


class Links:
    """The files beside a page; it collects their tables.

    Args:
        runs: The runs of the page.
        beside: The names of the drawn figures that will lie there, with ``/`` between folders.
        tabled: Whether the tables will lie there as well.
    """

    def __init__(self, runs: Sequence[Run], beside: Collection[str], *, tabled: bool) -> None:
        held = [run.metrics for run in runs]
        if len(runs) > 1:
            for run, metrics in zip(runs, held, strict=True):
                metrics.insert(0, "run", run.key)
        self.tables = TablesBeside(held[0] if len(held) == 1 else pd.concat(held, ignore_index=True))
        self._begins = [0, *itertools.accumulate(map(len, held))]
        self._runs = runs
        self._beside = set(beside)
        self._tabled = tabled

    def figure(self, of_runs: Sequence[tuple[int, Chart]]) -> dict[str, Any]:
        """Return the links of a figure, and the commands that draw what is not drawn.

        Args:
            of_runs: The runs' numbers on the page, and the figure's chart of each.
        """
        _, chart = of_runs[0]
        stem = f"{chart.suite}-{chart.name}"
        links = self._table(stem, [(number, one.rows) for number, one in of_runs])
        commands: list[str] = []
        for number, _ in of_runs:
            run, said = self._runs[number], f" of run {number + 1}" if len(self._runs) > 1 else ""
            folder = f"{run.key}/" if number else ""
            drawn = [kind for kind in FIGURE_FORMATS if f"{folder}{stem}.{kind}" in self._beside]
            links += [{"text": f"{kind.upper()}{said}", "file": f"{folder}{stem}.{kind}"} for kind in drawn]
            commands += [] if drawn else [drawing_command(run, stem)]
        return {"links": links, "commands": commands}

    def matrix(
        self, number: int, table: Matrix, knows: str = "", marks: Mapping[int, str] | None = None
    ) -> dict[str, Any]:
        """Return a table of one run with its links.

        Args:
            number: The run's number on the page.
            table: The table.
            knows: Of an attack: what it knows of the model.
            marks: Of an attack: the verdict on the gradients, by timestep.
        """
        linked = self.table(number, table.name, [cell.row for cell in table.cells])
        return {"run": number, "table": table, "links": linked, "knows": knows, "marks": marks or {}}

    def table(self, number: int, stem: str, rows: Iterable[int]) -> list[dict[str, str]]:
        """Return the links of a table of one run.

        Args:
            number: The run's number on the page.
            stem: The name of its files.
            rows: The labels of the rows of the run's tidy table that it shows.
        """
        return self._table(stem if len(self._runs) == 1 else f"{stem}-{self._runs[number].key}", [(number, rows)])

    def _table(self, stem: str, shown: Sequence[tuple[int, Iterable[int]]]) -> list[dict[str, str]]:
        if not self._tabled:
            return []
        self.tables.rows[stem] = [self._begins[number] + row for number, rows in shown for row in rows]
        return [{"text": kind.upper(), "file": f"{_FOLDER}/{stem}.{kind}"} for kind in _TABLE_FORMATS]


def comparing_command(run: Run) -> str:
    """Return the command that writes a run's comparisons to files, for a terminal in the folder above the run's."""
    return f"pcbench compare {shlex.quote(run.folder.name)} --out comparison"


def drawing_command(run: Run, name: str) -> str:
    """Return the command that draws a figure of a run, for a terminal in the folder that holds the run's."""
    return f"pcbench figure {shlex.quote(run.folder.name)} {shlex.quote(name)}"


def table_files(tables: TablesBeside) -> list[str]:
    """Return the names of the files that `write_tables` makes."""
    return [f"{_FOLDER}/{stem}.{kind}" for stem in tables.rows for kind in _TABLE_FORMATS]


def write_tables(tables: TablesBeside, folder: Path) -> None:
    """Write the numbers of the figures and tables of a page, each as CSV and as Parquet, as `metrics.csv` has them.

    Args:
        tables: What they are.
        folder: The page's.

    Raises:
        WriteError: A file cannot be written.
    """
    as_csv, whole = csv_frame(tables.metrics), pa.Table.from_pandas(tables.metrics, preserve_index=False)
    for stem, rows in tables.rows.items():
        write(folder / _FOLDER / f"{stem}.csv", as_csv.iloc[rows].to_csv(index=False, lineterminator="\n"))
        chosen = whole.take(rows)
        write(folder / _FOLDER / f"{stem}.parquet", lambda path, chosen=chosen: pq.write_table(chosen, path))
