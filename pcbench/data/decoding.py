"""Encoded image files: from bytes to a Pillow image, and whether the bytes are whole."""

from __future__ import annotations

import io
import struct

from PIL import Image

from pcbench.errors import DataError

# What Pillow raises for bytes that are not an image, are cut short or are corrupt, depending on the format.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)
_JPEG_END = b"\xff\xd9"


def decode_image(content: bytes, name: str) -> Image.Image:
    """Decode an image file completely.

    Args:
        content: The file's bytes: JPEG, PNG or any other format that Pillow reads.
        name: What the image is called in error messages.

    Raises:
        DataError: The bytes are not an image, are cut short, or are damaged.
    """
    image = _open(content, name)
    try:
        image.load()
    except _BROKEN as error:
        raise DataError(f"{name}: is a damaged or truncated image file ({error}); fetch it again") from error
    return image


def header_size(content: bytes, name: str) -> tuple[int, int]:
    """Return width and height of an image file, from its header alone.

    Raises:
        DataError: The bytes are not an image.
    """
    return _open(content, name).size


def verify(content: bytes, name: str) -> None:
    """Refuse bytes that are not one whole image, without decoding where the format allows it.

    A PNG is checked by its checksums. A JPEG that closes with its end marker passes; any other file is decoded.

    Raises:
        DataError: The bytes are not an image, are cut short, or are damaged.
    """
    image = _open(content, name)
    if image.format == "JPEG" and content.rstrip(b"\x00").endswith(_JPEG_END):
        return
    if image.format != "PNG":
        decode_image(content, name)
        return
    try:
        image.verify()
    except _BROKEN as error:
        raise DataError(f"{name}: is a damaged or truncated image file ({error}); fetch it again") from error


def _open(content: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except _BROKEN as error:
        raise DataError(f"{name}: is not an image file that can be read; remove it or fetch it again") from error
