"""Oracle: an archive built here row by row after the format description on CIFAR's own page."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import urllib.request
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from pcbench.data import cifar
from pcbench.data.names import refuse_unknown_set
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UnknownNameError

Archive = tuple[Path, dict[str, np.ndarray], dict[str, np.ndarray]]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """An archive of 20 training images and 4 test images in the cache folder, with its checksum."""
    random = np.random.default_rng(0)
    published = cifar.ARCHIVES["CIFAR10"]
    images = {"train": 20, "test": 4}
    pixels = {split: random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8) for split, count in images.items()}
    labels = {split: random.integers(0, 10, count, dtype=np.uint8) for split, count in images.items()}
    path = tmp_path / "data" / "cifar-10-binary.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        for split, files in published.splits.items():
            parts = zip(np.split(labels[split], len(files)), np.split(pixels[split], len(files)), strict=True)
            for name, (part_labels, part_pixels) in zip(files, parts, strict=True):
                rows = [bytes([label]) + image.tobytes() for label, image in zip(part_labels, part_pixels, strict=True)]
                _add(tar, f"{published.folder}/{name}", b"".join(rows))
        _add(tar, f"{published.folder}/batches.meta.txt", b"\n".join(b"class%d" % n for n in range(10)) + b"\n\n")
    archive = dataclasses.replace(published, images=images, md5=hashlib.md5(path.read_bytes()).hexdigest())  # noqa: S324
    monkeypatch.setitem(cifar.ARCHIVES, "CIFAR10", archive)
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path))
    return path, pixels, labels


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("name", cifar.ARCHIVES)
def test_every_archive_is_known_before_libraries_are_loaded(name: str) -> None:
    """Oracle: the archives; the names stand a second time where nothing heavy may be imported."""
    refuse_unknown_set(name)
    with pytest.raises(UnknownNameError, match=f"did you mean '{name}'"):
        refuse_unknown_set(f"{name}x")


@pytest.mark.parametrize("split", ["train", "test"])
def test_images_and_labels_of_the_archive(stand_in: Archive, split: str) -> None:
    _, pixels, labels = stand_in
    source = open_source("torchvision:CIFAR10", preprocessing=Preprocessing(), split=split)
    np.testing.assert_array_equal(source.load(range(len(source))), pixels[split])
    np.testing.assert_array_equal(source.labels, labels[split])
    assert source.ids[1] == f"cifar-10/{split}/00001"
    assert source.class_names == tuple(f"class{number}" for number in range(10))


def _no_network(*_args: object, **_keywords: object) -> None:
    raise URLError("there is no network here")


def test_damaged_archive_is_not_used(stand_in: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    path, *_ = stand_in
    path.write_bytes(path.read_bytes()[:-50])
    monkeypatch.setattr(urllib.request, "urlopen", _no_network)
    with pytest.raises(DataError, match=r"cannot be downloaded whole .*no network.*put it at .*binary\.tar\.gz"):
        open_source("torchvision:CIFAR10", preprocessing=Preprocessing())


def test_archive_with_other_contents_is_refused(stand_in: Archive) -> None:
    path, *_ = stand_in
    archive = dataclasses.replace(cifar.ARCHIVES["CIFAR10"], images={"train": 50_000, "test": 10_000})
    with pytest.raises(DataError, match="holds 4 images of the test split, not 10000"):
        cifar.read_archive(archive, path, Preprocessing(), "test")
    with pytest.raises(DataError, match=r"lacks fine_label_names\.txt, train\.bin in cifar-100-binary"):
        cifar.read_archive(cifar.ARCHIVES["CIFAR100"], path, Preprocessing(), "train")


def test_truncated_archive_is_refused_although_its_checksum_was_not_asked_for(stand_in: Archive) -> None:
    path, *_ = stand_in
    whole = path.read_bytes()
    for share in (0.0, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match="delete the archive and fetch it again"):
            cifar.read_archive(cifar.ARCHIVES["CIFAR10"], path, Preprocessing(), "test")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'CIFAR10'"):
        open_source("torchvision:CIFAR-10", preprocessing=Preprocessing())
    with pytest.raises(UnknownNameError, match="split of CIFAR10"):
        open_source("torchvision:CIFAR10", preprocessing=Preprocessing(), split="validation")
