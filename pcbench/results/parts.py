"""Parts: what units of work leave behind, one file each, from which a run's tables are made when all are there.

A file is a line with a checksum over all that follows it, a line of JSON that says whose part it is, the table as
Parquet, and the bytes of the files that belong to it. So a table and its side files are replaced together, and a part
that was cut, changed, or made by another run is not taken for this run's.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pcbench import files
from pcbench.errors import DataError, damage_refused
from pcbench.limits.tables import check_table, check_texts
from pcbench.limits.text import parse_json

ENDING = ".part"
_REMEDY = "delete it, and it is computed again"
PART_FORMAT = "pcbench part 1"
_FEW_ROWS = 1000


class PartError(DataError):
    """A file of an unfinished run is not the part that it should be.

    What to do: delete it, and it is computed again.
    """


@dataclass(frozen=True)
class Part:
    """What a unit of work made."""

    table: pa.Table
    """Its rows."""
    machine: str
    """The kind of CPU or GPU that computed it."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """Files that belong to it, by name."""


def write_part(path: Path, part: Part, *, key: str, unit: str) -> None:
    """Write a part, whole or not at all.

    Args:
        path: The file.
        part: The part.
        key: Key of the run that it belongs to.
        unit: Path of the unit that made it.

    Raises:
        WriteError: It cannot be written.
    """
    table = to_parquet(part.table)
    header = {
        "key": key,
        "unit": unit,
        "machine": part.machine,
        "table": len(table),
        "files": {name: len(content) for name, content in part.files.items()},
    }
    body = b"".join([json.dumps(header).encode(), b"\n", table, *part.files.values()])
    files.write(path, f"{PART_FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body)


def read_part(path: Path, *, key: str, unit: str, schema: pa.Schema | None = None) -> Part:
    """Read a part and check that it is whole and belongs where it lies.

    Args:
        path: The file.
        key: Key of the run that it must belong to.
        unit: The unit that must have made it.
        schema: What its columns have to be; None takes them as they are.

    Raises:
        PartError: It is missing, empty, cut, changed, or another run's or unit's.
    """
    header, body = _checked(path)
    if header.get("key") != key:
        raise PartError(f"{path}: is a part of another run (key {header.get('key')}, not {key})")
    if header.get("unit") != unit:
        raise PartError(f"{path}: is the part of another unit ({header.get('unit')}, not {unit})")
    with damage_refused(path, "cannot be read", _REMEDY, pa.ArrowException, kind=PartError):
        end = int(header["table"])
        table = from_parquet(body[:end], path)
        held: dict[str, bytes] = {}
        for name, size in header["files"].items():
            held[name] = body[end : end + size]
            end += size
        if schema is not None:
            table = table.cast(schema)
        return Part(table, str(header["machine"]), held)


def part_machine(path: Path) -> str:
    """Return the kind of machine that made a part, for one that `read_part` would accept.

    Raises:
        PartError: The file is not a part, or a damaged one.
    """
    return str(_checked(path)[0].get("machine"))


def _checked(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return header and body of a part whose checksum is right."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PartError(f"{path}: cannot be read ({error.strerror})") from error
    line, _, body = content.partition(b"\n")
    if line != f"{PART_FORMAT} {hashlib.sha256(body).hexdigest()}".encode():
        what = "is empty" if not content else "is cut or changed"
        raise PartError(f"{path}: {what} (its checksum does not fit)")
    header, _, rest = body.partition(b"\n")
    try:
        found: Any = parse_json(header, path)
    except (DataError, ValueError) as error:
        raise PartError(f"{path}: is cut or changed (it does not say whose part it is)") from error
    if not isinstance(found, dict):
        raise PartError(f"{path}: does not say whose part it is")
    return cast("dict[str, Any]", found), rest


def from_parquet(content: bytes, place: Path | str) -> pa.Table:
    """Return a table from the bytes that `to_parquet` made, or that a part holds.

    Args:
        content: The bytes.
        place: What they are called in messages.

    Raises:
        DataError: It would take more memory than is allowed.
    """
    footer = check_table(content, place, kept=True)
    # A part is small: threads would take longer to begin than it takes to read.
    table = pq.ParquetFile(pa.BufferReader(content), metadata=footer).read(use_threads=False)
    check_texts(table, place, len(content))
    return table


def to_parquet(table: pa.Table) -> bytes:
    """Return a table as the bytes of a Parquet file, which is read once or twice and then deleted."""
    buffer = io.BytesIO()
    # Of a small table, making it smaller takes longer than all else that is done to it.
    compression = "zstd" if table.num_rows > _FEW_ROWS else "none"
    pq.write_table(table, buffer, compression=compression, write_statistics=False)
    return buffer.getvalue()
