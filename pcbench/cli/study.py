"""`pcbench study`: run a published study from its description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.saying import say


def study_command(
    study: Annotated[Path, typer.Argument(help="The study's TOML file.", metavar="STUDY.toml")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the tables; by default results/<study>.")] = None,
    work: Annotated[Path, typer.Option("--work", help="Folder of the trainings.")] = Path("results/runs"),
) -> None:
    """Train networks from several seeds and test whether their timesteps help, with intervals."""
    from pcbench.training.study import run_study
    from pcbench.training.watching import Bars

    with Bars() as bars:
        folder = run_study(study, out or Path("results") / study.stem, work / f"study-{study.stem}", bars)
    say(f"wrote {folder}")
