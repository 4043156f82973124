"""Oracles: the arrays that the objects were made of; torchvision's ImageFolder as a foreign data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UnknownNameError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
FIRST = PIXELS.transpose(0, 3, 1, 2)


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        FIRST,
        torch.tensor(FIRST),
        torch.tensor(FIRST) / 255,
        (PIXELS / 255).astype(np.float64),
        [Image.fromarray(image) for image in PIXELS],
    ],
    ids=["last", "first", "tensor", "float-tensor", "double", "pillow"],
)
def test_every_form_of_images_gives_the_same_pixels(images: Any) -> None:
    source = open_source((images, LABELS), preprocessing=Preprocessing())
    np.testing.assert_array_equal(source.load(range(6)), FIRST)
    assert source.labels.tolist() == LABELS


def test_object_with_ids_and_names() -> None:
    value = SimpleNamespace(
        images=PIXELS, labels=np.array(LABELS), ids="abcdef", class_names=["eel", "owl", "cow"], name="farm"
    )
    source = open_source(value, preprocessing=Preprocessing(crop=16))
    assert source.ids == tuple("abcdef")
    assert source.class_names == ("eel", "owl", "cow")
    assert source.name == "farm"
    assert source.load([5]).shape == (1, 3, 16, 16)


def test_grey_images_are_repeated() -> None:
    source = open_source((PIXELS[..., 0], LABELS), preprocessing=Preprocessing())
    for channel in range(3):
        np.testing.assert_array_equal(source.load(range(6))[:, channel], PIXELS[..., 0])


def test_foreign_data_set_of_pairs(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    for number in range(4):
        write_image(tmp_path / "ab"[number % 2] / f"{number}.png", seed=number)
    foreign = ImageFolder(str(tmp_path))
    source = open_source(foreign, preprocessing=Preprocessing())
    ours = open_source(f"imagefolder:{tmp_path}", preprocessing=Preprocessing())
    np.testing.assert_array_equal(source.load(range(4)), ours.load(range(4)))
    np.testing.assert_array_equal(source.labels, ours.labels)
    assert source.class_names == ("a", "b")
    without_targets = torch.utils.data.Subset(foreign, [2, 0])
    assert open_source(without_targets, preprocessing=Preprocessing()).labels.tolist() == [1, 0]


def test_source_passes_through_with_the_models_preprocessing() -> None:
    source = open_source((PIXELS, LABELS), preprocessing=Preprocessing())
    source.fingerprint()
    again = open_source(source, preprocessing=Preprocessing(crop=16))
    assert again.load([0]).shape == (1, 3, 16, 16)
    assert again.fingerprint() != source.fingerprint()


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (PIXELS / 128.0, "hold values from 0 to 1"),
        (PIXELS / 255 - 0.5, "hold values from 0 to 1"),
        (np.full((6, 4, 4, 3), np.nan), "hold values from 0 to 1"),
        (PIXELS.astype(np.int32), "uint8 or floating point; this one is int32"),
        (np.zeros((6, 4, 4, 5)), r"1 or 3 channels.*\(4, 4, 5\)"),
        (np.zeros((6, 4)), "1 or 3 channels"),
    ],
)
def test_what_is_no_image_is_refused(images: Any, problem: str) -> None:
    source = open_source((images, LABELS), preprocessing=Preprocessing())
    with pytest.raises(DataError, match=f"image 0: .*{problem}"):
        source.fingerprint()


def test_objects_without_images_and_labels_are_refused() -> None:
    for value, problem in [(object(), "has neither images"), ([PIXELS[0]], "pairs of image and label"), (3, "neither")]:
        with pytest.raises(DataError, match=problem):
            open_source(value, preprocessing=Preprocessing())


def test_texts_that_are_no_source() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'imagenet:PATH'"):
        open_source("imagnet:here", preprocessing=Preprocessing())
    with pytest.raises(DataError, match="write it as imagenet:PATH"):
        open_source("imagenet", preprocessing=Preprocessing())
    with pytest.raises(DataError, match="write it as digits"):
        open_source("digits:here", preprocessing=Preprocessing())
