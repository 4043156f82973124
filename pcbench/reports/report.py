"""A run's report: everything that is made from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcbench.reports.figures import write_figures
from pcbench.reports.page.page import write_page
from pcbench.results.directory import Run


def write_report(runs: Sequence[Run], folder: Path) -> Path:
    """Write one page of all runs, and the figures; those of a second and later run into folders named by their keys.

    Args:
        runs: Finished runs, at least one.
        folder: Where to write.

    Returns:
        The folder.
    """
    for index, run in enumerate(runs):
        write_figures(run.metrics, folder if index == 0 else folder / run.key)
    write_page([run.folder for run in runs], folder / "index.html")
    return folder
