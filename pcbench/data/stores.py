"""Where the pixels of a source lie: files, Parquet row groups, arrays.

A store hands out one image at a time, so that memory does not grow with the number of images. What it hands out is
either the bytes of an encoded file or decoded 8-bit pixels; both are hashed as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pcbench.errors import DataError, damage_refused
from pcbench.limits.bounds import check_size, file_size, memory_limit
from pcbench.limits.tables import check_table


class ImageStore(Protocol):
    """Images by position, in the order in which they lie."""

    def read(self, position: int) -> bytes | NDArray[np.uint8]:
        """Return an encoded image file, or pixels of shape (height, width, channels), 0 to 255."""
        ...

    def locate(self, position: int) -> str:
        """Say where an image lies, for error messages."""
        ...


@dataclass(frozen=True)
class FileStore:
    """One file per image."""

    root: Path
    """The folder that the names are relative to."""
    names: tuple[str, ...]
    """The files' paths below `root`, with forward slashes."""

    def read(self, position: int) -> bytes:
        """Return the file's bytes.

        Raises:
            DataError: The file is gone or cannot be read.
        """
        path = self.root / self.names[position]
        try:
            check_size(path, "is an image file of", file_size(path), memory_limit())
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from error

    def locate(self, position: int) -> str:
        """Return the file's path."""
        return str(self.root / self.names[position])


@dataclass(frozen=True)
class ParquetStore:
    """Encoded images in the column of Parquet files, read one row group at a time."""

    files: tuple[Path, ...]
    """The files, in order."""
    column: str
    """Name of the column, a struct with the field `bytes`."""
    starts: NDArray[np.int64]
    """Position of the first image of each row group, in order over all files."""
    groups: tuple[tuple[int, int], ...]
    """For each row group, its file (an index into `files`) and its number in that file."""

    def read(self, position: int) -> bytes:
        """Return the encoded image.

        Raises:
            DataError: The row holds no image bytes, or its file cannot be read.
        """
        group = int(np.searchsorted(self.starts, position, side="right")) - 1
        file, number = self.groups[group]
        path = self.files[file]
        content = _row_group(path, _stamp(path), number, self.column)[position - int(self.starts[group])]
        if content is None:
            raise DataError(f"{self.locate(position)}: the column {self.column!r} holds no image bytes in this row")
        return content

    def locate(self, position: int) -> str:
        """Return the file and the row, counted from 0 over all files."""
        group = int(np.searchsorted(self.starts, position, side="right")) - 1
        return f"{self.files[self.groups[group][0]]}, row {position}"


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file does, so that a group is not taken from a file that has been replaced."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return status.st_mtime_ns, status.st_size


# Two groups: the one being read and the one that a neighbouring batch or worker has just left.
@lru_cache(maxsize=2)
def _row_group(path: Path, _stamp: tuple[int, int], number: int, column: str) -> Sequence[bytes | None]:
    with damage_refused(path, f"row group {number} cannot be read", "fetch it again", pa.ArrowException):
        check_table(path, path, [column], [number])
        table = pq.ParquetFile(path).read_row_group(number, columns=[column])
        cells = cast("list[dict[str, bytes | None] | None]", table.column(column).to_pylist())
        return [None if cell is None else cell["bytes"] for cell in cells]


@dataclass(frozen=True)
class ArrayStore:
    """Decoded images in an array, which may be mapped from a file."""

    name: str
    """What the array is called in error messages."""
    pixels: NDArray[np.uint8]
    """Shape (images, height, width, 3), 0 to 255."""

    def read(self, position: int) -> NDArray[np.uint8]:
        """Return a copy of the image's pixels, shape (height, width, 3)."""
        return np.array(self.pixels[position])

    def locate(self, position: int) -> str:
        """Return the array's name and the position."""
        return f"{self.name}, image {position}"
