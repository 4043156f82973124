"""`pcbench leaderboard RESULTS`: one sortable page of published runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say


def leaderboard_command(
    results: Annotated[Path, typer.Argument(help="The folder below which the runs lie.", metavar="RESULTS")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("leaderboard.html"),
) -> None:
    """Make one sortable page of all runs below a folder: networks and timesteps, from their manifests and tables."""
    from pcbench.reports.page.leaderboard import write_leaderboard

    say(f"wrote {write_leaderboard(results, out)}")
