"""Oracles: the arrays that the objects were made of; torchvision's ImageFolder as a foreign data set."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from pcbench.data.checks import check_source
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


@pytest.mark.parametrize("form", ["pair", "dict", "object", "batch"])
def test_columns_of_pandas_are_read_in_their_order_whatever_their_rows_are_called(form: str) -> None:
    # After sample(), a filter or a split, row 0 is not the row that is called 0.
    rows = pd.DataFrame({"image": list(PIXELS), "label": LABELS}).sample(frac=1, random_state=1)
    images, labels = rows["image"], rows["label"]
    forms = {
        "pair": (images, labels),
        "dict": {"images": images, "labels": labels},
        "object": SimpleNamespace(images=images, labels=labels),
        "batch": (iter([{"images": np.stack(list(images)), "labels": labels}]), 6),
    }
    source = open_source(forms[form], preprocessing=Preprocessing())
    order = rows.index.to_numpy()
    np.testing.assert_array_equal(source.load(range(6)), FIRST[order])
    assert source.labels.tolist() == np.array(LABELS)[order].tolist()


def test_names_follow_the_labels_that_a_folder_gives_them(tmp_path: Path, write_image: Callable[..., Path]) -> None:
    # As for ImageNetV2, whose folders are numbers: the list `classes` beside `class_to_idx` is in another order.
    class Reversed(ImageFolder):
        def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
            names = sorted(path.name for path in Path(directory).iterdir())
            return names, {name: len(names) - 1 - place for place, name in enumerate(names)}

    for number, name in enumerate(("cat", "dog", "eel")):
        write_image(tmp_path / name / "1.png", seed=number)
    source = open_source(Reversed(str(tmp_path)), preprocessing=Preprocessing())
    assert source.labels.tolist() == [2, 1, 0]
    assert source.class_names == ("eel", "dog", "cat")
    with pytest.raises(DataError, match="class 0 is 'eel', but 'cat' for the model; the same names in another order"):
        check_source(source, classes=3, class_names=("cat", "dog", "eel"))


def test_a_stored_image_may_be_a_file(tmp_path: Path) -> None:
    # A column of Hugging Face with decode=False holds bytes, or the path of a file and no bytes.
    Image.fromarray(PIXELS[0]).save(tmp_path / "1.png")
    items = [({"bytes": None, "path": str(tmp_path / "1.png")}, 0)]
    np.testing.assert_array_equal(open_source(items, preprocessing=Preprocessing()).load([0]), FIRST[:1])
    gone = [({"bytes": None, "path": str(tmp_path / "2.png")}, 0)]
    with pytest.raises(DataError, match=r"image 0: your data raised FileNotFoundError") as caught:
        open_source(gone, preprocessing=Preprocessing()).load([0])
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_path_alone_is_told_how_it_is_written(tmp_path: Path) -> None:
    for text, remedy in (
        (str(tmp_path), f"is a path; say what lies there, as in imagefolder:{tmp_path}"),
        (f"ImageFolder:{tmp_path}", "write it as imagefolder:PATH"),
    ):
        with pytest.raises(DataError, match=re.escape(remedy)):
            open_source(text, preprocessing=Preprocessing())
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"photos\.zip: is a file; .* unpack an archive first"):
        open_source(f"imagefolder:{tmp_path / 'photos.zip'}", preprocessing=Preprocessing())


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
