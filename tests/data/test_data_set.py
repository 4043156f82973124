"""Oracles: file names as ImageNet, its variants and the hub publish them; timm's list of classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pcbench.data.checks import check_source
from pcbench.data.data_set import known_data_set
from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import imagenet_labels, imagenet_names
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source

FISH, DOG = "n01440764", "n02102040"
LABELS = {FISH: 0, DOG: 217}


def source(*ids: str, labels: tuple[int, ...] = (0, 217), **changes: object) -> ImageSource:
    images = np.zeros((len(ids), 8, 8, 3), np.uint8)
    opened = open_source((images, list(labels[: len(ids)])), preprocessing=Preprocessing())
    return dataclasses.replace(opened, ids=ids, **changes)


VALIDATION = ("ILSVRC2012_val_00000293.JPEG", "ILSVRC2012_val_00002138.JPEG")


@pytest.mark.parametrize(
    "ids",
    [
        (f"{FISH}/{VALIDATION[0]}", f"{DOG}/{VALIDATION[1]}"),
        VALIDATION,
        (f"ILSVRC2012_val_00000293_{FISH}.JPEG", f"ILSVRC2012_val_00002138_{DOG}.JPEG"),
        (f"{FISH}/a.png", f"{DOG}/b.png"),
        (f"val/{FISH}/a.png", f"val/{DOG}/b.png"),
    ],
)
def test_file_names_of_the_validation_set_and_wordnet_ids_say_imagenet(ids: tuple[str, ...]) -> None:
    assert known_data_set(source(*ids), 1000) == "imagenet"


def test_names_of_classes_and_the_user_s_own_word_say_imagenet() -> None:
    named = source("row/0", "row/1", class_names=imagenet_names(), classes=1000)
    assert known_data_set(named, 1000) == "imagenet"
    by_id = source("row/0", "row/1", class_names=tuple(imagenet_labels()), classes=1000)
    assert known_data_set(by_id, 1000) == "imagenet"
    assert known_data_set(source("0", "1", name="imagenet-subset:val"), 1000) == "imagenet"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ((f"{FISH}/{FISH}_10026.JPEG", f"{DOG}/{VALIDATION[1]}"), "imagenet-train"),
        ((f"{FISH}_10026_{FISH}.JPEG", f"{DOG}_7_{DOG}.JPEG"), "imagenet-train"),
        ((f"{FISH}/sketch_0.JPEG", f"{DOG}/sketch_9.JPEG"), "imagenet-variant"),
        ((f"{FISH}/art_0.jpg", f"{DOG}/tattoo_11.jpg"), "imagenet-variant"),
        (
            (f"{FISH}/0.000116_digital clock _ digital clock_0.865662.jpg", f"{DOG}/0.1_a _ b_0.2.jpg"),
            "imagenet-variant",
        ),
    ],
)
def test_other_images_of_imagenet_s_classes_are_told_apart_by_their_names(ids: tuple[str, ...], expected: str) -> None:
    assert known_data_set(source(*ids), 1000) == expected
    assert known_data_set(source(*ids, name="imagenet-subset:val"), 1000) == expected


def test_imagenet_s_images_with_labels_of_their_own_are_not_its_results() -> None:
    ids = (f"{FISH}/{VALIDATION[0]}", f"{DOG}/{VALIDATION[1]}")
    assert known_data_set(source(*ids, labels=(0, 1)), 10) == "imagenet-classes"
    assert known_data_set(source(*ids, labels=(0, 1)), 1000) == "imagenet-classes"
    # As Imagenette's folders for a network of ten classes: labels 0 and 1, named by WordNet ids.
    folders = source("a", "b", labels=(0, 1), class_names=(FISH, DOG), classes=2)
    assert known_data_set(folders, 2) == "imagenet-classes"
    # The same folders for a network that names ImageNet's classes get its labels.
    named = source(f"{FISH}/a", f"{DOG}/b", labels=(0, 1), class_names=(FISH, DOG), classes=2)
    mapped = check_source(named, classes=1000, class_names=imagenet_names())
    assert mapped.labels.tolist() == [0, 217]
    assert known_data_set(mapped, 1000) == "imagenet"


@pytest.mark.parametrize(
    ("ids", "changes"),
    [
        (("digits/0001", "digits/0002"), {"name": "digits:test"}),
        (("cifar-10/test/00000", "cifar-10/test/00001"), {"class_names": ("airplane", "automobile")}),
        (("24312de5c34473c0.png", "0c7ac4a8c9dfa802.png"), {}),
        (("cats/n1.png", "dogs/n2.png"), {"class_names": ("cats", "dogs")}),
        (("n99999999/a.png", "n99999998/b.png"), {"class_names": ("n99999999", "n99999998")}),
        (("tench/a.png", "dog/b.png"), {"class_names": ("tench", "dog")}),
    ],
)
def test_nothing_says_that_other_images_are_imagenet_s(ids: tuple[str, ...], changes: dict[str, object]) -> None:
    assert known_data_set(source(*ids, **changes), 1000) is None
