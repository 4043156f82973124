"""`pcbench study`: the paper's questions as a file, with the controls that an honest answer needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pcbench.cli.arguments import AsJson
from pcbench.cli.run import log_progress
from pcbench.cli.saying import say, say_json
from pcbench.studies.options import StudyOptions, folder_of_study, given_by

if TYPE_CHECKING:
    from pcbench.cli.json_forms import StudyAnswersForm, StudyPlanForm
    from pcbench.studies.planning import PlannedSteps
    from pcbench.studies.study import StudyProgress

_Study = Annotated[Path, typer.Argument(help="The study's TOML file.", metavar="STUDY.toml")]
_SoFar = Annotated[
    bool, typer.Option("--so-far", help="Also from an unfinished study; what is missing is named first.")
]
_Out = Annotated[Path | None, typer.Option("--out", help="The study's folder; by default results/studies/STUDY.")]


def run_study_command(study: _Study, options: StudyOptions, as_json: AsJson = False) -> None:
    """Train, tune and measure every arm, and answer the study's questions; a stopped study goes on."""
    given = given_by(study, options)  # a wrong name need not wait for PyTorch
    from pcbench.studies.study import run_study

    log_progress()
    _say_answers(study, run_study(study, given), as_json=as_json)


def plan_study_command(
    study: _Study,
    options: StudyOptions,
    measure: Annotated[
        bool, typer.Option("--measure", help="Do the first training and tuning, and a few units of the runs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the trainings, tunings and runs of a study, and tell how long they take."""
    given = given_by(study, options)
    from pcbench.errors import DataError
    from pcbench.studies.basis import refuse_unpredictive
    from pcbench.studies.study import level_lines, progress_of
    from pcbench.studies.study_file import read_study

    refuse_unpredictive(read_study(study))
    if measure:
        from pcbench.studies.planning import measured_plan

        log_progress()
        planned = measured_plan(study, given)
        if as_json:
            say_json(_plan_form(progress_of(study, given), planned))
        else:
            _show_measured(planned)
        return
    progress = progress_of(study, given)
    if as_json:
        say_json(_plan_form(progress))
        return
    _tell(progress)
    try:
        say(*level_lines(read_study(study), given))
    except DataError as error:  # the steps are listed without images, too
        say(f"the levels of noise are told where the images are: {error}")
    for step in progress.left:
        say(f"  {step.name}")


def status_study_command(study: _Study, options: StudyOptions, as_json: AsJson = False) -> None:
    """Show how far a study is."""
    given = given_by(study, options)
    from pcbench.studies.study import progress_of

    progress = progress_of(study, given)
    if as_json:
        say_json(_plan_form(progress))
    else:
        _tell(progress)


def report_study_command(study: _Study, out: _Out = None, so_far: _SoFar = False, as_json: AsJson = False) -> None:
    """Answer a finished study's questions again, from its runs, and write the tables and the page."""
    _say_answers(study, folder_of_study(study, out), so_far=so_far, as_json=as_json)


def publish_study_command(
    study: _Study,
    out: _Out = None,
    to: Annotated[Path, typer.Option("--to", help="The folder with results/ and reports/.")] = Path(),
    so_far: _SoFar = False,
) -> None:
    """Write what is published of a finished study: its file and tables in results/STUDY, its page in reports/STUDY."""
    folder = folder_of_study(study, out)
    from pcbench.studies.publishing import publish_study

    made = publish_study(study, folder, to, so_far=so_far)
    size = sum(path.stat().st_size for path in made.results.iterdir())
    say(f"wrote {made.results} ({size / 1024:.0f} KiB) and {made.page}; compare the study made again with:")
    where = "" if out is None else f" --out {out}"
    say(f"  pcbench study check {study} --against {made.results}{where}")


def check_study_command(
    study: _Study,
    against: Annotated[Path, typer.Option("--against", help="The published study, results/STUDY.")],
    out: _Out = None,
) -> None:
    """Compare a finished study with the published one: exit code 1 where it is another.

    The same versions and kind of processor give the same tables, byte for byte. Elsewhere, at most 0.5 % of the
    decisions at t = 0 and at T may differ.
    """
    folder = folder_of_study(study, out)
    from pcbench.percent import short_percent
    from pcbench.studies.publishing import TOLERATED, compare_study

    found = compare_study(study, folder, against)
    if not found.different:
        say(f"the same: {found.tables} tables are equal, byte for byte")
        return
    share = short_percent(found.flipped / max(found.decisions, 1))
    where = "with the same versions and kind of processor" if found.same_machine else "with other versions or processor"
    say(
        f"{where}, {len(found.different)} of {found.tables} tables differ ({', '.join(found.different)})",
        f"{found.flipped} of {found.decisions} decisions at t = 0 and T differ ({share} %)",
    )
    most = f"at most {short_percent(TOLERATED)} % may differ there"
    if found.passed:
        say(f"the same: {most}")
        return
    say(
        "another: "
        + ("equal bytes were expected" if found.same_machine else f"at most {short_percent(TOLERATED)} % may differ")
    )
    raise typer.Exit(1)


def _say_answers(study: Path, folder: Path, *, as_json: bool, so_far: bool = False) -> None:
    from pcbench.studies.page import PAGE_FILE
    from pcbench.studies.study import report_study

    answers, page = report_study(study, folder, so_far=so_far), folder / PAGE_FILE
    if as_json:
        form: StudyAnswersForm = {"folder": str(folder), "page": str(page), "answers": answers}
        say_json(form)
    else:
        say(*answers.splitlines(), "", f"page: {page}")


def _plan_form(progress: StudyProgress, planned: Sequence[PlannedSteps] = ()) -> StudyPlanForm:
    known = [one.hours for one in planned if one.hours is not None]
    left = {step.name for step in progress.left}
    hours = progress.hours_of(progress.left)
    return {
        "steps": [{"name": one.name, "kind": one.kind, "done": one.name not in left} for one in progress.steps],
        "measured": [{"what": one.what, "left": one.left, "hours": one.hours} for one in planned],
        "hours_left": sum(known) if planned and len(known) == len(planned) else hours,
    }


def _tell(progress: StudyProgress) -> None:
    kinds = list(dict.fromkeys(step.kind for step in progress.steps))
    rows: list[tuple[str, ...]] = []
    for kind in kinds:
        done, steps = ([step for step in some if step.kind == kind] for some in (progress.done, progress.steps))
        rows.append((kind, str(len(done)), str(len(steps))))
    _print_table(("", "done", "all"), rows)
    hours = progress.hours_of(progress.left)
    if not progress.left:
        say("all steps are done")
    elif hours is None:
        say("how long the rest takes is told by --measure, or once one step of each kind and suite is done")
    else:
        say(f"about {60 * hours:.0f} min left, by the steps that are done")


def _show_measured(planned: list[PlannedSteps]) -> None:
    from pcbench.percent import decimal

    rows = [(one.what, str(one.left), "" if one.hours is None else decimal(60 * one.hours, 0)) for one in planned]
    _print_table(("", "left", "minutes"), rows)
    known = [one.hours for one in planned if one.hours is not None]
    rest = len(planned) - len(known)
    told = f"; {rest} kinds were not measured" if rest else ""
    say(f"about {decimal(sum(known), 1)} hours on this machine as it is now{told}")


def _print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.table import Table

    from pcbench.terminal import Terminal

    table = Table(title="steps of the study", title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Terminal().print(table)
