"""Oracle: what pyarrow wrote and says in the footer of files of every version, codec and encoding that it writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcbench.errors import DataError
from pcbench.limits.pages import PageError, pages
from pcbench.limits.tables import check_table

ROWS = 50_000
PLAIN: dict[str, Any] = {"use_dictionary": False}


def _table() -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "number": rng.random(ROWS),
            "id": [f"image/{row % 7000:05d}" for row in range(ROWS)],
            "constant": ["a"] * ROWS,
            "missing": pa.nulls(ROWS, pa.float64()),
            "list": [["a", "b"][: row % 3] for row in range(ROWS)],
            "flag": rng.random(ROWS) < 0.5,
        }
    )


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "brotli", "none"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        PLAIN,
        {"write_page_checksum": True, "write_page_index": True},
        {**PLAIN, "column_encoding": {"id": "DELTA_BYTE_ARRAY", "number": "BYTE_STREAM_SPLIT"}},
    ],
    ids=["usual", "plain", "checksums", "deltas"],
)
def test_the_pages_of_a_column_fill_it_and_hold_all_values(version: str, codec: str, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    pq.write_table(_table(), buffer, compression=codec, data_page_version=version, row_group_size=20_000, **options)
    metadata = pq.ParquetFile(io.BytesIO(buffer.getvalue())).metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk: Any = metadata.row_group(group).column(number)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            end = start + chunk.total_compressed_size
            found = list(pages(buffer, start, end, chunk.num_values))
            assert sum(page.values for page in found if not page.dictionary) == chunk.num_values
            # What is left of a chunk's size are the headers, whose lengths are told nowhere.
            headers = chunk.total_compressed_size - sum(page.packed for page in found)
            assert sum(page.unpacked for page in found) + headers == chunk.total_uncompressed_size


@pytest.mark.parametrize(
    "content",
    [b"", b"\x15", b"\x00", b"\xff" * 100, b"\x1c" * 100, b"\x19\xfc" + b"\xff" * 9, b"\x15\x00\x15\x01\x15\x00\x00"],
)
def test_what_is_no_header_is_refused(content: bytes) -> None:
    with pytest.raises(PageError):
        list(pages(io.BytesIO(content), 0, 1, 1))


def test_the_worst_case_of_texts_is_counted_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    texts = ["x" * 10_000, "y"] + ["y"] * 299_998
    pq.write_table(pa.table({"text": texts}), path)
    needed = 300_000 * 8 + sum(map(len, texts))
    assert needed > 32 * path.stat().st_size
    monkeypatch.setenv("PCBENCH_READ_GB", str(1.1 * needed / 1e9))
    check_table(path, path)
    monkeypatch.setenv("PCBENCH_READ_GB", str(0.9 * needed / 1e9))
    with pytest.raises(DataError, match="PCBENCH_READ_GB"):
        check_table(path, path)
