"""How many bits per channel has in an encoded image file, as the file itself states it.

Decoders differ: some scale 16 bits to 8, some keep the upper byte, some clip. pcbench reads the number where each
format writes it, before any decoder is asked, and takes no more than 8.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

# The tags of TIFF that hold the bits of each channel, and what the bits are: 1 unsigned, 2 signed, 3 fractions.
_TIFF_BITS, _TIFF_KIND = 258, 339
_TIFF_SIGNED = 2
# The markers that begin a JPEG's frame: FFC0 to FFCF but three that begin tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_2000_SIZES = b"\xff\x4f\xff\x51"
_GAP = rb"(?:\s|#[^\n]*\n)+"
_NETPBM = re.compile(rb"P[2356]" + _GAP + rb"\d+" + _GAP + rb"\d+" + _GAP + rb"(\d+)\s")
# Formats that hold brightness as fractions, or in more than 8 bits, by their nature.
_DEEP = {b"#?RADIANCE": 32, b"#?RGBE": 32, b"v/1\x01": 16, b"PF": 32, b"Pf": 32}


@dataclass(frozen=True)
class Depth:
    """How an image file keeps a channel."""

    bits: int = 8
    """Bits of the deepest channel."""
    signed: bool = False
    """Whether a channel can be negative."""


def stated_depth(content: bytes) -> Depth:
    """Return how the channels of an image file are kept: 8 bits where its format knows no others.

    Args:
        content: The file's bytes, whole or cut short.
    """
    try:
        return _stated(content)
    except (IndexError, struct.error):
        return Depth()  # cut short or damaged, which the decoder says better


def _stated(content: bytes) -> Depth:
    for signature, bits in _DEEP.items():
        if content.startswith(signature):
            return Depth(bits)
    for start, signature, read in _READERS:
        if content.startswith(signature, start):
            return read(content)
    return Depth()


def _png_depth(content: bytes) -> Depth:
    return Depth(content[24] if content[12:16] == b"IHDR" else 8)


def _jpeg_depth(content: bytes) -> Depth:
    position = 2
    while content[position] == 0xFF:
        marker = content[position + 1]
        if marker in _JPEG_FRAMES:
            return Depth(content[position + 4])
        # Fill bytes may stand before a marker.
        position += 1 if marker == 0xFF else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return Depth()


def _tiff_depth(content: bytes) -> Depth:
    """Read the first directory; the larger kind of TIFF has 8 bytes where the other has 2 or 4."""
    order, large = "<" if content[0] == ord("I") else ">", b"+" in content[2:4]
    (start,) = struct.unpack_from(f"{order}{'Q' if large else 'I'}", content, 8 if large else 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if large else 'H'}", content, start)
    step, room = (20, 8) if large else (12, 4)
    found = {_TIFF_BITS: (1,), _TIFF_KIND: (1,)}
    first = start + (8 if large else 2)
    for entry in range(first, min(first + count * step, len(content)), step):
        tag, _, numbers = struct.unpack_from(f"{order}HH{'Q' if large else 'I'}", content, entry)
        if tag in found:
            offset = entry + step - room
            if 2 * numbers > room:
                (offset,) = struct.unpack_from(f"{order}{'Q' if large else 'I'}", content, offset)
            found[tag] = struct.unpack_from(f"{order}{min(numbers, 64)}H", content, offset)
    return Depth(max(found[_TIFF_BITS]), _TIFF_SIGNED in found[_TIFF_KIND])


def _jpeg_2000_depth(content: bytes) -> Depth:
    """Read the sizes: the number of channels, then three bytes each, of which the first is bits less one."""
    start = content.index(_JPEG_2000_SIZES) if _JPEG_2000_SIZES in content else len(content)
    (channels,) = struct.unpack_from(">H", content, start + 40)
    depths = content[start + 42 : start + 42 + 3 * channels : 3]
    return Depth(max((depth & 0x7F) + 1 for depth in depths or b"\x07"), any(depth & 0x80 for depth in depths))


def _avif_depth(content: bytes) -> Depth:
    """Read the stream's configurations: the third byte of each has a bit for "10 or 12" and one for 12."""
    header = content[: content.index(b"mdat")] if b"mdat" in content else content
    flags = [header[match.end() + 2] for match in re.finditer(rb"av1C", header)]
    return Depth(max(((12 if flag & 0x20 else 10) if flag & 0x40 else 8 for flag in flags), default=8))


def _sgi_depth(content: bytes) -> Depth:
    return Depth(8 * content[3])  # it states the bytes of a channel


def _netpbm_depth(content: bytes) -> Depth:
    """Read the largest value, the third number of the header."""
    found = _NETPBM.match(content)
    return Depth() if found is None else Depth(int(found[1]).bit_length())


_READERS: tuple[tuple[int, bytes | tuple[bytes, ...], Callable[[bytes], Depth]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", _png_depth),
    (0, b"\xff\xd8\xff", _jpeg_depth),
    (0, (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"), _tiff_depth),
    (0, _JPEG_2000_SIZES, _jpeg_2000_depth),
    (4, b"jP  ", _jpeg_2000_depth),
    (4, b"ftyp", _avif_depth),
    (0, b"\x01\xda", _sgi_depth),
    (0, b"P", _netpbm_depth),
)
"""Where a format's signature stands, what it is, and what reads the depth."""
