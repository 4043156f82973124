"""Corrupted images as they were published: ImageNet-C's folders of JPEGs and CIFAR-10-C's arrays, and others alike.

Everything is checked before anything runs, and the images are never resized or cropped again: they are what
Hendrycks and Dietterich (ICLR 2019, arXiv 1903.12261) published, at 224 px and at 32 px, or what a suite's table
`published` says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pcbench.data.decoding import header_size
from pcbench.data.folders import check_wordnet_ids
from pcbench.data.image_source import ImageSource
from pcbench.data.imagenet_classes import imagenet_labels, imagenet_names
from pcbench.data.labels import as_labels
from pcbench.data.layout import PublishedLayout
from pcbench.data.listing import class_folders, is_hidden, list_images
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ArrayStore, FileStore, ImageStore
from pcbench.errors import DataError, UnknownNameError, damage_refused
from pcbench.limits.arrays import open_array
from pcbench.limits.bounds import memory_limit

Severities = Mapping[str, Sequence[int]]
"""The severities of each corruption, by its name."""


class _Conditions(Protocol):
    def store(self, corruption: str, severity: int) -> ImageStore:
        """Return where the images of one corruption at one severity lie."""
        ...


@dataclass(frozen=True)
class PublishedFiles:
    """A published suite on disk, checked: the same images under every corruption and severity."""

    suite: str
    """Name of the suite."""
    corruptions: Severities
    """The corruptions that were found, in the order asked for, and their severities."""
    images: ImageSource
    """The images of the first condition; ids and labels are those of all conditions."""
    _conditions: _Conditions
    by_order: bool = False
    """Whether the ids are no more than the images' order."""

    def source(self, corruption: str, severity: int) -> ImageSource:
        """Return the images under one corruption at one severity, in the order of `images`.

        Raises:
            UnknownNameError: The corruption was not among those opened, or there is no such severity.
        """
        if corruption not in self.corruptions:
            raise UnknownNameError("opened corruption", corruption, self.corruptions)
        if severity not in self.corruptions[corruption]:
            raise UnknownNameError("severity", str(severity), map(str, self.corruptions[corruption]))
        return replace(
            self.images,
            name=f"{self.suite}:{corruption}:{severity}",
            store=self._conditions.store(corruption, severity),
        )

    def align(self, clean: ImageSource) -> PublishedFiles:
        """Return the images that a clean source holds, in its order, so that clean and corrupted rows are paired.

        Images are paired by their ids. Arrays, which hold no names, are also paired by their order: with a clean
        source of other ids that has the same labels in the same order.

        Raises:
            DataError: A clean image is not among the published ones, or has another label there.
        """
        index_of = {name: index for index, name in enumerate(self.images.ids)}
        missing = [name for name in clean.ids if name not in index_of]
        if len(missing) == len(clean) and self.by_order:
            return self._aligned_by_order(clean)
        if missing:
            raise DataError(
                f"{self.suite}: {len(missing)} of the {len(clean)} images of {clean.name} are not among the "
                f"published ones, such as {missing[0]!r}; the clean images must be those that were corrupted"
            )
        chosen = np.array([index_of[name] for name in clean.ids], dtype=np.int64)
        differing = np.flatnonzero(self.images.labels[chosen] != clean.labels)
        if len(differing) > 0:
            first = int(differing[0])
            raise DataError(
                f"{self.suite}: image {clean.ids[first]!r} has the label {self.images.labels[chosen[first]]}, but "
                f"{clean.labels[first]} in {clean.name}"
            )
        part = None if len(chosen) == len(self.images) else f"{len(chosen)} of {len(self.images)} images"
        return replace(self, images=self.images.select(chosen, subset=part or self.images.subset))

    def _aligned_by_order(self, clean: ImageSource) -> PublishedFiles:
        labels, published = clean.stored_labels, self.images.labels
        if not np.array_equal(labels, published):
            why = f"{len(labels)} images, not {len(published)}"
            if len(labels) == len(published):
                why = f"{np.count_nonzero(labels == published)} of {len(published)} labels agree"
            raise DataError(
                f"{self.suite}: the images of {clean.name} are not the published ones in their order ({why}); give the "
                "test images of the data set that was corrupted, in its own order, such as torchvision:CIFAR10"
            )
        part = None if len(clean) == len(published) else f"{len(clean)} of {len(published)} images"
        chosen = self.images.select(clean.positions, subset=part or self.images.subset)
        return replace(self, images=replace(chosen, ids=clean.ids))

    def fingerprint(self) -> str:
        """Return the sha256 over ids, labels and the bytes of every image under every corruption and severity.

        This reads everything once, and refuses a file that is damaged.
        """
        digest = hashlib.sha256()
        for corruption, severities in self.corruptions.items():
            for severity in severities:
                digest.update(f"{corruption}:{severity}:{self.source(corruption, severity).fingerprint()}\n".encode())
        return digest.hexdigest()


def open_published(
    suite: str,
    layout: PublishedLayout,
    path: Path,
    *,
    corruptions: Severities,
    preprocessing: Preprocessing,
    subset: bool = False,
) -> PublishedFiles:
    """Open a suite's published files and check that all of them are there.

    Args:
        suite: The suite's name.
        layout: How it was published.
        path: The folder.
        corruptions: Which corruptions the run needs, and their severities.
        preprocessing: The model's; its crop must be the side of the published images.
        subset: Accept fewer images or classes than were published; they are the same in every condition all the
            same, and `images.subset` says how many there are.

    Raises:
        DataError: Folders, files or images are missing (all missing conditions are listed), the conditions hold
            different images, or the model takes images of another size.
    """
    if preprocessing.crop not in (None, layout.side):
        raise DataError(
            f"{suite}: the published images have {layout.side} px, but the model takes {preprocessing.crop} px; "
            "they are never resized: corrupt clean images on the fly instead"
        )
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder of published corrupted images")
    opened = _open_arrays if layout.files == "arrays" else _open_folders
    found = opened(suite, layout, path, corruptions)
    steps = Preprocessing(channels=preprocessing.channels)
    found = replace(found, images=replace(found.images, preprocessing=steps))
    if not subset and (found.subset is not None or len(found.images) != layout.images):
        raise DataError(
            f"{path}: holds {len(found.images)} images per condition, not the {layout.images} of {layout.classes} "
            "classes that were published; complete it, or ask for a subset with `images`"
        )
    return found.published(layout)


@dataclass(frozen=True)
class _Found:
    suite: str
    corruptions: Severities
    images: ImageSource
    conditions: _Conditions
    subset: str | None

    def published(self, layout: PublishedLayout) -> PublishedFiles:
        part = self.subset
        if len(self.images) != layout.images:
            part = f"{len(self.images)} of {layout.images} images"
        images = replace(self.images, subset=part)
        return PublishedFiles(self.suite, self.corruptions, images, self.conditions, layout.files == "arrays")


@dataclass(frozen=True)
class _SizedFiles:
    """Files that must have a given side: a published image of another size is not the published image."""

    files: FileStore
    side: int

    def read(self, position: int) -> bytes:
        content = self.files.read(position)
        size = header_size(content, self.locate(position))
        if size != (self.side, self.side):
            raise DataError(
                f"{self.locate(position)}: has {size[0]}x{size[1]} px, the published images have "
                f"{self.side}x{self.side} px; fetch the original files"
            )
        return content

    def locate(self, position: int) -> str:
        return self.files.locate(position)


@dataclass(frozen=True)
class _Folders:
    roots: dict[str, Path]
    names: tuple[str, ...]
    side: int

    def store(self, corruption: str, severity: int) -> ImageStore:
        return _SizedFiles(FileStore(self.roots[corruption] / str(severity), self.names), self.side)


def _open_folders(suite: str, layout: PublishedLayout, path: Path, corruptions: Severities) -> _Found:
    roots = {name: root for name in corruptions if (root := _corruption_folder(path, name)) is not None}
    missing = [name for name in corruptions if name not in roots]
    conditions = [(name, severity) for name in roots for severity in corruptions[name]]
    missing += [f"{name}/{number}" for name, number in conditions if not (roots[name] / str(number)).is_dir()]
    if missing:
        raise DataError(
            f"{path}: these folders are missing: {', '.join(missing)}; fetch them, or name fewer corruptions"
        )
    first_name = next(iter(corruptions))
    first = roots[first_name] / "1"
    names, labels, classes = _list_condition(first, layout)
    for corruption, severity in conditions:
        _compare(first, names, roots[corruption] / str(severity))
    stores = _Folders(roots, names, layout.side)
    images = ImageSource(
        name=suite,
        ids=names,
        labels=as_labels(labels),
        store=stores.store(first_name, 1),
        preprocessing=Preprocessing(),
        class_names=imagenet_names() if layout.labels == "imagenet" else tuple(classes),
        classes=layout.classes,
    )
    part = None if len(classes) == layout.classes else f"{len(classes)} of {layout.classes} classes"
    return _Found(suite, corruptions, images, stores, part)


def _corruption_folder(path: Path, corruption: str) -> Path | None:
    """Find a corruption's folder: right here, or below the folder of its family as in the published archives."""
    if (path / corruption).is_dir():
        return path / corruption
    found = [folder for folder in sorted(path.glob(f"*/{corruption}")) if folder.is_dir()]
    inner = [folder for folder in found if not is_hidden(folder.parent.name)]
    if len(inner) > 1:
        raise DataError(f"{path}: holds {corruption} in {inner[0]} and in {inner[1]}; keep one of the two")
    return inner[0] if inner else None


def _list_condition(folder: Path, layout: PublishedLayout) -> tuple[tuple[str, ...], list[int], list[str]]:
    classes = class_folders(folder)
    label_of = {name: label for label, name in enumerate(classes)}
    if layout.labels == "imagenet":
        label_of = imagenet_labels()
        check_wordnet_ids(folder, classes, label_of)
    elif len(classes) != layout.classes:
        raise DataError(
            f"{folder}: holds {len(classes)} folders of classes, not {layout.classes}; labels are the order of the "
            "folders, so all must be there"
        )
    names, indices = list_images(folder, classes)
    return names, [label_of[classes[index]] for index in indices], classes


def _compare(first: Path, names: tuple[str, ...], folder: Path) -> None:
    """Refuse a condition that holds other images than the first one."""
    found, _ = list_images(folder, class_folders(folder))
    if found == names:
        return
    lacking, extra = set(names) - set(found), set(found) - set(names)
    example = f"{min(lacking)} is missing" if lacking else f"{min(extra)} is not in {first}"
    raise DataError(
        f"{folder}: holds {len(found)} images where {first} holds {len(names)} ({len(lacking)} missing, {len(extra)} "
        f"more than there; {example}); every corruption and severity must hold the same images"
    )


@dataclass(frozen=True)
class _Arrays:
    pixels: dict[str, NDArray[np.uint8]]
    images: int

    def store(self, corruption: str, severity: int) -> ImageStore:
        start = (severity - 1) * self.images
        return ArrayStore(
            f"{corruption}.npy, severity {severity}", self.pixels[corruption][start : start + self.images]
        )


def _open_arrays(suite: str, layout: PublishedLayout, path: Path, corruptions: Severities) -> _Found:
    missing = [f"{name}.npy" for name in (*corruptions, "labels") if not (path / f"{name}.npy").is_file()]
    if missing:
        raise DataError(f"{path}: these files are missing: {', '.join(missing)}; fetch them, or name fewer corruptions")
    labels = _load_array(path / "labels.npy", memory_limit())
    times = max(len(severities) for severities in corruptions.values())
    count = len(labels) // times if labels.ndim == 1 else 0
    if count == 0 or labels.tobytes() != np.tile(labels[:count], times).tobytes():
        raise DataError(f"{path / 'labels.npy'}: must hold the same labels {times} times, once a severity")
    pixels = {name: _load_array(path / f"{name}.npy") for name in corruptions}
    for name, array in pixels.items():
        shape = (count * len(corruptions[name]), layout.side, layout.side, 3)
        if array.shape != shape or array.dtype != np.uint8:
            raise DataError(
                f"{path / name}.npy: has the shape {array.shape} of {array.dtype}, where {shape} of uint8 is needed"
            )
    conditions = _Arrays(pixels, count)
    images = ImageSource(
        name=suite,
        # The order of the clean data set, and so its ids.
        ids=tuple(f"{layout.ids}{row:05d}" for row in range(count)),
        labels=as_labels(labels[:count], name=str(path / "labels.npy")),
        store=conditions.store(next(iter(corruptions)), 1),
        preprocessing=Preprocessing(),
        class_names=layout.class_names,
        classes=layout.classes,
    )
    return _Found(suite, corruptions, images, conditions, None)


def _load_array(path: Path, most: int | None = None) -> NDArray[np.uint8]:
    with damage_refused(path, "is not an array that can be read", "fetch it again"):
        return open_array(path, most)
