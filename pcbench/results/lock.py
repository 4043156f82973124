"""Which process works on a run: one at a time. Any process can ask which one, from the run's first second.

    <name>.lock           the lock of the operating system; it ends when the process ends for any reason
    <name>.holder.json    who holds it, since when, with which command
    <name>.lease          only where the file system has no locks: a mark that the holder renews every few seconds
    .starting/            the same files for runs that do not know their folder yet

All lie next to the run's folder, never in it, so that a finished run does not change. This module imports only fast
modules: a run is visible before torch is imported.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import itertools
import json
import logging
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import BaseFileLock, FileLock, LeaseSettingsMismatch, Timeout

from pcbench import files
from pcbench.errors import DataError, HeldError, UsageError, WriteError
from pcbench.limits.text import read_json

if TYPE_CHECKING:
    from filelock import LeaseCompromise

logger = logging.getLogger("pcbench")

STARTING = ".starting"
BEAT_SECONDS = 5.0
"""How often a lease is renewed."""
STALE_SECONDS = 60.0
"""A lease that was not renewed for this long has lost its holder."""
_PATIENCE_SECONDS = 0.5
"""How long a lock is tried. One try is not enough: a process that asks for the holder shares the lock for an instant,
and a holder that ends removes the file that was just opened."""
_LOCK, _HOLDER, _LEASE = ".lock", ".holder.json", ".lease"
_REMEDY = "give another folder with `out`"
# What a file system without locks answers: none in the kernel, none in this file system, no lock server.
_WITHOUT_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that works on a run."""

    host: str
    """The computer's name."""
    process: int
    """The process's number there."""
    since: str
    """When it began: ISO 8601, UTC, whole seconds."""
    command: str = ""
    """What it was started with, or what it does."""

    @property
    def began(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.since)

    @property
    def sentence(self) -> str:
        """The process and when it began, in words."""
        return f"process {self.process} on host {self.host}, since {self.began.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclasses.dataclass(frozen=True)
class Announcement:
    """A run that is under way."""

    holder: Holder
    """The process that works on it."""
    what: str
    """What it does, in words or as the command that was given."""
    folder: Path | None = None
    """The folder that the run ends in; None where the run does not know it yet."""


@contextmanager
def hold(target: Path, command: str = "") -> Generator[Holder]:
    """Hold the lock of a run's folder while this lasts; it ends with the process, also when that is killed.

    Args:
        target: The folder that the run ends in; it need not exist.
        command: What is shown to those who ask for the holder.

    Yields:
        What other processes see of this one.

    Raises:
        HeldError: Another process, or another thread of this one, holds it.
        UsageError: The folder above it cannot be written.
    """
    target = files.real_path(target)
    own = Holder(socket.gethostname(), os.getpid(), f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", command)
    try:
        files.make_folder(target.parent)
        lock = _take(target)
    except WriteError as error:
        raise UsageError(f"{error}; {_REMEDY}") from error
    except OSError as error:
        raise UsageError(f"{target.parent}: cannot be written ({files.reason(error)}); {_REMEDY}") from error
    try:
        _write_holder(target, own)
        yield own
    finally:
        # A fork that ends here is not the holder, and must not remove the holder's files.
        if os.getpid() == own.process:
            _let_go(target, lock, own)


def holder(target: Path) -> Holder | None:
    """Return who holds the lock of a run's folder now, or None; the files of a killed process are ignored.

    Raises:
        UsageError: The folder's links form a loop, or its name is too long.
    """
    target = files.real_path(target)
    entry = _read(_beside(target, _HOLDER))
    return entry[0] if entry is not None and _is_held(target, entry[0]) else None


@contextmanager
def announce(folder: Path, what: str) -> Generator[Holder]:
    """Announce that a run is under way before its folder is known.

    Args:
        folder: The folder that the run's folder will lie in.
        what: What is run.

    Yields:
        What other processes see of this one.

    Raises:
        UsageError: The folder cannot be written.
    """
    starting = folder / STARTING
    with hold(starting / f"{socket.gethostname()}-{os.getpid()}-{next(_numbers)}", what) as own:
        _remove_dead(starting)
        yield own


def announced(folder: Path) -> list[Announcement]:
    """Return the runs under way that will lie in a folder and do not know their name yet, the oldest first."""
    return under_way(folder / STARTING)


def under_way(folder: Path) -> list[Announcement]:
    """Return the runs under way in a folder and in those below it, announced ones too, the oldest first."""
    found: list[Announcement] = []
    for root, _, names in os.walk(folder):
        for name in names:
            entry = _read(Path(root) / name) if name.endswith(_HOLDER) else None
            if entry is None:
                continue
            who, target = entry[0], Path(root) / entry[1]
            if _is_held(target, who):
                known = None if target.parent.name == STARTING else target
                found.append(Announcement(who, who.command, known))
    return sorted(found, key=lambda run: (run.holder.since, str(run.folder)))


def _beside(target: Path, ending: str) -> Path:
    """Return a file of the lock; a long name is cut, since filelock puts up to 60 characters more behind it."""
    name = target.name
    if len(os.fsencode(name)) > 180:
        name = f"{name[:40]}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}"
    return target.with_name(name + ending)


def _take(target: Path) -> BaseFileLock:
    # filelock opens the file close-on-exec, so a spawned child does not have it. A fork would share the lock and keep
    # it alive after its parent was killed: filelock closes the file in every child of os.fork.
    lock = FileLock(
        _beside(target, _LOCK),
        timeout=_PATIENCE_SECONDS,
        poll_interval=0.02,
        thread_local=False,
        fallback_to_soft=False,  # it does not renew its file: another computer's would stay permanently
    )
    try:
        lock.acquire()
    except Timeout:
        raise _held(target) from None
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        return _take_lease(target)
    return lock


def _take_lease(target: Path) -> BaseFileLock:
    """Take the lock's substitute, where the file system has none; filelock renews it from another thread."""
    from filelock import SoftFileLease  # seldom needed

    mark = _beside(target, _LEASE)
    lease = SoftFileLease(
        mark,
        lease_duration=STALE_SECONDS,
        heartbeat_interval=BEAT_SECONDS,
        on_compromise=_warn_of_loss,
        timeout=_PATIENCE_SECONDS,
        poll_interval=0.02,
        thread_local=False,
    )
    try:
        with suppress(Timeout):
            lease.acquire()
            return lease
        if _was_renewed(mark):
            raise _held(target)
        # The clocks of two computers differ, so the age of the mark is not a proof: filelock watches it for this long.
        logger.warning("%s: not renewed recently; watching for %.0f s whether its holder is gone", mark, STALE_SECONDS)
        lease.acquire(timeout=STALE_SECONDS + BEAT_SECONDS)
    except (Timeout, LeaseSettingsMismatch):
        raise _held(target) from None
    return lease


def _warn_of_loss(loss: LeaseCompromise) -> None:
    logger.warning(
        "%s: not renewed in time (%s), so another process may have started the same run", loss.lock_file, loss.reason
    )


def _held(target: Path) -> HeldError:
    entry = _read(_beside(target, _HOLDER))
    who = entry[0].sentence if entry else f"another process, which holds {_beside(target, _LOCK).name}"
    return HeldError(f"{target}: a run is under way there ({who}); wait for it, stop it, or {_REMEDY}")


def _write_holder(target: Path, own: Holder) -> None:
    content = {**dataclasses.asdict(own), "target": target.name}
    try:
        files.write(_beside(target, _HOLDER), json.dumps(content, indent=1) + "\n")
    except WriteError as error:
        raise UsageError(f"{error}; {_REMEDY}") from error


def _read(path: Path) -> tuple[Holder, str] | None:
    """Return the holder that a file describes, and the name of its run's folder."""
    try:
        content = read_json(path)
        who = Holder(str(content["host"]), int(content["process"]), str(content["since"]), str(content["command"]))
        _ = who.sentence  # a date that cannot be read is a damaged file, too
        return who, str(content["target"])
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return None


def _is_held(target: Path, who: Holder) -> bool:
    """Ask the operating system; the lock is tried as a shared one, so that those who ask do not block each other."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _cannot_be_taken(target)
    try:
        handle = os.open(_beside(target, _LOCK), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough where another thread forks meanwhile
    except (BlockingIOError, PermissionError):
        return True
    except OSError as error:
        return error.errno in _WITHOUT_LOCKS and _was_renewed(_beside(target, _LEASE)) and not _has_ended(who)
    finally:
        os.close(handle)
    return False


def _cannot_be_taken(target: Path) -> bool:
    """Try the lock itself, for a moment, where it cannot be tried as a shared one."""
    mark = _beside(target, _LOCK)
    if not mark.exists():
        return False
    try:
        with FileLock(mark, timeout=0, fallback_to_soft=False):
            return False
    except (Timeout, OSError):
        return True


def _was_renewed(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime < STALE_SECONDS
    except OSError:
        return False


def _has_ended(who: Holder) -> bool:
    return who.host == socket.gethostname() and files.is_gone(who.process)


def _let_go(target: Path, lock: BaseFileLock, own: Holder) -> None:
    try:
        entry = _read(_beside(target, _HOLDER))
        if entry is None or entry[0] == own:  # else the lease was lost, and the files are the next one's
            _clear(target)
    finally:
        lock.release()


def _clear(target: Path) -> None:
    """Remove the files while the lock is held: a process that had opened the lock's file sees that its name is gone."""
    for ending in (_HOLDER, _LOCK):
        with suppress(WriteError):  # the run is complete; a file that stays is reused by the next run
            files.remove(_beside(target, ending))


def _remove_dead(folder: Path) -> None:
    """Remove what killed processes left behind."""
    for path in folder.glob("*" + _LOCK):
        target = path.with_name(path.name.removesuffix(_LOCK))
        if holder(target) is not None:
            continue
        with suppress(HeldError, OSError):
            lock = _take(target)
            try:
                _clear(target)
            finally:
                lock.release()
