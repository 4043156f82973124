"""Pictures inside a page: as they are where these are small, else reduced until all of them fit."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pcbench.data.decoding import decode_image
from pcbench.limits.text import read_bytes

ROOM = 400_000
"""The characters that the pictures of a page take at most, of the million that a page may have."""
UNCHANGED_SIDE = 64
"""Pictures whose longer side has at most so many pixels are never changed: each of their pixels is seen."""
_SIDES = (256, 192, 160, 128, 96, 64)
"""To how many pixels the longer side of larger pictures is reduced; they are shown at 128."""
_QUALITY = 80
"""Of JPEG."""


@dataclass(frozen=True)
class Embedded:
    """Some pictures as data URIs."""

    sources: Mapping[str, str]
    """By the name of the file."""
    side: int | None = None
    """The pixels of the longer side to which larger pictures are reduced; None where all are as in their files."""


def embedded(folder: Path, groups: Sequence[Sequence[str]], room: int) -> Embedded:
    """Return PNG files as data URIs that together take at most some characters.

    Where the files themselves take more, pictures larger than `UNCHANGED_SIDE` are reduced, all to the same size. Where
    that is not enough either, the last groups are left out; the first group always stays.

    Args:
        folder: Where the files lie.
        groups: Names of files that are shown together.
        room: How many characters they may take.

    Raises:
        DataError: A picture that has to be reduced is damaged, or too large to be read.
    """
    files = {name: read_bytes(folder / name) for group in groups for name in group}
    whole = {name: _uri("png", content) for name, content in files.items()}
    if _length(whole) <= room:
        return Embedded(whole)
    pictures = {name: decode_image(content, str(folder / name)) for name, content in files.items()}
    large = {name: picture for name, picture in pictures.items() if max(picture.size) > UNCHANGED_SIDE}
    side, sources = None, whole
    for side in _SIDES if large else ():
        sources = whole | {name: _reduced(picture, side) for name, picture in large.items()}
        if _length(sources) <= room:
            break
    return Embedded(_first(sources, groups, room), side)


def _first(sources: Mapping[str, str], groups: Sequence[Sequence[str]], room: int) -> dict[str, str]:
    """Return the pictures of the first groups that fit, at least of one."""
    kept: dict[str, str] = {}
    for group in groups:
        more = {name: sources[name] for name in group}
        if kept and _length(kept) + _length(more) > room:
            break
        kept |= more
    return kept


def _length(sources: Mapping[str, str]) -> int:
    return sum(map(len, sources.values()))


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _reduced(picture: Image.Image, side: int) -> str:
    small = picture.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return _uri("jpeg", buffer.getvalue())
