"""The folder of a run that is under way, `<folder>.partial`: its parts, and how the finished folder replaces it.

    <folder>.partial/.pcbench.json    says that the folder is pcbench's, and what state it is in
    <folder>.partial/run_spec.json    what is run
    <folder>.partial/parts/           what is computed so far, one file for each unit of work
    <folder>.partial/arrays/          those of an extraction, filled where units are done
    <folder>.partial/finished/        the finished folder while it is made from the parts; then it is renamed

A process may be killed at any moment: parts are complete or absent, the finished folder is made again from
them until it has its name, and only then are the parts removed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from pcbench import files
from pcbench.errors import DataError, UsageError, WriteError
from pcbench.files import MARKER
from pcbench.limits.text import read_json
from pcbench.results.directory import (
    EXTRACTION_MANIFEST,
    FAILURE,
    MANIFEST,
    SHARD_MANIFEST,
    Run,
    foreign_files,
    open_run,
    partial_folder,
    write_json,
    write_manifest,
)
from pcbench.results.extraction import open_extraction
from pcbench.results.parts import ENDING, Part, read_part, write_part
from pcbench.results.run_spec import RunSpec, differences, read_spec
from pcbench.results.shard import open_shard

_SPEC = "run_spec.json"
_PARTS, _FINISHED, _REPLACED = "parts", "finished", "replaced"
ARRAYS_FOLDER = "arrays"
_ELSEWHERE = "give another folder with `out`"


@dataclasses.dataclass(frozen=True)
class Kind:
    """What an unfinished folder becomes."""

    name: str
    """What messages and the marker call it."""
    manifest: str
    """The name of its manifest."""
    open: Callable[..., Run]
    """Opens a finished one."""


RUN = Kind("run", MANIFEST, open_run)
SHARD = Kind("shard", SHARD_MANIFEST, open_shard)
EXTRACTED = Kind("extraction", EXTRACTION_MANIFEST, open_extraction)


@dataclasses.dataclass(frozen=True)
class WorkspaceState:
    """What the marker of an unfinished folder says."""

    again: bool = False
    """The run was started with `again`, so that the same command resumes it."""
    discarded: bool = False
    """The folder is being removed: a process that finds it continues to remove it."""
    published: bool = False
    """The finished run has its name, and the rest of this folder is not needed."""


@dataclasses.dataclass(frozen=True)
class Workspace:
    """The unfinished folder of a run."""

    final: Path
    """The folder of the finished run."""
    spec: RunSpec
    """What is being run."""
    again: bool = False
    """Whether the run was started with `again`."""
    kind: Kind = RUN
    """What it becomes."""

    @property
    def folder(self) -> Path:
        """The folder that is written to."""
        return partial_folder(self.final)

    @property
    def finished(self) -> Path:
        """The finished folder, while it is made."""
        return self.folder / _FINISHED

    @functools.cached_property
    def key(self) -> str:
        """The run's key."""
        return self.spec.key()

    def part_file(self, unit: str) -> Path:
        """Return the file of a unit's part."""
        return self.folder / _PARTS / f"{unit}{ENDING}"

    def write_part(self, unit: str, part: Part) -> None:
        """Write a unit's part, completely or not at all.

        Raises:
            WriteError: It cannot be written, or the folder was removed by somebody.
        """
        self.refuse_vanished()
        write_part(self.part_file(unit), part, key=self.key, unit=unit)

    def read_part(self, unit: str, schema: pa.Schema | None = None) -> Part:
        """Read a unit's part.

        Raises:
            PartError: It is missing, damaged, or belongs to another run or unit.
        """
        return read_part(self.part_file(unit), key=self.key, unit=unit, schema=schema)

    def discard_parts(self) -> None:
        """Remove all parts."""
        files.remove_folder(self.folder / _PARTS)

    def note_failure(self, reason: str | None) -> None:
        """Note why the work ended, for those who ask for its state; None takes the note back.

        A folder without a marker is no longer that of work: its run is finished, and only its removal failed.
        """
        if reason is not None and (self.folder / MARKER).is_file():
            # A disk that is full must not hide the error that is noted.
            with contextlib.suppress(WriteError):
                write_json(self.folder / FAILURE, {"reason": reason, "written": time.time()})
        elif (self.folder / FAILURE).is_file():
            files.remove(self.folder / FAILURE)

    def begin_finishing(self) -> Path:
        """Return an empty folder for the finished run; the files of a stopped attempt are removed."""
        self.refuse_vanished()
        files.remove_folder(self.finished)
        files.make_folder(self.finished)
        return self.finished

    def refuse_vanished(self) -> None:
        """Refuse to go on where somebody removed the folder.

        Raises:
            WriteError: It is not there.
        """
        if not (self.folder / MARKER).is_file():
            raise WriteError(f"{self.folder}: was removed while the run was under way; the same command starts again")

    def is_finished(self) -> bool:
        """Return whether the finished folder is complete and only lacks its name."""
        try:
            found = self.kind.open(self.finished)
            return found.key == found.spec.key() == self.key
        except (UsageError, DataError):
            return False

    def finish(self, content: Mapping[str, Any]) -> Run:
        """Write the manifest of the finished folder, in which all other files lie, and give the folder its name.

        Args:
            content: What the manifest holds besides the description; parts are kept where it lists missing ones.
        """
        self.refuse_vanished()
        write_manifest(self.finished, self.spec, content, self.kind.manifest)
        return self.publish(keep_parts=bool(content.get("missing")))

    def publish(self, *, keep_parts: bool = False) -> Run:
        """Give the finished folder its name, and remove what is no longer needed.

        Args:
            keep_parts: Keep the parts, because some are missing and may be computed later.
        """
        write_json(self.finished / MARKER, {"made_by": "pcbench", "what": self.kind.name})
        replaced = self.folder / _REPLACED
        _refuse_foreign(
            self.final, self.spec, self.kind, again=True
        )  # another process may have written there meanwhile
        if self.final.is_dir():
            files.remove_folder(replaced)
            files.rename(self.final, replaced)
        files.rename(self.finished, self.final)
        if keep_parts:
            files.remove_folder(replaced)
        else:
            _mark(self.folder, WorkspaceState(again=self.again, published=True))
            files.remove_folder(self.folder, last=MARKER)
        return self.kind.open(self.final, verify=False)


def begin(
    final: Path, spec: RunSpec, *, again: bool, say: Callable[[str], None] = lambda _: None, kind: Kind = RUN
) -> Workspace:
    """Make the unfinished folder of a run, or resume it.

    Args:
        final: The folder of the finished run, without links.
        spec: What is run. Work left over from a stopped run of the same key is kept.
        again: Compute again even if unfinished work exists or `final` holds a finished run.
        say: Called with a sentence about what will be discarded, before that happens.
        kind: What it becomes.

    Raises:
        UsageError: The folder cannot be written, `final` or the unfinished folder holds something else, or unfinished
            work of other settings; each field that differs is named.
    """
    _refuse_foreign(final, spec, kind, again=again)
    folder = partial_folder(final)
    state = read_state(folder)
    if state is not None and (state.discarded or state.published):
        files.remove_folder(folder, last=MARKER)
        state = None
    if state is None:
        _refuse_unmarked(folder)
    elif not _goes_on(folder, spec, state, again=again):
        _discard(folder, spec, again=again, say=say)
        state = None
    files.try_folder(folder, _ELSEWHERE)
    if state is None:
        _mark(folder, WorkspaceState(again=again))
        write_json(folder / _SPEC, spec.model_dump(mode="json"))
    return Workspace(final, spec, again, kind)


def settle(final: Path, kind: Kind = RUN) -> bool:
    """Complete the renaming or the removal of a folder that a killed process had started.

    Afterwards `final` is a finished run again where it was one, or would have been one a moment later.

    Returns:
        Whether that process had finished its run, so that the same command only has to open it.
    """
    folder = partial_folder(final)
    state = read_state(folder)
    if state is None:
        return False
    if state.published or state.discarded:
        files.remove_folder(folder, last=MARKER)
        return state.published
    if not final.exists() and (folder / _REPLACED).is_dir():
        spec = _left_spec(folder)
        if spec is not None and Workspace(final, spec, state.again, kind).is_finished():
            keep = bool(kind.open(folder / _FINISHED, verify=False).missing)
            Workspace(final, spec, state.again, kind).publish(keep_parts=keep)
            return True
        files.rename(folder / _REPLACED, final)
    return False


def clean_up(final: Path, kind: Kind = RUN) -> None:
    """Remove the unfinished folder next to a finished run, left by a process killed just after the run got its name.

    Unfinished work that was started with `again` stays: it will replace this run. The parts of a run with missing
    units stay, too.
    """
    folder = partial_folder(final)
    state = read_state(folder)
    if is_bare(folder) if state is None else not state.again and not kind.open(final, verify=False).missing:
        files.remove_folder(folder, last=MARKER)


def read_state(folder: Path) -> WorkspaceState | None:
    """Return what the marker of an unfinished folder says; None if the marker is missing or damaged."""
    try:
        found: Any = read_json(folder / MARKER)
        if found["made_by"] != "pcbench" or found["what"] != "unfinished run":
            return None
        return WorkspaceState(
            **{field.name: bool(found.get(field.name)) for field in dataclasses.fields(WorkspaceState)}
        )
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


def _mark(folder: Path, state: WorkspaceState) -> None:
    write_json(folder / MARKER, {"made_by": "pcbench", "what": "unfinished run", **dataclasses.asdict(state)})


def _refuse_foreign(final: Path, spec: RunSpec, kind: Kind, *, again: bool) -> None:
    """Refuse a folder that holds something that must not be replaced."""
    if not final.exists() or (final.is_dir() and not any(final.iterdir())):
        return
    if not (final / kind.manifest).is_file():
        article = "an" if kind.name[0] in "aeiou" else "a"
        raise UsageError(f"{final} exists and is not {article} {kind.name} of pcbench; {_ELSEWHERE}")
    if not again:
        held = kind.open(final, verify=False)
        if held.key != spec.key():
            named = _differences(held.spec, spec)
            raise UsageError(f"{final} holds another {kind.name} ({named}); {_ELSEWHERE}, or again=True to replace it")
    if not (final / MARKER).is_file():
        raise UsageError(
            f"{final} does not carry pcbench's marker ({MARKER}), so it is not replaced: an earlier pcbench made it, "
            f"or another program; remove it yourself, or {_ELSEWHERE}"
        )
    foreign = _foreign(final, kind)
    if foreign:
        raise UsageError(f"{final} holds {foreign}, which pcbench did not make; move it away, or {_ELSEWHERE}")


def _foreign(final: Path, kind: Kind) -> str | None:
    try:
        found = foreign_files(kind.open(final, verify=False))
    except DataError:
        return None  # a damaged run of ours may be replaced
    return found[0] if found else None


def _refuse_unmarked(folder: Path) -> None:
    """Refuse a folder without a marker, unless a process was killed just before it wrote one."""
    files.real_path(folder)  # its name is longer than that of the finished one
    if (folder.exists() or folder.is_symlink()) and not is_bare(folder):
        raise UsageError(f"{folder} exists and was not made by pcbench; move it away, or {_ELSEWHERE}")


def is_bare(folder: Path) -> bool:
    """Return whether a folder holds at most what is there before its marker is written, and after it was removed."""
    own = (MARKER, files.TRIAL)
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(path.name.startswith(own) for path in folder.iterdir())


def _goes_on(folder: Path, spec: RunSpec, state: WorkspaceState, *, again: bool) -> bool:
    """Return whether unfinished work is of the same run, and is to be resumed."""
    left = _left_spec(folder)
    if left is None and not (folder / _PARTS).exists():
        write_json(folder / _SPEC, spec.model_dump(mode="json"))
        return True
    return left is not None and left.key() == spec.key() and (state.again or not again)


def _discard(folder: Path, spec: RunSpec, *, again: bool, say: Callable[[str], None]) -> None:
    """Remove unfinished work if the user asked for it, and refuse otherwise."""
    left = _left_spec(folder)
    named = "its description cannot be read" if left is None else _differences(left, spec)
    parts = sum(1 for _ in (folder / _PARTS).rglob(f"*{ENDING}"))
    if not again:
        raise UsageError(
            f"{folder} holds unfinished work of other settings ({named}); {_ELSEWHERE}, or again=True to discard its "
            f"{parts} finished units"
        )
    settings = f" of other settings ({named})" if left is None or left.key() != spec.key() else ""
    say(f"discarding {parts} finished units{settings} in {folder}")
    _mark(folder, WorkspaceState(discarded=True))
    files.remove_folder(folder, last=MARKER)


def _differences(first: RunSpec, second: RunSpec) -> str:
    found = differences(first.counting(), second.counting())
    return "; ".join(map(str, found)) or "the same settings, of another version of their description"


def _left_spec(folder: Path) -> RunSpec | None:
    try:
        return read_spec(read_json(folder / _SPEC))
    except (DataError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
