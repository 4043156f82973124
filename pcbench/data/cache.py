"""The folder in which files are kept that can be made again: downloads, transformed kernels, streams that were read.

A file is complete under its name or does not exist. The folder stays below a bound: the files that were used longest
ago make room for new ones. Several processes may share it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from pcbench import files
from pcbench.errors import DataError, WriteError
from pcbench.limits.bounds import gigabytes

SIZE_VARIABLE = "PCBENCH_CACHE_GB"
DEFAULT_GIGABYTES = 20.0
NO_CACHE = "PCBENCH_NO_CACHE"
"""Where this variable is set, to whatever, nothing is kept that is quickly computed again: transformed kernels."""
_LOCK = ".lock"
# Room is made in steps, so that the folder is not listed for every image.
_STEPS = 100


def cache_folder() -> Path:
    """Return the folder for downloads: `$PCBENCH_CACHE`, else `pcbench` in the user's cache folder.

    The user's cache folder is `$XDG_CACHE_HOME`, else `~/.cache`. The folder is not made here.

    Raises:
        UsageError: No home folder is known.
    """
    if own := os.environ.get("PCBENCH_CACHE"):
        return files.full_path(own)
    return files.user_cache("set PCBENCH_CACHE") / "pcbench"


def cache_limit() -> int:
    """Return how many bytes a folder of the cache may hold: `$PCBENCH_CACHE_GB` (20) times 10⁹.

    Raises:
        UsageError: The variable is not a positive number.
    """
    return gigabytes(SIZE_VARIABLE, DEFAULT_GIGABYTES)


class BoundedWriter:
    """Writes a file of a cache, and makes room for it as it grows.

    Args:
        file: Where it is written.
        path: The file's path.
        cache: Where it will be kept.
    """

    def __init__(self, file: BinaryIO, path: Path, cache: Cache) -> None:
        self._file, self._path, self._cache = file, path, cache
        self._written = self._room = 0

    def write(self, content: bytes | memoryview) -> None:
        """Append to the file.

        Raises:
            DataError: It is larger than the whole cache may be.
        """
        self._written += len(content)
        if self._written > self._room:
            self._file.flush()
            cache = self._cache
            self._room = cache.make_room(self._path, self._written, self._written + cache.limit // _STEPS)
        self._file.write(content)


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be made again."""

    folder: Path
    """The folder; it is made when it is needed."""
    limit: int
    """How many bytes it may hold."""

    def open(self, name: str, make: Callable[[BoundedWriter], None]) -> BinaryIO:
        """Open a file of this name, which is made first if it is not there.

        One process makes it; others that need the same file wait. An open file stays readable when it makes room.

        Args:
            name: The file's name, without folders.
            make: Writes its content.

        Raises:
            DataError: It is larger than the cache may be.
            WriteError: It cannot be written.
        """
        path = self.folder / name
        files.make_folder(self.folder)
        with _locked(self.folder / f"{name}{_LOCK}"):
            if not path.is_file():

                def write(unfinished: Path) -> None:
                    with unfinished.open("wb") as file:
                        make(BoundedWriter(file, unfinished, self))

                files.write(path, write)
            with suppress(OSError):
                os.utime(path)  # used now, so it is not the next to make room
            return path.open("rb")

    def discard(self, name: str) -> None:
        """Remove a file that no other process knows of, if it is there."""
        with suppress(OSError):  # on Windows a file that is open stays; it makes room later
            (self.folder / name).unlink(missing_ok=True)
            (self.folder / f"{name}{_LOCK}").unlink(missing_ok=True)

    def make_room(self, growing: Path, needed: int, wanted: int) -> int:
        """Remove the files that were used longest ago until a file of some size fits in.

        Args:
            growing: The file that is being written.
            needed: Its size, bytes.
            wanted: The size that it may soon have.

        Returns:
            The size for which there is room, at least `needed`.

        Raises:
            DataError: There is no room for it.
        """
        with _locked(self.folder / _LOCK):
            finished, others = self._held(growing)
            for _, size, path in sorted(finished):
                if others + wanted <= self.limit:
                    break
                with suppress(OSError):
                    path.unlink()
                    others -= size
        if others + needed > self.limit:
            raise DataError(
                f"{self.folder} may hold {self.limit / 1e9:g} GB, and this does not fit; ask for fewer images, or set "
                f"{SIZE_VARIABLE} to more gigabytes"
            )
        return min(wanted, self.limit - others)

    def _held(self, growing: Path) -> tuple[list[tuple[float, int, Path]], int]:
        """Return when each finished file was used last, its size and its path; and the size of all files but one.

        What a process that was killed left behind is removed.
        """
        finished: list[tuple[float, int, Path]] = []
        unfinished = 0
        for path in self.folder.iterdir():
            if path == growing or path.name.endswith(_LOCK) or self._is_abandoned(path):
                continue
            with suppress(OSError):
                status = path.stat()
                if path.name.endswith(files.UNFINISHED):
                    unfinished += status.st_size
                else:
                    finished.append((status.st_mtime, status.st_size, path))
        return finished, unfinished + sum(size for _, size, _ in finished)

    def _is_abandoned(self, path: Path) -> bool:
        """Remove an unfinished file whose process has ended; tell whether it was one."""
        if not path.name.endswith(files.UNFINISHED):
            return False
        lock = FileLock(path.with_name(path.name.removesuffix(files.UNFINISHED) + _LOCK))
        with suppress(Timeout, OSError), lock.acquire(timeout=0):
            path.unlink(missing_ok=True)
            return True
        return False


@contextmanager
def _locked(path: Path) -> Generator[None]:
    try:
        lock = FileLock(path)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        raise WriteError(
            f"{path}: cannot be locked ({error}); set PCBENCH_CACHE to a folder on a local disk"
        ) from error
    try:
        yield
    finally:
        lock.release()
