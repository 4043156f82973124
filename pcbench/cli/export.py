"""`pcbench export RUN`: write a run's results for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pcbench.cli.arguments import AllowChanged
from pcbench.cli.saying import say


def export_command(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or a file of weights.", metavar="RUN")],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, parquet, json, robustbench-like, huggingface-card, latex or markdown; of weights: predify.",
        ),
    ] = "csv",
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write to; RUN-<format> if not given.")] = None,
    publication: Annotated[
        Path | None,
        typer.Option(
            "--publication", help="For robustbench-like: TOML with a table [publication] of what no run knows."
        ),
    ] = None,
    allow_changed: AllowChanged = False,
) -> None:
    """Write a run's tables in another format, or predictors' weights as one file a PCoder for the reference's code."""
    if format_name == "predify":
        from pcbench.models.predictor_files import write_one_a_pcoder

        for path in write_one_a_pcoder(run, out or run.with_name(f"{run.name}-predify")):
            say(f"wrote {path}")
        return
    from pcbench.reports.export import export_run
    from pcbench.results.directory import open_run

    opened = open_run(run, allow_changed=allow_changed)
    for path in export_run(opened, format_name, out, publication=publication):
        say(f"wrote {path}")
