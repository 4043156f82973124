"""Small image files of seeded noise."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


def _encode(kind: str, seed: int = 0, height: int = 32, width: int = 32) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def encode() -> Callable[..., bytes]:
    """Make the bytes of an image file, as ``encode("PNG", seed=3, height=40)``."""
    return _encode


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Write an image file, JPEG or PNG by its suffix, and return its path."""

    def write(path: Path, **arguments: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_encode("PNG" if path.suffix.lower() == ".png" else "JPEG", **arguments))
        return path

    return write
