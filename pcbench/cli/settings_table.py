"""The short tables that a run with several settings of hyperparameters ends with: a row for each setting."""

from __future__ import annotations

import shlex

import numpy as np
from rich.table import Table

from pcbench.reports.matrices import Matrix
from pcbench.reports.settings_charts import BySetting
from pcbench.results.directory import Run
from pcbench.terminal import Terminal

_COLUMNS = 9
"""How many timesteps fit a narrow terminal."""


def print_settings(run: Run, console: Terminal) -> None:
    """Print the numbers of a run by setting: a table for each."""
    shown = BySetting(run)
    for suite in shown.suites:
        for matrix in shown.matrices(suite):
            console.print(matrix.title, style="italic", soft_wrap=True)
            console.print(_table(matrix))
    first, second, *_ = (shlex.quote(str(run.folder / label)) for label in run.spec.settings.grid.labels)
    console.print(f"each is a run of its own; is a difference real? pcbench compare {first} {second}", soft_wrap=True)


def _table(matrix: Matrix) -> Table:
    table = Table()
    table.add_column(matrix.first, justify="right")
    last = len(matrix.timesteps) - 1
    places = sorted({round(float(place)) for place in np.linspace(0, last, min(_COLUMNS, last + 1))})
    chosen = [matrix.timesteps[place] for place in places]
    for timestep in chosen:
        table.add_column(f"t = {timestep}", justify="right")
    for row in matrix.rows:
        numbers = {cell.timestep: cell.number for cell in row.cells}
        table.add_row(row.name, *(numbers.get(timestep, "") for timestep in chosen))
    return table
