"""`pcbench check RUN --against REFERENCE`: fail where a run answers demonstrably worse than a reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typing_extensions import TypedDict

from pcbench.cli.arguments import ALLOW_CHANGED, AsJson
from pcbench.cli.saying import say, say_json
from pcbench.options import Option

if TYPE_CHECKING:
    from pcbench.cli.json_forms import GateForm, GateRowForm
    from pcbench.comparison.gate import CheckedRow, GateReport


class CheckOptions(TypedDict):
    """The options of `pcbench check`."""

    against: Annotated[Path | str, Option("A reference made by pcbench freeze; it must be given.", needed=True)]
    tolerated: Annotated[float, Option("Tolerated drop of every accuracy, as a share of the images.", default=0.01)]
    alpha: Annotated[float, Option("Probability of a false alarm, over all guarded rows.", default=0.01)]
    guard: Annotated[
        Literal["all", "pooled"], Option("all, or pooled: no row for each single corruption.", default="all")
    ]
    either_way: Annotated[bool, Option("Fail for gains as well as for drops.", default=False)]
    tolerated_changes: Annotated[
        float | None, Option("Also fail if more than this share of answers differ (same seed).")
    ]
    power: Annotated[
        float | None, Option("Say how many images a drop of this many percentage points needs to be shown.")
    ]
    all_rows: Annotated[bool, Option("Print every guarded row.", default=False)]
    junit: Annotated[Path | str | None, Option("Write JUnit XML here.")]
    markdown: Annotated[Path | str | None, Option("Write Markdown here.")]
    github: Annotated[
        bool | None,
        Option("Print GitHub annotations and add Markdown to the job's summary; on in GitHub Actions."),
    ]
    allow_changed: Annotated[bool, Option(ALLOW_CHANGED, default=False)]


def check_command(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run.", metavar="RUN")],
    options: CheckOptions,
    as_json: AsJson = False,
) -> None:
    """Check a run against a frozen reference: exit code 1 where an accuracy demonstrably dropped.

    0: no guarded accuracy demonstrably dropped by more than is tolerated. 1: one did. 2: they cannot be compared.
    """
    from pcbench.comparison.gate import check_run
    from pcbench.comparison.gate_output import gate_markdown, github_annotations, junit_xml, needed_sentence
    from pcbench.comparison.reference import read_reference
    from pcbench.files import try_folder, write
    from pcbench.results.directory import open_run

    report = check_run(
        open_run(run, allow_changed=options["allow_changed"]),
        read_reference(Path(options["against"])),
        side="change" if options["either_way"] else "drop",
        tolerated=options["tolerated"],
        alpha=options["alpha"],
        guard=options["guard"],
        tolerated_changes=options["tolerated_changes"],
    )
    wished = None if options["power"] is None else options["power"] / 100
    needed = None if wished is None else needed_sentence(report, wished)
    if as_json:
        say_json(gate_form(report, wished))
    else:
        _print(report, all_rows=options["all_rows"])
    forms = ((options["junit"], junit_xml), (options["markdown"], gate_markdown))
    written = {Path(path): form for path, form in forms if path is not None}
    for path in written:
        try_folder(path.parent, "give another place")
    for path, form in written.items():
        write(path, form(report).encode())
    if needed is not None and not as_json:
        say(needed)
    if os.environ.get("GITHUB_ACTIONS") == "true" if options["github"] is None else options["github"]:
        # GitHub reads annotations from standard error too, and JSON stands alone on standard output.
        say(*github_annotations(report), error=as_json)
        _add_to_summary(gate_markdown(report))
    if not report.passed:
        raise typer.Exit(1)


def gate_form(report: GateReport, wished: float | None) -> GateForm:
    """Return what `--json` prints of a check.

    Args:
        report: What the check found.
        wished: The drop of `--power`, a share of the images.
    """
    from pcbench.comparison.gate import images_for
    from pcbench.comparison.gate_output import notes, verdict

    return {
        "passed": report.passed,
        "verdict": verdict(report),
        "run": report.run,
        "reference": report.reference,
        "tolerated": report.tolerated,
        "alpha": report.alpha,
        "power": report.power,
        "images_needed": None if wished is None else images_for(report, wished),
        "changed": report.changed,
        "answers": report.answers,
        "notes": notes(report),
        "rows": [_row_form(row) for row in report.rows],
    }


def _row_form(row: CheckedRow) -> GateRowForm:
    return {
        "suite": row.row.suite,
        "what": row.row.what,
        "timestep": row.row.timestep,
        "pooled": row.row.pooled,
        "images": row.images,
        "reference": row.reference,
        "value": row.value,
        "drop": row.drop,
        "lower": row.lower,
        "upper": row.upper,
        "detectable": row.detectable,
        "failed": row.failed,
    }


def _add_to_summary(text: str) -> None:
    """Add Markdown to the summary of a GitHub job, whose file GitHub names; without one, add nothing."""
    from pcbench.errors import UsageError

    named = os.environ.get("GITHUB_STEP_SUMMARY")
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as summary:
            summary.write(text + "\n")
    except OSError as error:
        raise UsageError(
            f"GITHUB_STEP_SUMMARY names {named}, which cannot be written ({error.strerror}): unset it, or give "
            "github=False"
        ) from error


def _print(report: GateReport, *, all_rows: bool) -> None:
    from pcbench.comparison.gate_output import gate_table, notes, verdict
    from pcbench.terminal import Terminal

    console = Terminal()
    console.print(gate_table(report, everything=all_rows))
    for note in notes(report):
        console.print(f"- {note}")
    console.print(verdict(report), style="bold green" if report.passed else "bold red")
