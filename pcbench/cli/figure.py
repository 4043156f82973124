"""`pcbench figure NAME RUN...`: redraw one figure for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.arguments import AllowChanged
from pcbench.cli.saying import say


def figure_command(
    name: Annotated[str, typer.Argument(help="The figure's name, such as digits-c-corruption-error.")],
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.", metavar="RUN")],
    out: Annotated[Path, typer.Option("--out", help="The file to write: .pdf, .svg or .png.")],
    allow_changed: AllowChanged = False,
) -> None:
    """Redraw one figure, of one run or of several side by side, and print its caption."""
    from pcbench.reports.figures import write_figure
    from pcbench.results.directory import open_run

    say(write_figure(name, [open_run(folder, allow_changed=allow_changed) for folder in runs], out))
