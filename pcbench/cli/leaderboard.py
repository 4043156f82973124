"""`pcbench leaderboard RESULTS`: one sortable page of published runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say
from pcbench.errors import UsageError


def leaderboard_command(
    results: Annotated[Path, typer.Argument(help="The folder below which the runs lie.", metavar="RESULTS")],
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("leaderboard.html"),
) -> None:
    """Make one sortable page of all runs below a folder: networks and timesteps, from their manifests and tables."""
    if not results.is_dir():
        raise UsageError(f"{results} is not a folder: give one below which runs or studies lie")
    from pcbench.reports.page.leaderboard import write_leaderboard

    say(f"wrote {write_leaderboard(results, out)}")
