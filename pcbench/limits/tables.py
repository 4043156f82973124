"""What reading columns of a Parquet file would take, found out before a value is unpacked.

Runs of equal values take a few bytes for any number of rows, a text that stands once in a dictionary may stand in
every row, and a footer may claim anything. So the headers of all pages are followed (`pcbench.limits.pages`), and
texts are counted by their indices before they are written out.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pcbench.errors import DataError
from pcbench.limits.bounds import allowed, check_count, check_size
from pcbench.limits.pages import DICTIONARY_ENCODINGS, PREFIX_ENCODING, pages

_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}
"""Bytes of memory that a value of each kind takes; of a text, beside its letters."""
_IN_LISTS = 24
"""Bytes that a value in a list takes besides, while it is found out which list it is in."""
_ENTRY = 16
"""Bytes that an entry of a dictionary takes while it is read, beside its letters."""
_MOST_PAGES = 200_000
"""A real file has a page for each megabyte, or for each 20,000 values."""
_FOOTER_GROWTH = 64
"""The bytes of memory that a byte of the footer can take."""
_ENDING = 8
"""A file ends in the length of its footer and four letters."""
_BATCH = 100_000


def check_table(
    source: Path | bytes,
    place: Path | str,
    columns: Sequence[str] | None = None,
    groups: Sequence[int] | None = None,
    *,
    row_bytes: int = 0,
    kept: bool = False,
    opened: pq.ParquetFile | None = None,
) -> pq.FileMetaData:
    """Refuse a Parquet file of which reading some columns would take more memory than allowed.

    Args:
        source: The file, or its content.
        place: What it is called in messages.
        columns: The columns, or fields of columns (``"image.path"``), that will be read; None means all.
        groups: The row groups that will be read; None means all.
        row_bytes: What the caller will make of each row takes so many bytes more.
        kept: Whether texts that the file has in a dictionary stay in one; `check_texts` counts these afterwards.
        opened: The same file, where the caller has opened it already.

    Returns:
        What its footer says, so that it need not be read again.

    Raises:
        DataError: It would take more; or the file's pages are damaged.
        ArrowException, OSError: The file cannot be read as Parquet.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        file = cast("BinaryIO", stream)
        size = file.seek(0, io.SEEK_END)
        _check_footer(file, size, place)
        with _opened(source) if opened is None else contextlib.nullcontext(opened) as table:
            most = allowed(size)
            chosen = range(table.metadata.num_row_groups) if groups is None else groups
            rows = sum(table.metadata.row_group(group).num_rows for group in chosen)
            if groups is None:
                rows = max(rows, table.metadata.num_rows)
            check_size(place, f"the {rows:,} rows that it claims would take", rows * (1 + row_bytes), most)
            needed = _all_needed(file, table, columns, chosen, place)
            check_count(place, "pages", sum(one.pages for one in needed), _MOST_PAGES)
            plain = rows * row_bytes + sum(one.plain for one in needed)
            check_size(place, "its columns would take", plain, most)
            spelled = [one for one in needed if not (kept and one.kept)]
            if plain + sum(one.texts for one in spelled) > most:
                plain += sum(_spelled(source, one, chosen) for one in spelled)
                check_size(place, "the texts in its columns would take", plain, most)
            return table.metadata


def _opened(source: Path | bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else source)


def check_texts(table: pa.Table, place: Path | str, size: int) -> None:
    """Refuse a table whose dictionaries hold texts that would take more than allowed once each stands in its row.

    Args:
        table: A table that `check_table` let pass with `kept`.
        place: What its file is called in messages.
        size: The file's size, bytes.

    Raises:
        DataError: They would take more.
    """
    columns = [cast("Any", column) for column in table.columns]
    held = [column for column in columns if pa.types.is_dictionary(column.type)]
    texts = [column for column in held if column.type.value_type in (pa.string(), pa.binary(), pa.large_string())]
    chunks = [chunk for column in texts for chunk in column.chunks]
    most = allowed(size)
    # No text is longer than all of its dictionary: of a small table nothing has to be counted.
    if sum(len(chunk) * chunk.dictionary.nbytes for chunk in chunks) > most:
        needed = sum(_letters(chunk) for chunk in chunks)
        check_size(place, "the texts in its columns would take", needed, most)


@dataclass(frozen=True)
class _Needed:
    """What the values of one column would take."""

    path: str
    """The column, with the fields down to its values."""
    pages: int
    """How many pages it has."""
    plain: int
    """Bytes of memory, with each text of a dictionary counted once."""
    texts: int
    """The most bytes that its texts can take once each stands in its row."""
    counted: bool
    """Whether counting the indices tells how many they really take."""
    kept: bool
    """Whether its texts stay in a dictionary when it is read."""


def _check_footer(file: BinaryIO, size: int, place: Path | str) -> None:
    file.seek(max(size - _ENDING, 0))
    length = int.from_bytes(file.read(_ENDING)[:4], "little")
    if length <= size:  # else it is damaged, which the reader says
        check_size(place, "the list of its columns would take", length * _FOOTER_GROWTH, allowed(size, 1))


def _leaves(table: pq.ParquetFile, columns: Sequence[str] | None) -> Iterator[tuple[int, Any]]:
    """Yield the columns of values that are read, each with its number."""
    schema = cast("Any", table.schema)
    wanted = None if columns is None else frozenset(columns)
    within = () if columns is None else tuple(f"{name}." for name in columns)
    for number in range(len(schema)):
        column = schema.column(number)
        if wanted is None or column.path in wanted or column.path.startswith(within):
            yield number, column


def _all_needed(
    file: BinaryIO, table: pq.ParquetFile, columns: Sequence[str] | None, groups: Sequence[int], place: Path | str
) -> list[_Needed]:
    try:
        kept = _kept(table)
        held = [cast("Any", table.metadata.row_group(group)) for group in groups]
        return [
            _needed(file, [group.column(leaf) for group in held], column, kept)
            for leaf, column in _leaves(table, columns)
        ]
    except ValueError as error:  # a `PageError`, or of a place before the file's begin
        raise DataError(f"{place}: is a damaged Parquet file ({error}); fetch or make it again") from error


def _needed(file: BinaryIO, chunks: Sequence[Any], column: Any, kept: Collection[str]) -> _Needed:
    kind = column.physical_type
    text = kind == "BYTE_ARRAY"
    width = int(column.length) if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS[kind]
    width += _IN_LISTS if column.max_repetition_level else 0
    count = plain = texts = 0
    counted = True
    for chunk in chunks:
        start, dictionary = _start(chunk), 0
        for page in pages(file, start, start + chunk.total_compressed_size, chunk.num_values):
            count += 1
            plain += page.unpacked + page.values * (_ENTRY if page.dictionary else width)
            if page.dictionary:
                dictionary = max(dictionary, page.unpacked)
            elif text and page.encoding in DICTIONARY_ENCODINGS:
                texts += page.values * dictionary
            elif text and page.encoding == PREFIX_ENCODING:
                texts += page.values * page.unpacked
                counted = False
            if count > _MOST_PAGES:
                break
    return _Needed(str(column.path), count, plain, texts, counted, column.path in kept)


def _start(chunk: Any) -> int:
    """Return where the first page of a column chunk begins."""
    first, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
    return dictionary if dictionary is not None and 0 < dictionary < first else first


def _kept(table: pq.ParquetFile) -> set[str]:
    """Return the columns whose texts stay in a dictionary when they are read."""
    return {str(field.name) for field in cast("Any", table.schema_arrow) if pa.types.is_dictionary(field.type)}


def _spelled(source: Path | bytes, one: _Needed, groups: Sequence[int]) -> int:
    """Return how many bytes the texts of a column take once each stands in its row."""
    if one.texts == 0 or not one.counted:
        return one.texts
    opened = pa.BufferReader(source) if isinstance(source, bytes) else source
    found = 0
    with pq.ParquetFile(opened, read_dictionary=[one.path]) as table:
        for batch in table.iter_batches(_BATCH, row_groups=list(groups), columns=[one.path]):
            found += _letters(_values(batch.column(0)))
    return found


def _values(array: Any) -> Any:
    """Return the values inside lists and structs."""
    while not pa.types.is_dictionary(array.type):
        array = array.field(0) if pa.types.is_struct(array.type) else array.flatten()
    return array


def _letters(array: Any) -> int:
    """Return how many bytes the texts of an array with a dictionary take once each stands in its row."""
    from pyarrow import compute  # its functions are made when it is imported, which takes as long as all of pyarrow

    lengths = cast("Any", compute).binary_length(array.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
    indices = array.indices.drop_null().to_numpy()
    return int(lengths.astype(np.int64)[indices].sum()) if len(indices) else 0
