"""A study as it is published: its files, tables, decisions and page, without the runs; and the same study compared."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcbench import files
from pcbench.arguments import public
from pcbench.errors import DataError, UsageError, damage_refused
from pcbench.limits.text import read_bytes, read_json
from pcbench.reports.figures import write_charts
from pcbench.reports.page.leaderboard import STUDY_TABLES
from pcbench.reports.page.page import write_values
from pcbench.results.directory import PAGE
from pcbench.studies.basis import kept_configuration
from pcbench.studies.decisions import DECISIONS, read_decisions, run_decisions, write_decisions
from pcbench.studies.figures import decisive_charts
from pcbench.studies.finished import part_of
from pcbench.studies.page import linked_files, study_page_values
from pcbench.studies.study import answered_study, record_of_study
from pcbench.studies.study_file import StudyFile, read_study
from pcbench.studies.tables import ABOUT, TIMES, write_study_tables

TOLERATED = 0.005
"""The largest share of decisions that may differ on another kind of processor, or with other versions."""
_OF_MACHINE = (TIMES, "image_times.csv")
"""Tables that differ from machine to machine, and are not compared."""
_SHORTEST = 3
"""A host whose name is shorter is not looked for: it stands in other words."""


@dataclass(frozen=True)
class Publication:
    """Where a study was published."""

    results: Path
    """The folder of its file and tables."""
    page: Path


@public()
def publish_study(path: Path, out: Path, to: Path, *, so_far: bool = False) -> Publication:
    """Write what is published of a finished study: `results/NAME/` and `reports/NAME/`, in one folder.

    The page is `reports/NAME/index.html`; the figures of primary questions are files beside it.

    Args:
        path: The study's file; NAME is its stem.
        out: The study's folder.
        to: The folder with `results` and `reports`, where they are made if they are not there.
        so_far: Whether a study that is not finished is published as far as it is, with what is missing.

    Raises:
        DefinitionError: The file is wrong.
        UsageError: The study was not begun there, or its file names a folder of this machine.
        DataError: A run is missing or damaged.
        WriteError: Files cannot be written.
    """
    study, record = answered_study(path, out, so_far=so_far), record_of_study(path, out)
    results, page = to / "results" / path.stem, to / "reports" / path.stem / PAGE
    for folder in (results, page.parent):
        files.try_folder(folder, "give another with `--to`")
    configuration = kept_configuration(study, out)
    tables = write_study_tables(study, record, out)
    kept = [name for name in tables.files if name != TIMES]
    content = {name: read_bytes(out / STUDY_TABLES / name) for name in (*kept, ABOUT)} | {path.name: read_bytes(path)}
    content |= configuration
    for name, text in content.items():
        _refuse_places(results / name, text.decode())
    for old in sorted(results.glob("*.csv")):
        if old.name not in content:  # of an earlier form of the file
            files.remove(old)
    for name, text in content.items():
        files.write(results / name, text)
    write_decisions(study, out, results / DECISIONS)
    links = Path(os.path.relpath(results, page.parent)).as_posix()
    write_charts(decisive_charts(study, tables.frames), page.parent / "figures")
    values = study_page_values(study, record, tables, links)
    shown = [*kept, path.name, *configuration, DECISIONS]
    return Publication(results, write_values("study.html", {**values, "tables": linked_files(shown, links)}, page))


def _refuse_places(path: Path, text: str) -> None:
    """Refuse a text that names the user's folder or host.

    Raises:
        UsageError: It does.
    """
    folder, host = files.home(), socket.gethostname()
    private = [str(folder)] if folder is not None and len(folder.parts) > 1 else []
    private += [host] if len(host) >= _SHORTEST else []
    for name in private:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
            raise UsageError(f"{path.name}: names {name}, which is of this machine; write the study's file without it")


@dataclass(frozen=True)
class Sameness:
    """How a study that was made again compares with the published one."""

    tables: int
    """How many tables were compared."""
    different: tuple[str, ...]
    """Those whose bytes differ."""
    same_machine: bool
    """Whether versions, code and kind of processor are the published ones."""
    flipped: int
    """How many decisions differ, at t = 0 and at T."""
    decisions: int
    """Of how many."""

    @property
    def passed(self) -> bool:
        """Whether the tables are the same, or on another machine few enough decisions differ."""
        return not self.different or (not self.same_machine and self.flipped <= TOLERATED * self.decisions)


@public()
def compare_study(path: Path, out: Path, published: Path) -> Sameness:
    """Compare the tables of a finished study with published ones of the same file.

    Args:
        path: The study's file.
        out: Its folder.
        published: A folder that `publish_study` wrote, `results/NAME`.

    Raises:
        UsageError: The published study is of another file, or of other runs or images.
        DataError: A table or a run is missing or damaged.
    """
    study = read_study(path)
    record_of_study(path, out)
    own, theirs = _about(out / STUDY_TABLES), _about(published)
    if own["file_sha256"] != theirs["file_sha256"]:
        raise UsageError(f"{published}: is of another file than {path} is now; give the file that lies there")
    flipped, decisions = _flips(study, out, published, part=theirs["unfinished"] is not None)
    same = all(own[key] == theirs[key] for key in ("versions", "machines"))
    if own["unfinished"] != theirs["unfinished"]:  # tables of other runs differ; the decisions of those of both do not
        return Sameness(0, (DECISIONS,) if flipped else (), same, flipped, decisions)
    tables = {path.name for folder in (out / STUDY_TABLES, published) for path in folder.glob("*.csv")}
    names = sorted(tables.difference(_OF_MACHINE))
    different = tuple(name for name in names if _bytes(out / STUDY_TABLES / name) != _bytes(published / name))
    return Sameness(len(names), different, same, flipped, decisions)


def _about(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT
    if not files.is_file(path):
        raise DataError(f"{path}: there is no such file; a study writes it when it is finished, and when published")
    with damage_refused(path, "is damaged", "make it anew with pcbench study report"):
        found = read_json(path)
        kept = {key: found[key] for key in ("file_sha256", "versions", "machines")}
        return {**kept, "unfinished": found.get("unfinished")}  # studies of earlier versions are whole


def _bytes(path: Path) -> bytes:
    return read_bytes(path) if files.is_file(path) else b""


def _flips(study: StudyFile, out: Path, published: Path, *, part: bool) -> tuple[int, int]:
    """Return how many decisions differ, of how many; with `part` of the published runs alone.

    Raises:
        UsageError: They are not of the same runs, images and conditions.
    """
    before, flipped, decisions = dict(read_decisions(published / DECISIONS)), 0, 0
    for name, scores in run_decisions(part_of(study, before) if part else study, out):
        old = before.pop(name, None)
        if old is None or (old.ids_sha256, old.cells) != (scores.ids_sha256, scores.cells):
            raise UsageError(f"{published}: holds no decisions of {name} on the same images and conditions; publish it")
        flipped += int((old.correct != scores.correct).sum())
        decisions += scores.correct.size
    if before:
        raise UsageError(f"{published}: holds decisions of {min(before)}, which this study does not have; publish it")
    return flipped, decisions
