"""Oracles: torchvision's Resize and CenterCrop on Pillow images, for the sizes and the pixels; Pillow's own
conversion for colour modes; written-out cases for refusals."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from pcbench.data.decoding import MAX_PIXELS, decode_image, header_size, verify
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


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(content: bytes) -> np.ndarray:
    return Preprocessing().apply(decode_image(content, "image"), "image")


def test_transparency_is_dropped_and_the_colours_below_count() -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 0
    np.testing.assert_array_equal(read(encoded(Image.fromarray(pixels), "PNG")), pixels[..., :3])
    grey = Image.fromarray(pixels[..., [0, 3]], "LA")
    np.testing.assert_array_equal(read(encoded(grey, "PNG")), np.repeat(pixels[..., :1], 3, axis=2))
    opaque = Image.fromarray(pixels[..., :3])
    one_colour = encoded(opaque, "PNG", transparency=tuple(int(value) for value in pixels[3, 3, :3]))
    np.testing.assert_array_equal(read(one_colour), pixels[..., :3])
    assert verify(one_colour, "image").transparent
    assert not verify(encoded(opaque, "PNG"), "image").transparent


@pytest.mark.parametrize("transparency", [2, bytes([255, 0, 128, 255])])
def test_a_palette_gives_its_colours_whatever_is_transparent(transparency: int | bytes) -> None:
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 150, 0], [7, 7, 7]], np.uint8)
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 4, "P")
    image.putpalette(colours.tobytes())
    content = encoded(image, "PNG", transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read(content), colours[np.arange(64).reshape(8, 8) % 4])
        assert verify(content, "image").transparent


def test_cmyk_becomes_rgb_in_jpeg_and_tiff_alike() -> None:
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 51))
    right = (204, 0, 0)  # red under a fifth of black
    for content, close in ((encoded(ink, "TIFF"), 0), (encoded(ink, "JPEG", quality=100), 2)):
        np.testing.assert_allclose(read(content)[8, 8].astype(int), right, atol=close)


def test_colours_without_one_form_in_rgb_are_refused_by_name() -> None:
    content = encoded(Image.new("LAB", (8, 8), (50, 10, 10)), "TIFF")
    with pytest.raises(DataError, match=r"lab\.tiff: has colours of mode LAB.*save it as RGB"):
        verify(content, "lab.tiff")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_pictures_the_first_counts(kind: str) -> None:
    first, second = (Image.new("RGB", (16, 16), (grey,) * 3) for grey in (40, 200))
    content = encoded(first, kind, save_all=True, append_images=[second])
    np.testing.assert_allclose(read(content).astype(int), 40, atol=2)
    assert verify(content, "image").animated
    assert not verify(encoded(first, kind), "image").animated


def waves(width: int, height: int) -> Image.Image:
    """Return an image without hard edges, where the order of resizing across and down matters only by rounding."""
    down, across = np.mgrid[0:height, 0:width]
    shades = [128 + 80 * np.sin(down / (5 + step)) * np.cos(across / (7 + step)) for step in range(3)]
    return Image.fromarray(np.stack(shades, axis=-1).astype(np.uint8))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 5000), (5000, 9)])
def test_long_images_are_cut_before_they_are_resized(size: tuple[int, int], interpolation: str) -> None:
    image = waves(*size)
    ours = Preprocessing(256, 224, interpolation).apply(image, "image").astype(int)
    assert max(size) * 256 / min(size) * 256 > 2**25
    oracle = Compose([Resize(256, InterpolationMode(interpolation)), CenterCrop(224)])
    np.testing.assert_allclose(ours, np.asarray(oracle(image)).astype(int), atol=1)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(500, 375), (375, 500), (1200, 900), (100, 131), (257, 3000)])
def test_cutting_before_resizing_changes_at_most_two_grey_levels(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], interpolation: str
) -> None:
    steps, image = Preprocessing(256, 224, interpolation), waves(*size)
    whole = steps.apply(image, "image").astype(int)
    monkeypatch.setattr("pcbench.data.preprocessing._LARGEST_RESIZED", 0)
    np.testing.assert_allclose(steps.apply(image, "image").astype(int), whole, atol=2)


_THIN = """
import io, resource, sys
from PIL import Image
from pcbench.data.decoding import decode_image
from pcbench.data.preprocessing import Preprocessing
image = Image.new("L", (1, 20_000_000), 90)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pixels = Preprocessing(256, 224).apply(image, "thin")
assert pixels.shape == (224, 224, 3) and (pixels == 90).all()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_thin_image_takes_the_memory_of_its_crop() -> None:
    done = subprocess.run([sys.executable, "-c", _THIN], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100  # MiB; resized whole, it would take 4 TB


def test_a_thin_image_that_nothing_cuts_is_refused() -> None:
    with pytest.raises(DataError, match="thin: would be resized to 256x5120000 px"):
        Preprocessing(256).apply(Image.new("RGB", (1, 20_000)), "thin")


def test_a_photograph_of_196_megapixels_is_called_what_it_is() -> None:
    small = encoded(Image.new("L", (16, 16)), "JPEG")
    frame = small.index(b"\xff\xc0")
    large = small[: frame + 5] + (14_000).to_bytes(2, "big") * 2 + small[frame + 9 :]
    for reader in (verify, decode_image, header_size):
        with pytest.raises(DataError, match="has 14000x14000 px, 196 megapixels; at most 179 are read"):
            reader(large, "photo.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            header_size(small[: frame + 5] + (12_000).to_bytes(2, "big") * 2 + small[frame + 9 :], "a") == (12000,) * 2
        )
    assert 12_000**2 < MAX_PIXELS < 14_000**2


def test_real_photographs_give_the_same_pixels_as_torchvision(test_data: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(test_data / "imagenette" / "val-500.parquet").read_row_group(0).to_pylist()[:40]
    oracle = Compose([Resize(256), CenterCrop(224)])
    for row in rows:
        content = next(value for value in row.values() if isinstance(value, dict))["bytes"]
        verify(content, "photo")
        expected = oracle(Image.open(io.BytesIO(content)).convert("RGB"))
        np.testing.assert_array_equal(
            Preprocessing(256, 224).apply(decode_image(content, "a"), "a"), np.asarray(expected)
        )
