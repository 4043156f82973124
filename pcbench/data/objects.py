"""Any Python object with images and labels as a source."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Subset

from pcbench.arguments import asked
from pcbench.data import forms
from pcbench.data.class_names import as_class_names
from pcbench.data.forms import ImagesOf, Labelled
from pcbench.data.ids import as_ids
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.pixels import to_pixels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.streams import read_stream, unloaded
from pcbench.errors import DataError

# How many items are read again, and how many times: a flip with the probability 1/2 is missed once in 10^7 data sets.
_READ_AGAIN = 8
_TIMES = 3


def open_object(value: Any, preprocessing: Preprocessing, count: int | None = None) -> ImageSource:
    """Make a source of a Python object.

    Args:
        value: One of: a pair ``(images, labels)``; a table or an object with `images` and `labels`; a data set whose
            items are pairs of image and label, or tables of both, such as torchvision's and Hugging Face's; a loader
            of one that does not shuffle; a stream of such items, with their number. Forms are told apart in
            `pcbench.data.forms`. It may also have `ids`, `class_names` (or `classes`, a list of names) and `name`.
            Images are asked for one by one; see `pcbench.data.pixels.to_pixels`.
        preprocessing: What is done to each image.
        count: How many images are read from a stream that does not say how many it has.

    Raises:
        DataError: The object has no images and labels in one of these forms, or answers differently when it is
            read again.
    """
    name = asked(type(value).__name__, lambda: _name(value))
    found = asked(name, lambda: _found(value, name, count, preprocessing.channels))
    labels = asked(name, lambda: as_labels(found.labels, name=name, images=found.count))
    ids = asked(name, lambda: _ids(found, name))
    if len(ids) != found.count:
        raise DataError(f"{name}: {found.count} images but {len(ids)} ids; give one for each image")
    store = ItemStore(name, found.images, preprocessing.channels)
    _check_some(store, labels)
    return ImageSource(
        name=name,
        ids=ids,
        labels=labels,
        store=store,
        preprocessing=preprocessing,
        class_names=found.class_names,
        classes=None if found.class_names is None else len(found.class_names),
        subset=found.subset,
        notes=asked(name, lambda: forms.train_notes(value)),
    )


@dataclass(frozen=True)
class ItemStore:
    """Images that an object hands out by index."""

    name: str
    """What the object is called in error messages."""
    items: Any
    """Has `__getitem__`, which returns an image."""
    channels: int = 3
    """How many the network takes."""

    def read(self, position: int) -> NDArray[np.uint8]:
        """Return an image's pixels, shape (height, width, channels), 0 to 255.

        Raises:
            DataError: The item is not an image, or the object raises an exception.
        """
        where = self.locate(position)
        return to_pixels(asked(where, lambda: self.items[position]), where, self.channels)

    def locate(self, position: int) -> str:
        """Return the object's name and the index."""
        return f"{self.name}, image {position}"


def _name(value: Any) -> str:
    """Return what tables call an object: its own name, else its type's."""
    if forms.is_pair_of_collections(value) and forms.is_stream(value[0]):
        value = value[0]
    own = getattr(value, "name", None)
    return own if isinstance(own, str) and own else type(value).__name__


def _found(value: Any, name: str, count: int | None, channels: int) -> Labelled:
    """Return the images and labels of an object in any of the known forms."""
    if isinstance(value, DataLoader):
        value, stated = unloaded(value, name)
        count = count if stated is None else stated
    if not isinstance(value, DataLoader):
        forms.refuse_what_holds_nothing(value, name)
        if (found := _in_memory(value, name, channels)) is not None:
            return found
    beside = _beside(value)
    if forms.is_stream(value) and not beside:
        return read_stream(value, name, count, channels)
    if forms.is_map_style(value):
        return _from_items(value, name)
    if not beside:
        raise DataError(f"{name}: has neither images and labels nor items of both; give (images, labels)")
    return _from_attributes(value, name)


def _in_memory(value: Any, name: str, channels: int) -> Labelled | None:
    """Return the images and labels of a table or a pair; None for anything else."""
    if isinstance(value, Mapping):
        return forms.from_mapping(cast("Mapping[Any, Any]", value), name)
    if type(value).__module__.partition(".")[0] == "pandas":
        return _from_frame(value, name)
    if not forms.is_pair_of_collections(value):
        return None
    first, second = value
    if forms.is_stream(first):
        return _from_counted(first, second, name, channels)
    return forms.from_pair(cast("Sequence[Any]", value), name)


def _beside(value: Any) -> bool:
    return hasattr(value, "images") and hasattr(value, "labels")


def _from_attributes(value: Any, name: str) -> Labelled:
    found = forms.from_images(value.images, value.labels, name)
    return Labelled(found.images, found.labels, found.count, forms.own_names(value), getattr(value, "ids", None))


def _from_frame(frame: Any, name: str) -> Labelled:
    if not hasattr(frame, "columns"):
        raise DataError(f"{name}: one column has no labels beside it; give (images, labels)")
    image, label = forms.columns([str(column) for column in frame.columns], name, None)
    return Labelled(frame[image].tolist(), frame[label].tolist(), len(frame))


def _from_counted(stream: Any, count: Any, name: str, channels: int) -> Labelled:
    if isinstance(stream, DataLoader) and not isinstance(unloaded(stream, name)[0], DataLoader):
        raise DataError(f"{name}: the loader says itself how many images it has; give data=loader")
    if isinstance(count, bool) or not isinstance(count, int | np.integer):
        raise DataError(
            f"{name}: images are an array or a list, not a stream; give a stream of pairs of image and label with "
            "their number, data=(stream, 1000)"
        )
    return read_stream(stream, name, int(cast("int", count)), channels)


def _from_items(items: Any, name: str) -> Labelled:
    """Read a data set that hands out items by index; the items' own labels are what counts."""
    count = asked(f"{name}, the number of items", lambda: len(items))
    if not count:
        raise DataError(f"{name}: holds no images")
    first = asked(f"{name}, item 0", lambda: items[0])
    features = getattr(forms.whole_of(items), "features", None)
    features = cast("Mapping[str, Any]", features) if isinstance(features, Mapping) else None
    split = forms.splitter(first, name, features)
    if split is None:
        if _beside(items):
            return _from_attributes(items, name)
        raise forms.refuse_items(first, name)
    labels = _kept_labels(items)
    names = forms.own_names(items)
    if isinstance(first, Mapping) and features is not None:
        label = forms.columns(cast("Mapping[str, Any]", first), name, features)[1]
        names = as_class_names(getattr(features.get(label), "names", None))
        if getattr(items, "format", {}).get("type", "custom") != "custom":  # a column as it lies, no image decoded
            labels = items[label][:]
    labels = forms.all_labels(items, split, count, name) if labels is None else labels
    return Labelled(ImagesOf(items, split), labels, count, names, getattr(items, "ids", None))


def _kept_labels(items: Any) -> list[Any] | None:
    """Return the labels that one of torchvision's data sets keeps, where its own code hands them out unchanged.

    This saves decoding every image once more; None for any other data set, whose items must be asked.
    """
    if type(items) is Subset:
        inner = _kept_labels(cast("Any", items).dataset)
        return None if inner is None else [inner[index] for index in cast("Any", items).indices]
    if "torchvision" not in sys.modules or not hasattr(items, "target_transform"):
        return None
    from torchvision.datasets import CIFAR10, MNIST, DatasetFolder

    read = cast("Any", type(items).__getitem__)
    if items.target_transform is not None or read not in (
        DatasetFolder.__getitem__,
        CIFAR10.__getitem__,
        MNIST.__getitem__,
    ):
        return None
    if read is DatasetFolder.__getitem__:
        return [label for _, label in items.samples]
    return [int(label) for label in items.targets]


def _ids(found: Labelled, name: str) -> tuple[str, ...]:
    if found.ids is None:
        return tuple(f"{name}/{index:08d}" for index in range(found.count))
    return as_ids(found.ids)


def _check_some(store: ItemStore, labels: NDArray[np.int64]) -> None:
    """Read a few images several times, and look at the range of their values.

    Raises:
        DataError: The pixels or the label of one differ from reading to reading, or white is 1 of 255 grey levels.
    """
    chosen = np.unique(np.linspace(0, len(labels) - 1, _READ_AGAIN).astype(int)).tolist()
    try:
        pixels = {index: store.read(index) for index in chosen}
    except DataError:
        return  # it is refused by its name if a run uses it
    for index in chosen * _TIMES:
        again = store.read(index)
        same = again.shape == pixels[index].shape and np.array_equal(again, pixels[index])
        if not same or _label_again(store.items, index, labels) != labels[index]:
            raise DataError(
                f"{store.locate(index)}: differs each time it is read, as under random augmentation; give the data "
                "set with the transform of testing, without anything random"
            )
    if max(int(image.max()) for image in pixels.values()) == 1:
        raise DataError(
            f"{store.name}: the largest of 255 grey levels is 1 in all images looked at; floating-point images from 0 "
            "to 1 are given as they are, not cast to uint8 or divided by 255 again"
        )


def _label_again(items: Any, index: int, labels: NDArray[np.int64]) -> int:
    if not isinstance(items, ImagesOf):
        return int(labels[index])
    return int(as_labels([items.split(items.items[index])[1]])[0])
