"""The headers of a Parquet file's pages: what unpacking a column really takes, whatever the footer claims.

A page's header is a struct of Thrift's compact protocol: fields with a type and a number, whole numbers in seven bits
a byte. Only sizes and counts are kept; everything else is stepped over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, cast

DICTIONARY_ENCODINGS = frozenset({2, 8})
"""The encodings of values by their index in the column's dictionary: one entry may stand in very many rows."""
PREFIX_ENCODING = 7
"""The encoding of a text by what it shares with the one before."""
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = (4, 5, 6)
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
_COUNTS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_2: (8, 4)}
"""For each kind of page the field that holds its counts, and the field of these that holds the encoding."""
_FIRST_LOOK, _LONGEST = 512, 2**20
"""How many bytes are read for a header at first, and how many it may have."""
_DEEPEST = 16


class PageError(ValueError):
    """The bytes are not the header of a page."""


class Page(NamedTuple):
    """What the header of a page says."""

    packed: int
    """Bytes in the file, behind the header."""
    unpacked: int
    """Bytes once unpacked."""
    values: int
    """How many values it holds; 0 for a kind of page that readers step over."""
    encoding: int
    """How values are written, a number of the format's."""
    dictionary: bool
    """Whether it holds the column's dictionary."""


def pages(file: BinaryIO, start: int, end: int, values: int) -> Iterator[Page]:
    """Yield the headers of a column chunk's pages, as readers come upon them.

    Args:
        file: The whole file.
        start: Where the first page begins, in bytes.
        end: Where the chunk ends.
        values: How many values the footer claims: readers stop at the page that completes them.

    Raises:
        PageError: There is no header where one should be.
    """
    seen = 0
    while start < end and seen < values:
        page, length = _header(file, start)
        yield page
        seen += 0 if page.dictionary else page.values
        start += length + page.packed


def _header(file: BinaryIO, start: int) -> tuple[Page, int]:
    """Return a page's header and its length in bytes."""
    size = _FIRST_LOOK
    while True:
        file.seek(start)
        content = file.read(size)
        try:
            fields, length = _struct(content, 0, 0)
            return _page(fields), length
        except IndexError:
            if len(content) < size or size >= _LONGEST:
                raise PageError("a page's header does not end") from None
            size *= 16


def _page(fields: dict[int, object]) -> Page:
    kind, unpacked, packed = fields.get(1), fields.get(2), fields.get(3)
    if not isinstance(kind, int) or not isinstance(unpacked, int) or not isinstance(packed, int):
        raise PageError("a page's header lacks its sizes")
    if unpacked < 0 or packed < 0:
        raise PageError("a page's size is negative")
    if kind not in _COUNTS:
        return Page(packed, unpacked, 0, 0, dictionary=False)
    place, number = _COUNTS[kind]
    counts = fields.get(place)
    held = cast("dict[int, object]", counts) if isinstance(counts, dict) else {}
    values, encoding = held.get(1), held.get(number)
    if not isinstance(values, int) or not isinstance(encoding, int) or values < 0:
        raise PageError("a page's header lacks its counts")
    return Page(packed, unpacked, values, encoding, dictionary=kind == _DICTIONARY)


def _struct(content: bytes, position: int, depth: int) -> tuple[dict[int, object], int]:
    """Return the whole numbers and structs among a struct's fields, and where it ends.

    Raises:
        IndexError: The bytes end before it does.
        PageError: It is not a struct.
    """
    if depth > _DEEPEST:
        raise PageError("a page's header is nested too deep")
    fields: dict[int, object] = {}
    number = 0
    while head := content[position]:
        position += 1
        step, kind = head >> 4, head & 15
        if step:
            number += step
        else:
            number, position = _signed(content, position)
        if kind in _WHOLE and content[position] < 128:  # nearly all are: a call for each would take half of the time
            byte = content[position]
            position += 1
            fields[number] = (byte >> 1) ^ -(byte & 1)
        else:
            fields[number], position = _value(content, position, kind, depth)
    return fields, position + 1


def _value(content: bytes, position: int, kind: int, depth: int) -> tuple[object, int]:
    """Return a field's value, None where it is of no interest, and where it ends."""
    if kind in _WHOLE:
        return _signed(content, position)
    if kind == _STRUCT:
        return _struct(content, position, depth + 1)
    if kind in (_TRUE, _FALSE):
        return None, position
    if kind in (_BYTE, _DOUBLE):
        return None, position + (1 if kind == _BYTE else 8)
    if kind == _BINARY:
        length, position = _unsigned(content, position)
        return None, position + length
    if kind in (_LIST, _SET):
        return None, _after_list(content, position, depth)
    raise PageError(f"a page's header has a field of the type {kind}")


def _after_list(content: bytes, position: int, depth: int) -> int:
    size, kind = content[position] >> 4, content[position] & 15
    position += 1
    if size == 15:
        size, position = _unsigned(content, position)
    if size > len(content):
        raise IndexError
    for _ in range(size):
        # In a list, a truth value has a byte of its own.
        position = position + 1 if kind in (_TRUE, _FALSE) else _value(content, position, kind, depth + 1)[1]
    return position


def _unsigned(content: bytes, position: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = content[position]
        position += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, position
        shift += 7
        if shift > 63:
            raise PageError("a number in a page's header does not end")


def _signed(content: bytes, position: int) -> tuple[int, int]:
    found, position = _unsigned(content, position)
    return (found >> 1) ^ -(found & 1), position
