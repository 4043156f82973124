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

SCHEMA_VERSION = 1

_COLUMNS: dict[str, tuple[pa.DataType, Literal["always", "where it applies"]]] = {
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
    "success": (pa.bool_(), "where it applies"),
    "success_within": (pa.bool_(), "where it applies"),
    "perturbation_linf": (pa.float32(), "where it applies"),
    "perturbation_l2": (pa.float32(), "where it applies"),
    "queries": (pa.int32(), "where it applies"),
}


def _schema() -> pa.Schema:
    fields: list[pa.Field[Any]] = []
    for name, (kind, presence) in _COLUMNS.items():
        stored = pa.dictionary(pa.int32(), pa.string()) if kind == pa.string() else kind
        fields.append(pa.field(name, stored, nullable=presence != "always"))
    return pa.schema(fields, metadata={"pcbench_outcomes_version": str(SCHEMA_VERSION)})


OUTCOMES = _schema()


@dataclasses.dataclass(frozen=True)
class Condition:
    """What was done to the images, apart from who is asked: the columns that are the same in a block of rows.

    Attributes:
        suite: Name of the suite.
        kind: ``"clean"``, ``"corruption"``, ``"noise"`` or ``"attack"``.
        name: Name of the corruption or attack; ``"clean"`` for clean images.
        severity: 1 to 5 for corruptions.
        norm: Norm of an attack's budget, such as ``"linf"``.
        epsilon: An attack's budget in [0,1] pixel units, or the standard deviation of a noise.
        targeted: Whether an attack aims at a class.
        gradient: ``"exact"`` or ``"stop_error"``, the gradient an attack takes.
        attacked_timestep: The timestep whose loss an attack takes.
    """

    suite: str
    kind: str
    name: str
    severity: int | None = None
    norm: str | None = None
    epsilon: float | None = None
    targeted: bool | None = None
    gradient: str | None = None
    attacked_timestep: int | None = None


def outcome_table(condition: Condition, columns: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Return the rows of one condition.

    Args:
        condition: What the rows have in common.
        columns: The other columns by name, each of shape (rows,): `image_id`, `label`, `timestep`, `prediction`,
            `correct`, `confidence`, and where they apply `attacked`, `success`, `success_within`,
            `perturbation_linf`, `perturbation_l2`, `queries`. A masked array is empty where it is masked; a column
            that is left out is empty throughout.
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


def write_outcomes(table: pa.Table, path: Path) -> None:
    """Write a table of outcomes; the file has its name only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    pq.write_table(table.cast(OUTCOMES), unfinished, compression="zstd")
    unfinished.replace(path)


def read_outcomes(path: Path) -> pa.Table:
    """Read one file of outcomes, checking its version and columns.

    Raises:
        DataError: The file is damaged, has no version or one that this pcbench does not know, or other columns.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    metadata = table.schema.metadata or {}
    version = metadata.get(b"pcbench_outcomes_version", b"none").decode()
    if version != str(SCHEMA_VERSION):
        raise DataError(
            f"{path}: outcomes of version {version}, this pcbench reads version {SCHEMA_VERSION}; run it again"
        )
    if table.schema.names != OUTCOMES.names:
        raise DataError(f"{path}: its columns are not those of outcomes version {SCHEMA_VERSION}; run it again")
    return table.cast(OUTCOMES)
