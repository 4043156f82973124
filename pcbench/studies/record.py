"""What a study's folder remembers: the file it was begun with, whether it was fixed beforehand, and each step done."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from pcbench import files
from pcbench.catalog import Definition
from pcbench.errors import DataError, damage_refused
from pcbench.harness.origin import commit_of_file
from pcbench.limits.text import json_bytes, read_bytes
from pcbench.studies.changes import changes_in_words
from pcbench.studies.options import Given
from pcbench.studies.steps import Step
from pcbench.studies.study_file import StudyFile

RECORD = "study.json"
COPY = "study.toml"
"""The file as it was when the study was begun."""


class StepRecord(Definition):
    """A step that is done."""

    sha256: str
    """Hash of what decided its result."""
    file_sha256: str
    """Hash of the study's file at that time."""
    seconds: float
    """How long it took."""
    ended: str
    """When: ISO 8601, UTC."""


class BasisPart(Definition):
    """Something that all results of a study stand on."""

    value: str
    """A hash, or what says how the backbone is asked."""
    since: str
    """The first result that stands on it."""


class StudyRecord(Definition):
    """The record of a study."""

    record_version: int = 1
    file_sha256: str
    """Hash of the file with which it was begun."""
    begun: str
    """When: ISO 8601, UTC."""
    committed: str | None
    """The commit that held the file, unchanged, when the study was begun; None where none did."""
    steps: dict[str, StepRecord] = Field(default_factory=dict)
    basis: dict[str, BasisPart] = Field(default_factory=dict)
    """The model, its backbone and the images; empty in studies of earlier versions."""
    begun_with: str | None = Field(default=None, exclude=True)
    """The text of the file with which it was begun; it lies beside the record. None where it does not."""


def open_record(study: StudyFile, out: Path) -> StudyRecord:
    """Return the record in a study's folder, or a new one, which is written with the first result.

    Raises:
        DataError: It is damaged.
        WriteError: The folder cannot be written to.
    """
    found = read_record(out)
    if found is not None:
        return found
    files.try_folder(out, "give another folder with `out`")
    return StudyRecord(file_sha256=study.sha256, begun=_now(), committed=commit_of_file(study.path))


def keep_file(record: StudyRecord, study: StudyFile, out: Path) -> None:
    """Copy the file to the folder of a study that is about to begin.

    Raises:
        WriteError: It cannot be written.
    """
    if not record.steps:
        files.write(out / COPY, read_bytes(study.path))


def read_record(out: Path) -> StudyRecord | None:
    """Return the record in a study's folder; None where there is none.

    Raises:
        DataError: It is damaged.
    """
    path = out / RECORD
    if not files.is_file(path):
        return None
    with damage_refused(path, "is damaged", "delete it, and the study finds finished runs again", kind=DataError):
        found = StudyRecord.model_validate_json(json_bytes(path))
    copy = read_bytes(out / COPY) if files.is_file(out / COPY) else b""
    same = hashlib.sha256(copy).hexdigest() == found.file_sha256
    return found.model_copy(update={"begun_with": copy.decode()}) if same else found


def is_done(record: StudyRecord, step: Step, given: Given) -> bool:
    """Return whether a step's result is there, made from what it would be made from now."""
    found = record.steps.get(step.name)
    return found is not None and found.sha256 == step.sha256(given) and (given.out / step.name).exists()


def with_step(
    record: StudyRecord, step: Step, study: StudyFile, given: Given, began: float, basis: Mapping[str, str]
) -> StudyRecord:
    """Return the record with a step that has just ended, and write it.

    Args:
        record: The record so far.
        step: The step.
        study: Its file as it is now.
        given: Where things lie.
        began: When the step began, by `time.monotonic`.
        basis: What the step stands on; what the record says of the same is kept, with the first result since.

    Raises:
        WriteError: It cannot be written.
    """
    done = StepRecord(
        sha256=step.sha256(given),
        file_sha256=study.sha256,
        seconds=round(time.monotonic() - began, 1),
        ended=_now(),
    )
    parts = {key: BasisPart(value=value, since=step.name) for key, value in basis.items()}
    kept = {key: part for key, part in record.basis.items() if basis.get(key, part.value) == part.value}
    update = {"steps": {**record.steps, step.name: done}, "basis": {**record.basis, **parts, **kept}}
    made = record.model_copy(update=update)
    _write(made, given.out)
    return made


def changed_since(record: StudyRecord, study: StudyFile) -> str | None:
    """Return, in a sentence, that the file is not the one the study was begun with; None where it is."""
    if study.sha256 == record.file_sha256:
        return None
    earlier = sum(one.file_sha256 != study.sha256 for one in record.steps.values())
    former = record.begun_with
    changes = "" if former is None else changes_in_words(former, read_bytes(study.path).decode())
    words = f" Changed since then: {changes}." if changes else ""
    return (
        f"THE FILE WAS CHANGED after the study was begun on {record.begun} (its hash was {record.file_sha256[:12]} and "
        f"is {study.sha256[:12]}); {earlier} of {len(record.steps)} results were made with an earlier one.{words}"
    )


def fixed_beforehand(record: StudyRecord, study: StudyFile) -> str:
    """Return, in a sentence, what shows that the file was fixed beforehand; not of a file that was changed since."""
    if record.committed is None:
        return (
            "Nothing but this folder shows that the file was fixed beforehand: it was not committed, unchanged, to a "
            f"git repository when the study was begun on {record.begun}."
        )
    if study.sha256 != record.file_sha256:
        return (
            f"The file that the study was begun with on {record.begun} was committed before ({record.committed}); the "
            "present one is another."
        )
    return f"The file was committed ({record.committed}) before the study was begun on {record.begun}."


def _write(record: StudyRecord, out: Path) -> None:
    files.write(out / RECORD, json.dumps(record.model_dump(), indent=1) + "\n")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
