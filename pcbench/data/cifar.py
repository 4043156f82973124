"""CIFAR-10 and CIFAR-100 as their author publishes them, downloaded on first use.

The binary version is read: rows of label bytes and 3,072 bytes of pixels (red, green, blue planes of 32x32). The
version that torchvision reads is a pickle, which pcbench never opens.
(A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.)
"""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcbench.data.cache import cache_folder
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.names import refuse_unknown_set
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ArrayStore
from pcbench.errors import DataError, UnknownNameError, WriteError, damage_refused
from pcbench.files import make_folder
from pcbench.limits.bounds import check_size, memory_limit

_PIXELS = 3 * 32 * 32
_REMEDY = "delete the archive and fetch it again"


@dataclass(frozen=True)
class CifarArchive:
    """One of the two published archives."""

    name: str
    """What ids begin with."""
    url: str
    """Where the author publishes it."""
    md5: str
    """The checksum that the author publishes beside it."""
    folder: str
    """The folder inside the archive."""
    splits: dict[str, tuple[str, ...]]
    """The files of each split."""
    names_file: str
    """The file that lists the classes."""
    label_bytes: int
    """Bytes before the pixels of a row; the last of them is the label."""
    images: dict[str, int]
    """Number of images of each split."""


ARCHIVES = {
    "CIFAR10": CifarArchive(
        name="cifar-10",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        splits={"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
        names_file="batches.meta.txt",
        label_bytes=1,
        images={"train": 50_000, "test": 10_000},
    ),
    "CIFAR100": CifarArchive(
        name="cifar-100",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        splits={"train": ("train.bin",), "test": ("test.bin",)},
        names_file="fine_label_names.txt",
        label_bytes=2,
        images={"train": 50_000, "test": 10_000},
    ),
}


def open_cifar(name: str, preprocessing: Preprocessing, split: str) -> ImageSource:
    """Open CIFAR-10 or CIFAR-100, downloading it into the cache folder if it is not there.

    Args:
        name: ``"CIFAR10"`` or ``"CIFAR100"``, torchvision's names.
        preprocessing: What is done to each 32-px image.
        split: ``"train"`` or ``"test"``.

    Raises:
        UnknownNameError: The name or the split is unknown.
        DataError: The download failed, or a file is not as published.
    """
    refuse_unknown_set(name)
    archive = ARCHIVES[name]
    if split not in archive.splits:
        raise UnknownNameError(f"split of {name}", split, archive.splits)
    return read_archive(archive, fetch(archive, cache_folder() / "data"), preprocessing, split)


def fetch(archive: CifarArchive, folder: Path) -> Path:
    """Return the archive's path in a folder, downloading it there and checking it if it is missing.

    Raises:
        DataError: The download failed or its checksum is wrong; the message says where to put the file by hand.
    """
    from torchvision.datasets.utils import download_url

    path = folder / archive.url.rpartition("/")[2]
    try:
        make_folder(folder)
        download_url(archive.url, str(folder), md5=archive.md5)
    except (OSError, RuntimeError, WriteError) as error:
        raise DataError(
            f"{archive.url} cannot be downloaded whole ({error}); fetch it yourself and put it at {path}"
        ) from error
    return path


def read_archive(archive: CifarArchive, path: Path, preprocessing: Preprocessing, split: str) -> ImageSource:
    """Read one split from an archive (a gzipped tar).

    The id of an image is ``cifar-10/test/`` (or as it applies) and its index in the published order, with five
    digits; CIFAR-10-C has the same ids. The split is held in memory, 31 or 154 MB.

    Raises:
        DataError: The archive is damaged or holds something else.
    """
    members = _read_members(archive, path, {*archive.splits[split], archive.names_file})
    rows = np.concatenate([_rows(archive, path, name, members[name]) for name in archive.splits[split]])
    if len(rows) != archive.images[split]:
        raise DataError(f"{path}: holds {len(rows)} images of the {split} split, not {archive.images[split]}")
    pixels = rows[:, archive.label_bytes :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    with damage_refused(path, f"the names in {archive.names_file} are damaged", _REMEDY):
        names = members[archive.names_file].decode().split()
    return ImageSource(
        name=f"{archive.name}:{split}",
        ids=tuple(f"{archive.name}/{split}/{row:05d}" for row in range(len(rows))),
        labels=as_labels(rows[:, archive.label_bytes - 1]),
        store=ArrayStore(archive.name, pixels),
        preprocessing=preprocessing,
        class_names=tuple(names),
        classes=len(names),
    )


def _rows(archive: CifarArchive, path: Path, member: str, content: bytes) -> NDArray[np.uint8]:
    if len(content) % (archive.label_bytes + _PIXELS):
        raise DataError(f"{path}: {member} is truncated; delete the archive and fetch it again")
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, archive.label_bytes + _PIXELS)


def _read_members(archive: CifarArchive, path: Path, names: set[str]) -> dict[str, bytes]:
    """Read some files of the archive in one pass: going back means unpacking it again from its start."""
    contents: dict[str, bytes] = {}
    told = damage_refused(path, "is damaged", _REMEDY, zlib.error, tarfile.TarError)
    with told, tarfile.open(path, "r|gz") as tar:
        for member in tar:
            folder, _, name = member.name.rpartition("/")
            file = tar.extractfile(member) if folder == archive.folder and name in names else None
            if file is not None:
                check_size(path, f"{name} in it has", member.size, memory_limit())
                contents[name] = file.read()
    if missing := sorted(names - contents.keys()):
        raise DataError(
            f"{path}: lacks {', '.join(missing)} in {archive.folder}; delete the archive and fetch it again"
        )
    return contents
