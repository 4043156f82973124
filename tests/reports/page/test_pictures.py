"""Oracle: the pixels of the PNG files, and the length of the texts that a page would hold."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pcbench.errors import DataError
from pcbench.reports.page.pictures import UNCHANGED_SIDE, embedded

ROOM = 30_000


def pictures(folder: Path, side: int, count: int = 3) -> list[list[str]]:
    """Write pictures of noise, which PNG cannot pack, in groups of one; return the names of the groups."""
    generator = np.random.default_rng(side)
    names = [f"{number}-{side}.png" for number in range(count)]
    for name in names:
        pixels = generator.integers(0, 256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return [[name] for name in names]


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_large_pictures_are_reduced_until_they_fit_and_the_same_bytes_come_again(tmp_path: Path) -> None:
    groups = pictures(tmp_path, 224)
    made = embedded(tmp_path, groups, ROOM)
    assert sum(map(len, made.sources.values())) <= ROOM < 3 * 4 / 3 * 224**2
    assert made.side is not None
    for uri in made.sources.values():
        assert uri.startswith("data:image/jpeg;base64,")
        assert opened(uri).size == (made.side, made.side)
    assert embedded(tmp_path, groups, ROOM) == made


def test_pictures_that_fit_are_the_files_themselves(tmp_path: Path) -> None:
    made = embedded(tmp_path, pictures(tmp_path, 224), 10**6)
    assert made.side is None
    for name, uri in made.sources.items():
        assert base64.b64decode(uri.partition(",")[2]) == (tmp_path / name).read_bytes()


def test_small_pictures_keep_every_pixel_and_the_last_groups_are_left_out(tmp_path: Path) -> None:
    groups = pictures(tmp_path, UNCHANGED_SIDE, 4)
    made = embedded(tmp_path, groups, ROOM)
    assert made.side is None
    assert list(made.sources) == ["0-64.png"]
    stored = np.asarray(Image.open(tmp_path / "0-64.png"))
    assert np.array_equal(np.asarray(opened(made.sources["0-64.png"])), stored)
    assert list(embedded(tmp_path, groups, 1).sources) == ["0-64.png"]


def test_a_large_picture_that_is_damaged_is_named(tmp_path: Path) -> None:
    groups = pictures(tmp_path, 224)
    path = tmp_path / groups[1][0]
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"1-224\.png"):
        embedded(tmp_path, groups, ROOM)
