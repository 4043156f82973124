"""A run's report: everything that is made from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcbench.reports.figures import FigureChoice, chart_files, drawn_charts, write_charts
from pcbench.reports.page.content import page_content
from pcbench.reports.page.links import table_files, write_tables
from pcbench.reports.page.page import write_content
from pcbench.results.directory import PAGE, Run, list_report


def write_report(runs: Sequence[Run], folder: Path, drawn: FigureChoice = "page") -> Path:
    """Write one page of all runs, its tables, and the figures.

    The figures of a second and later run go into folders named by their keys.

    Args:
        runs: Finished runs, at least one.
        folder: Where to write.
        drawn: Which figures become files.

    Returns:
        The folder.
    """
    folders = {run.key if index else "": run for index, run in enumerate(runs)}
    charts = {name: drawn_charts(run, drawn) for name, run in folders.items()}
    figures = [Path(name, file).as_posix() for name, of_run in charts.items() for file in chart_files(of_run)]
    content = page_content(runs, figures, tabled=True, folder=folder)
    list_report(folder, [PAGE, *table_files(content.tables), *figures])
    for name, of_run in charts.items():
        write_charts(of_run, folder / name)
    write_tables(content.tables, folder)
    write_content(content, folder / PAGE)
    return folder
