"""`pcbench check RUN --against REFERENCE`: fail where a run answers demonstrably worse than a reference."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pcbench.comparison.gate import GateReport


class Guarded(StrEnum):
    """Which accuracies are guarded."""

    all = "all"
    pooled = "pooled"


def check_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN")],
    against: Annotated[Path, typer.Option("--against", help="A reference made by pcbench freeze.")],
    tolerated: Annotated[
        float, typer.Option("--tolerated", help="Tolerated drop of every accuracy, as a share of the images.")
    ] = 0.01,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Probability of a false alarm, over all guarded rows.")
    ] = 0.01,
    guard: Annotated[
        Guarded, typer.Option("--guard", help="all, or pooled: no row for each single corruption.")
    ] = Guarded.all,
    either_way: Annotated[bool, typer.Option("--either-way", help="Fail for gains as well as for drops.")] = False,
    tolerated_changes: Annotated[
        float | None,
        typer.Option("--tolerated-changes", help="Also fail if more than this share of answers differ (same seed)."),
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all-rows", help="Print every guarded row.")] = False,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown here.")] = None,
    github: Annotated[
        bool | None, typer.Option("--github/--no-github", help="Print GitHub annotations; on in GitHub Actions.")
    ] = None,
) -> None:
    """Check a run against a frozen reference: exit code 1 where an accuracy demonstrably dropped.

    0: no guarded accuracy demonstrably dropped by more than is tolerated. 1: one did. 2: they cannot be compared.
    """
    from pcbench.comparison.gate import check_run
    from pcbench.comparison.gate_output import gate_markdown, github_annotations, junit_xml
    from pcbench.comparison.reference import read_reference
    from pcbench.files import try_folder, write
    from pcbench.results.directory import open_run

    report = check_run(
        open_run(run),
        read_reference(against),
        tolerated=tolerated,
        alpha=alpha,
        guard=guard.value,
        side="change" if either_way else "drop",
        tolerated_changes=tolerated_changes,
    )
    _print(report, all_rows=all_rows)
    for path in (junit, markdown):
        if path is not None:
            try_folder(path.parent, "give another place")
    if junit is not None:
        write(junit, junit_xml(report).encode())
    if markdown is not None:
        write(markdown, gate_markdown(report).encode())
    if os.environ.get("GITHUB_ACTIONS") == "true" if github is None else github:
        typer.echo(github_annotations(report), nl=False)
    if not report.passed:
        raise typer.Exit(1)


def _print(report: GateReport, *, all_rows: bool) -> None:
    from rich.console import Console

    from pcbench.comparison.gate_output import gate_table, notes, verdict

    console = Console()
    console.print(gate_table(report, everything=all_rows))
    for note in notes(report):
        console.print(f"- {note}", highlight=False)
    console.print(verdict(report), style="bold green" if report.passed else "bold red", highlight=False)
