"""Images in Parquet files, in the layout of image data sets on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench.data.class_names import as_class_names
from pcbench.data.ids import as_ids
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import UNKNOWN, as_labels
from pcbench.data.parquet_files import find_files, split_beside
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.stores import ParquetStore
from pcbench.errors import DataError, damage_refused
from pcbench.limits.tables import check_table
from pcbench.limits.text import parse_json

_LABEL_COLUMNS = ("label", "labels", "fine_label")
_ROW = 200
"""The bytes that label and path of an image take as Python objects, beside the letters."""


def open_parquet(text: str, preprocessing: Preprocessing, split: str) -> ImageSource:
    """Open Parquet files with a column struct{bytes, path} of encoded images and an integer column `label`.

    Only labels and paths are read at first; images are read one row group at a time. The id of an image is its
    path if all paths are there, else ``row/`` and its row over all files, with eight digits.

    Args:
        text: A file, a pattern such as ``data/validation-*.parquet``, or a folder, of which the files whose names
            begin with the split are taken (or its only file, unless that is of the training split). A folder may be
            the root of a repository: ``data/``, one folder a split, or one configuration are looked into.
        preprocessing: What is done to each image.
        split: Chooses the files of a folder; has no meaning for a file or a pattern.

    Raises:
        DataError: No file is found, a shard is missing, a file is there twice or is not a Parquet file, the columns
            are not as described, or two images have the same path.
    """
    found = find_files(text, split)
    files = found.files
    schema = _open(files[0]).schema_arrow
    image, label = _image_column(files[0], schema), _label_column(files, schema)
    names = _class_names(schema, label)
    starts: list[int] = []
    groups: list[tuple[int, int]] = []
    labels: list[int | None] = []
    paths: list[str | None] = []
    for number, path in enumerate(files):
        file = _open(path, [label, f"{image}.path"])
        _refuse_other_columns(files[0], schema, path, file.schema_arrow, label)
        for group in range(file.num_row_groups):
            starts.append(len(labels))
            groups.append((number, group))
            with damage_refused(path, f"row group {group} cannot be read", "fetch it again", pa.ArrowException):
                table = file.read_row_group(group, columns=[label, f"{image}.path"])
                labels += table.column(label).to_pylist()
                paths += [None if cell is None else cell["path"] for cell in table.column(image).to_pylist()]
    labelled = None if any(entry not in (None, UNKNOWN) for entry in labels) else _labelled_beside(files)
    if None in labels:
        raise DataError(f"{text}: row {labels.index(None)} has no label{'' if labelled is None else f'; {labelled}'}")
    return ImageSource(
        name=f"parquet:{files[0].name if len(files) == 1 else Path(text).name}",
        ids=_ids(text, paths),
        labels=as_labels(labels, name=text),
        store=ParquetStore(files, image, np.array(starts, dtype=np.int64), tuple(groups)),
        preprocessing=preprocessing,
        class_names=names,
        classes=None if names is None else len(names),
        subset=found.subset,
        notes=found.notes,
        labelled_split=labelled,
    )


def _refuse_other_columns(first: Path, schema: pa.Schema, path: Path, other: pa.Schema, label: str) -> None:
    if not other.equals(schema):
        raise DataError(f"{path}: has other columns than {first}; give files of one data set")
    if _class_names(other, label) != _class_names(schema, label):
        raise DataError(f"{path}: names its classes otherwise than {first}; give files of one data set")


def _labelled_beside(files: Sequence[Path]) -> str | None:
    """Return what to give instead of a split without labels, in words; None where no split beside it has labels."""
    for split, others in split_beside(files).items():
        try:
            schema = _open(others[0]).schema_arrow
            name = next((name for name in _LABEL_COLUMNS if _is_label(schema, name)), None)
            file = _open(others[0], [] if name is None else [name])
        except DataError:
            continue
        if name is not None and set(file.read(columns=[name]).column(0).to_pylist()) - {None, UNKNOWN}:
            return f"the split {split!r} beside it has labels, give parquet:{_text_of(others)}"
    return None


def _text_of(files: Sequence[Path]) -> Path:
    """Return a text that means some files: the one, a pattern, or the folder of one split."""
    first = files[0]
    if len(files) == 1:
        return first
    return first.parent / f"{first.name.partition('-')[0]}-*.parquet" if "-" in first.name else first.parent


def _open(path: Path, columns: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a file whose rows, and some of whose columns, may be read."""
    with damage_refused(path, "is not a Parquet file, or a truncated one", "fetch it again", pa.ArrowException):
        check_table(path, path, columns, row_bytes=_ROW)
        return pq.ParquetFile(path)


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


def _is_label(schema: pa.Schema, name: str) -> bool:
    return schema.names.count(name) == 1 and pa.types.is_integer(cast("Any", schema.field(name)).type)


def _label_column(files: Sequence[Path], schema: pa.Schema) -> str:
    for name in _LABEL_COLUMNS:
        if _is_label(schema, name):
            return name
    labelled = _labelled_beside(files)
    remedy = "" if labelled is None else f"; {labelled}"
    other = next((name for name in _LABEL_COLUMNS if name in schema.names), None)
    if other is not None and schema.names.count(other) > 1:
        raise DataError(f"{files[0]}: has several columns {other!r}; keep one of them")
    if other is not None:
        kind = cast("Any", schema.field(other)).type
        raise DataError(f"{files[0]}: the column {other!r} holds {kind}; give class numbers as integers{remedy}")
    raise DataError(f"{files[0]}: needs an integer column 'label'; its columns are {', '.join(schema.names)}{remedy}")


def _ids(text: str, paths: list[str | None]) -> tuple[str, ...]:
    """Return the images' paths, or their rows where not all have one.

    Raises:
        DataError: Two rows have the same path.
    """
    seen: dict[str, int] = {}
    for row, path in enumerate(as_ids("" if path is None else path for path in paths)):
        if path and seen.setdefault(path, row) != row:
            raise DataError(
                f"{text}: the image path {path!r} stands in row {seen[path]} and in row {row}; paths are the ids of "
                "images and must differ: rename them, or leave all of them empty, so that rows are the ids"
            )
    return tuple(seen) if len(seen) == len(paths) else tuple(f"row/{row:08d}" for row in range(len(paths)))


def _class_names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Read the names of the classes from the schema's metadata: `class_names`, or what the hub's library writes."""
    metadata = schema.metadata or {}
    try:
        if b"class_names" in metadata:
            return as_class_names(parse_json(metadata[b"class_names"], "class_names"))
        if b"huggingface" in metadata:
            return as_class_names(
                parse_json(metadata[b"huggingface"], "huggingface")["info"]["features"][label]["names"]
            )
    except (DataError, ValueError, KeyError, TypeError):
        # Metadata is free text: without names in the known form, the data does not say them.
        return None
    return None
