"""Oracle: Pillow's full decoding says which of the made files are whole; every cut of a file must be refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pcbench.data.decoding import decode_image, verify
from pcbench.errors import DataError


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF"])
def test_whole_files_pass(encode: Callable[..., bytes], kind: str) -> None:
    content = encode(kind)
    verify(content, "whole")
    assert decode_image(content, "whole").size == (32, 32)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_truncated_files_are_refused_by_name(encode: Callable[..., bytes], kind: str, share: float) -> None:
    content = encode(kind)
    cut = content[: int(len(content) * share)]
    for reader in (decode_image, verify):
        with pytest.raises(DataError, match="broken: is"):
            reader(cut, "broken")


def test_a_flipped_byte_in_a_png_is_refused(encode: Callable[..., bytes]) -> None:
    content = bytearray(encode("PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(DataError, match="damaged"):
        verify(bytes(content), "flipped")


def test_jpeg_that_goes_on_after_its_end_is_decided_by_decoding(encode: Callable[..., bytes]) -> None:
    content = encode("JPEG") + b"trailing words of a camera"
    verify(content, "trailing")


@pytest.mark.parametrize("content", [b"", b"not an image", b"<svg></svg>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xd9"])
def test_foreign_bytes_are_refused(content: bytes) -> None:
    for reader in (decode_image, verify):
        with pytest.raises(DataError, match=r"is not an image file|damaged"):
            reader(content, "foreign")
