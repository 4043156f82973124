"""Images in Parquet files, in the layout of image data sets on the Hugging Face hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ParquetStore
from pcbench.errors import DataError

_LABEL_COLUMNS = ("label", "labels", "fine_label")


def open_parquet(text: str, preprocessing: Preprocessing, split: str) -> ImageSource:
    """Open Parquet files with a column struct{bytes, path} of encoded images and an integer column `label`.

    Only labels and paths are read at first; images are read one row group at a time. The id of an image is its
    path if all paths are there and differ, else ``row/`` and its row over all files, with eight digits.

    Args:
        text: A file, a pattern such as ``data/validation-*.parquet``, or a folder, of which the files whose names
            begin with the split are taken (or its only file).
        preprocessing: What is done to each image.
        split: Chooses the files of a folder; has no meaning for a file or a pattern.

    Raises:
        DataError: No file is found, one is not a Parquet file, or the columns are not as described.
    """
    files = _find_files(text, split)
    schema = _open(files[0]).schema_arrow
    image, label = _image_column(files[0], schema), _label_column(files[0], schema)
    starts: list[int] = []
    groups: list[tuple[int, int]] = []
    labels: list[int | None] = []
    paths: list[str | None] = []
    for number, path in enumerate(files):
        file = _open(path)
        if not file.schema_arrow.equals(schema):
            raise DataError(f"{path}: has other columns than {files[0]}; give files of one data set")
        for group in range(file.num_row_groups):
            starts.append(len(labels))
            groups.append((number, group))
            table = file.read_row_group(group, columns=[label, f"{image}.path"])
            labels += table.column(label).to_pylist()
            paths += [None if cell is None else cell["path"] for cell in table.column(image).to_pylist()]
    if None in labels:
        raise DataError(f"{text}: row {labels.index(None)} has no label")
    names = _class_names(schema, label)
    return ImageSource(
        name=f"parquet:{files[0].name if len(files) == 1 else Path(text).name}",
        ids=_ids(paths),
        labels=as_labels(cast("list[int]", labels)),
        store=ParquetStore(tuple(files), image, np.array(starts, dtype=np.int64), tuple(groups)),
        preprocessing=preprocessing,
        class_names=names,
        classes=None if names is None else len(names),
    )


def _find_files(text: str, split: str) -> list[Path]:
    path = Path(text)
    if path.is_file():
        return [path]
    if not path.is_dir():
        files = sorted(path.parent.glob(path.name)) if path.parent.is_dir() and path.name else []
        if not files:
            raise DataError(f"{text}: there is no such Parquet file or folder")
        return files
    everything = sorted(path.glob("*.parquet"))
    files = everything if len(everything) == 1 else [file for file in everything if file.name.startswith(split)]
    if not files:
        held = ", ".join(file.name for file in everything[:5]) or "no Parquet files"
        raise DataError(
            f"{path}: holds no Parquet files whose names begin with {split!r} (it holds {held}); "
            "name a file, or several by a pattern"
        )
    return files


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: is not a Parquet file, or a truncated one ({error})") from error


def _image_column(path: Path, schema: pa.Schema) -> str:
    fields = cast("list[Any]", list(schema))
    found = [
        str(field.name)
        for field in fields
        if pa.types.is_struct(field.type) and {"bytes", "path"} <= _field_names(field.type)
    ]
    if len(found) != 1:
        raise DataError(
            f"{path}: needs one column of images, a struct of bytes and path as on the Hugging Face hub; "
            f"its columns are {', '.join(schema.names)}"
        )
    return found[0]


def _field_names(struct: Any) -> set[str]:
    return {field.name for field in struct}


def _label_column(path: Path, schema: pa.Schema) -> str:
    for name in _LABEL_COLUMNS:
        if name in schema.names and pa.types.is_integer(cast("Any", schema.field(name)).type):
            return name
    raise DataError(f"{path}: needs an integer column 'label'; its columns are {', '.join(schema.names)}")


def _ids(paths: list[str | None]) -> tuple[str, ...]:
    if all(paths) and len(set(paths)) == len(paths):
        return tuple(cast("list[str]", paths))
    return tuple(f"row/{row:08d}" for row in range(len(paths)))


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Read the names of the classes from the schema's metadata: `class_names`, or what the hub's library writes."""
    metadata = schema.metadata or {}
    try:
        if b"class_names" in metadata:
            return tuple(str(name) for name in json.loads(metadata[b"class_names"]))
        if b"huggingface" in metadata:
            names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
            return tuple(str(name) for name in names)
    except (ValueError, KeyError, TypeError):
        # Metadata is free text: without names in the known form, the data does not say them.
        return None
    return None
