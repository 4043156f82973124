"""A run's report: everything that is made from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcbench.reports.figures import FigureChoice, run_figure_files, write_run_figures
from pcbench.reports.page.page import write_page
from pcbench.results.directory import PAGE, Run, list_report


def write_report(runs: Sequence[Run], folder: Path, drawn: FigureChoice = "page") -> Path:
    """Write one page of all runs, and the figures; those of a second and later run into folders named by their keys.

    Args:
        runs: Finished runs, at least one.
        folder: Where to write.
        drawn: Which figures become files.

    Returns:
        The folder.
    """
    folders = {run.key if index else "": run for index, run in enumerate(runs)}
    figures = (Path(name, figure) for name, run in folders.items() for figure in run_figure_files(run, drawn))
    list_report(folder, [PAGE, *(path.as_posix() for path in figures)])
    for name, run in folders.items():
        write_run_figures(run, folder / name, drawn)
    write_page(runs, folder / PAGE)
    return folder
