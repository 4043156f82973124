"""The finished part of a study: what can be answered before every run is there, and what is missing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from pcbench.errors import UsageError
from pcbench.results.directory import MANIFEST
from pcbench.studies.options import Given
from pcbench.studies.steps import RUNS, steps_of
from pcbench.studies.study_file import BEGINNING, StudyFile, SuiteTable, read_study


def finished_part(study: StudyFile, out: Path) -> StudyFile:
    """Return a study to be answered from the runs that are in its folder.

    Raises:
        UsageError: There is no run of the network yet.
    """
    names = [step.name for step in steps_of(study, Given(out)) if step.kind == "run"]
    measured = [name for name in names if (out / name / MANIFEST).is_file()]
    if len(measured) == len(names):
        return study
    found = part_of(study, [name.removeprefix(f"{RUNS}/") for name in measured])
    if not found.table.questions:
        raise UsageError(f"{out}: no question can be answered yet; go on with `pcbench study run {study.path}`")
    return found


def part_of(study: StudyFile, measured: Collection[str]) -> StudyFile:
    """Return a study to be answered from some of its runs, without what is asked of the others.

    Args:
        study: The whole study.
        measured: The runs, as suite/run, such as ``"digits-c/network-seed-0"``.
    """
    found = replace(study, measured=frozenset(measured))
    suites = [
        suite.model_copy(update={"arms": arms_with_runs(found, suite)})
        for suite in study.table.suites
        if found.seeds_of(suite)
    ]
    arms_of = {suite.name: suite.arms or () for suite in suites}
    questions = [
        question.model_copy(
            update={"against": tuple(one for one in question.against if one in (BEGINNING, *arms_of[question.suite]))}
        )
        for question in study.table.questions
        if question.suite in arms_of
    ]
    arms = tuple(name for name in study.table.arms if any(name in of_suite for of_suite in arms_of.values()))
    update = {"suites": tuple(suites), "questions": tuple(questions), "arms": arms}
    return replace(found, table=study.table.model_copy(update=update))


def arms_with_runs(study: StudyFile, suite: SuiteTable) -> tuple[str, ...]:
    """Return the arms of a suite of which some run is answered from."""
    return tuple(
        name
        for name in study.arms_of(suite)
        if (study.has_run(suite, name, None) if name == "deeper" else study.seeds_of(suite, name))
    )


def unfinished_words(study: StudyFile) -> str | None:
    """Return, in a sentence, how much is missing of what a study is answered from; None where nothing is."""
    if study.measured is None:
        return None
    runs = [
        step.name.removeprefix(f"{RUNS}/")
        for step in steps_of(read_study(study.path), Given(Path()))
        if step.kind == "run"
    ]
    left = [name for name in runs if name not in study.measured]
    every = len(runs)
    return (
        f"NOT ALL RUNS ARE HERE: {len(study.measured)} of {every} are finished. Holm's correction is over the primary "
        f"comparisons that are here. Missing: {', '.join(left)}."
    )
