"""`pcbench report RUN`: make the figures and the page of finished runs again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pcbench.cli.arguments import AllowChanged
from pcbench.cli.saying import say


def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.", metavar="RUN")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; the first run's report/ if not given.")
    ] = None,
    figures: Annotated[
        Literal["page", "all"],
        typer.Option("--figures", help="Which figures become files: the few of the page, or all."),
    ] = "page",
    allow_changed: AllowChanged = False,
) -> None:
    """Make the figures and the page of finished runs."""
    from pcbench.results.directory import open_run

    opened = [open_run(folder, allow_changed=allow_changed) for folder in runs]
    from pcbench.reports.report import write_report  # with PyTorch, which a wrong folder need not wait for

    folder = write_report(opened, out or opened[0].folder / "report", figures)
    say(f"wrote {folder}")
