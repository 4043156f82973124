"""`pcbench study`: the paper's questions as a file, with the controls that an honest answer needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.run import log_progress
from pcbench.cli.saying import say
from pcbench.studies.options import StudyOptions, folder_of_study, given_by

if TYPE_CHECKING:
    from pcbench.studies.study import StudyProgress

_Study = Annotated[Path, typer.Argument(help="The study's TOML file.", metavar="STUDY.toml")]
_Out = Annotated[Path | None, typer.Option("--out", help="The study's folder; by default results/studies/STUDY.")]


def run_study_command(study: _Study, options: StudyOptions) -> None:
    """Train, tune and measure every arm, and answer the study's questions; a stopped study goes on."""
    from pcbench.studies.study import report_study, run_study

    log_progress()
    folder = run_study(study, given_by(study, options))
    say(report_study(study, folder))


def plan_study_command(study: _Study, options: StudyOptions) -> None:
    """List the trainings, tunings and runs of a study, and how long they take by those that are done."""
    from pcbench.studies.study import progress_of

    _tell(progress_of(study, given_by(study, options)), each=True)


def study_status_command(study: _Study, options: StudyOptions) -> None:
    """Show how far a study is."""
    from pcbench.studies.study import progress_of

    _tell(progress_of(study, given_by(study, options)), each=False)


def report_study_command(study: _Study, out: _Out = None) -> None:
    """Answer a finished study's questions again, from its runs, and write the tables."""
    from pcbench.studies.study import report_study

    say(report_study(study, folder_of_study(study, out)))


def _tell(progress: StudyProgress, *, each: bool) -> None:
    from rich.table import Table

    from pcbench.terminal import Terminal

    kinds = list(dict.fromkeys(step.kind for step in progress.steps))
    table = Table(title="steps of the study", title_justify="left")
    for column in ("", "done", "all"):
        table.add_column(column, no_wrap=True)
    for kind in kinds:
        done, steps = ([step for step in some if step.kind == kind] for some in (progress.done, progress.steps))
        table.add_row(kind, str(len(done)), str(len(steps)))
    Terminal().print(table)
    if each:
        for step in progress.left:
            say(f"  {step.name}")
    seconds = progress.seconds_left
    if not progress.left:
        say("all steps are done")
    elif seconds is None:
        say("how long the rest takes is known once one step of each kind and suite is done")
    else:
        say(f"about {seconds / 60:.0f} min left, by the steps that are done")
