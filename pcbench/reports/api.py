"""Pages and figures for Python users."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pcbench.arguments import a_word, public, read_path
from pcbench.reports.figures import FigureChoice, drawn_figure, write_figure
from pcbench.reports.report import write_report
from pcbench.reports.style import WIDTHS, Width
from pcbench.results.directory import PAGE, REPORT
from pcbench.results.given import GivenRun, given_runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@public()
def report(
    runs: GivenRun | Sequence[GivenRun], out: str | PathLike[str] | None = None, *, figures: FigureChoice = "page"
) -> Path:
    """Write one page of one or several runs, with its tables and figures.

    Args:
        runs: A run or its folder, or several; each is compared with the first.
        out: The folder to write into; where none is given, `report/` in the first run's folder.
        figures: Which figures become files: the few that the page links, or ``"all"``.

    Returns:
        The page, a file that opens in any browser.

    Raises:
        UsageError: No such run, or files cannot be written there.
        DataError: A run is damaged or was changed.
        WriteError: A file could not be written.
    """
    a_word("figures", figures, get_args(FigureChoice))
    opened = given_runs(runs)
    return write_report(opened, opened[0].folder / REPORT if out is None else read_path("out", out), figures) / PAGE


@public()
def figure(
    runs: GivenRun | Sequence[GivenRun],
    name: str,
    *,
    width: Width | None = None,
    out: str | PathLike[str] | None = None,
) -> Figure:
    """Draw one figure of a run, or of several side by side.

    Args:
        runs: A run or its folder, or several that all have this figure.
        name: Such as ``"digits-linf-success-by-timestep"``, or ``"success-by-timestep"`` where one suite has it. A
            wrong name is answered with the nearest one; `pcbench figure RUN` lists them all.
        width: ``"column"`` (85 mm) or ``"page"`` (175 mm); what the panels need, if not given.
        out: Where to write it too: a file that ends in .svg, .pdf or .png.

    Returns:
        A matplotlib figure to go on with. It belongs to no window: `pyplot` does not know it, and closes nothing of it.

    Raises:
        UnknownNameError: A run does not have this figure.
        UsageError: No such run, the name fits several figures, or the file cannot be written.
        DataError: A run is damaged or was changed.
        WriteError: The file could not be written.
    """
    if width is not None:
        a_word("width", width, tuple(WIDTHS))
    opened = given_runs(runs)
    if out is not None:
        write_figure(name, opened, read_path("out", out), width)
    return drawn_figure(name, opened, width)
