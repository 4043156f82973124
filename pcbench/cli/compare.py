"""`pcbench compare RUN RUN…`: runs, or the timesteps of one run, on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AllowChanged, AsJson
from pcbench.cli.saying import say, say_json

if TYPE_CHECKING:
    from pcbench.comparison.compare import ComparedRow
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
    every: Annotated[
        bool, typer.Option("--all", help="Print every comparison, not only the last t and those that changed.")
    ] = False,
    allow_changed: AllowChanged = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs, or the timesteps of one run: both values, the paired difference with its interval, p.

    Shown are the last timestep and the comparisons with a clear change (p at most 0.05 after Holm's correction).
    """
    from pcbench.cli.run_table import answer_forms
    from pcbench.comparison.answer import answers
    from pcbench.comparison.api import compared_names
    from pcbench.comparison.compare import compare_runs, compare_timesteps
    from pcbench.comparison.compare_output import as_frame, compare_markdown, records_of, telling_rows
    from pcbench.files import try_folder, write
    from pcbench.results.directory import open_run
    from pcbench.results.metrics_table import csv_frame

    first, *others = [open_run(folder, allow_changed=allow_changed) for folder in runs]
    rows = [] if others else compare_timesteps(first)
    found = [] if others else answers(first)
    answer = [one.text for one in found]
    for other in others:
        rows += compare_runs(first, other, compared_names(first, other))
    if as_json:
        say_json({"rows": records_of(as_frame(rows)), "answers": answer_forms(found)})
    else:
        _print_comparison(rows if every else telling_rows(rows), len(rows), answer, (first, *others))
    if out is not None:
        try_folder(out, "give another with `out`")
        write(out / "comparison.csv", csv_frame(as_frame(rows)).to_csv(index=False).encode())
        write(out / "comparison.md", compare_markdown(rows, answer).encode())
        if not as_json:
            say(f"wrote {out / 'comparison.csv'} and {out / 'comparison.md'}")


def _print_comparison(shown: Sequence[ComparedRow], count: int, answer: Sequence[str], runs: Sequence[Run]) -> None:
    """Print comparisons, each in a table and in a sentence, and how many of `count` are not shown."""
    from pcbench.comparison.compare_output import compare_tables
    from pcbench.comparison.sentences import sentences
    from pcbench.results.directory import changed_notes
    from pcbench.terminal import Terminal

    console = Terminal()
    for part in compare_tables(shown):
        console.print(part)
    for note in (note for run in runs for note in changed_notes(run)):
        console.print(f"- {note}")
    for sentence in (*answer, *sentences(shown)):
        console.print(f"- {sentence}")
    if len(shown) < count:
        console.print(f"{count - len(shown)} comparisons without a clear change are not shown; --all shows them")
