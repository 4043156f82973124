"""Oracle: the six images and labels that every form was made of; what has two meanings must be refused.

The cases follow public reports: torchvision 2094 and 8199 (labels of the items), Keras' `load_data`, scikit-learn's
Bunch, SVHN's .mat files (images along the last axis), Hugging Face's DatasetDict.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision.datasets import ImageFolder

from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = [0, 1, 2, 0, 1, 2]
FIRST = PIXELS.transpose(0, 3, 1, 2)
PICTURES = [Image.fromarray(image) for image in PIXELS]


def opened(value: Any) -> ImageSource:
    return open_source(value, preprocessing=Preprocessing())


class Items:
    """A data set with nothing but a length and items."""

    def __init__(self, item: Callable[[int], Any]) -> None:
        self.item = item

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self.item(index)


def bunch(_: Path) -> Any:
    from sklearn.utils import Bunch  # slow to import

    return Bunch(images=PIXELS, data=PIXELS.reshape(6, -1), target=np.array(LABELS), target_names=["a"] * 3)


def saved_npz(folder: Path) -> Any:
    np.savez(folder / "data.npz", images=PIXELS, labels=LABELS)
    return np.load(folder / "data.npz")


FORMS: dict[str, Callable[[Path], Any]] = {
    "dict": lambda _: {"images": PIXELS, "labels": LABELS},
    "dict with other keys": lambda _: {"x": PIXELS, "y": np.array(LABELS)},
    "npz": saved_npz,
    "Bunch": bunch,
    "frame of pictures": lambda _: pd.DataFrame({"image": PICTURES, "label": LABELS}),
    "frame of arrays": lambda _: pd.DataFrame({"image": list(PIXELS), "label": LABELS}),
    "two lists": lambda _: [PIXELS, np.array(LABELS)],
    "lists of arrays": lambda _: (list(FIRST), LABELS),
    "list of pairs": lambda _: list(zip(PICTURES, LABELS, strict=True)),
    "list of tables": lambda _: [{"img": image, "label": label} for image, label in zip(PICTURES, LABELS, strict=True)],
    "items": lambda _: Items(lambda index: (FIRST[index], LABELS[index])),
    "items that are lists": lambda _: Items(lambda index: [FIRST[index], torch.tensor(LABELS[index])]),
    "items with a column of labels": lambda _: Items(lambda index: (FIRST[index], np.array([LABELS[index]]))),
    "items that are tables": lambda _: Items(lambda index: {"pixel_values": FIRST[index], "labels": LABELS[index]}),
    "tensors": lambda _: TensorDataset(torch.tensor(FIRST), torch.tensor(LABELS)),
    "joined": lambda _: ConcatDataset([TensorDataset(torch.tensor(FIRST), torch.tensor(LABELS))]),
    "bfloat16": lambda _: (torch.tensor(FIRST).bfloat16() / 255, LABELS),
    "float16": lambda _: ((PIXELS / 255).astype(np.float16), LABELS),
    "with gradient": lambda _: ((torch.tensor(FIRST) / 255).requires_grad_(), torch.tensor(LABELS)),
    "big-endian": lambda _: ((PIXELS / 255).astype(">f4"), np.array(LABELS, dtype=">i8")),
    "labels in a column": lambda _: (PIXELS, np.array(LABELS)[:, None]),
    "sparse": lambda _: ([image.to_sparse() for image in torch.tensor(FIRST) / 255], LABELS),
    "mirrored twice": lambda _: (PIXELS[:, ::-1][:, ::-1], LABELS[::-1][::-1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_its_images_and_labels(form: str, tmp_path: Path) -> None:
    source = opened(FORMS[form](tmp_path))
    assert source.labels.tolist() == LABELS
    # Half precision has 11 (8) bits: 256 levels come back to within one (two).
    tolerance = {"bfloat16": 1, "float16": 0}.get(form, 0)
    assert np.abs(source.load(range(6)).numpy().astype(int) - FIRST.astype(int)).max() <= tolerance
    assert source.subset is None


REFUSED: dict[str, tuple[Any, str]] = {
    "nothing": (None, "NoneType: has neither images and labels"),
    "number": (3, "int: has neither"),
    "fraction": (np.float64(0.5), "float64: has neither"),
    "truth": (True, "bool: has neither"),
    "bytes": (b"images", "bytes: has neither"),
    "class": (Items, "type: has neither"),
    "path": (Path("images"), "is a path; .*data='imagefolder:images'"),
    "picture": (PICTURES[0], "has neither"),
    "array": (PIXELS, r"the shape \(6, 20, 24, 3\) has no labels beside it; give \(images, labels\)"),
    "list of paths": (
        ["a.png", "b.png"],
        "its items are paths or texts, which are not opened; for files give",
    ),
    "list of arrays": (list(PIXELS), "items must be pairs of image and label, not ndarray"),
    "train and test": (
        ((PIXELS, LABELS), (PIXELS, LABELS)),
        r"two pairs.*training and test; give one of them: data\[1\]",
    ),
    "scikit-learn's four": ((PIXELS, PIXELS, LABELS, LABELS), "pairs of image and label, not ndarray"),
    "labels first": ((np.array(LABELS), PIXELS), r"labels come second; give \(images, labels\)"),
    "three parts": (Items(lambda index: (FIRST[index], LABELS[index], index)), "these have 3 parts"),
    "splits": ({"train": (PIXELS, LABELS), "test": (PIXELS, LABELS)}, r"splits train, test; give .*data\['test'\]"),
    "no labels": ({"images": PIXELS}, "has no 'labels' among images"),
    "two kinds of images": ({"x": PIXELS, "data": PIXELS, "y": LABELS}, "has 'x' and 'data' among x, data, y"),
    "prefixed keys": ({"x_test": PIXELS, "y_test": LABELS}, r"has no 'images' among x_test, y_test; give dict\(images"),
    "other columns": (pd.DataFrame({"a": [1, 2]}), "has no 'images' among a"),
    "one column": (pd.Series(LABELS), "one column has no labels beside it"),
    "set": ({1, 2}, "a set has no order"),
    "fewer labels": ((PIXELS, LABELS[:4]), "6 images but 4 labels"),
    "more labels": ((PIXELS, [*LABELS, 0]), "6 images but 7 labels"),
    "last axis": ((PIXELS.transpose(1, 2, 3, 0), LABELS), r"give images\.transpose\(3, 0, 1, 2\)"),
    "pairs and labels": (
        (list(zip(PICTURES, LABELS, strict=True)), LABELS),
        "images are pairs, with labels of their own",
    ),
    "text for images": (("images", LABELS), "images are an array or a list of images, not str"),
    "number for images": ((3, LABELS), "images are an array or a list of images, not int"),
    "names for labels": ((PIXELS, ["cat"] * 6), "is the text 'cat'"),
    "one-hot": ((PIXELS, np.eye(6)), r"labels\.argmax\(1\)"),
    "empty": ([], "holds no images"),
    "empty arrays": ((PIXELS[:0], []), "holds no images"),
    "unlike items": (Items(lambda index: (FIRST[index], 0) if index < 3 else FIRST[index]), "all of them; one is not"),
    "other ids": ({"images": PIXELS, "labels": LABELS, "ids": ["a"]}, "6 images but 1 ids"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_or_two_meanings_is_refused_in_one_line(case: str) -> None:
    value, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        opened(value)
    assert "\n" not in str(caught.value)


def test_two_pictures_and_two_labels_are_images_and_labels() -> None:
    # As a tuple of two lists of two it looks like two pairs.
    assert opened((PICTURES[:2], [1, 0])).labels.tolist() == [1, 0]
    assert opened(((PICTURES[0], 1), (PICTURES[1], 0))).labels.tolist() == [1, 0]


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    for number in range(4):
        write_image(tmp_path / "abcd"[number] / "x.png", seed=number)
    return tmp_path


def test_the_items_own_label_counts(folder: Path) -> None:
    # Oracle: what indexing the data set gives; `targets` beside it says 0, 1, 2, 3.
    turned = ImageFolder(str(folder), target_transform=lambda label: 3 - label)
    assert opened(turned).labels.tolist() == [3, 2, 1, 0]

    class Own(ImageFolder):
        def __getitem__(self, index: int) -> Any:
            image, label = super().__getitem__(index)
            return image, (label + 1) % 4

    assert opened(Own(str(folder))).labels.tolist() == [1, 2, 3, 0]
    edited = ImageFolder(str(folder))
    edited.targets = [0, 0, 0, 0]  # its items are made of `samples`
    assert opened(edited).labels.tolist() == [0, 1, 2, 3]
    assert opened(Subset(turned, [2, 0])).labels.tolist() == [1, 3]


def test_torchvisions_own_items_are_not_read_for_their_labels(folder: Path) -> None:
    read: list[str] = []

    def loader(path: str) -> Image.Image:
        read.append(path)
        return Image.open(path).convert("RGB")

    samples = ImageFolder(str(folder), loader=loader)
    samples.samples = samples.imgs = samples.samples * 25
    source = opened(Subset(samples, range(100)))
    assert len(source) == 100
    assert len(read) < 100
    assert source.class_names == ("a", "b", "c", "d")


def test_synonyms_of_a_class_are_one_name() -> None:
    # As torchvision's ImageNet has them.
    items = Items(lambda index: (FIRST[index], LABELS[index]))
    items.classes = [("tench", "Tinca tinca"), "goldfish", ("shark",)]  # pyright: ignore[reportAttributeAccessIssue]
    assert opened(items).class_names == ("tench, Tinca tinca", "goldfish", "shark")


class Augmented(Dataset[Any]):
    """Mirrors one image in two, or draws a label at random."""

    def __init__(self, *, labels: bool = False) -> None:
        self.random, self.labels = np.random.default_rng(0), labels

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        turned = self.random.random() < 0.5
        if self.labels:
            return FIRST[index], int(turned)
        return FIRST[index][..., ::-1] if turned else FIRST[index], LABELS[index]


@pytest.mark.parametrize("labels", [False, True], ids=["pixels", "labels"])
def test_what_differs_each_time_it_is_read_is_refused(*, labels: bool) -> None:
    with pytest.raises(DataError, match="differs each time it is read, as under random augmentation; give"):
        opened(Augmented(labels=labels))


def failing(error: Exception) -> Callable[[int], Any]:
    def item(_: int) -> Any:
        raise error

    return item


@pytest.mark.parametrize("error", [KeyError("a\nb"), RuntimeError(), MemoryError("9 GB"), StopIteration()])
def test_an_exception_of_the_users_code_is_the_cause(error: Exception) -> None:
    with pytest.raises(DataError, match=rf"Items, item 0: your data raised {type(error).__name__}") as caught:
        opened(Items(failing(error)))
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


def test_an_exception_at_a_later_image_names_it() -> None:
    def item(index: int) -> Any:
        if index == 4:
            raise OSError("no such file")
        return FIRST[index], LABELS[index]

    with pytest.raises(DataError, match="Items, image 4: your data raised OSError: no such file"):
        opened(Items(item))


def test_a_property_that_raises_is_the_cause() -> None:
    class Lazy:
        @property
        def images(self) -> NDArray[Any]:
            raise RuntimeError("not downloaded")

    with pytest.raises(DataError, match="Lazy: your data raised RuntimeError: not downloaded"):
        opened(Lazy())


@pytest.mark.parametrize(("attribute", "said"), [("split", "train"), ("split", "train[:10%]"), ("train", True)])
def test_a_train_split_is_called_so(attribute: str, said: object) -> None:
    items = Items(lambda index: (FIRST[index], LABELS[index]))
    setattr(items, attribute, said)
    for value in (items, Subset(items, range(6)), DataLoader(items)):  # pyright: ignore[reportArgumentType]
        assert "training data" in opened(value).notes[0]
    setattr(items, attribute, "test" if attribute == "split" else False)
    assert opened(items).notes == ()


@pytest.mark.parametrize("place", ["x" * 5000, "~nobody-of-this-name/x.parquet", "a\0b", "**x/["])
@pytest.mark.parametrize("scheme", ["parquet", "imagefolder", "imagenet"])
def test_texts_that_are_no_path_are_one_line(scheme: str, place: str) -> None:
    with pytest.raises(DataError) as error:
        open_source(f"{scheme}:{place}", preprocessing=Preprocessing())
    assert len(str(error.value).splitlines()) == 1
