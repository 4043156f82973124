"""Images in folders: one folder per class, ImageNet's own layout among them."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import IMAGENET_CLASSES, imagenet_labels, imagenet_names
from pcbench.data.labels import UNKNOWN, as_labels
from pcbench.data.listing import class_folders, list_flat, list_images, loose_images
from pcbench.data.names import no_such_place
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.splits import train_note
from pcbench.data.stores import FileStore
from pcbench.errors import DataError

_WORDNET_ID = re.compile(r"n\d{8}")
# ImageNet's test labels were never published: what everyone reports is its validation set.
_IMAGENET_FOLDERS = {"test": "val", "validation": "val", "train": "train"}

_PLAIN_FOLDERS = frozenset(("images", "image", "imgs", "img", "pictures", "photos", "jpg", "png", "data"))


def open_image_folder(path: Path, preprocessing: Preprocessing) -> ImageSource:
    """Open a folder that holds one folder per class; the sorted folder names are the labels 0, 1, ….

    Where all names are numbers they are sorted as numbers. Ids are the files' paths below `path`, with forward
    slashes. Hidden files and folders are passed over, links are followed.

    Raises:
        DataError: There is no such folder, its folders are splits and not classes, a class is empty, a file is of no
            image format, a link is broken, or a folder is found twice.
    """
    classes, notes = _in_order(path, class_folders(path))
    names, labels = list_images(path, classes)
    return ImageSource(
        name=f"imagefolder:{path.resolve().name}",
        ids=names,
        labels=as_labels(labels),
        store=FileStore(path, names),
        preprocessing=preprocessing,
        class_names=tuple(classes),
        classes=len(classes),
        notes=(*notes, *_loose_note(path), *_train_note(path)),
    )


def open_flat_folder(path: Path, preprocessing: Preprocessing) -> ImageSource:
    """Open a folder of pictures without labels: each has the label -1, and the name of its file as its id.

    Raises:
        DataError: A file is of no image format, or a link is broken.
    """
    names = list_flat(path)
    return ImageSource(
        name=f"imagefolder:{path.resolve().name}",
        ids=names,
        labels=as_labels([UNKNOWN] * len(names)),
        store=FileStore(path, names),
        preprocessing=preprocessing,
    )


def open_imagenet(path: Path, preprocessing: Preprocessing, split: str, *, some_classes: bool = False) -> ImageSource:
    """Open ImageNet (ILSVRC2012) in torchvision's layout: `<path>/val/<wnid>/*.JPEG`, or `<path>/<wnid>/*.JPEG`.

    Labels are the usual 0 to 999, the order of the sorted WordNet ids. Ids are ``<wnid>/<file>``, the same as in
    the published ImageNet-C folders.

    Args:
        path: The folder.
        preprocessing: What is done to each image.
        split: ``"test"`` and ``"validation"`` both mean the 50,000 validation images, ``"train"`` the training set.
        some_classes: Accept a part of the 1,000 classes. Labels stay those of the whole.

    Raises:
        DataError: The folder or its class folders are missing, a folder is not an ImageNet class, classes are missing
            and `some_classes` is not set, or a file is of no image format.
    """
    root = _imagenet_root(path, split)
    found = [name for name in class_folders(root) if _WORDNET_ID.fullmatch(name)]
    label_of = imagenet_labels()
    check_wordnet_ids(root, found, label_of)
    if len(found) != IMAGENET_CLASSES and not some_classes:
        raise DataError(
            f"{root}: holds {len(found)} of ImageNet's {IMAGENET_CLASSES} classes; give the whole set, or ask for a "
            f"part of it with imagenet-subset:{path}"
        )
    names, indices = list_images(root, found)
    part = f"{len(found)} of {IMAGENET_CLASSES} classes" if len(found) != IMAGENET_CLASSES else None
    return ImageSource(
        name=f"imagenet{'-subset' if part else ''}:{root.resolve().name}",
        ids=names,
        labels=as_labels([label_of[found[index]] for index in indices]),
        store=FileStore(root, names),
        preprocessing=preprocessing,
        class_names=imagenet_names(),
        classes=IMAGENET_CLASSES,
        subset=part,
        notes=() if split == "train" else tuple(_train_note(root)),
    )


def check_wordnet_ids(root: Path, names: list[str], label_of: dict[str, int]) -> None:
    """Refuse folders that are not among ImageNet's classes, or those of them that a data set has.

    Raises:
        DataError: There are no class folders, or one is of another class.
    """
    if not names:
        raise DataError(
            f"{root}: holds no folders named by WordNet ids such as n01440764; put each image into the folder of "
            "its class, as torchvision expects"
        )
    for name in names:
        if name not in label_of:
            whose = "of ILSVRC2012" if len(label_of) == IMAGENET_CLASSES else "of this data set"
            raise DataError(f"{root / name}: {name} is not one of the {len(label_of)} classes {whose}")


def _in_order(path: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Return the folders in the order of their labels, and notes on it: as texts, or as numbers where all are."""
    if not all(name.isdecimal() for name in names):
        return names, _texts_note(names)
    ordered = sorted(names, key=int)
    for one, other in itertools.pairwise(ordered):
        if int(one) == int(other):
            raise DataError(
                f"{path}: the folders {one} and {other} are the same number; one folder per class is expected"
            )
    texts = f"{', '.join(names[:4])}, …"
    note = f"the folders are numbers and are taken in the order of numbers, not in that of texts ({texts})"
    return ordered, [] if ordered == names else [note]


def _texts_note(names: list[str]) -> list[str]:
    """Return a note where names differ in a number alone, such as class_2 and class_10, and texts sort it otherwise."""
    parts = [re.fullmatch(r"(\D*)([0-9]+)(\D*)", name) for name in names]
    found = [part for part in parts if part is not None]
    if len(found) < len(names) or len({(part[1], part[3]) for part in found}) > 1:
        return []
    numbers = [int(part[2]) for part in found]
    late = next((i for i, (one, other) in enumerate(itertools.pairwise(numbers)) if one > other), None)
    if late is None:
        return []
    return [f"the folders are taken in the order of texts, {names[late]} before {names[late + 1]}"]


def _loose_note(path: Path) -> list[str]:
    loose = loose_images(path)
    return [f"{len(loose)} image files beside the folders of classes were passed over: {loose[0]}, …"] if loose else []


def _train_note(path: Path) -> list[str]:
    """Return a note where a folder's name, or that of the folder around ``images``, says that it is for training."""
    given, real = path, path.resolve()
    named = [folder.parent if folder.name.casefold() in _PLAIN_FOLDERS else folder for folder in (given, real)]
    note = train_note(dict.fromkeys(folder.name for folder in named))
    return [] if note is None else [note]


def _imagenet_root(path: Path, split: str) -> Path:
    if split not in _IMAGENET_FOLDERS:
        raise DataError(f"ImageNet has no split {split!r}; known: {', '.join(_IMAGENET_FOLDERS)}")
    if not path.is_dir():
        raise no_such_place("imagenet", path)
    inner = path / _IMAGENET_FOLDERS[split]
    return inner if inner.is_dir() else path
