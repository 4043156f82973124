"""NumPy's files, with the size of every array checked against its header and the file before it is read."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pcbench.errors import DataError
from pcbench.limits.bounds import allowed, check_count, check_size, file_size

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_DEEPEST_HEADER = 20
_MOST_MEMBERS = 10_000


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a NumPy archive (`.npz`); nothing in it is executed.

    Raises:
        DataError: They would take more memory than allowed, or an array has another size than its header says.
        OSError, ValueError, EOFError, BadZipFile: The file cannot be read, or is not such an archive.
    """
    size = file_size(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_count(path, "members", len(members), _MOST_MEMBERS)
        check_size(path, "its arrays would take", sum(member.file_size for member in members), allowed(size))
        return {member.filename.removesuffix(".npy"): _member(path, archive, member) for member in members}


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type not in _METHODS or member.flag_bits & 1:
        raise ValueError(f"its member {member.filename!r} is packed in a way that NumPy does not use")
    with archive.open(member) as stream:
        shape, by_columns, kind = _header(stream)
        size = math.prod(shape) * kind.itemsize
        if stream.tell() + size != member.file_size:
            raise DataError(
                f"{path}: the array {member.filename!r} of shape {shape} does not have the size of its file, "
                f"{member.file_size} bytes; make it anew"
            )
        content = stream.read(size)
        stream.read(1)  # at its end, the checksum is compared
    found = np.frombuffer(content, dtype=kind)
    return found.reshape(shape[::-1]).transpose() if by_columns else found.reshape(shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of the array that a stream holds.

    Raises:
        ValueError: It is not NumPy's, or of a type whose values would have to be executed.
    """
    version = npy.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array in the format {version} of NumPy")
    try:
        shape, by_columns, kind = _HEADERS[version](stream)
    except TokenError as error:  # of a header that is no expression
        raise ValueError(f"an array with a damaged header ({error})") from error
    if kind.hasobject or min(shape, default=0) < 0 or len(shape) > _DEEPEST_HEADER:
        raise ValueError(f"an array of {kind} with the shape {shape}")
    return shape, by_columns, kind


def open_array(path: Path, most: int | None = None) -> NDArray[Any]:
    """Map an array from a file (`.npy`); its values are read when they are asked for.

    Args:
        path: The file.
        most: How many bytes it may have, where it will be read whole; None sets no bound.

    Raises:
        DataError: It is larger than allowed.
        OSError, ValueError, EOFError: The file cannot be read, or is not such an array.
    """
    if most is not None:
        check_size(path, "is an array of", file_size(path), most)
    with path.open("rb") as stream:
        _header(stream)
    return np.load(path, mmap_mode="r", allow_pickle=False)
