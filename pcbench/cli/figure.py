"""`pcbench figure RUN NAME`: draw one figure for a paper, or list the names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pcbench.cli.arguments import AllowChanged
from pcbench.cli.saying import say


def figure_command(
    words: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs, and the figure's name, such as digits-c-corruption-error; without a name "
            "all names are listed.",
            metavar="RUN... NAME",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write: .pdf, .svg or .png; NAME.pdf if not given.")
    ] = None,
    width: Annotated[
        Literal["column", "page"] | None,
        typer.Option("--width", help="A column of 85 mm or a page of 175 mm; what its panels need if not given."),
    ] = None,
    allow_changed: AllowChanged = False,
) -> None:
    """Draw one figure, of one run or of several side by side, and print its caption."""
    from pcbench.errors import UsageError
    from pcbench.reports.figures import figure_names, write_figure
    from pcbench.results.directory import open_run

    names = [word for word in words if not Path(word).is_dir()]
    runs = [open_run(Path(word), allow_changed=allow_changed) for word in words if word not in names]
    if len(names) > 1 or not runs:
        raise UsageError(f"{' and '.join(names)}: give folders of finished runs that exist, and one name of a figure")
    if not names:
        say(*dict.fromkeys(one for run in runs for one in figure_names(run)))
        return
    say(write_figure(names[0], runs, out or Path(f"{names[0]}.pdf"), width))
