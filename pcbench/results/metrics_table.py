"""The tidy table of numbers, written and read. One row is one number about one thing at one timestep."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench import files
from pcbench.errors import DataError, damage_refused
from pcbench.escaping import csv_cell, from_csv_cell
from pcbench.limits.bounds import CSV_GROWTH, check_count
from pcbench.limits.tables import check_table
from pcbench.limits.text import read_bytes
from pcbench.names import IN_PATHS, fault_among
from pcbench.results.columns import METRICS_COLUMNS, Column

METRICS_VERSION = 2
_VERSION_KEY = b"pcbench_metrics_version"

_PANDAS_TYPES = {"string": "str", "bool": "boolean", "int8": "Int8", "int64": "Int64", "double": "float64"}
"""The types of columns as pandas calls them; a change would change the bytes of `metrics.parquet`."""

_ROW = 200
"""The bytes that a row takes beside its cells while the types of columns are changed."""

_CELLS = 1000
"""The largest number of cells in a line of CSV: pandas makes a column of each."""

_NUMBERS = ("value", "ci_low", "ci_high", "n", "share_of_pixel_range", "marks")
"""The columns that say what was found; a row is known by the others."""

_SUBSET_NOTE = " (subset, not comparable)"


def metrics_type(column: Column) -> str:
    """Return what pandas calls the type of a column of `Run.metrics`."""
    if column.type == pa.int16():
        return "Int16" if column.may_be_empty else "int16"
    return _PANDAS_TYPES[str(column.type)]


_TYPES = {name: metrics_type(column) for name, column in METRICS_COLUMNS.items()}


def subset_baseline(name: str) -> str:
    """Return what the column `baseline` holds where a CE or mCE is of fewer images than the suite has."""
    return f"{name}{_SUBSET_NOTE}"


def split_baseline(baseline: object) -> tuple[str, str]:
    """Return the name in the column `baseline`, and the note on what is not comparable; either may be empty."""
    written = baseline if isinstance(baseline, str) else ""
    name = written.removesuffix(_SUBSET_NOTE)
    return name, written[len(name) :]


def metrics_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return rows as a table with the columns and types of `metrics.csv`."""
    return typed(pd.DataFrame(rows, columns=list(METRICS_COLUMNS)))


def typed(table: pd.DataFrame, name: str = "a table of metrics", swept: Sequence[str] = ()) -> pd.DataFrame:
    """Return a table of metrics with every column of its own type, however it was read.

    Args:
        table: The table.
        name: What it is called in errors.
        swept: The hyperparameters that have a column each, after the model.

    Raises:
        DataError: A column is missing, foreign, or holds what it cannot hold.
    """
    first, *others = METRICS_COLUMNS
    columns = [first, *swept, *others]
    later = [name for name, column in METRICS_COLUMNS.items() if column.since > 1]
    if list(table.columns) == [name for name in columns if name not in later]:  # of the version before
        table = table.assign(**dict.fromkeys(later))
    if list(table.columns) != columns:
        raise DataError(f"{name}: a table of metrics has the columns {', '.join(columns)}; run it again")
    try:
        types = _TYPES | dict.fromkeys(swept, "float64")
        others = {name: kind for name, kind in types.items() if table[name].dtype != kind}
        made = table.assign(**{name: _converted(table[name], kind) for name, kind in others.items()})
    except (ValueError, TypeError, OverflowError) as problem:
        raise DataError(f"{name}: a value is of the wrong type ({problem}); run again") from problem
    for column in IN_PATHS:
        fault = fault_among(made[column].dropna().unique())
        if fault is not None:
            raise DataError(f"{name}: the column {column} {fault}; run again")
    return made


def _converted(column: pd.Series[Any], kind: str) -> pd.Series[Any]:
    # NumPy's own type would wrap 70,000 around to 4,464, and cut 1.5 off to 1.
    safe: Any = column.astype("Int16") if kind == "int16" else column
    return safe.astype(kind)


def write_metrics(table: pd.DataFrame, folder: Path) -> None:
    """Write a table of metrics as `metrics.parquet`, with its version, and the same as `metrics.csv`."""
    files.write(folder / "metrics.parquet", lambda unfinished: write_metrics_parquet(table, unfinished))
    files.write(folder / "metrics.csv", csv_frame(table).to_csv(index=False, lineterminator="\n"))


def csv_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as it stands in CSV: no text begins as a formula would; see `pcbench.escaping.csv_cell`."""
    return _with_texts(table, csv_cell)


def _with_texts(table: pd.DataFrame, form: Callable[[str], str]) -> pd.DataFrame:
    """Return a table with every text replaced by what a function makes of it."""

    def formed(cell: Any) -> Any:
        return form(cell) if isinstance(cell, str) else cell

    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{str(name): table[name].map(formed) for name in texts})


def write_metrics_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table of metrics as Parquet, its version in the metadata (`pcbench_metrics_version`)."""
    made = pa.Table.from_pandas(table, preserve_index=False)
    metadata: dict[bytes, bytes] = dict(made.schema.metadata or {})
    stamped = made.replace_schema_metadata(metadata | {_VERSION_KEY: str(METRICS_VERSION).encode()})
    pq.write_table(stamped, path)


def _read_parquet(path: Path) -> pd.DataFrame:
    check_table(path, path, row_bytes=_ROW)
    # Not `read_table`: from a folder such as `feedback=0`, some versions of pyarrow make a column.
    with pq.ParquetFile(path) as file:
        made = file.read()
    version = (made.schema.metadata or {}).get(_VERSION_KEY, b"none").decode()
    if version not in map(str, range(1, METRICS_VERSION + 1)):
        raise DataError(
            f"{path}: metrics of version {version}, this pcbench reads version {METRICS_VERSION}; run it again"
        )
    table: pd.DataFrame = made.to_pandas()
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    # Only an empty field is an empty field: a model may be called "None".
    content = read_bytes(path, CSV_GROWTH)
    check_count(path, "cells in a line", max((line.count(b",") for line in content.splitlines()), default=0), _CELLS)
    table = pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""])
    return _with_texts(table, from_csv_cell)


def read_metrics(path: Path, swept: Sequence[str] = ()) -> pd.DataFrame:
    """Read `metrics.csv` or `metrics.parquet`.

    Args:
        path: The file.
        swept: The hyperparameters that have a column each, after the model.

    Raises:
        DataError: It is missing, damaged, of an unknown version, or has other columns.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file; is {path.parent} a finished run?")
    with damage_refused(path, "cannot be read as a table of metrics", "run again", pa.ArrowException):
        table = typed(_read_parquet(path) if path.suffix == ".parquet" else _read_csv(path), str(path), swept)
    if (table["timestep"] < 0).any():
        raise DataError(f"{path}: a timestep is below 0; run again")
    twice = table[table.duplicated([name for name in table.columns if name not in _NUMBERS])]
    if len(twice):
        first = twice.iloc[0]
        raise DataError(
            f"{path}: {first['metric']} of {first['suite']} at t = {first['timestep']} stands there twice; run again"
        )
    return table
