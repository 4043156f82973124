"""A run's report: everything that is made from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcbench.reports.figures import FigureChoice, run_figure_files, write_run_figures
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
    paths = (Path(name, figure) for name, run in folders.items() for figure in run_figure_files(run, drawn))
    figures = [path.as_posix() for path in paths]
    content = page_content(runs, figures, tabled=True)
    list_report(folder, [PAGE, *table_files(content.tables), *figures])
    for name, run in folders.items():
        write_run_figures(run, folder / name, drawn)
    write_tables(content.tables, folder)
    write_content(content, folder / PAGE)
    return folder
