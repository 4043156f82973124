"""Small files that claim, or unpack to, more than a machine holds; each is made without holding what it claims."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from pcbench.harness.saved_units import _SCHEMA as UNITS
from pcbench.results.columns import METRICS_COLUMNS
from pcbench.results.parts import Part, write_part
from pcbench.results.schema import OUTCOMES, made_table

_MEGABYTE = 2**20


def _outcomes(rows: int) -> pa.Table:
    common = {"suite": "s", "kind": "clean", "name": "clean", "label": 0, "timestep": 0, "prediction": 0}
    return made_table("outcomes", {"image_id": ["a"] * rows, **common, "correct": True, "confidence": 1.0})


def many_rows(path: Path) -> None:
    """Write outcomes of 2 million equal rows."""
    table = _outcomes(200_000)
    with pq.ParquetWriter(path, OUTCOMES, compression="zstd") as writer:
        for _ in range(10):
            writer.write_table(table)


def long_name(path: Path) -> None:
    """Write outcomes of 200,000 rows that share an id of a megabyte, which stands once in the dictionary."""
    names = pa.DictionaryArray.from_arrays(np.zeros(200_000, dtype=np.int32), pa.array(["x" * _MEGABYTE]))
    table = _outcomes(200_000)
    pq.write_table(table.set_column(0, OUTCOMES.field(0), names).cast(OUTCOMES), path, compression="zstd")


def long_model(path: Path) -> None:
    """Write a table of metrics whose 100,000 rows share a model's name of a megabyte."""
    rows = 100_000
    columns: dict[str, Any] = {name: pa.nulls(rows, column.type) for name, column in METRICS_COLUMNS.items()}
    columns["model"] = pa.DictionaryArray.from_arrays(np.zeros(rows, dtype=np.int32), pa.array(["x" * _MEGABYTE]))
    table = pa.table(columns).replace_schema_metadata({"pcbench_metrics_version": "1"})
    pq.write_table(table, path, store_schema=False)


def long_name_in_part(path: Path) -> None:
    """Write a part, its checksum right, whose rows share an id of a megabyte."""
    long_name(path.with_suffix(".parquet"))
    write_part(path, Part(pq.read_table(path.with_suffix(".parquet")), "cpu"), key="k", unit="u")


def many_units(path: Path) -> None:
    """Write a million equal units: each would be a dictionary of Python."""
    table = pa.table({field.name: pa.nulls(1_000_000, field.type) for field in UNITS}, schema=UNITS)
    pq.write_table(table, path)


def many_needs(path: Path) -> None:
    """Write one unit that comes after 10 million others, all of one name."""
    _one_unit(path, 10_000_000, "x")


def long_needs(path: Path) -> None:
    """Write one unit that comes after 500,000 others, all of one name of 5,000 letters."""
    _one_unit(path, 500_000, "x" * 5000)


def _one_unit(path: Path, needs: int, name: str) -> None:
    table = pa.table({field.name: pa.nulls(1, field.type) for field in UNITS}, schema=UNITS)
    names = pa.DictionaryArray.from_arrays(np.zeros(needs, dtype=np.int8), pa.array([name]))
    after = pa.ListArray.from_arrays(pa.array([0, needs], pa.int32()), names)
    pq.write_table(table.set_column(1, "after", after), path, store_schema=False)


def false_footer(path: Path) -> None:
    """Write a column with a page of 120 MB of zeros, of which the footer says that it has a million rows."""
    rows = 15_000_000
    zeros = pa.Array.from_buffers(pa.float64(), rows, [None, _zeros(path, 8 * rows)])
    table = pa.table({"value": zeros}).replace_schema_metadata({"pcbench_metrics_version": "1"})
    held = path.with_suffix(".held")
    options: dict[str, Any] = {"use_dictionary": False, "write_statistics": False, "data_page_size": 2**31 - 1}
    try:
        pq.write_table(table, held, compression="zstd", row_group_size=rows, max_rows_per_page=rows, **options)
    except TypeError:  # an older pyarrow ends no page by its rows
        pq.write_table(table, held, compression="zstd", row_group_size=rows, **options)
    path.write_bytes(_with_small_footer(held.read_bytes()))
    held.unlink()


def _zeros(beside: Path, size: int) -> pa.Buffer:
    """Map zeros from a file that takes no space."""
    file = beside.with_suffix(".zeros")
    with file.open("wb") as stream:
        stream.truncate(size)
    return pa.memory_map(str(file)).read_buffer()


def _with_small_footer(content: bytes) -> bytes:
    """Replace what the footer says of rows and bytes by the smallest numbers that have the same length there."""
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:]
    group = pq.ParquetFile(pa.BufferReader(content)).metadata.row_group(0)
    for number in (group.num_rows, group.total_byte_size, group.column(0).total_uncompressed_size):
        written = _varint(2 * number)
        footer = footer.replace(written, _varint(2 ** (7 * (len(written) - 1))))
    return content[:start] + footer


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def many_images(path: Path) -> None:
    """Write 20 million images that are not there, with the label 0."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = 200_000
    table = pa.table({"image": pa.nulls(rows, kind), "label": np.zeros(rows, dtype=np.int64)})
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(100):
            writer.write_table(table)


def one_image(path: Path) -> None:
    """Write 2,000 images in one row group that are the same megabyte."""
    same = pa.DictionaryArray.from_arrays(np.zeros(2000, dtype=np.int32), pa.array([bytes(_MEGABYTE)]))
    paths = pa.array([f"{row}.png" for row in range(2000)])
    image = pa.StructArray.from_arrays([same, paths], ["bytes", "path"])
    pq.write_table(pa.table({"image": image, "label": np.zeros(2000, dtype=np.int64)}), path, store_schema=False)


def _deflated(size: int, start: bytes = b"") -> bytes:
    """Return some bytes and then zeros, deflated: one packed megabyte, many times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return content + block * (size // _MEGABYTE) + packer.flush()


def _archive(path: Path, members: dict[str, tuple[bytes, int]]) -> None:
    """Write an archive of members that are deflated already, each with the size that it claims."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, (content, _) in members.items():
            archive.writestr(name, content)
        places = {member.filename: member.header_offset for member in archive.infolist()}
    whole = bytearray(path.read_bytes())
    listed = whole.index(b"PK\x01\x02")
    for name, (_, size) in members.items():
        struct.pack_into("<H", whole, places[name] + 8, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", whole, places[name] + 22, size)
        struct.pack_into("<H", whole, listed + 10, zipfile.ZIP_DEFLATED)
        struct.pack_into("<I", whole, listed + 24, size)
        listed += 46 + len(name)
    path.write_bytes(whole)


def _npy(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def packed_zeros(path: Path) -> None:
    """Write a NumPy archive of 4 MB whose array has 4 GB."""
    size = 4000 * _MEGABYTE
    header = _npy((size,))
    _archive(path, {"header.npy": (_deflated(size, header), size + len(header))})


def false_list(path: Path) -> None:
    """Write a NumPy archive whose list says a megabyte, and whose array 10^12."""
    _archive(path, {"header.npy": (_deflated(_MEGABYTE, _npy((10**12,))), 10**6)})


def packed_checkpoint(path: Path) -> None:
    """Write a PyTorch checkpoint of 4 MB that unpacks to 4 GB."""
    size = 4000 * _MEGABYTE
    held = path.with_suffix(".held")
    torch.save({"weight": torch.zeros(1)}, held)
    with zipfile.ZipFile(held) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    packed = {name: (_raw(content), len(content)) for name, content in members.items()}
    packed[next(name for name in packed if name.endswith("data/0"))] = (_deflated(size), size)
    _archive(path, packed)


def two_lists(path: Path) -> None:
    """Write a checkpoint of 4 GB whose list, where PyTorch looks for it, is not the one at its end."""
    packed_checkpoint(path)
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02", whole.rindex(b"PK\x03\x04"))
    harmless = bytearray(whole[start:])
    place = harmless.index(struct.pack("<I", 4000 * _MEGABYTE))
    struct.pack_into("<I", harmless, place, 4)
    path.write_bytes(whole[: whole.rindex(b"PK\x05\x06")] + harmless)


def _raw(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def claimed_header(path: Path) -> None:
    """Write a safetensors file whose header has 10^12 bytes, as it says."""
    path.write_bytes(struct.pack("<Q", 10**12) + b"{}")


def claimed_tensor(path: Path) -> None:
    """Write a safetensors file with a tensor of 10^12 bytes that is not there."""
    about = {"predictors.0.weight": {"dtype": "U8", "shape": [10**12], "data_offsets": [0, 10**12]}}
    content = json.dumps(about).encode()
    path.write_bytes(struct.pack("<Q", len(content)) + content)


def long_header(path: Path) -> None:
    """Write a safetensors file with a header of 40 MB."""
    content = b'{"__metadata__": {' + b'"a": "", ' * 4_000_000 + b'"a": ""}}'
    path.write_bytes(struct.pack("<Q", len(content)) + content)


def nested_json(path: Path) -> None:
    """Write 100,000 lists in each other."""
    path.write_bytes(b"[" * 100_000 + b"]" * 100_000)


def many_lists(path: Path) -> None:
    """Write JSON of 40 MB that becomes 20 million lists."""
    path.write_bytes(b"[" + b"[]," * 13_000_000 + b"[]]")


def many_mistakes(path: Path) -> None:
    """Write JSON of 10 MB whose every value lacks what it needs: an error would be told of each."""
    path.write_bytes(b"[" + b"{}," * 3_300_000 + b"{}]")


def nested_toml(path: Path) -> None:
    """Write a TOML file of 20,000 lists in each other."""
    path.write_text(f"a = {'[' * 20_000}{']' * 20_000}")


def long_key(path: Path) -> None:
    """Write a TOML file of one key with 100,000 parts, which takes the parser minutes."""
    path.write_text(".".join(["a"] * 100_000) + " = 1")


def long_toml(path: Path) -> None:
    """Write a TOML file of 300 kB."""
    path.write_text("# a remark\n" * 30_000)


def wide_csv(path: Path) -> None:
    """Write a line of ten million empty cells."""
    path.write_bytes(b"," * 10_000_000 + b"\n")


def long_csv(path: Path) -> None:
    """Write 40 MB of empty rows."""
    line = b"," * (len(METRICS_COLUMNS) - 1) + b"\n"
    path.write_bytes(",".join(METRICS_COLUMNS).encode() + b"\n" + line * 2_500_000)


def black_square(path: Path) -> None:
    """Write a PNG of 60,000 x 60,000 black pixels."""
    path.write_bytes(_png(60_000))


def smaller_square(path: Path) -> None:
    """Write a PNG of 13,000 x 13,000 black pixels, which Pillow takes without a word."""
    path.write_bytes(_png(13_000))


def _png(side: int) -> bytes:
    pixels = _deflated(side * (3 * side + 1))
    pixels = b"\x78\xda" + pixels + bytes(4)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held)) for kind, held in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def empty_tiles(path: Path) -> None:
    """Write a JPEG 2000 file of 162 bytes that decodes to 177 megapixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG2000", no_jp2=True)
    content = bytearray(buffer.getvalue())
    start = content.index(b"\xff\x51")
    for place in (6, 22):
        struct.pack_into(">II", content, start + place, 13_300, 13_300)
    path.write_bytes(content)


BOMBS: dict[str, tuple[str, str, Callable[[Path], None], str]] = {
    "rows": ("outcomes", "clean.parquet", many_rows, "its columns would take"),
    "name": ("outcomes", "name.parquet", long_name, "the texts in its columns would take 209.7 GB"),
    "model": ("metrics", "metrics.parquet", long_model, "the texts in its columns would take 104.9 GB"),
    "false footer": ("metrics", "footer.parquet", false_footer, "its columns would take 449.7 MB"),
    "part": ("part", "a.part", long_name_in_part, "the texts in its columns would take 209.7 GB"),
    "units": ("units", "units.parquet", many_units, "the 1,000,000 rows that it claims would take"),
    "needs": ("units", "needs.parquet", many_needs, "its columns would take 320"),
    "long needs": ("units", "long.parquet", long_needs, "the texts in its columns would take 2.5"),
    "images": ("images", "test.parquet", many_images, "the 20,000,000 rows that it claims would take"),
    "image": ("images", "one.parquet", one_image, "the texts in its columns would take"),
    "zeros": ("reference", "zeros.npz", packed_zeros, "its arrays would take"),
    "list": ("reference", "list.npz", false_list, "does not have the size of its file"),
    "checkpoint": ("weights", "zeros.pth", packed_checkpoint, "its members would take"),
    "two lists": ("weights", "lists.pth", two_lists, "its list of members is not where it says"),
    "claimed header": ("weights", "header.safetensors", claimed_header, "is not a readable safetensors file"),
    "claimed tensor": ("weights", "tensor.safetensors", claimed_tensor, "is not a readable safetensors file"),
    "long header": ("weights", "long.safetensors", long_header, "its header would take"),
    "saved images": ("adversarials", "adversarials.safetensors", long_header, "its header would take"),
    "nested manifest": ("manifest", "nested/manifest.json", nested_json, "is nested more than 64 levels deep"),
    "manifest": ("manifest", "lists/manifest.json", many_lists, "is a text of 39 MB, and at most 15.62 MB are read"),
    "plan": ("plan", "plan/plan.json", many_lists, "is a text of 39 MB"),
    "checks": ("checks", "checks/checks.json", many_lists, "is a text of 39 MB"),
    "examples": ("examples", "run/examples/index.json", many_lists, "is a text of 39 MB"),
    "mistakes": ("checks", "mistakes/checks.json", many_mistakes, "has 3,300,000 commas, and at most 250,000 are read"),
    "nested TOML": ("toml", "nested.toml", nested_toml, "is nested more than 64 levels deep"),
    "long key": ("toml", "key.toml", long_key, "is nested more than 64 levels deep"),
    "long TOML": ("toml", "long.toml", long_toml, "is a text of 330 kB, and at most 244.1 kB are read"),
    "wide CSV": ("metrics", "wide.csv", wide_csv, "has 10,000,000 cells in a line"),
    "long CSV": ("metrics", "long.csv", long_csv, "is a text of 47.5 MB, and at most 25 MB are read"),
    "square": ("image", "square.png", black_square, "3600 megapixels; at most 179 are read"),
    "smaller square": ("image", "smaller.png", smaller_square, "has 13000x13000 px in a file of"),
    "tiles": ("image", "tiles.j2k", empty_tiles, "has 13300x13300 px in a file of 162 bytes"),
}
"""For each bomb its reader (of `reading.py`), its file, what makes it, and a part of the message."""
