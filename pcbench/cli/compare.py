"""`pcbench compare RUN RUN…`: runs, or the timesteps of one run, on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AllowChanged

if TYPE_CHECKING:
    from pcbench.results.directory import Run


def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of finished runs: each is compared with the first; one alone, its timesteps with t = 0.",
            metavar="RUN",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Write comparison.csv and comparison.md into this folder.")
    ] = None,
    allow_changed: AllowChanged = False,
) -> None:
    """Compare runs, or the timesteps of one run: both values, the paired difference with its interval, p."""
    from pcbench.comparison.answer import answers
    from pcbench.comparison.compare import compare_runs, compare_timesteps
    from pcbench.comparison.compare_output import as_frame, compare_markdown, compare_tables
    from pcbench.comparison.sentences import sentences
    from pcbench.files import try_folder, write
    from pcbench.results.directory import changed_notes, open_run
    from pcbench.results.metrics_table import csv_frame
    from pcbench.terminal import Terminal

    first, *others = [open_run(folder, allow_changed=allow_changed) for folder in runs]
    rows = [] if others else compare_timesteps(first)
    answer = [] if others else [one.text for one in answers(first)]
    for other in others:
        rows += compare_runs(first, other, _names(first, other))
    console = Terminal()
    for part in compare_tables(rows):
        console.print(part)
    for note in (note for run in (first, *others) for note in changed_notes(run)):
        console.print(f"- {note}")
    for sentence in (*answer, *sentences(rows)):
        console.print(f"- {sentence}")
    if out is not None:
        try_folder(out, "give another with `out`")
        write(out / "comparison.csv", csv_frame(as_frame(rows)).to_csv(index=False).encode())
        write(out / "comparison.md", compare_markdown(rows, answer).encode())
        console.print(f"wrote {out / 'comparison.csv'} and {out / 'comparison.md'}", soft_wrap=True)


def _names(first: Run, second: Run) -> tuple[str, str]:
    """Name two runs by their models, or by their folders where the models have the same name."""
    models = str(first.spec.model["name"]), str(second.spec.model["name"])
    return models if models[0] != models[1] else (first.folder.name, second.folder.name)
