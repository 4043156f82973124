"""The tidy table of numbers: its columns and their types. One row is one number about one thing at one timestep."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pcbench.errors import DataError

METRICS_VERSION = 1

METRICS_COLUMNS: dict[str, str] = {
    "model": "str",
    "suite": "str",
    "kind": "str",
    "name": "str",
    "severity": "Int8",
    "norm": "str",
    "epsilon": "float64",
    "targeted": "boolean",
    "gradient": "str",
    "attacked_timestep": "Int16",
    "timestep": "int16",
    "baseline": "str",
    "metric": "str",
    "value": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "n": "Int64",
}
"""The columns of `metrics.csv` and `metrics.parquet`, in order, with their pandas types."""

SUBSET_NOTE = " (subset, not comparable)"
"""What the name of a baseline is followed by where a CE or mCE is of fewer images than the suite has."""


def metrics_table(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return rows as a table with the columns and types of `metrics.csv`."""
    return typed(pd.DataFrame(rows, columns=list(METRICS_COLUMNS)))


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of metrics with every column of its own type, however it was read.

    Raises:
        DataError: A column is missing, foreign, or holds what it cannot hold.
    """
    if list(table.columns) != list(METRICS_COLUMNS):
        raise DataError(f"a table of metrics has the columns {', '.join(METRICS_COLUMNS)}; run again to make it anew")
    try:
        return table.astype(METRICS_COLUMNS)  # pyright: ignore[reportArgumentType] (the stubs know no dict of names)
    except (ValueError, TypeError) as problem:
        raise DataError(f"a table of metrics with a value of the wrong type ({problem}); run again") from problem


def _read_csv(path: Path) -> pd.DataFrame:
    # Only an empty field is an empty field: a model may be called "None".
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def read_metrics(path: Path) -> pd.DataFrame:
    """Read `metrics.csv` or `metrics.parquet`.

    Raises:
        DataError: It is missing, damaged, or has other columns.
    """
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; is {path.parent} a finished run?") from None
    except (OSError, ValueError) as problem:
        raise DataError(f"{path}: cannot be read as a table ({problem})") from problem
    return typed(table)
