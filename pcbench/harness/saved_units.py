"""Units of work as a table, so that a plan can be kept in a file and read again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pcbench import files
from pcbench.harness import work
from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import Passes
from pcbench.limits.tables import check_table
from pcbench.results.conditions import Condition, slug

_CONDITION = {
    "suite": pa.string(),
    "kind": pa.string(),
    "name": pa.string(),
    "severity": pa.int64(),
    "norm": pa.string(),
    "epsilon": pa.float64(),
    "targeted": pa.bool_(),
    "gradient": pa.string(),
    "attacked_timestep": pa.int64(),
}
_BLOCK = {
    "number": pa.int64(),
    "of": pa.int64(),
    "start": pa.int64(),
    "stop": pa.int64(),
    "sha256": pa.string(),
}
_PASSES = {
    "forward": pa.float64(),
    "gradients": pa.float64(),
    "usual": pa.float64(),
}
_UNIT = {
    "work": pa.string(),
    "after": pa.list_(pa.field("element", pa.string())),
    "detail": pa.string(),
}
_ROW = 2000
"""The bytes that a unit takes as a Python object."""
UNITS_VERSION = 1
_VERSION: dict[bytes | str, bytes | str] = {"pcbench_units_version": str(UNITS_VERSION)}
_SCHEMA = pa.schema({**_UNIT, **_PASSES, **_CONDITION, **_BLOCK}, metadata=_VERSION)
_WITH_SETTINGS = pa.schema({**_UNIT, "setting": pa.string(), **_PASSES, **_CONDITION, **_BLOCK}, metadata=_VERSION)
"""Of the units of a run with several settings of hyperparameters."""


def unit_row(unit: Unit) -> dict[str, Any]:
    """Return a unit as a row: one value a column."""
    return {
        **dataclasses.asdict(unit.condition),
        **dataclasses.asdict(unit.block),
        **{name: float(value) for name, value in dataclasses.asdict(unit.passes).items()},
        "work": unit.work,
        "after": list(unit.after),
        "detail": unit.detail,
        **({"setting": unit.setting} if unit.setting else {}),
    }


def unit_from(row: Mapping[str, Any]) -> Unit:
    """Return the unit of a row.

    Raises:
        KeyError: A column is missing.
    """
    condition = Condition(**{name: row[name] for name in _CONDITION})
    block = Block(**{name: row[name] for name in _BLOCK})
    passes = Passes(**{name: row[name] for name in _PASSES})
    return Unit(row["work"], condition, block, passes, tuple(row["after"]), row["detail"], row.get("setting", ""))


def units_sha256(units: Sequence[Unit]) -> str:
    """Return a hash over units with their costs: shares of equal units are equal."""
    digest = hashlib.sha256()
    for unit in units:
        digest.update(json.dumps(unit_row(unit), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def write_units(units: Sequence[Unit], path: Path) -> None:
    """Write units as Parquet, whole or not at all."""
    rows = [unit_row(unit) for unit in units]
    schema = _WITH_SETTINGS if any(unit.setting for unit in units) else _SCHEMA
    table = pa.table({name: [row.get(name, "") for row in rows] for name in schema.names}, schema=schema)
    files.write(path, lambda unfinished: pq.write_table(table, unfinished, compression="zstd"))


def read_units(path: Path) -> tuple[Unit, ...]:
    """Read units.

    Raises:
        ValueError: The table has other columns.
        DataError: It would take more memory than allowed.
        ArrowException: The file is damaged.
    """
    check_table(path, path, row_bytes=_ROW)
    with pq.ParquetFile(path) as file:
        table = file.read()
    if not any(table.schema.equals(schema, check_metadata=True) for schema in (_SCHEMA, _WITH_SETTINGS)):
        raise ValueError("its units are of another version")
    return tuple(unit_from(row) for row in table.to_pylist())


def check_units(units: Sequence[Unit], suites: Collection[str]) -> None:
    """Refuse units that no plan can hold: they name files and code.

    Args:
        units: The units, each after those that it needs.
        suites: The suites of the run.

    Raises:
        ValueError: One is wrong.
    """
    known = {path.stem for path in Path(str(work.__file__)).parent.glob("*.py")} - {"__init__"}
    paths: set[str] = set()
    for unit in units:
        block = unit.block
        names = (slug(unit.condition.suite), slug(unit.condition.name), unit.detail or "none")
        if unit.work not in known or unit.condition.suite not in suites:
            raise ValueError(f"the unit {unit.path} is of no known work or suite")
        if not 0 <= block.start < block.stop or not 0 <= block.number < block.of or not 0 <= unit.cost < float("inf"):
            raise ValueError(f"the unit {unit.path} has an impossible block or cost")
        if unit.path in paths or not paths.issuperset(unit.after) or any(part in (".", "..", "") for part in names):
            raise ValueError(f"the unit {unit.path} is there twice, misnamed, or before what it needs")
        if "/" in unit.detail or "/" in unit.setting or unit.setting in (".", ".."):
            raise ValueError(f"the unit {unit.path} is misnamed")
        paths.add(unit.path)
