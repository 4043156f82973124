"""Files of tensors: what their headers claim, before a library reads them.

A tensor takes as much memory as bytes in the file, so weights of several gigabytes are read where the file really is
that large. What can be larger than the file is a header, and what an archive packs.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from pcbench.limits.bounds import allowed, check_count, check_size, file_size, memory_limit

_LENGTH = 8
"""The bytes at a safetensors file's begin that say how long its header is."""
_HEADER_GROWTH = 64
"""The bytes of memory that a byte of a header can take, once a tensor is made of each of its entries."""
_PACKED_GROWTH = 2
"""How many times a checkpoint's size its tensors may take: PyTorch does not pack them."""
_MOST_MEMBERS = 100_000
_LOCATOR, _RECORD = 20, 56
_LONGEST_ENDING = 65_557 + _LOCATOR + _RECORD
"""The last bytes of an archive, in which the place of its list of members stands."""


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file whose header is too long to be parsed.

    The library itself compares the header, and the size of every tensor, with the file.

    Raises:
        DataError: It is.
        OSError: The file cannot be read.
    """
    size = file_size(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
    if length <= size:  # else it is damaged, which the library says
        check_size(path, "its header would take", length * _HEADER_GROWTH, memory_limit())


def check_checkpoint(path: Path) -> None:
    """Refuse a PyTorch checkpoint (a ZIP archive) that would unpack to more than allowed.

    Raises:
        DataError: It would.
        OSError, ValueError, BadZipFile: The archive is damaged.
    """
    size = file_size(path)
    if not zipfile.is_zipfile(path):
        return  # the older form holds tensors as they are, behind a pickle of the same file
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if archive.start_dir != _said_place(path, size):
            raise ValueError("its list of members is not where it says")
    check_count(path, "members", len(members), _MOST_MEMBERS)
    unpacked = sum(member.file_size for member in members)
    check_size(path, "its members would take", unpacked, allowed(size, _PACKED_GROWTH))


def _said_place(path: Path, size: int) -> int | None:
    """Return where an archive says that its list of members begins: PyTorch reads there, Python at the file's end.

    None where it says nothing that both would follow.
    """
    with path.open("rb") as file:
        first = file.seek(max(size - _LONGEST_ENDING, 0))
        ending = file.read()
    end = ending.rfind(b"PK\x05\x06")
    locator = ending[max(end - _LOCATOR, 0) : end]
    if not locator.startswith(b"PK\x06\x07"):
        return int.from_bytes(ending[end + 16 : end + 20], "little")
    record = end - _LOCATOR - _RECORD  # of archives above 4 GB
    said = int.from_bytes(locator[8:16], "little")
    return int.from_bytes(ending[record + 48 : record + 56], "little") if said == first + record else None
