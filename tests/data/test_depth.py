"""Oracle: the number of bits that each file was written with, by OpenCV, Pillow or by hand."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from pcbench.data.decoding import decode_image, verify
from pcbench.data.depth import stated_depth
from pcbench.data.pixels import to_pixels
from pcbench.errors import DamagedImageError, DataError

COLOUR = np.full((32, 32, 3), 110 * 16, np.uint16)  # values of 12 bits
GREY = COLOUR[..., 0]


# A palette as TIFF keeps it: all reds, all greens, all blues.
PALETTE = [value for channel in (110, 120, 130) for value in (0, channel, *[0] * 254)]

PLAIN = (cv2.IMWRITE_TIFF_COMPRESSION, 1)
"""By itself OpenCV 4.10 writes such a TIFF as logarithms of 16 bits."""


def by_opencv(kind: str, pixels: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(kind, pixels, options)[1].tobytes()


def by_pillow(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR.astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg_of_12_bits() -> bytes:
    content = by_pillow("JPEG")
    frame = content.index(b"\xff\xc0")
    return content[: frame + 4] + b"\x0c" + content[frame + 5 :]


DEEP: dict[str, tuple[int, Callable[[], bytes]]] = {
    "colour PNG": (16, lambda: by_opencv(".png", COLOUR)),
    "grey PNG": (16, lambda: by_opencv(".png", GREY)),
    "colour TIFF": (16, lambda: by_opencv(".tiff", COLOUR)),
    "grey TIFF": (16, lambda: by_opencv(".tiff", GREY)),
    "colour TIFF of fractions": (32, lambda: by_opencv(".tiff", COLOUR.astype(np.float32) / 4095, *PLAIN)),
    "grey TIFF of fractions": (32, lambda: by_opencv(".tiff", GREY.astype(np.float32) / 4095)),
    "colour JPEG 2000": (16, lambda: by_opencv(".jp2", COLOUR)),
    "grey JPEG 2000": (16, lambda: by_opencv(".jp2", GREY)),
    "AVIF of 10 bits": (10, lambda: by_opencv(".avif", COLOUR >> 2, cv2.IMWRITE_AVIF_DEPTH, 10)),
    "AVIF of 12 bits": (12, lambda: by_opencv(".avif", COLOUR, cv2.IMWRITE_AVIF_DEPTH, 12)),
    "colour PPM": (16, lambda: by_opencv(".ppm", COLOUR)),
    "PPM in words": (12, lambda: b"P3 # made by hand\n1 1\n4095\n1 2 3\n"),
    "PFM": (32, lambda: by_opencv(".pfm", GREY.astype(np.float32))),
    "Radiance": (32, lambda: by_opencv(".hdr", COLOUR.astype(np.float32) / 4095)),
    "OpenEXR": (16, lambda: b"v/1\x01\x02\x00\x00\x00channels"),
    "SGI": (16, lambda: by_pillow("SGI", bpc=2)),
    "JPEG": (12, jpeg_of_12_bits),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_a_channel_are_refused_in_every_format(name: str) -> None:
    bits, make = DEEP[name]
    if name.startswith("AVIF") and not cv2.haveImageWriter("x.avif"):
        pytest.skip("this OpenCV writes no AVIF")
    content = make()
    assert stated_depth(content).bits == bits
    for read in (verify, decode_image):
        with pytest.raises(DataError, match=rf"^deep: has more than 8 bits per channel \({bits} bits\); save it as"):
            read(content, "deep")


def test_a_deep_image_is_no_damaged_one() -> None:
    with pytest.raises(DataError) as refused:
        verify(by_opencv(".png", COLOUR), "deep")
    assert not isinstance(refused.value, DamagedImageError)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *[(kind, {}) for kind in ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")],
        *[("TIFF", {"big_tiff": True}), ("JPEG2000", {"no_jp2": True}), ("SGI", {}), ("QOI", {}), ("TGA", {})],
    ],
)
def test_8_bits_are_taken(kind: str, options: dict[str, bool]) -> None:
    content = by_pillow(kind, **options)
    assert stated_depth(content).bits == 8
    close = 2 if kind in ("JPEG", "MPO", "WEBP", "AVIF") else 0
    np.testing.assert_allclose(np.asarray(decode_image(content, "image").convert("RGB")), 110 * 16 % 256, atol=close)


def test_an_image_that_pillow_has_only_opened_is_asked_for_its_file() -> None:
    deep, plain = Image.open(io.BytesIO(by_opencv(".png", COLOUR))), Image.open(io.BytesIO(by_pillow("PNG")))
    with pytest.raises(DataError, match="item 0: has more than 8 bits"):
        to_pixels(deep, "item 0")
    np.testing.assert_array_equal(to_pixels(plain, "item 1"), COLOUR.astype(np.uint8))


def test_a_tiff_whose_palette_has_8_bits_is_refused_and_not_black() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 110, 120, 130] + [0] * 762)
    buffer = io.BytesIO()
    image.save(buffer, "TIFF")
    content = buffer.getvalue()
    np.testing.assert_array_equal(np.asarray(decode_image(content, "a").convert("RGB"))[0, 0], (110, 120, 130))
    right = struct.pack("<768H", *(value * 256 for value in PALETTE))
    assert right in content
    for read in (verify, decode_image):
        with pytest.raises(DataError, match="dark: has a palette of values below 256"):
            read(content.replace(right, struct.pack("<768H", *PALETTE)), "dark")


def test_signed_channels_are_refused() -> None:
    tags = [(256, 4), (257, 4), (258, 8), (259, 1), (262, 1), (273, 134), (277, 1), (278, 4), (279, 16), (339, 2)]
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    content = b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(16)
    with pytest.raises(DataError, match="below zero: has channels with a sign"):
        verify(content, "below zero")
