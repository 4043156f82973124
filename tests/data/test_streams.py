"""Oracle: the images that the streams were made of, and how often each was asked for."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
FIRST = PIXELS.transpose(0, 3, 1, 2)
TENSORS = TensorDataset(torch.tensor(FIRST), torch.tensor(LABELS))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PCBENCH_CACHE", str(tmp_path))
    return tmp_path / "streams"


class Streamed(IterableDataset[Any]):
    """An iterable data set without a length."""

    def __iter__(self) -> Iterator[Any]:
        return zip(FIRST, LABELS, strict=True)


class Sized(Streamed):
    def __len__(self) -> int:
        return 6


def collated(pairs: list[Any]) -> dict[str, Any]:
    return {"pixel_values": torch.stack([image for image, _ in pairs]), "labels": torch.stack([y for _, y in pairs])}


FORMS: dict[str, Callable[[], Any]] = {
    "generator": lambda: ((pair for pair in zip(PIXELS, LABELS, strict=True)), 6),
    "tables": lambda: (iter([{"image": x, "label": y} for x, y in zip(PIXELS, LABELS, strict=True)]), np.int64(6)),
    "batches": lambda: (iter([(FIRST[:4], LABELS[:4]), (FIRST[4:], np.array(LABELS[4:]))]), 6),
    "iterable data set": lambda: (Streamed(), 6),
    "iterable data set with a length": Sized,
    "its loader": lambda: (DataLoader(Streamed(), batch_size=4), 6),
    "its loader with a length": lambda: DataLoader(Sized(), batch_size=4),
    "loader": lambda: DataLoader(TENSORS, batch_size=4),
    "loader without batches": lambda: DataLoader(TENSORS, batch_size=None),
    "loader whose batches fit": lambda: DataLoader(TENSORS, batch_size=3, drop_last=True),
    "loader that collates": lambda: DataLoader(TENSORS, batch_size=4, collate_fn=collated),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_stream_and_loader_gives_its_images_and_labels(form: str) -> None:
    source = open_source(FORMS[form](), preprocessing=Preprocessing())
    assert source.labels.tolist() == LABELS
    for _ in range(2):
        np.testing.assert_array_equal(source.load(range(6)), FIRST)
    assert source.subset is None


def test_a_stream_is_read_once_and_gives_the_bytes_of_the_same_images_in_memory() -> None:
    asked: list[int] = []

    def images() -> Iterator[Any]:
        for index in range(6):
            asked.append(index)
            yield PIXELS[index], LABELS[index]

    source = open_source(images(), preprocessing=Preprocessing(), count=6)
    np.testing.assert_array_equal(
        source.digests(), open_source((PIXELS, LABELS), preprocessing=Preprocessing()).digests()
    )
    source.load(range(6))
    assert asked == list(range(6))


def test_a_part_of_a_stream_is_called_so() -> None:
    source = open_source((Streamed(), 4), preprocessing=Preprocessing())
    assert (len(source), source.subset) == (4, "the first 4 images of a stream")


def test_images_of_different_sizes_are_kept() -> None:
    images = [PIXELS[0], PIXELS[1, :16], PIXELS[2, :, :17]]
    source = open_source((zip(images, LABELS, strict=False), 3), preprocessing=Preprocessing(crop=16))
    expected = open_source((images, LABELS[:3]), preprocessing=Preprocessing(crop=16))
    np.testing.assert_array_equal(source.load(range(3)), expected.load(range(3)))


def test_the_file_goes_with_the_source(cache: Path) -> None:
    source = open_source((Streamed(), 6), preprocessing=Preprocessing())
    assert len(list(cache.glob("*.pixels"))) == 1
    del source
    gc.collect()
    assert list(cache.glob("*.pixels*")) == []


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no number": (Streamed, r"give data=\(stream, 1000\) for its first 1000, which are read once into .*at most 20 GB"),
    "loader without a number": (lambda: DataLoader(Streamed()), "does not say how many images it has"),
    "too few": (lambda: (Streamed(), 9), "ended after 6 images, 9 are asked for; ask for 6"),
    "read before": (lambda: (iter(()), 9), "ended after 0 images, .*a stream that was read before is at its end"),
    "none": (lambda: (Streamed(), 0), "holds no images"),
    "truth": (lambda: (Streamed(), True), "with their number"),
    "images alone": (lambda: (iter(FIRST), LABELS), "with their number"),
    "no pairs": (lambda: (iter(FIRST), 6), "items must be pairs of image and label, not ndarray"),
    "fewer labels": (lambda: (iter([(FIRST, LABELS[:3])]), 6), "a batch of 6 images has 3 labels"),
    "shuffled": (lambda: DataLoader(TENSORS, shuffle=True), "shuffles.*shuffle=False, or give data=loader.dataset"),
    "chosen": (lambda: DataLoader(TENSORS, sampler=SubsetRandomSampler([1, 2])), "its SubsetRandomSampler chooses"),
    "left out": (lambda: DataLoader(TENSORS, batch_size=4, drop_last=True), "leaves out the last 2 images; .*=False"),
    "two numbers": (lambda: (DataLoader(TENSORS), 6), "the loader says itself how many.*give data=loader"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_stream_of_pairs_with_a_number_is_refused(case: str, cache: Path) -> None:
    make, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        open_source(make(), preprocessing=Preprocessing())
    assert "\n" not in str(caught.value)
    assert list(cache.glob("*.p*")) == []


def test_an_exception_of_the_stream_is_the_cause(cache: Path) -> None:
    def broken() -> Iterator[Any]:
        yield PIXELS[0], 0
        raise OSError("connection lost")

    with pytest.raises(DataError, match="generator, item 1: your data raised OSError: connection lost") as caught:
        open_source((broken(), 3), preprocessing=Preprocessing())
    assert isinstance(caught.value.__cause__, OSError)
    assert list(cache.glob("*.p*")) == []


def test_a_stream_larger_than_the_cache_is_refused(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PCBENCH_CACHE_GB", "0.000005")  # 5,000 bytes; an image has 1,440
    with pytest.raises(DataError, match="may hold 5e-06 GB, and this does not fit; ask for fewer images, or set PCB"):
        open_source((Streamed(), 6), preprocessing=Preprocessing())
    assert list(cache.glob("*.p*")) == []
    source = open_source((Streamed(), 3), preprocessing=Preprocessing())
    assert len(source) == 3
    for text in ("much", "-1", "inf", "nan"):
        monkeypatch.setenv("PCBENCH_CACHE_GB", text)
        with pytest.raises(UsageError, match="PCBENCH_CACHE_GB is a positive number of gigabytes"):
            open_source((Streamed(), 3), preprocessing=Preprocessing())


def test_a_loader_s_images_can_be_chosen_by_a_subset() -> None:
    source = open_source(DataLoader(Subset(TENSORS, [4, 2])), preprocessing=Preprocessing())
    np.testing.assert_array_equal(source.load([0, 1]), FIRST[[4, 2]])
