"""The one place where files are made, replaced and removed: a file is complete under its name, or it does not exist.

A file is written under another name, flushed to the disk, and then renamed, so that a process that is killed at any
moment leaves either the old file or the new one. Every step has a named point before and after it (`Point`), at which
a test can stop the process or let the step fail.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pcbench.errors import UsageError, WriteError

Operation = Literal["mkdir", "write", "fsync", "rename", "unlink", "rmdir", "copy"]
Content = bytes | str | Callable[[Path], object]
"""What a file holds: bytes, text (UTF-8), or a function that writes it to the path that it is given."""

MARKER = ".pcbench.json"
"""The file by which a folder is known as one that pcbench made: no other folder is ever replaced or removed."""
UNFINISHED = ".partial"
"""What the names of unfinished files, and of unfinished runs' folders, end in."""
TRIAL = ".trial"
_CHUNK = 1 << 20
_REMEDIES = {
    errno.ENOSPC: "free some space on this disk",
    errno.EDQUOT: "free some space of your quota",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EIO: "check this disk, or choose a folder on another one",
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links form a loop; choose another folder",
    errno.ENOTDIR: "a part of this path is a file; choose another folder",
    errno.ENOENT: "its folder does not exist any more",
}


_WRONG_PLACES = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "ELOOP", "ENOTDIR", "EISDIR", "EEXIST", "EINVAL", "ENOENT")
}


@dataclass(frozen=True)
class Point:
    """A moment before or after a step."""

    moment: Literal["before", "after"]
    """``"before"`` the step is tried, or ``"after"`` it was done."""
    step: Operation
    """What is done."""
    path: Path
    """The file or folder that it is done to."""

    def __str__(self) -> str:
        return f"{self.moment} {self.step} {self.path.name}"


_watchers: list[Callable[[Point], None]] = []


@contextmanager
def watched(watcher: Callable[[Point], None]) -> Generator[None]:
    """Call a function at every point; an `OSError` that it raises before a step counts as an error of that step."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


@contextmanager
def _step(step: Operation, path: Path) -> Generator[None]:
    try:
        for watcher in _watchers:
            watcher(Point("before", step, path))
        yield
        for watcher in _watchers:
            watcher(Point("after", step, path))
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({reason(error)})") from error


def reason(error: OSError) -> str:
    """Return the problem and the remedy, for the end of a message."""
    text = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{text}; {remedy}" if remedy else text


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises:
        WriteError: It cannot be made.
    """
    missing: list[Path] = []
    above = folder
    while not _is_folder(above):
        missing.append(above)
        if above.parent == above:
            break
        above = above.parent
    for path in reversed(missing):
        with _step("mkdir", path):
            path.mkdir(exist_ok=True)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise WriteError(f"{path}: cannot be written ({reason(error)})") from error


def write(path: Path, content: Content) -> Path:
    """Write a file, completely or not at all; missing folders are made.

    Args:
        path: The file.
        content: What it holds.

    Returns:
        The file.

    Raises:
        WriteError: It cannot be written; the message says why, with a remedy.
    """
    _refuse_target(path)
    make_folder(path.parent)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with _step("write", path):
            if callable(content):
                content(unfinished)
            else:
                # The name of a folder that is no UTF-8 has letters that no file can hold.
                unfinished.write_bytes(content.encode(errors="replace") if isinstance(content, str) else content)
        with _step("fsync", path):
            _to_disk(unfinished)
        with _step("rename", path):
            unfinished.replace(path)
            _to_disk(path.parent)
    except BaseException:
        with suppress(OSError):  # frees the space on a full disk
            unfinished.unlink(missing_ok=True)
        raise
    return path


def write_inside(path: Path, start: int, content: bytes) -> None:
    """Write bytes into the middle of a file that `write` made: they are on the disk when this returns, not before.

    Who calls it keeps a record that they are there, which is written afterwards.

    Raises:
        WriteError: They cannot be written.
    """
    with _step("write", path), path.open("r+b") as file:
        file.seek(start)
        file.write(content)
    with _step("fsync", path):
        _to_disk(path)


def part_sha256(path: Path, start: int, size: int) -> str:
    """Return the SHA-256 of some bytes of a file, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while size > 0 and (read := file.read(min(size, _CHUNK))):
            digest.update(read)
            size -= len(read)
    return digest.hexdigest()


def free_bytes(folder: Path) -> int:
    """Return how many bytes are free where a folder lies, or will lie."""
    while not is_folder(folder) and folder.parent != folder:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _refuse_target(path: Path) -> None:
    """Refuse to put a file in the place of a folder, or of a device: as root, nothing else would stop it."""
    if not path.name or is_folder(path):
        raise WriteError(f"{path} is a folder; name a file in it")
    if os.path.exists(path) and not is_file(path):  # noqa: PTH110 (as below)
        raise WriteError(f"{path} is not an ordinary file; name another one")


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name on the same disk.

    Raises:
        WriteError: It is not possible.
    """
    with _step("rename", target):
        source.replace(target)
        _to_disk(target.parent)


def copy(source: Path, target: Path) -> None:
    """Give a file's content a second name, as a hard link where the file system supports it.

    Raises:
        WriteError: It is not possible.
    """
    make_folder(target.parent)
    with _step("copy", target):
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)
            _to_disk(target)


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        WriteError: It cannot be removed.
    """
    with _step("unlink", path):
        path.unlink(missing_ok=True)


def remove_folder(folder: Path, *, last: str | None = None) -> None:
    """Remove a folder with everything in it; links are removed, not followed.

    Args:
        folder: The folder; it need not exist.
        last: The name of a file in it that is removed last, because it marks the folder as pcbench's.

    Raises:
        WriteError: Something cannot be removed.
    """
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in sorted(folder.iterdir(), key=lambda path: path.name == last):
        if path.is_dir() and not path.is_symlink():
            remove_folder(path)
        else:
            remove(path)
    with _step("rmdir", folder):
        folder.rmdir()


def try_folder(folder: Path, remedy: str) -> None:
    """Test whether files can be written in a folder: write, flush, rename, remove.

    Args:
        folder: The folder; it is made if it does not exist.
        remedy: What the user can do, for the message.

    Raises:
        UsageError: They cannot be written, because of the folder's location.
        WriteError: They cannot be written now, because the disk is full or fails.
    """
    trial = folder / f"{TRIAL}-{socket.gethostname()}-{os.getpid()}"
    try:
        write(trial, b"pcbench tests whether it can write here\n")
        remove(trial)
    except WriteError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _WRONG_PLACES:
            raise UsageError(f"{error}; {remedy}") from error
        raise
    _remove_trials(folder)


def _remove_trials(folder: Path) -> None:
    """Remove the test files of processes of this computer that were killed."""
    beginning = f"{TRIAL}-{socket.gethostname()}-"
    with suppress(OSError, WriteError):  # a file that cannot be removed stays
        for left in [path for path in folder.iterdir() if path.name.startswith(beginning)]:
            number = left.name.removesuffix(UNFINISHED).removeprefix(beginning)
            if number.isdecimal() and is_gone(int(number)):
                remove(left)


def is_gone(process: int) -> bool:
    """Return whether no process of this computer has this number."""
    if os.name == "nt":
        return False  # Windows does not have a signal that only asks
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # another user's process, or not the number of a process
    return False


def is_file(path: Path) -> bool:
    """Return whether there is such a file; a name that no disk can hold is none."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises for names that are too long)


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder; a name that no disk can hold is none."""
    return os.path.isdir(path)  # noqa: PTH112 (as above)


def home() -> Path | None:
    """Return the user's home folder; None where none is known, as for a user of a container that has no name."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def full_path(text: str) -> Path:
    """Return a path with `~` written in full, which no shell did for a variable that a container's file sets.

    Raises:
        UsageError: No home folder is known.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{text}: no home folder is known; write the folder in full") from None


def user_cache(remedy: str) -> Path:
    """Return the folder in which programs keep what can be made again: `$XDG_CACHE_HOME`, else `~/.cache`.

    Args:
        remedy: What to do where no home folder is known.

    Raises:
        UsageError: No home folder is known.
    """
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if stated.is_absolute():  # others have no meaning, by the standard that defines it
        return stated
    known = home()
    if known is None:
        raise UsageError(f"no home folder is known, and so none to keep files in: {remedy}, or HOME")
    return known / ".cache"


def real_path(path: Path) -> Path:
    """Return a path with all links resolved, so that files are written to the folder that the links point to.

    Raises:
        UsageError: The links form a loop, a name is too long, or not UTF-8, which the library of Parquet asks for.
    """
    try:
        found = path.expanduser().resolve()
        str(found).encode()
        found.lstat()
    except FileNotFoundError:
        return path.expanduser().resolve()
    except UnicodeEncodeError:
        raise UsageError(f"{path.absolute()}: its name is no UTF-8; give another folder with `out`") from None
    except (OSError, RuntimeError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"{path}: cannot be written ({why}); give another folder with `out`") from error
    return found


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
