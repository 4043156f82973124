"""Opening a data source by its text: `digits`, `imagenet:PATH`, `imagefolder:PATH`, `parquet:PATH`, …."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pcbench.arguments import ask_type, shown
from pcbench.data.checks import check_source
from pcbench.data.cifar import open_cifar
from pcbench.data.counted_classes import counted_schemes, open_counted
from pcbench.data.digits import open_digits
from pcbench.data.folders import open_image_folder, open_imagenet
from pcbench.data.image_source import Batch, ImageSource
from pcbench.data.names import names_scheme, scheme_of, source_names
from pcbench.data.objects import open_object
from pcbench.data.parquet import open_parquet
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.registered import registered_data, registered_name
from pcbench.errors import DataError, UsageError

__all__ = ["Batch", "ImageSource", "check_source", "open_source", "source_names"]


def open_source(
    source: str | Any, *, preprocessing: Preprocessing, split: str = "test", count: int | None = None
) -> ImageSource:
    """Open images and labels.

    Args:
        source: A text in one of the forms of `source_names`, the name of data that another package registers (see
            `registered_data`), an `ImageSource`, or any Python object with images and labels (see
            `pcbench.data.objects.open_object`).
        preprocessing: What is done to each image, once; the model states it.
        split: Which part of the data set, where it has several.
        count: How many images are read from a stream that does not say how many it has.

    Raises:
        UnknownNameError: The text begins with no known scheme, or there is no such split.
        UsageError: `split` is not a name.
        DataError: The data is missing, damaged, or not in the expected layout.
    """
    ask_type("`split`", split)
    if not isinstance(split, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # users give anything
        raise UsageError(f"`split` is the name of a split, such as 'test' (got {shown(split)})")
    ask_type("data", source)
    if isinstance(source, ImageSource):
        return replace(source, preprocessing=preprocessing)
    if not isinstance(source, str):
        return open_object(source, preprocessing, count)
    if not names_scheme(source) and (registered := registered_data(source, split)) is not None:
        opened = open_source(registered, preprocessing=preprocessing, count=count)
        return replace(opened, name=registered_name(source, split))
    scheme, place = scheme_of(source)
    try:
        return _open_text(scheme, place, preprocessing, split)
    except OSError as error:
        raise DataError(f"{source:.200}: cannot be opened ({error.strerror})") from error


def _open_text(scheme: str, place: str, preprocessing: Preprocessing, split: str) -> ImageSource:
    try:
        path = Path(place).expanduser()
    except RuntimeError as error:
        raise DataError(f"{place}: {error}; write the folder in full") from error
    match scheme:
        case "digits":
            return open_digits(split, preprocessing)
        case "torchvision":
            return open_cifar(place, preprocessing, split)
        case "parquet":
            return open_parquet(str(path), preprocessing, split)
        case scheme if scheme in counted_schemes():
            return open_counted(scheme, path, preprocessing)
        case "imagefolder":
            return open_image_folder(path, preprocessing)
        case _:
            return open_imagenet(path, preprocessing, split, some_classes=scheme == "imagenet-subset")
