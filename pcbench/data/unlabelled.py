"""Opening images whose labels nobody asks for: a flat folder, an array or a list of pictures as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from pcbench.data.folders import open_flat_folder
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import UNKNOWN
from pcbench.data.listing import is_flat, is_without_images
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.registered import registered_data, registered_name
from pcbench.data.sources import open_source
from pcbench.data.streams import unloaded
from pcbench.errors import DataError

_FOLDER = "imagefolder:"
_IMAGE_AXES = (2, 3)


def open_unlabelled(
    source: Any, *, preprocessing: Preprocessing, split: str = "test", count: int | None = None
) -> ImageSource:
    """Open images whose labels nobody asks for.

    Args:
        source: What `pcbench.data.sources.open_source` takes; a folder that holds pictures and no folders
            (``imagefolder:PATH``); an array or tensor (images, …); a list or data set of pictures alone; or a pair
            ``(images, None)``. Images without labels have the label -1.
        preprocessing: What is done to each image, once.
        split: As for `open_source`.
        count: As for `open_source`.

    Raises:
        DataError: The data is missing, damaged, or not in the expected layout.
    """
    if isinstance(source, str):
        place = Path(source.removeprefix(_FOLDER)).expanduser()
        if source.startswith(_FOLDER) and is_flat(place):
            return open_flat_folder(place, preprocessing)
        if source.startswith(_FOLDER) and is_without_images(place):
            raise DataError(f"{place}: holds no images, and no folders of images")
        if (registered := registered_data(source, split)) is not None:
            opened = open_unlabelled(registered, preprocessing=preprocessing, count=count)
            return replace(opened, name=registered_name(source, split))
    elif (alone := _without_labels(source)) is not None:
        source = (alone, _unknown(len(alone)))
    return open_source(source, preprocessing=preprocessing, split=split, count=count)


def _without_labels(source: object) -> Any | None:
    """Return images that have no labels beside them; None where the object is of another form."""
    if isinstance(source, tuple):
        parts = cast("tuple[Any, ...]", source)
        if len(parts) == 2 and parts[1] is None:
            return parts[0]
    if isinstance(source, np.ndarray | torch.Tensor):
        return _several(cast("Any", source))
    if isinstance(source, DataLoader):
        dataset, _ = unloaded(cast("Any", source), DataLoader.__name__)
        return None if isinstance(dataset, DataLoader) else _without_labels(dataset)
    items = cast("Any", source)
    if not isinstance(source, Sequence | Dataset) or not hasattr(items, "__len__") or not len(items):
        return None
    first: Any = items[0]
    if isinstance(first, tuple):
        parts = cast("tuple[Any, ...]", first)
        return _Alone(items) if len(parts) == 1 and _is_picture(parts[0]) else None
    return items if _is_picture(first) else None


@dataclass(frozen=True)
class _Alone:
    """The images of a data set whose items are tuples of one, such as PyTorch's `TensorDataset(images)`."""

    items: Any

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index][0]


def _several(array: Any) -> Any | None:
    if array.ndim == max(_IMAGE_AXES):
        shape = tuple(array.shape)
        raise DataError(
            f"an array of the shape {shape} is one image or several without an axis of channels: give images[None], or "
            "images[:, None]"
        )
    return array if array.ndim > max(_IMAGE_AXES) else None


def _is_picture(value: object) -> bool:
    return isinstance(value, Image.Image) or (
        isinstance(value, np.ndarray | torch.Tensor) and value.ndim in _IMAGE_AXES
    )


def _unknown(count: int) -> NDArray[np.int64]:
    return np.full(count, UNKNOWN, dtype=np.int64)
