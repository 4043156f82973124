"""Readers of images: single files, folders of them, published archives."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

import numpy as np
from fuzz.trial import Reader
from PIL import Image

from pcbench.data.decoding import decode_image, header_size, verify
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source

ENDINGS = ("png", "jpg", "bmp", "gif", "tif", "webp", "ppm")
MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "I", "I;16", "F", "CMYK", "YCbCr")


def picture_wrong(content: bytes, choice: Random) -> bytes:
    """Return an image of another size, mode or format, or one whose header states another size."""
    del content
    size = choice.choice([(1, 1), (8, 8), (1, 500), (33, 31), (700, 500)])
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8))
    for _ in range(9):
        buffer = io.BytesIO()
        try:
            image.convert(choice.choice(MODES)).save(
                buffer, choice.choice(["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
            )
        except (OSError, ValueError, KeyError):
            continue
        made = buffer.getvalue()
        width = size[1].to_bytes(4, "big"), size[1].to_bytes(2, "big"), size[1].to_bytes(4, "little")
        one = choice.choice(width)
        if choice.random() < 0.4:
            made = made.replace(
                one, choice.choice([b"\xff" * len(one), b"\x00" * len(one), b"\x00\x01" * (len(one) // 2)]), 1
            )
        return made
    return b""


def _pictures(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (len(ENDINGS), 16, 16, 3), dtype=np.uint8)
    for number, ending in enumerate(ENDINGS):
        place = folder / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[number]).save(place / f"{number}.{ending}")


def _read_pictures(folder: Path) -> None:
    for path in sorted(folder.rglob("*.*")):
        header_size(path.read_bytes(), str(path))
        verify(path.read_bytes(), str(path))
        decode_image(path.read_bytes(), str(path))
    source = open_source(f"imagefolder:{folder}", preprocessing=Preprocessing(crop=8))
    source.digests()
    for position in range(len(source)):
        source.load([position])


READERS = [
    Reader("images and folders of them", _pictures, "*/*", _read_pictures, wrong=picture_wrong, weight=3),
]
