"""Oracles: ITU-R BT.601 in integers, Pillow on one plane at a time, arrays whose values are known here."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pcbench.data.image_source import ImageSource
from pcbench.data.pixels import to_pixels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import ConfigurationError, DataError

RANDOM = np.random.default_rng(4)
GREY = RANDOM.integers(0, 256, (9, 14), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (9, 14, 3), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (9, 14, 4), dtype=np.uint8)
# Integers over 65,536, as in Pillow's Convert.c.
LUMA = ((COLOUR @ np.array([19595, 38470, 7471]) + 0x8000) >> 16).astype(np.uint8)


def folder(path: Path, images: dict[str, Image.Image]) -> str:
    (path / "images" / "a").mkdir(parents=True)
    for name, image in images.items():
        image.save(path / "images" / "a" / name)
    return f"imagefolder:{path / 'images'}"


def opened(data: Any, channels: int, **steps: Any) -> ImageSource:
    return open_source(data, preprocessing=Preprocessing(channels=channels, **steps))


def palette(image: Image.Image) -> Image.Image:
    return image.convert("P", palette=Image.Palette.ADAPTIVE, colors=200)


def test_grey_files_keep_their_values_for_a_network_of_one_channel(tmp_path: Path) -> None:
    coloured = palette(Image.fromarray(COLOUR))
    expected = {
        "0.png": (Image.fromarray(GREY), GREY),
        "1.png": (Image.fromarray(np.dstack([GREY] * 3)), GREY),
        "2.png": (Image.fromarray(np.dstack([GREY, GREY[::-1]]), "LA"), GREY),
        "3.png": (Image.fromarray(GREY > 99), (GREY > 99) * np.uint8(255)),
        "4.png": (Image.fromarray(COLOUR), LUMA),
        "5.png": (Image.fromarray(np.dstack([COLOUR, GREY])), LUMA),
        "6.png": (coloured, np.asarray(Image.fromarray(np.asarray(coloured.convert("RGB"))).convert("L"))),
    }
    source = opened(folder(tmp_path, {name: image for name, (image, _) in expected.items()}), 1)
    images = source.load(range(len(expected)))
    assert (images.shape, source.shape()) == ((7, 1, 9, 14), (1, 9, 14))
    for found, (_, values) in zip(images[:, 0].numpy(), expected.values(), strict=True):
        np.testing.assert_array_equal(found, values)
    remarks = source.survey().remarks
    assert [one for one in remarks if one.startswith("4 of 7 images are stored in colours and were made grey, 0.299 R")]
    assert [one for one in remarks if one.startswith("2 of 7 images have an alpha channel")]


def test_files_with_alpha_give_two_or_four_channels_and_others_are_refused(tmp_path: Path) -> None:
    data = folder(tmp_path, {"0.png": Image.fromarray(ALPHA)})
    source = opened(data, 4)
    np.testing.assert_array_equal(source.load([0])[0].permute(1, 2, 0).numpy(), ALPHA)
    assert not source.survey().remarks
    two = opened(data, 2).load([0])[0].numpy()
    np.testing.assert_array_equal(two[1], ALPHA[..., 3])
    np.testing.assert_array_equal(two[0], np.asarray(Image.fromarray(ALPHA[..., :3]).convert("L")))
    np.testing.assert_array_equal(opened(data, 3).load([0])[0].permute(1, 2, 0).numpy(), ALPHA[..., :3])
    with pytest.raises(DataError, match=r"0\.png: is an image file, and the network takes 6 channels; give arrays"):
        opened(data, 6).survey()
    Image.fromarray(ALPHA[..., :3]).convert("CMYK").save(tmp_path / "images" / "a" / "1.jpg")
    for channels, mode in ((2, "LA"), (4, "RGBA")):
        with pytest.raises(DataError, match=rf"1\.jpg: has no alpha.* {channels} channels \({mode}\); where it is opa"):
            opened(data, channels).survey()
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "images" / "a" / "1.png")
    with pytest.raises(DataError, match=r"1\.png: has more than 8 bits per channel"):
        opened(data, 1).survey()


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_arrays_of_a_network_s_own_channels_are_taken_first_or_last(channels: int) -> None:
    pixels = RANDOM.integers(0, 256, (3, 9, 14, channels), dtype=np.uint8)
    first = pixels.transpose(0, 3, 1, 2)
    forms = [
        pixels,
        first,
        torch.tensor(pixels),
        first / 255,
        list(pixels),
        *([pixels[..., 0]] if channels == 1 else []),
    ]
    for images in forms:
        found = opened((images, [0, 1, 0]), channels).load([0, 1, 2])
        np.testing.assert_array_equal(found.numpy(), first)
    stream = ((image, 0) for image in first)
    np.testing.assert_array_equal(opened((stream, 3), channels).load([0, 1, 2]).numpy(), first)


@pytest.mark.parametrize(
    ("shape", "channels", "says"),
    [
        ((4, 20, 4), 4, r"\(4, 20, 4\) does not say whether the channels come first or last"),
        ((20, 24, 3), 4, r"4 channels, first or last for this network; this one has the shape \(20, 24, 3\)$"),
        ((20, 24), 2, r"2 channels, first or last for this network; this one has the shape \(20, 24\)$"),
        ((20, 24, 4), 1, r"1 or 3 channels.*\(20, 24, 4\); leave out the fourth channel \(alpha\)"),
        ((20, 24, 2), 3, r"1 or 3 channels, first or last; this one has the shape \(20, 24, 2\)$"),
    ],
)
def test_arrays_of_other_channels_are_refused(shape: tuple[int, ...], channels: int, says: str) -> None:
    with pytest.raises(DataError, match=says):
        to_pixels(np.zeros(shape, np.uint8), "x", channels)


def test_values_outside_the_range_are_for_unroll_input() -> None:
    with pytest.raises(
        DataError, match=r"from 0 to 1 \(a network's `unroll_input` takes others\); these lie from -1 to 1"
    ):
        opened((np.linspace(-1, 1, 126).reshape(1, 9, 14), [0]), 1).load([0])


def test_colour_arrays_and_pictures_for_one_channel_are_made_grey_and_told() -> None:
    for images in ([Image.fromarray(COLOUR)], COLOUR[None], torch.tensor(COLOUR)[None] / 255):
        source = opened((images, [0]), 1)
        np.testing.assert_array_equal(source.load([0])[0, 0].numpy(), LUMA)
        assert "1 of 1 images are stored in colours" in source.survey().remarks[0]
    digits = opened("digits", 1).take(20)
    assert digits.load([0]).shape == (1, 1, 32, 32)
    assert not digits.survey().remarks
    with pytest.raises(DataError, match=r"digits, image .*: has 3 channels, and the network takes 4; give images of 4"):
        opened("digits", 4).survey()
    np.testing.assert_array_equal(digits.load([3])[0, 0], opened("digits", 3).take(20).load([3])[0, 1])


@pytest.mark.parametrize("side", [(18, 16), (9, 8)])
def test_every_channel_is_resized_and_cut_by_itself(side: tuple[int, int]) -> None:
    # Pillow itself resizes RGBA and LA after multiplying by alpha, which wipes out what is transparent.
    steps = Preprocessing(resize=side[0], crop=side[1], interpolation="bicubic")
    planes = [steps.apply(Image.fromarray(ALPHA[..., channel]), "x")[..., 0] for channel in range(4)]
    content = io.BytesIO()
    Image.fromarray(ALPHA).save(content, "PNG")
    for channels, image in ((4, ALPHA), (4, Image.open(content)), (2, ALPHA[..., :2]), (1, ALPHA[..., :1])):
        found = Preprocessing(side[0], side[1], "bicubic", channels).apply(image, "x")
        np.testing.assert_array_equal(found, np.dstack(planes[:channels]))


def test_three_channels_go_without_saying() -> None:
    # Oracle: the text that keys of former runs hold.
    assert Preprocessing().as_text() == '{"crop": null, "interpolation": "bilinear", "resize": null}'
    assert Preprocessing(channels=1).as_text() == (
        '{"channels": 1, "crop": null, "interpolation": "bilinear", "resize": null}'
    )
    with pytest.raises(ConfigurationError, match="at least one channel"):
        Preprocessing(channels=0)
