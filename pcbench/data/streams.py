"""Data that can only be read from its beginning: generators, iterable data sets, loaders of batches.

Such a stream is read once. Its pixels are kept in a file of the cache until this process ends, so that every condition
sees the same images, and memory does not grow with their number.
"""

from __future__ import annotations

import itertools
import math
import uuid
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import (
    BatchSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,  # pyright: ignore[reportUnknownVariableType]
)
from torch.utils.data.dataloader import default_convert  # pyright: ignore[reportUnknownVariableType]

from pcbench.arguments import asked
from pcbench.data import forms
from pcbench.data.cache import SIZE_VARIABLE, BoundedWriter, Cache, cache_folder, cache_limit
from pcbench.data.class_names import as_class_names
from pcbench.data.forms import Labelled
from pcbench.data.pixels import to_pixels
from pcbench.errors import DataError


@dataclass(frozen=True, eq=False)
class _Kept:
    """Pixels that were read from a stream, in a file of the cache."""

    content: NDArray[np.uint8]
    """All of them, one image after the other, mapped from the file."""
    starts: list[int]
    """Where each image begins."""
    shapes: list[tuple[int, int, int]]
    """Height, width and channels of each image."""

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        shape, start = self.shapes[index], self.starts[index]
        return np.array(self.content[start : start + math.prod(shape)]).reshape(shape)


def unloaded(loader: Any, name: str) -> tuple[Any, int | None]:
    """Return what a loader loads.

    Returns:
        Its data set and None, where items are the data set's own; else the loader, as a stream of batches, and the
        number of its images, where it is known.

    Raises:
        DataError: It shuffles, or leaves images out.
    """
    dataset: Any = loader.dataset
    if _is_iterable(dataset):
        return loader, len(dataset) if hasattr(dataset, "__len__") else None
    sampler: Any = loader.sampler if loader.batch_sampler is None else getattr(loader.batch_sampler, "sampler", None)
    plain = loader.batch_sampler is None or type(loader.batch_sampler) is BatchSampler
    if isinstance(sampler, RandomSampler):
        raise DataError(
            f"{name}: shuffles, so its images would differ each time; make it with shuffle=False, or give "
            "data=loader.dataset"
        )
    if type(sampler) is not SequentialSampler or not plain:
        drawn = type(sampler if plain else loader.batch_sampler).__name__
        raise DataError(
            f"{name}: its {drawn} chooses the images; give a data set of these: data=Subset(dataset, indices)"
        )
    count = asked(f"{name}, the number of images", lambda: len(dataset))
    if loader.drop_last and loader.batch_size and count % loader.batch_size:
        raise DataError(f"{name}: leaves out the last {count % loader.batch_size} images; make it with drop_last=False")
    if loader.collate_fn in (default_collate, default_convert):
        return dataset, None
    return loader, count


def read_stream(stream: Any, name: str, count: int | None, channels: int) -> Labelled:
    """Read images and labels from a stream, once.

    Args:
        stream: An iterable of pairs of image and label, of tables of both, or of batches of these.
        name: What it is called in error messages.
        count: How many images are wanted; None where the stream says it itself.
        channels: How many the network takes.

    Raises:
        DataError: The number of images is not given, the stream has fewer, an item is not a pair, or the images are
            larger than the cache may be.
    """
    wanted = _wanted(stream, name, count)
    pairs = _pairs(stream, name)
    labels: list[Any] = []
    starts: list[int] = []
    shapes: list[tuple[int, int, int]] = []

    def write(writer: BoundedWriter) -> None:
        end = 0
        for image, label in itertools.islice(pairs, wanted):
            pixels = to_pixels(image, f"{name}, image {len(labels)}", channels)
            writer.write(pixels.tobytes())
            labels.append(label)
            starts.append(end)
            shapes.append((pixels.shape[0], pixels.shape[1], pixels.shape[2]))
            end += pixels.nbytes
        if len(labels) < wanted:
            remedy = f"ask for {len(labels)}" if labels else "a stream that was read before is at its end"
            raise DataError(f"{name}: ended after {len(labels)} images, {wanted} are asked for; {remedy}")

    cache, file_name = Cache(cache_folder() / "streams", cache_limit()), f"{uuid.uuid4().hex}.pixels"
    try:
        with cache.open(file_name, write) as file:
            content = np.memmap(file, dtype=np.uint8, mode="r")
    except BaseException:
        cache.discard(file_name)
        raise
    kept = _Kept(content, starts, shapes)
    weakref.finalize(kept, cache.discard, file_name)
    more = next(pairs, None) is not None
    subset = f"the first {wanted} images of a stream" if more else None
    names = as_class_names(getattr(_features(stream).get("label"), "names", None))
    return Labelled(kept, labels, wanted, names, subset=subset)


def _wanted(stream: Any, name: str, count: int | None) -> int:
    """Return how many images to read; a loader's or an iterable's own length may count batches."""
    own = _is_iterable(stream) and hasattr(stream, "__len__")
    wanted = asked(f"{name}, its length", lambda: len(stream)) if count is None and own else count
    if wanted is None:
        raise DataError(
            f"{name}: is a stream that does not say how many images it has; give data=(stream, 1000) for its first "
            f"1000, which are read once into {cache_folder()} (at most {cache_limit() / 1e9:g} GB, {SIZE_VARIABLE})"
        )
    if wanted < 1:
        raise DataError(f"{name}: holds no images; a stream is given with their number, data=(stream, 1000)")
    return wanted


def _is_iterable(dataset: Any) -> bool:
    return isinstance(dataset, IterableDataset)


def _features(stream: Any) -> Mapping[str, Any]:
    found = getattr(stream, "features", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _pairs(stream: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Yield image and label of every item; the items of a batch one by one."""
    items = asked(name, lambda: iter(stream))
    split: forms.Split | None = None
    for number in itertools.count():
        item = asked(f"{name}, item {number}", lambda: next(items, _END))
        if item is _END:
            return
        split = split or forms.splitter(item, name, _features(stream) or None)
        if split is None:
            raise forms.refuse_items(item, name)
        yield from _unbatched(*split(item), name)


_END = object()


def _unbatched(image: Any, label: Any, name: str) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of a batch; of a single image, its own."""
    if not (isinstance(image, list | tuple) or len(getattr(image, "shape", ())) == 4):
        yield image, label
        return
    count = asked(name, lambda: len(cast("Any", image)))
    held = len(label) if hasattr(label, "__len__") and np.ndim(label) > 0 else 0
    if held != count:
        raise DataError(f"{name}: a batch of {count} images has {held} labels; give one for each image")
    labels = list(label) if hasattr(label, "iloc") else label  # of pandas, where [0] is the row that is called 0
    for index in range(count):
        yield image[index], labels[index]
