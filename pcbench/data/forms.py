"""The forms in which Python objects hold images and labels: what each of them is, or why it is not one.

Nothing is guessed: where an object can be read in two ways, it is refused with the way to say which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Number
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from pcbench.arguments import asked, shown
from pcbench.data.class_names import as_class_names
from pcbench.data.splits import is_split_name, train_note
from pcbench.errors import DataError

# The first two are the documented names; the others are taken where only one of them is there.
_IMAGE_KEYS = ("images", "image", "img", "imgs", "pixel_values", "pixels", "x", "X", "data")
_LABEL_KEYS = ("labels", "label", "fine_label", "targets", "target", "y")
_NAME_KEYS = ("class_names", "classes", "target_names")
_REMEDY = "give (images, labels)"

Split: TypeAlias = Callable[[Any], tuple[Any, Any]]
"""Splits an item into image and label."""


@dataclass(frozen=True)
class Labelled:
    """Images and labels, as an object holds them."""

    images: Any
    """Has `__getitem__`, which returns an image."""
    labels: Any
    """Not yet checked."""
    count: int
    """The number of images."""
    class_names: tuple[str, ...] | None = None
    """Names of the classes by label."""
    ids: Any = None
    """Names of the images; None where there are none."""
    subset: str | None = None
    """How they were chosen among more, in words."""


@dataclass(frozen=True)
class ImagesOf:
    """The images of a data set of pairs."""

    items: Any
    """Has `__getitem__`, which returns an item."""
    split: Split
    """Splits an item into image and label."""

    def __getitem__(self, index: int) -> Any:
        """Return an item's image."""
        return self.split(self.items[index])[0]


def refuse_what_holds_nothing(value: Any, name: str) -> None:
    """Refuse what cannot hold images and labels, and say what to give instead.

    Raises:
        DataError: It is a path, a scalar, an array without labels, ….
    """
    if isinstance(value, os.PathLike):
        place = os.fspath(cast("os.PathLike[Any]", value))
        raise DataError(f"{name}: is a path; say what lies there, as in data='imagefolder:{place}'")
    if isinstance(value, str | bytes | Number | Image.Image | type) or value is None:
        raise DataError(f"{name}: has neither images and labels nor items of both; {_REMEDY}")
    if isinstance(value, np.ndarray | torch.Tensor):
        shape = tuple(cast("tuple[int, ...]", value.shape))
        raise DataError(f"{name}: an array of the shape {shape} has no labels beside it; {_REMEDY}")
    if isinstance(value, Set):
        raise DataError(f"{name}: a set has no order; {_REMEDY}")
    module = type(value).__module__.partition(".")[0]
    if module in ("polars", "pyarrow"):
        raise DataError(f"{name}: a table of {module}; give its to_pandas(), or save it and give data='parquet:PATH'")


def from_mapping(value: Mapping[Any, Any], name: str) -> Labelled:
    """Read a dict, an NpzFile, a Bunch of scikit-learn, ….

    Raises:
        DataError: Its keys do not say which are the images and which the labels.
    """
    if value and all(isinstance(key, str) and is_split_name(key) for key in value):
        tested = next((key for key in value if "train" not in key.casefold()), next(iter(value)))
        raise DataError(f"{name}: holds the splits {', '.join(value)}; give one of them, such as data[{tested!r}]")
    image, label = key_of(value, _IMAGE_KEYS, name), key_of(value, _LABEL_KEYS, name)
    names = next((value[key] for key in _NAME_KEYS if key in value), None)
    found = from_images(value[image], value[label], name)
    return Labelled(found.images, found.labels, found.count, as_class_names(names), value.get("ids"))


def key_of(keys: Collection[Any], wanted: Sequence[str], name: str) -> str:
    """Return the one key that is known as the images' or the labels'.

    Raises:
        DataError: There is none, or more than one.
    """
    found = [key for key in wanted if key in keys]
    documented = [key for key in found if key in wanted[:2]]
    chosen = documented or found
    if len(chosen) == 1:
        return chosen[0]
    held = ", ".join(key if isinstance(key, str) else shown(key) for key in list(keys)[:8]) or "nothing"
    problem = f"has no {wanted[0]!r}" if not chosen else f"has {' and '.join(map(repr, chosen))}"
    raise DataError(f"{name}: {problem} among {held}; give dict(images=…, labels=…)")


def from_images(images: Any, labels: Any, name: str) -> Labelled:
    """Read images and labels that lie beside each other.

    Raises:
        DataError: The images are not a collection, or are not images alone.
    """
    if isinstance(images, str | bytes | Mapping | Set) or not hasattr(images, "__getitem__"):
        kind = type(cast("Any", images)).__name__
        raise DataError(f"{name}: images are an array or a list of images, not {kind}; {_REMEDY}")
    if hasattr(images, "iloc"):  # of pandas, whose [0] is the row that is called 0, wherever it lies
        images = list(images)
    count = asked(f"{name}, the number of images", lambda: len(images))
    first = asked(f"{name}, image 0", lambda: images[0]) if count and not hasattr(images, "shape") else None
    if isinstance(first, tuple) and _is_pair(first):
        raise DataError(f"{name}: its images are pairs, with labels of their own; give these pairs alone")
    lengths = tuple(getattr(images, "shape", ()))
    lone = isinstance(labels, str) or getattr(labels, "shape", None) == ()
    held = len(labels) if hasattr(labels, "__len__") and not lone else count
    if held != count and len(lengths) == 4 and lengths[3] == held:
        raise DataError(
            f"{name}: {count} images but {held} labels; the images lie along the last axis: give "
            "images.transpose(3, 0, 1, 2)"
        )
    return Labelled(images, labels, count)


def from_pair(value: Sequence[Any], name: str) -> Labelled:
    """Read ``(images, labels)``.

    Raises:
        DataError: These are two pairs, or labels and images.
    """
    images, labels = value
    if all(_is_pair(one) and is_pair_of_collections(list(one)) for one in (images, labels)):
        raise DataError(f"{name}: two pairs of images and labels, as of training and test; give one of them: data[1]")
    if _axes(images) == 1 and _axes(labels) >= 3:
        raise DataError(f"{name}: labels come second; {_REMEDY}")
    return from_images(images, labels, name)


def is_pair_of_collections(value: Any) -> bool:
    """Return whether a tuple, or a list of arrays, is one pair of images and labels rather than two items."""
    if not isinstance(value, tuple | list) or len(cast("Sequence[Any]", value)) != 2:
        return False
    first, second = cast("Sequence[Any]", value)
    if isinstance(value, tuple):
        return not (_is_item(first) and _is_item(second))
    return _axes(first) >= 3 and _axes(second) in (1, 2)


def _is_item(value: Any) -> bool:
    return _is_pair(value) and _is_scalar(value[1]) and not _is_scalar(value[0])


def _is_scalar(value: Any) -> bool:
    return isinstance(value, Number | str) or getattr(value, "shape", None) == ()


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(cast("Sequence[Any]", value)) == 2


def _axes(value: Any) -> int:
    """Return how many axes an array has; 1 for a list and 0 for a scalar."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return len(cast("tuple[Any, ...]", shape))
    return 1 if isinstance(value, list | tuple) else 0


def splitter(item: Any, name: str, features: Mapping[str, Any] | None = None) -> Split | None:
    """Return how the items of a data set are split into image and label.

    Args:
        item: One of them.
        name: What the data set is called in error messages.
        features: The types of its columns, where it says them as Hugging Face's does.

    Returns:
        None for what is no pair and no table.

    Raises:
        DataError: A table whose keys do not say which is which.
    """
    if _is_pair(item):
        return _parted(name)
    if not isinstance(item, Mapping):
        return None
    image, label = columns(cast("Mapping[str, Any]", item), name, features)

    def of_table(row: Any) -> tuple[Any, Any]:
        try:
            return row[image], row[label]
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"{name}: an item has no {image!r} and {label!r}; all items must be alike") from error

    return of_table


def _parted(name: str) -> Split:
    def of_pair(item: Any) -> tuple[Any, Any]:
        if not _is_pair(item):
            raise DataError(f"{name}: its items must be pairs of image and label, all of them; one is not")
        return item[0], item[1]

    return of_pair


def columns(keys: Collection[str], name: str, features: Mapping[str, Any] | None) -> tuple[str, str]:
    """Return the columns of images and labels: by their types, else by their names.

    Raises:
        DataError: There are none, or several.
    """
    typed = {key: type(kind).__name__ for key, kind in (features or {}).items() if key in keys}
    images = [key for key, kind in typed.items() if kind == "Image"]
    labels = [key for key, kind in typed.items() if kind == "ClassLabel"]
    return (
        images[0] if len(images) == 1 else key_of(keys, _IMAGE_KEYS, name),
        labels[0] if len(labels) == 1 else key_of(keys, _LABEL_KEYS, name),
    )


def all_labels(items: Any, split: Split, count: int, name: str) -> list[Any]:
    """Read every item of a data set for its label.

    Raises:
        DataError: The data set raises an exception, which is the cause.
    """

    def label(index: int) -> Any:
        return asked(f"{name}, image {index}", lambda: split(items[index])[1])

    return [label(index) for index in range(count)]


def refuse_items(item: Any, name: str) -> DataError:
    """Return the error of a data set whose items are not pairs."""
    if isinstance(item, tuple | list):
        parts = len(cast("Sequence[Any]", item))
        return DataError(
            f"{name}: its items must be pairs of image and label; these have {parts} parts: wrap the data set so that "
            "it gives item[0], item[1]"
        )
    if isinstance(item, str | os.PathLike):
        remedy = "for files give their folder, imagefolder:PATH, or the images, [PIL.Image.open(path) for path in …]"
        return DataError(f"{name}: its items are paths or texts, which are not opened; {remedy}")
    return DataError(f"{name}: its items must be pairs of image and label, not {type(item).__name__}; {_REMEDY}")


def whole_of(value: Any) -> Any:
    """Return the data set that a loader loads, or that a subset is a part of: its labels mean the same."""
    while isinstance(value, DataLoader) or type(value) is Subset:
        value = cast("Any", value).dataset
    return value


def own_names(value: Any) -> tuple[str, ...] | None:
    """Return the names of an object's classes by label, where it says them.

    Where it states the label of each name, as torchvision's folders do, the order of the list beside it does not count.
    """
    value = whole_of(value)
    labels = getattr(value, "class_to_idx", None)
    if isinstance(labels, Mapping) and (names := as_class_names(cast("Mapping[Any, Any]", labels))) is not None:
        return names
    for attribute in _NAME_KEYS[:2]:
        if (names := as_class_names(getattr(value, attribute, None))) is not None:
            return names
    return None


def train_notes(value: Any) -> tuple[str, ...]:
    """Return the note for tables where a data set says that it is a train split; nothing where it is not."""
    value = whole_of(value)
    split = "train" if getattr(value, "train", None) is True else getattr(value, "split", None)
    note = None if split is None else train_note([str(split)])
    return () if note is None else (note,)


def is_stream(value: Any) -> bool:
    """Return whether a data set can only be read from its beginning."""
    if isinstance(value, IterableDataset):
        return True
    if hasattr(value, "__next__"):
        return True
    indexed = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return hasattr(value, "__iter__") and not indexed


def is_map_style(value: Any) -> bool:
    """Return whether a data set hands out items by index."""
    return hasattr(value, "__getitem__") and (hasattr(value, "__len__") or isinstance(value, Dataset))
