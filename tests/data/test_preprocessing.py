"""Oracles: torchvision's Resize and CenterCrop on Pillow images, for the sizes and the pixels; Pillow's own
conversion for colour modes; written-out cases for refusals."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import ConfigurationError, DataError


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 333), (257, 1000), (100, 131), (256, 300)])
def test_resize_and_crop_equal_torchvision(size: tuple[int, int], interpolation: str) -> None:
    width, height = size
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))
    oracle = Compose([Resize(256, InterpolationMode(interpolation)), CenterCrop(224)])
    ours = Preprocessing(256, 224, interpolation).apply(image, "image")
    np.testing.assert_array_equal(ours, np.asarray(oracle(image)))


def test_odd_crop_rounds_as_torchvision() -> None:
    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (33, 38, 3), dtype=np.uint8))
    ours = Preprocessing(crop=30).apply(image, "image")
    np.testing.assert_array_equal(ours, np.asarray(CenterCrop(30)(image)))


def test_image_of_the_crop_size_is_not_touched_without_resize() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Preprocessing(crop=224).apply(Image.fromarray(pixels), "image"), pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "YCbCr"])
def test_every_8_bit_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(4).integers(0, 256, (8, 8, 3), dtype=np.uint8)).convert(mode)
    np.testing.assert_array_equal(Preprocessing().apply(image, "image"), np.asarray(image.convert("RGB")))


def test_16_bit_image_is_refused_instead_of_clipped() -> None:
    deep = Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16))
    with pytest.raises(DataError, match=r"photo\.png: has more than 8 bits per channel"):
        Preprocessing().apply(deep, "photo.png")


def test_exif_orientation_is_left_alone() -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter turn
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    np.testing.assert_array_equal(Preprocessing().apply(Image.open(buffer), "image"), pixels)


def test_image_smaller_than_the_crop_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="tiny: is 20x20 px, smaller than the 32x32 px"):
        Preprocessing(crop=32).apply(Image.new("RGB", (20, 20)), "tiny")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"resize": 0}, "resize must be a positive"),
        ({"crop": -1}, "crop must be a positive"),
        ({"resize": 224, "crop": 256}, "does not fit"),
        ({"interpolation": "lanczos"}, "is not one of nearest, bilinear, bicubic"),
    ],
)
def test_senseless_contracts_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Preprocessing(**arguments)
