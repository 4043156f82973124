"""The table of outcomes: one row an image x condition x timestep. Its columns, types and version.

Every Parquet file under a run's `outcomes/` has exactly this schema, with the version in its metadata.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench.errors import DataError
from pcbench.results.conditions import Condition

SCHEMA_VERSION = 2

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
    "audited": (pa.bool_(), "where it applies"),
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

_REPRESENTATION_COLUMNS: dict[str, _Column] = {
    "image_id": (pa.string(), "always"),
    "suite": (pa.string(), "always"),
    "name": (pa.string(), "always"),
    "severity": (pa.int8(), "always"),
    "epsilon": (pa.float64(), "always"),
    "timestep": (pa.int16(), "always"),
    "metric": (pa.string(), "always"),
    "pcoder": (pa.int16(), "where it applies"),
    "value": (pa.float64(), "always"),
}

REPRESENTATIONS = _schema(_REPRESENTATION_COLUMNS, "representations", 1)
"""One row an image x noise x timestep x metric x PCoder: what noise did to the network's states."""


def outcome_table(condition: Condition, columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of one condition.

    Args:
        condition: What the rows have in common.
        columns: The other columns by name, each of shape (rows,): `image_id`, `label`, `timestep`, `prediction`,
            `correct`, `confidence`, and where they apply `attacked`, `audited`, `success`,
            `success_within`,
            `smallest_broken_epsilon`, `perturbation_linf`, `perturbation_l2`, `queries`. A masked array is empty
            where it is masked; a column that is left out is empty throughout.
    """
    rows = len(columns["image_id"])
    common = dataclasses.asdict(condition)
    arrays: dict[str, Any] = {}
    for name, (kind, _) in _COLUMNS.items():
        if name in columns:
            values = columns[name]
            mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
            arrays[name] = pa.array(np.asarray(values), mask=mask).cast(kind)
        else:
            arrays[name] = pa.array([common.get(name)] * rows, type=kind)
    return pa.table(arrays).cast(OUTCOMES)


def representation_table(columns: Mapping[str, object]) -> pa.Table:
    """Return rows about representations.

    Args:
        columns: Every column of `REPRESENTATIONS` by name: an array of shape (rows,), or one value for all rows.
    """
    rows = len(np.asarray(columns["value"]))
    arrays: dict[str, Any] = {}
    for name, (kind, _) in _REPRESENTATION_COLUMNS.items():
        values: Any = columns[name]
        arrays[name] = pa.array(values if np.ndim(values) else [values] * rows, type=kind)
    return pa.table(arrays).cast(REPRESENTATIONS)


def write_outcomes(table: pa.Table, path: Path) -> None:
    """Write a table of outcomes; the file has its name only once it is whole."""
    write_table(table.cast(OUTCOMES), path)


def read_outcomes(path: Path) -> pa.Table:
    """Read one file of outcomes, checking its version and columns.

    Raises:
        DataError: The file is damaged, has no version or one that this pcbench does not know, or other columns.
    """
    return read_table(path, OUTCOMES, "outcomes")


def write_representations(table: pa.Table, path: Path) -> None:
    """Write a table about representations; the file has its name only once it is whole."""
    write_table(table.cast(REPRESENTATIONS), path)


def read_representations(path: Path) -> pa.Table:
    """Read one file about representations, checking its version and columns.

    Raises:
        DataError: As for outcomes.
    """
    return read_table(path, REPRESENTATIONS, "representations")


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table as Parquet; the file has its name only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(path)


def read_table(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read one Parquet file of a run, checking its version and columns.

    Args:
        path: The file.
        schema: What its columns have to be.
        what: What its rows are called, here and in the file's metadata.

    Raises:
        DataError: The file is damaged, has no version or one that this pcbench does not know, or other columns.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    key = _version_key(what)
    known = (schema.metadata or {})[key.encode()].decode()
    version = (table.schema.metadata or {}).get(key.encode(), b"none").decode()
    if version != known:
        raise DataError(f"{path}: {what} of version {version}, this pcbench reads version {known}; run it again")
    if table.schema.names != schema.names:
        raise DataError(f"{path}: its columns are not those of {what} version {known}; run it again")
    return table.cast(schema)
