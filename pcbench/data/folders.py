"""Images in folders: one folder a class, ImageNet's own layout among them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from PIL import Image

from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import IMAGENET_CLASSES, imagenet_labels, imagenet_names
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import FileStore
from pcbench.errors import DataError

_WORDNET_ID = re.compile(r"n\d{8}")
# ImageNet's test labels were never published: what everyone reports is its validation set.
_IMAGENET_FOLDERS = {"test": "val", "validation": "val", "train": "train"}


def open_image_folder(path: Path, preprocessing: Preprocessing) -> ImageSource:
    """Open a folder that holds one folder a class; the sorted folder names are the labels 0, 1, ….

    Ids are the files' paths below `path`, with forward slashes. Hidden files are passed over.

    Raises:
        DataError: There is no such folder, a class is empty, or a file is of no image format.
    """
    classes = class_folders(path)
    names, labels = list_images(path, classes)
    return ImageSource(
        name=f"imagefolder:{path.resolve().name}",
        ids=names,
        labels=as_labels(labels),
        store=FileStore(path, names),
        preprocessing=preprocessing,
        class_names=tuple(classes),
        classes=len(classes),
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
    )


def check_wordnet_ids(root: Path, names: list[str], label_of: dict[str, int]) -> None:
    """Refuse folders that are not among ImageNet's classes.

    Raises:
        DataError: There are no class folders, or one is not of ILSVRC2012.
    """
    if not names:
        raise DataError(
            f"{root}: holds no folders named by WordNet ids such as n01440764; put each image into the folder of "
            "its class, as torchvision expects"
        )
    for name in names:
        if name not in label_of:
            raise DataError(f"{root / name}: {name} is not one of the {len(label_of)} classes of ILSVRC2012")


def class_folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are passed over.

    Raises:
        DataError: There is no such folder, or it holds none.
    """
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder of images")
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{path}: holds no folders; images are expected in one folder a class")
    return names


def list_images(root: Path, classes: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """List the image files of class folders, in sorted order.

    Returns:
        The files' paths below `root` with forward slashes, and for each the index of its class in `classes`.

    Raises:
        DataError: A class holds no images, or a file is of no image format.
    """
    known = Image.registered_extensions()
    names: list[str] = []
    indices: list[int] = []
    for index, name in enumerate(classes):
        files = _files_below(root, name)
        for file in files:
            if os.path.splitext(file)[1].lower() not in known:  # noqa: PTH122 - Path is slow for millions of names
                raise DataError(f"{root / file}: is not an image file; move it out of the folder of images")
        if not files:
            raise DataError(f"{root / name}: holds no images")
        names += files
        indices += [index] * len(files)
    return tuple(names), indices


def _files_below(root: Path, name: str) -> list[str]:
    files: list[str] = []
    for folder, folders, found in os.walk(root / name):
        folders.sort()
        below = Path(folder).relative_to(root).as_posix()
        files += [f"{below}/{file}" for file in sorted(found) if not file.startswith(".")]
    return files


def _imagenet_root(path: Path, split: str) -> Path:
    if split not in _IMAGENET_FOLDERS:
        raise DataError(f"ImageNet has no split {split!r}; known: {', '.join(_IMAGENET_FOLDERS)}")
    if not path.is_dir():
        raise DataError(
            f"{path}: there is no such folder; give the folder of ImageNet that holds val/<wnid>/*.JPEG, "
            "as imagenet:PATH"
        )
    inner = path / _IMAGENET_FOLDERS[split]
    return inner if inner.is_dir() else path
