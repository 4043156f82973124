"""Oracles: Pillow's own decoding of the same files; invariances (batch size, storage) that a fingerprint must have;
the resident size of the process for streaming."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcbench.data.folders import open_image_folder
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.data.stores import ArrayStore
from pcbench.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    for number in range(12):
        write_image(tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number:02d}.png", seed=number)
    return tmp_path / "photos"


def test_images_are_the_files_own_pixels(folder: Path) -> None:
    source = open_image_folder(folder, Preprocessing())
    images = source.load(range(12))
    for name, image in zip(source.ids, images, strict=True):
        np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), np.asarray(Image.open(folder / name)))


@pytest.mark.parametrize("batch_size", [1, 5, 12, 100])
def test_batches_hold_each_image_once_in_order(folder: Path, batch_size: int) -> None:
    source = open_image_folder(folder, Preprocessing())
    batches = list(source.batches(batch_size))
    assert sum((batch.ids for batch in batches), ()) == source.ids
    np.testing.assert_array_equal(np.concatenate([batch.labels for batch in batches]), source.labels)
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), source.load(range(12)))


def test_batches_of_chosen_images(folder: Path) -> None:
    source = open_image_folder(folder, Preprocessing())
    (batch,) = source.batches(8, indices=[7, 2])
    assert batch.ids == (source.ids[7], source.ids[2])
    np.testing.assert_array_equal(batch.images, source.load([7, 2]))


def test_batch_size_zero_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        next(open_image_folder(folder, Preprocessing()).batches(0))


def test_taken_part_is_stratified_grows_and_keeps_its_images(folder: Path) -> None:
    source = open_image_folder(folder, Preprocessing())
    small, large = source.take(4), source.take(8)
    assert np.bincount(small.labels).tolist() == [2, 2]
    assert set(small.ids) < set(large.ids)
    assert small.subset == "4 of 12 images, spread over the classes, seed 0"
    place = source.ids.index(small.ids[2])
    np.testing.assert_array_equal(small.load([2]), source.load([place]))
    np.testing.assert_array_equal(large.take(4).load([0]), source.load([source.ids.index(large.take(4).ids[0])]))
    assert source.take(12) is source
    assert source.subset is None


@pytest.mark.parametrize("count", [0, -3, 13])
def test_taking_more_or_fewer_than_there_are_is_refused(folder: Path, count: int) -> None:
    with pytest.raises(UsageError, match="holds 12 images"):
        open_image_folder(folder, Preprocessing()).take(count)


def test_fingerprint_does_not_depend_on_the_place(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other")
    assert open_image_folder(folder, Preprocessing()).fingerprint() == (
        open_image_folder(moved, Preprocessing()).fingerprint()
    )


def test_fingerprint_sees_bytes_labels_ids_and_preprocessing(folder: Path, write_image: Callable[..., Path]) -> None:
    source = open_image_folder(folder, Preprocessing())
    seen = {source.fingerprint(), open_image_folder(folder, Preprocessing(crop=32)).fingerprint()}
    seen.add(source.take(11).fingerprint())
    (folder / "cat").rename(folder / "eel")
    seen.add(open_image_folder(folder, Preprocessing()).fingerprint())
    (folder / "eel").rename(folder / "cat")
    assert open_image_folder(folder, Preprocessing()).fingerprint() in seen
    write_image(folder / "cat" / "01.png", seed=99)
    seen.add(open_image_folder(folder, Preprocessing()).fingerprint())
    assert len(seen) == 5


def test_truncated_file_is_named_at_the_start(folder: Path) -> None:
    path = folder / "cat" / "03.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"cat/03\.png: is a damaged or truncated image file"):
        open_image_folder(folder, Preprocessing()).fingerprint()


def test_different_sizes_in_a_batch_are_named(folder: Path, write_image: Callable[..., Path]) -> None:
    write_image(folder / "dog" / "big.png", height=40)
    source = open_image_folder(folder, Preprocessing())
    with pytest.raises(DataError, match=r"dog/big\.png: is 32x40 px where another image of the batch is 32x32 px"):
        source.load(range(13))


def test_repeated_ids_no_images_and_missing_labels_are_refused() -> None:
    store = ArrayStore("made", np.zeros((2, 4, 4, 3), dtype=np.uint8))
    with pytest.raises(DataError, match="'a' occurs more than once"):
        ImageSource("made", ("a", "a"), as_labels([0, 1]), store, Preprocessing())
    with pytest.raises(DataError, match="2 images but 1 labels"):
        ImageSource("made", ("a", "b"), as_labels([0]), store, Preprocessing())
    with pytest.raises(DataError, match="holds no images"):
        ImageSource("made", (), as_labels([]), store, Preprocessing())


def test_memory_does_not_grow_with_the_number_of_images(test_data: Path) -> None:
    """20,000 CIFAR images are 60 MB decoded; reading them all may cost what two row groups and a batch hold."""
    source = open_source(f"parquet:{test_data}/cifar10/train-20k.parquet", preprocessing=Preprocessing())
    for batch in source.batches(100, indices=range(1500)):
        assert len(batch.ids) == 100
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = sum(len(batch.ids) for batch in source.batches(100))
    assert seen == 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
