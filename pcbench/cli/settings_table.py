"""The short tables that a run with several settings of hyperparameters ends with: a row for each setting."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from rich.table import Table

from pcbench.cli.json_forms import ShownNumber
from pcbench.percent import decimal, percent
from pcbench.reports.settings_charts import BySetting, Quantity
from pcbench.results.directory import Run
from pcbench.terminal import Terminal


def print_settings(run: Run, console: Terminal) -> None:
    """Print the numbers of a run by setting: a table for each."""
    shown = BySetting(run)
    for suite in shown.suites:
        for quantity in shown.quantities(suite):
            console.print(shown.title(suite, quantity), style="italic", soft_wrap=True)
            console.print(_table(shown, quantity, console.width))
    first, second, *_ = (shlex.quote(str(run.folder / label)) for label in run.spec.settings.grid.labels)
    console.print(f"each is a run of its own; is a difference real? pcbench compare {first} {second}", soft_wrap=True)


def setting_numbers(run: Run) -> Iterator[ShownNumber]:
    """Yield the same numbers as `--json` prints them."""
    shown = BySetting(run)
    for suite in shown.suites:
        for quantity in shown.quantities(suite):
            for setting, rows in shown.rows_of(quantity):
                for timestep, value in zip(rows["timestep"], rows["value"], strict=True):
                    yield {
                        "suite": suite,
                        "setting": setting,
                        "timestep": int(timestep),
                        "what": quantity.title,
                        "value": None if pd.isna(value) else float(value),
                    }


def _table(shown: BySetting, quantity: Quantity, width: int) -> Table:
    """Return the table of a quantity with as many timesteps as fit a width, the first and the last among them."""
    table = Table()
    table.add_column(shown.heading, justify="right", no_wrap=True)
    first = max(len(text) for text in (shown.heading, *map(shown.text, shown.values)))
    timesteps = sorted({int(t) for t in quantity.rows["timestep"]})
    last = len(timesteps) - 1
    columns = max(2, (width - first - 4) // len(f"t = {timesteps[-1]} │ "))
    places = sorted({round(float(place)) for place in np.linspace(0, last, min(columns, last + 1))})
    chosen = [timesteps[place] for place in places]
    for timestep in chosen:
        table.add_column(f"t = {timestep}", justify="right")
    form = percent if quantity.in_percent else partial(decimal, digits=3)
    for text, rows in shown.rows_of(quantity):
        values = rows.set_index("timestep")["value"]
        table.add_row(text, *("" if pd.isna(found := values.get(timestep)) else form(found) for timestep in chosen))
    return table
