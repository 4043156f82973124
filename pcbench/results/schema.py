"""The tables that units of work make: their columns, types and versions.

The first of them is that of outcomes, one row an image x condition x timestep: every Parquet file under a run's
`outcomes/` has exactly this schema, with the version in its metadata. The others are likewise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench import files
from pcbench.errors import DataError
from pcbench.results.conditions import Condition

SCHEMA_VERSION = 3

_FORMER_NAMES = {"2": {"audited": "spot_checked"}}
"""Former versions of the table of outcomes that are still read, and what their columns are called today."""

_NEW: frozenset[str] = frozenset()
"""Columns that former versions do not have."""

_Column = tuple[pa.DataType, Literal["always", "where it applies"]]

_COLUMNS: dict[str, _Column] = {
    "image_id": (pa.string(), "always"),
    "label": (pa.int32(), "always"),
    "suite": (pa.string(), "always"),
    "kind": (pa.string(), "always"),
    "name": (pa.string(), "always"),
    "severity": (pa.int8(), "where it applies"),
    "norm": (pa.string(), "where it applies"),
    "epsilon": (pa.float64(), "where it applies"),
    "targeted": (pa.bool_(), "where it applies"),
    "gradient": (pa.string(), "where it applies"),
    "attacked_timestep": (pa.int16(), "where it applies"),
    "timestep": (pa.int16(), "always"),
    "prediction": (pa.int32(), "always"),
    "correct": (pa.bool_(), "always"),
    "confidence": (pa.float32(), "always"),
    "attacked": (pa.bool_(), "where it applies"),
    "spot_checked": (pa.bool_(), "where it applies"),
    "success": (pa.bool_(), "where it applies"),
    "success_within": (pa.bool_(), "where it applies"),
    "smallest_broken_epsilon": (pa.float64(), "where it applies"),
    "perturbation_linf": (pa.float32(), "where it applies"),
    "perturbation_l2": (pa.float32(), "where it applies"),
    "queries": (pa.int32(), "where it applies"),
}


def _version_key(what: str) -> str:
    return f"pcbench_{what}_version"


def _schema(columns: Mapping[str, _Column], what: str, version: int) -> pa.Schema:
    fields: list[pa.Field[Any]] = []
    for name, (kind, presence) in columns.items():
        stored = pa.dictionary(pa.int32(), pa.string()) if kind == pa.string() else kind
        fields.append(pa.field(name, stored, nullable=presence != "always"))
    return pa.schema(fields, metadata={_version_key(what): str(version)})


OUTCOMES = _schema(_COLUMNS, "outcomes", SCHEMA_VERSION)
"""One row an image x condition x timestep: what the network answered."""

REPRESENTATIONS = _schema(
    {
        "image_id": (pa.string(), "always"),
        "suite": (pa.string(), "always"),
        "name": (pa.string(), "always"),
        "severity": (pa.int8(), "always"),
        "epsilon": (pa.float64(), "always"),
        "timestep": (pa.int16(), "always"),
        "metric": (pa.string(), "always"),
        "pcoder": (pa.int16(), "where it applies"),
        "value": (pa.float64(), "always"),
    },
    "representations",
    1,
)
"""One row an image x noise x timestep x metric x PCoder: what noise did to the network's states."""

EVIDENCE = _schema(
    {
        "image_id": (pa.string(), "always"),
        "suite": (pa.string(), "always"),
        "check": (pa.string(), "always"),
        "attacked_timestep": (pa.int16(), "always"),
        "timestep": (pa.int16(), "always"),
        "metric": (pa.string(), "always"),
        "value": (pa.float64(), "always"),
        "epsilon": (pa.float64(), "always"),
    },
    "evidence",
    1,
)
"""One row an image x check x timestep x metric: what the verdict on an attack's gradients is made of."""

GROWTH = _schema(
    {
        "image_id": (pa.string(), "always"),
        "timestep": (pa.int16(), "always"),
        "pcoder": (pa.int16(), "always"),
        "magnitude": (pa.float64(), "always"),
    },
    "growth",
    1,
)
"""One row an image x timestep x PCoder: the root mean square of a representation of the clean image."""

PICTURES = _schema(
    {
        "image_id": (pa.string(), "always"),
        "label": (pa.string(), "always"),
        "number": (pa.int16(), "always"),
        "kind": (pa.string(), "always"),
        "title": (pa.string(), "always"),
        "timestep": (pa.int16(), "where it applies"),
        "predictions": (pa.string(), "always"),
        "png": (pa.binary(), "always"),
    },
    "pictures",
    1,
)
"""One row an example image x picture of it, with the file itself; `predictions` is JSON."""

ANSWERS = _schema(
    {
        "image_id": (pa.string(), "always"),
        "timestep": (pa.int16(), "always"),
        "class": (pa.int32(), "always"),
        "logit": (pa.float64(), "always"),
    },
    "answers",
    1,
)
"""One row an image x timestep x class: by these a network of the user's own is recognised."""

IMAGES = _schema(
    {"image_id": (pa.string(), "always"), "label": (pa.int32(), "always"), "sha256": (pa.binary(), "always")},
    "images",
    1,
)
"""One row an image that a run is on, with the hash of its stored bytes, in the source's order."""

TABLES = {
    "outcomes": OUTCOMES,
    "representations": REPRESENTATIONS,
    "evidence": EVIDENCE,
    "growth": GROWTH,
    "pictures": PICTURES,
    "answers": ANSWERS,
    "images": IMAGES,
}
"""All schemas, by the name that stands in a file's metadata."""


def outcome_table(condition: Condition, columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of one condition.

    Args:
        condition: What the rows have in common.
        columns: The other columns by name, each of shape (rows,): `image_id`, `label`, `timestep`, `prediction`,
            `correct`, `confidence`, and where they apply `attacked`, `spot_checked`, `success`,
            `success_within`,
            `smallest_broken_epsilon`, `perturbation_linf`, `perturbation_l2`, `queries`. A masked array is empty
            where it is masked; a column that is left out is empty throughout.
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
    try:
        stored = pq.read_schema(path)
        version = (stored.metadata or {}).get(key.encode(), b"none").decode()
        former = _FORMER_NAMES.get(version) if what == "outcomes" else None
        if version != known and former is None:
            raise DataError(f"{path}: {what} of version {version}, this pcbench reads version {known}; run it again")
        names = {name: (former or {}).get(name, name) for name in stored.names}
        if set(names.values()) != set(_names_of(what, former)):
            raise DataError(f"{path}: its columns are not those of {what} version {version}; run it again")
        table = pq.read_table(path, columns=[name for name, today in names.items() if today in schema.names])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    table = table.rename_columns([names[name] for name in table.column_names])
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _part_of(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name in columns], metadata=schema.metadata)


def _names_of(what: str, former: Mapping[str, str] | None) -> list[str]:
    """Return the columns that a file must have, by today's names."""
    return [name for name in TABLES[what].names if former is None or name not in _NEW]
