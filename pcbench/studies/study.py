"""A study from its file to its tables: every step is an ordinary training, tuning or run, and a stopped one goes on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pcbench.arguments import public
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.reports.page.page import write_values
from pcbench.results.lock import hold
from pcbench.studies.agreement import refuse_mixed_runs
from pcbench.studies.basis import (
    basis_of,
    configuration_hash,
    keep_configuration,
    refuse_other_basis,
    refuse_shared_images,
    refuse_unpredictive,
    study_images,
)
from pcbench.studies.finished import finished_part
from pcbench.studies.options import Given
from pcbench.studies.page import PAGE_FILE, study_page_values
from pcbench.studies.record import (
    StudyRecord,
    changed_since,
    is_done,
    keep_file,
    open_record,
    read_record,
    with_step,
)
from pcbench.studies.steps import Step, steps_of
from pcbench.studies.study_file import StudyFile, read_study
from pcbench.studies.suites import far_apart, noise_levels
from pcbench.studies.tables import write_study_tables
from pcbench.studies.tunings import level_words, tuned_levels
from pcbench.studies.work import do_step

logger = logging.getLogger("pcbench")


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is."""

    steps: Sequence[Step]
    done: Sequence[Step]
    record: StudyRecord | None
    """None where it was not begun."""

    @property
    def left(self) -> list[Step]:
        """What is still to be done."""
        names = {step.name for step in self.done}
        return [step for step in self.steps if step.name not in names]

    def seconds_of(self, step: Step) -> float | None:
        """Return how long a step takes, by the mean of those of the same cost; None where none of them is done."""
        took = [
            self.record.steps[other.name].seconds
            for other in self.done
            if self.record is not None and other.cost == step.cost
        ]
        return sum(took) / len(took) if took else None

    def hours_of(self, steps: Sequence[Step]) -> float | None:
        """Return how long steps take together; None where it is not known of one."""
        seconds = [self.seconds_of(step) for step in steps]
        known = [one for one in seconds if one is not None]
        return sum(known) / 3600 if len(known) == len(seconds) else None


@public()
def run_study(path: Path, given: Given) -> Path:
    """Do all that a study's file asks for, and write its tables.

    What is done is not done again, so a stopped study goes on with the same command.

    Args:
        path: The file.
        given: Where things lie on this machine.

    Returns:
        The study's folder.

    Raises:
        DefinitionError: The file is wrong.
        UsageError: Images that are measured were trained on, a result lies where another one would be written, or
            the model, its backbone or the images are not those that earlier results stand on.
        PcbenchError: As the trainings, tunings and runs.
    """
    return do_some(path, given, steps_of(read_study(path), given))


def do_some(path: Path, given: Given, wanted: Sequence[Step]) -> Path:
    """Do some steps of a study, those that are not done yet; see `run_study`."""
    study = read_study(path)
    steps = steps_of(study, given)
    with hold(given.out, f"pcbench study run {path.name}"):
        record = open_record(study, given.out)
        told = changed_since(record, study)
        if told is not None:
            logger.warning("%s", told)
        refuse_unpredictive(study)
        refuse_other_results(record, steps, given)
        left = [step for step in wanted if not is_done(record, step, given)]
        images = study_images(study, given, steps)
        basis = basis_of(study, given, images)
        refuse_other_basis(record, basis, given.out)
        refuse_mixed_runs(study, given.out, basis, images)
        if left:
            refuse_shared_images(images)
            keep_file(record, study, given.out)
            keep_configuration(study, given.out)
            _warn_of_levels(study, given)
        for number, step in enumerate(left, 1):
            logger.info("step %d of %d: %s", number, len(left), step.name)
            began = time.monotonic()
            do_step(step, given.out)
            if step.kind == "levels":
                _warn_of_levels(study, given)
            record = with_step(record, step, study, given, began, basis)
    return given.out


def _warn_of_levels(study: StudyFile, given: Given) -> None:
    for line in level_lines(study, given, warnings_alone=True):
        logger.warning("%s", line)


@public()
def report_study(path: Path, out: Path, *, so_far: bool = False) -> str:
    """Write the tables and the page of a finished study from its runs, and return its answers in words (Markdown).

    Args:
        path: The study's file.
        out: Its folder.
        so_far: Whether a study that is not finished is answered from the runs that are there; its tables and its page
            name those that are missing.

    Raises:
        DefinitionError: The file is wrong.
        UsageError: The study was not begun there.
        DataError: A run is missing or damaged.
    """
    study, record = answered_study(path, out, so_far=so_far), record_of_study(path, out)
    tables = write_study_tables(study, record, out)
    page = write_values("study.html", study_page_values(study, record, tables), out / PAGE_FILE)
    logger.info("wrote %s", page)
    return tables.answers


def record_of_study(path: Path, out: Path) -> StudyRecord:
    """Return the record of a study that was begun in a folder.

    Raises:
        UsageError: None was.
        DataError: The record is damaged.
    """
    record = read_record(out)
    if record is None:
        raise UsageError(f"{out}: holds no study; begin it with `pcbench study run {path}`")
    return record


def answered_study(path: Path, out: Path, *, so_far: bool) -> StudyFile:
    """Return a study that can be answered: the whole one, or with `so_far` its finished part.

    Raises:
        DefinitionError: The file is wrong.
        UsageError: The study was not begun there, something that is needed is still to be done, or the model's
            configuration is another one than the results stand on.
        DataError: Runs are not of one backbone, or of other images.
    """
    study, record = read_study(path), record_of_study(path, out)
    if not so_far:
        refuse_unfinished(study, out)
    answered = finished_part(study, out) if so_far else study
    refuse_other_basis(record, configuration_hash(study), out)
    refuse_mixed_runs(answered, out, {key: part.value for key, part in record.basis.items()})
    return answered


def refuse_unfinished(study: StudyFile, out: Path) -> None:
    """Refuse to answer from a part of the runs.

    Raises:
        UsageError: Something is still to be done.
    """
    steps = [
        step for step in steps_of(study, Given(out)) if step.kind not in ("time", "levels")
    ]  # no answer reads them
    left = [step for step in steps if not (out / step.name).exists()]
    if left:
        raise UsageError(
            f"{out}: the study is not finished: {len(left)} of {len(steps)} steps are left, {left[0].name} first; "
            f"go on with `pcbench study run {study.path}`, or answer from those that are there with `--so-far`"
        )


def progress_of(path: Path, given: Given) -> StudyProgress:
    """Return how far a study is.

    Raises:
        DefinitionError: Its file is wrong.
        DataError: Its record is damaged.
    """
    steps = steps_of(read_study(path), given)
    record = read_record(given.out)
    done = [] if record is None else [step for step in steps if is_done(record, step, given)]
    return StudyProgress(steps, done, record)


def level_lines(study: StudyFile, given: Given, *, warnings_alone: bool = False) -> list[str]:
    """Return a line for each suite of noise: its levels, and whether arms are tuned for levels far from them.

    Args:
        study: The study.
        given: Where the measured images are.
        warnings_alone: Only suites whose levels lie apart from those that are tuned for.

    Raises:
        DataError: The images cannot be read.
    """
    tuned = tuned_levels(study, given.out)
    source = open_source(given.data or study.table.data, preprocessing=Preprocessing(), split="test")
    lines: list[str] = []
    for suite, levels in noise_levels(study.table, source).items():
        said = f"{suite} has noise of {level_words(levels)} on images of this size"
        if far_apart(tuned, levels):
            lines.append(
                f"{said}, and arms are tuned for {level_words(tuned)}: if that "
                "is not meant, name noise in [tuning], or measure a suite of your own"
            )
        elif not warnings_alone:
            lines.append(said)
    return lines


def refuse_other_results(record: StudyRecord, steps: Sequence[Step], given: Given) -> None:
    """Refuse a folder with results that other options made: they would be mixed with those of this file.

    The times of an image are made again where arms were added; no answer depends on them.

    Raises:
        UsageError: There are some.
    """
    other = [step for step in steps if step.name in record.steps and not is_done(record, step, given)]
    other = [step for step in other if step.kind != "time" and (given.out / step.name).exists()]
    if other:
        more = f", as were {len(other) - 1} other results" if len(other) > 1 else ""
        raise UsageError(
            f"{given.out / other[0].name}: was made with other options than the file has now{more}: give another "
            "folder with `out`, or delete what is to be made again"
        )
