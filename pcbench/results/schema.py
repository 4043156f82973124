"""The tables that units of work make: schemas, versions, reading and writing.

The first of them is that of outcomes, one row per image x condition x timestep: every Parquet file under a run's
`outcomes/` has exactly this schema, with the version in its metadata. The same holds for the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench import files
from pcbench.errors import DataError, damage_refused
from pcbench.limits.bounds import file_size
from pcbench.limits.tables import check_table, check_texts
from pcbench.names import IN_PATHS, fault_among
from pcbench.results.columns import (
    ANSWERS_COLUMNS,
    EVIDENCE_COLUMNS,
    GROWTH_COLUMNS,
    IMAGES_COLUMNS,
    OUTCOMES_COLUMNS,
    OUTCOMES_VERSION,
    PICTURES_COLUMNS,
    PRECISION_COLUMNS,
    REPRESENTATIONS_COLUMNS,
    Column,
)
from pcbench.results.conditions import Condition

_FORMER_OUTCOMES = range(2, OUTCOMES_VERSION)
"""Versions of the table of outcomes that are read as well as today's."""


SMALL = 100_000
"""Up to how many rows a table is read by one thread: more would take longer to begin than it takes to read."""


def _version_key(what: str) -> str:
    return f"pcbench_{what}_version"


def _schema(columns: Mapping[str, Column], what: str, version: int) -> pa.Schema:
    fields: list[pa.Field[Any]] = []
    for name, column in columns.items():
        stored = pa.dictionary(pa.int32(), pa.string()) if column.type == pa.string() else column.type
        fields.append(pa.field(name, stored, nullable=column.may_be_empty))
    return pa.schema(fields, metadata={_version_key(what): str(version)})


OUTCOMES = _schema(OUTCOMES_COLUMNS, "outcomes", OUTCOMES_VERSION)
REPRESENTATIONS = _schema(REPRESENTATIONS_COLUMNS, "representations", 1)
EVIDENCE = _schema(EVIDENCE_COLUMNS, "evidence", 1)
GROWTH = _schema(GROWTH_COLUMNS, "growth", 1)
PRECISION = _schema(PRECISION_COLUMNS, "precision", 1)
PICTURES = _schema(PICTURES_COLUMNS, "pictures", 1)
ANSWERS = _schema(ANSWERS_COLUMNS, "answers", 1)
IMAGES = _schema(IMAGES_COLUMNS, "images", 1)

TABLES = {
    "outcomes": OUTCOMES,
    "representations": REPRESENTATIONS,
    "evidence": EVIDENCE,
    "growth": GROWTH,
    "precision": PRECISION,
    "pictures": PICTURES,
    "answers": ANSWERS,
    "images": IMAGES,
}
"""All schemas, by the name that stands in a file's metadata."""


def outcome_table(condition: Condition, columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of one condition.

    Args:
        condition: What the rows have in common.
        columns: The other columns by name, each of shape (rows,); see `pcbench.results.columns`. A masked array is
            empty where it is masked; a column that is left out is empty throughout.
    """
    common = {name: value for name, value in dataclasses.asdict(condition).items() if name not in columns}
    return made_table("outcomes", {**common, **columns})


def made_table(what: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return a table with the schema of its kind.

    Args:
        what: A name in `TABLES`.
        columns: By name, an array or list with a value for each row (masked where empty), or one value for all rows;
            a column that is left out is empty.
    """
    schema = TABLES[what]
    rows = next(len(values) for values in columns.values() if _is_column(values))
    arrays: dict[str, Any] = {}
    for name in schema.names:
        values: Any = columns.get(name)
        kind: Any = cast("Any", schema.field(name)).type
        plain = pa.string() if pa.types.is_dictionary(kind) else kind
        if type(values) in (np.ndarray, np.ma.MaskedArray):
            plain_values: npt.NDArray[Any] = np.asarray(values)
            arrays[name] = pa.array(plain_values, mask=_mask(values)).cast(plain)
        else:
            arrays[name] = pa.array(values if _is_column(values) else [values] * rows, type=plain)
    return pa.table(arrays).cast(schema)


def _mask(values: Any) -> npt.NDArray[np.bool_] | None:
    return np.ma.getmaskarray(values) if hasattr(values, "mask") else None


def _is_column(values: object) -> bool:
    return isinstance(values, (np.ndarray, list, tuple))


def joined(tables: Sequence[pa.Table], what: str) -> pa.Table:
    """Return tables of one kind as one, in their order."""
    schema = TABLES[what]
    return pa.concat_tables([table.cast(schema) for table in tables] or [schema.empty_table()]).unify_dictionaries()


def write_outcomes(table: pa.Table, path: Path) -> None:
    """Write a table of outcomes, whole or not at all."""
    write_table(table, path, "outcomes")


def read_outcomes(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one file of outcomes, checking its version and columns.

    A file of a former version is given the columns of today: names that have changed are today's, and columns that it
    does not have are empty.

    Args:
        path: The file.
        columns: Which columns to read; None reads all.

    Raises:
        DataError: The file is damaged, has no version or one that this pcbench does not know, or other columns.
    """
    return read_table(path, "outcomes", columns)


def write_table(table: pa.Table, path: Path, what: str) -> None:
    """Write a table as Parquet, whole or not at all.

    Args:
        table: The table.
        path: The file.
        what: Its kind, a name in `TABLES`.
    """
    made = table.cast(TABLES[what])
    files.write(path, lambda unfinished: pq.write_table(made, unfinished, compression="zstd"))


def read_table(path: Path, what: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one Parquet file of a run, checking its version and columns.

    Args:
        path: The file.
        what: What its rows are, a name in `TABLES`.
        columns: Which columns to read; None reads all.

    Raises:
        DataError: The file is damaged, has no version or one that this pcbench does not know, or other columns.
    """
    schema = TABLES[what] if columns is None else _part_of(TABLES[what], columns)
    key = _version_key(what)
    known = (schema.metadata or {})[key.encode()].decode()
    with damage_refused(path, "cannot be read as Parquet", "run it again", pa.ArrowException):
        with pq.ParquetFile(path) as file:
            stored = file.schema_arrow
            version = (stored.metadata or {}).get(key.encode(), b"none").decode()
            former = what == "outcomes" and version in map(str, _FORMER_OUTCOMES)
            if version != known and not former:
                raise DataError(
                    f"{path}: {what} of version {version}, this pcbench reads version {known}; run it again"
                )
            names = _former_names(int(version)) if former else {name: name for name in TABLES[what].names}
            if sorted(stored.names) != sorted(names):
                raise DataError(f"{path}: its columns are not those of {what} version {version}; run it again")
            wanted = [name for name, today in names.items() if today in schema.names]
            # Each column that a former version does not have is made of eight bytes a row.
            made_up = 8 * (len(schema.names) - len(wanted))
            check_table(path, path, wanted, row_bytes=made_up, kept=True, opened=file)
            table = file.read(
                columns=None if len(wanted) == len(names) else wanted,
                use_threads=file.metadata.num_rows > SMALL,
            )
        check_texts(table, path, file_size(path))
        table = table.rename_columns([names[name] for name in table.column_names])
        _check_names(table, path)
        for name in schema.names:
            if name not in table.column_names:
                kind: Any = cast("Any", schema.field(name)).type
                empty = cast("Any", pa.nulls)(table.num_rows, kind)
                table = table.append_column(name, empty)
        made = table.select(schema.names).cast(schema)
        made.validate(full=True)
    return made


def _check_names(table: pa.Table, path: Path) -> None:
    """Refuse names that cannot be those of folders and files, which later tables and reports are named by."""
    for column in IN_PATHS:
        if column in table.column_names:
            fault = fault_among(table.column(column).unique().to_pylist())
            if fault is not None:
                raise DataError(f"{path}: the column {column} {fault}")


def _part_of(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    fields: list[Any] = [schema.field(name) for name in schema.names if name in columns]
    return pa.schema(fields).with_metadata(schema.metadata or {})


def _former_names(version: int) -> dict[str, str]:
    """Return the columns of a former version of the outcomes, and what they are called today."""
    names: dict[str, str] = {}
    for name, column in OUTCOMES_COLUMNS.items():
        if column.since <= version:
            names[name] = name
        elif column.former_name is not None:
            names[column.former_name] = name
    return names
