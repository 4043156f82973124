"""What is wrong with the bytes of an image file, beside what Pillow says when it decodes them.

Pillow fills what is missing of a JPEG with grey and tells nobody, passes over the checksums of a PNG's pixels, and
reads no more of a GIF than its first picture. Here libjpeg-turbo's warnings are read, and the blocks of the other two
are followed to their ends.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import simplejpeg

_EXTRANEOUS = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0xd9")
# The warnings of libjpeg-turbo that tell of lost pixels. The others are about tables and names that change none.
_LOSS = re.compile(r"Corrupt JPEG data(?!: bad ICC)|Premature end of JPEG|Inconsistent progression")
# Two photographs of ImageNet have a byte too many before their end marker, and are whole.
_HARMLESS_BYTES = 2
# The passes of an interlaced PNG: the first column and row of each, and the steps to the next ones.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_STEP = 2**20
_CMYK = ("CMYK", "YCCK")


@dataclass(frozen=True)
class Examination:
    """What a look at the bytes of an image file gave."""

    damage: str | None = None
    """What is wrong with them, in a few words; None where nothing is seen."""
    decoded: bool = False
    """Whether all pixels were decoded for it, so that nothing more can be wrong."""


def examine(content: bytes, kind: str) -> Examination:
    """Look for what is wrong with an image file.

    Args:
        content: The file's bytes.
        kind: Its format, as Pillow calls it.
    """
    if kind in ("JPEG", "MPO"):
        return _jpeg(content)
    check = _CHECKS.get(kind)
    try:
        return Examination(None if check is None else check(content))
    except (LookupError, struct.error):
        return Examination("it ends early")


def _jpeg(content: bytes) -> Examination:
    """Decode an eighth of the rows and columns of a JPEG: all of its data are read for that, and most time is saved."""
    try:
        colours = simplejpeg.decode_jpeg_header(content)[2]
        space = "CMYK" if colours in _CMYK else "GRAY"
        simplejpeg.decode_jpeg(content, colorspace=space, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        message = str(error)
        return Examination(message if _LOSS.match(message) and not _is_harmless(message) else None)
    return Examination(decoded=True)


def _is_harmless(message: str) -> bool:
    """Return whether a warning is of no more than a byte or two between the pixels and the end marker."""
    found = _EXTRANEOUS.match(message)
    return found is not None and int(found[1]) <= _HARMLESS_BYTES


def _png(content: bytes) -> str | None:
    """Compare the checksum of every chunk, up to the one that ends the file, and count the pixels."""
    position, view = 8, memoryview(content)
    pixels: list[memoryview] = []
    while position < len(content):
        end = position + 8 + int.from_bytes(view[position : position + 4], "big")
        kind = bytes(view[position + 4 : position + 8])
        if end + 4 > len(content):
            break
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return f"the checksum of its chunk {kind.decode('latin-1')!r} is wrong"
        if kind == b"IDAT":
            pixels.append(view[position + 8 : end])
        if kind == b"IEND":
            return _png_pixels(content[16:29], pixels)
        position = end + 4
    return "it ends early"


def _png_pixels(header: bytes, pixels: Iterable[memoryview]) -> str | None:
    """Count the bytes that the pixels give, without keeping them: Pillow leaves missing rows black."""
    left, unpacked = _png_bytes(header), zlib.decompressobj()
    try:
        for part in pixels:
            rest: bytes | memoryview = part
            while rest and left > 0 and not unpacked.eof:
                left -= len(unpacked.decompress(rest, _STEP))
                rest = unpacked.unconsumed_tail
    except zlib.error as error:
        return str(error)
    return "rows of its pixels are missing" if left > 0 else None


def _png_bytes(header: bytes) -> int:
    """Return how many bytes the pixels of a PNG have: in each row one before the pixels, in up to seven passes."""
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // across), -(-(height - y) // down)) for x, y, across, down in passes)
    return sum(rows * (1 + -(-columns * bits * _PNG_CHANNELS[kind] // 8)) for columns, rows in sizes if columns > 0)


def _gif(content: bytes) -> str | None:
    """Follow the blocks of a GIF up to its trailer."""
    position = 13 + _colours(content[10])
    while content[position] != ord(";"):
        match content[position : position + 1]:
            case b"!":
                position = _after_blocks(content, position + 2)
            case b",":
                position = _after_blocks(content, position + 11 + _colours(content[position + 9]))
            case b"\x00":  # some programs write more zeros than they should
                position += 1
            case _:
                return f"it has no block where one must begin, at byte {position}"
    return None


def _colours(flags: int) -> int:
    """Return the bytes of a table of colours: three a colour."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(content: bytes, position: int) -> int:
    while content[position]:
        position += 1 + content[position]
    return position + 1


def _webp(content: bytes) -> str | None:
    return "it ends early" if len(content) < 8 + int.from_bytes(content[4:8], "little") else None


_CHECKS: Mapping[str, Callable[[bytes], str | None]] = {
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
}
