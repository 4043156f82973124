"""Any Python object with images and labels as a source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcbench.data.ids import as_ids
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DataError


def open_object(value: Any, preprocessing: Preprocessing) -> ImageSource:
    """Make a source of a Python object.

    Args:
        value: One of: an object with `images` and `labels`; a pair ``(images, labels)``; a map-style data set whose
            items are pairs of image and label, such as torchvision's (its `targets`, if any, save one pass). It may
            also have `ids`, `class_names` (or `classes`, a list of names) and `name`. An image is a Pillow image or
            an array or tensor, channels first or last or none: uint8, or floating point in [0, 1], which is
            rounded to the nearest of 256 grey levels. Images are asked for one by one.
        preprocessing: What is done to each image.

    Raises:
        DataError: The object has no images and labels in one of these forms.
    """
    name = str(getattr(value, "name", type(value).__name__))
    images, labels = _images_and_labels(value, name)
    ids = getattr(value, "ids", None)
    names = _class_names(value)
    return ImageSource(
        name=name,
        ids=tuple(f"{name}/{index:08d}" for index in range(len(labels))) if ids is None else as_ids(ids),
        labels=labels,
        store=ItemStore(name, images),
        preprocessing=preprocessing,
        class_names=names,
        classes=None if names is None else len(names),
    )


@dataclass(frozen=True)
class ItemStore:
    """Images that an object hands out by index."""

    name: str
    """What the object is called in error messages."""
    items: Any
    """Has `__getitem__`; an item is an image, or a pair whose first half is one."""

    def read(self, position: int) -> NDArray[np.uint8]:
        """Return an image's pixels, shape (height, width, 3), 0 to 255.

        Raises:
            DataError: The item is not an image.
        """
        item = self.items[position]
        return to_pixels(item[0] if isinstance(item, tuple) else item, self.locate(position))

    def locate(self, position: int) -> str:
        """Return the object's name and the index."""
        return f"{self.name}, image {position}"


def to_pixels(image: Any, name: str) -> NDArray[np.uint8]:
    """Turn a Pillow image, an array or a tensor into 8-bit RGB pixels, shape (height, width, 3).

    Raises:
        DataError: It is not an image: wrong number of axes or channels, wrong type, or values outside [0, 1].
    """
    if isinstance(image, Image.Image):
        return Preprocessing().apply(image, name)
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or not {1, 3} & {array.shape[0], array.shape[2]}:
        raise DataError(f"{name}: an image has 1 or 3 channels, first or last; this one has the shape {array.shape}")
    if array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError(f"{name}: floating-point images hold values from 0 to 1; leave normalisation to the model")
        array = np.floor(array.astype(np.float64) * 255 + 0.5).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataError(f"{name}: images are uint8 or floating point; this one is {array.dtype}")
    return np.array(np.broadcast_to(array, (*array.shape[:2], 3)))


def _images_and_labels(value: Any, name: str) -> tuple[Any, NDArray[np.int64]]:
    if hasattr(value, "images") and hasattr(value, "labels"):
        images, labels = value.images, value.labels
    elif _is_pair(value):
        images, labels = value
    elif hasattr(value, "__getitem__") and hasattr(value, "__len__"):
        images, labels = value, getattr(value, "targets", None)
        if labels is None:
            labels = [_item_label(value[index], name) for index in range(len(value))]
    else:
        raise DataError(f"{name}: has neither images and labels nor items of both; give (images, labels)")
    return images, as_labels(labels, name=name, images=len(images) if hasattr(images, "__len__") else None)


def _item_label(item: Any, name: str) -> Any:
    if not _is_pair(item):
        raise DataError(f"{name}: its items must be pairs of image and label")
    return item[1]


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(cast("tuple[Any, ...]", value)) == 2


def _class_names(value: Any) -> tuple[str, ...] | None:
    for attribute in ("class_names", "classes"):
        names = getattr(value, attribute, None)
        if isinstance(names, (list, tuple)):
            return tuple(str(name) for name in cast("list[Any]", names))
    return None
