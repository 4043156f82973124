"""Oracles: the same corruption of a colour image whose three colours are equal, and of each channel by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from shipped_corruptions import by_function, reached

from pcbench.corruptions.api import corrupt
from pcbench.errors import DataError, UsageError

NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "brownish_noise")
COLOUR_ONLY = ("saturate", "plasma_noise")
COLOURED = ("frost", "spatter")
OF_COLOURS = ("snow", "frost", "brightness", "jpeg_compression", "spatter", "saturate", "plasma_noise")
LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)


@pytest.fixture(scope="module")
def grey(small_images: torch.Tensor) -> torch.Tensor:
    """Two grey images, (2, 1, 33, 40)."""
    return small_images[:2, :1]


@pytest.mark.parametrize("name", [name for name, one in by_function().items() if one.takes(1)])
@pytest.mark.parametrize("severity", [1, 4])
def test_a_grey_image_is_corrupted_as_the_colour_image_that_it_is_repeated_to(
    name: str, severity: int, grey: torch.Tensor
) -> None:
    # imagecorruptions repeats grey images to three channels, and gives these.
    definition = by_function()[name]
    severity = reached(definition, severity)
    found = corrupt(grey, definition, severity)
    assert found.shape == grey.shape
    colour = corrupt(grey.repeat(1, 3, 1, 1), definition, severity)
    if name in COLOURED:
        inside = (colour > 0).all(1, keepdim=True) & (colour < 255).all(1, keepdim=True)
        luma = (colour.float() * LUMA).sum(1, keepdim=True)
        assert inside.float().mean() > 0.3
        assert (found.float() - luma)[inside].abs().max() <= 1  # each colour was cut off to a whole level
    else:
        assert torch.equal(found, colour[:, :1])
        assert name in NOISES or torch.equal(colour[:, :1], colour[:, 2:])


@pytest.mark.parametrize("name", [name for name, one in by_function().items() if one.takes(2) and name != "fog"])
def test_two_and_four_channels_are_corrupted_each_by_itself(name: str, small_images: torch.Tensor) -> None:
    definition = by_function()[name]
    severity = reached(definition, 3)
    four = torch.cat([small_images[:2], small_images[2:4, :1]], 1)
    for images in (four, four[:, 1:3]):
        found = corrupt(images, definition, severity)
        assert found.shape == images.shape
        alone = [corrupt(images[:, channel : channel + 1], definition, severity) for channel in range(images.shape[1])]
        if name in NOISES:
            assert torch.equal(found[:, :1], alone[0])
            noise = (found.float() - images.float()).flatten(2)
            # Every channel has its own; that of low frequencies is alike by chance.
            assert abs(np.corrcoef(noise[0])[0, 1]) < (0.9 if name == "brownish_noise" else 0.15)
        else:
            assert torch.equal(found, torch.cat(alone, 1))


def test_fog_is_the_same_light_in_every_channel(small_images: torch.Tensor) -> None:
    # The brightest value of all channels decides how much of it is left: a channel more that is dark changes nothing.
    dark = torch.zeros_like(small_images[:, :1])
    found = corrupt(torch.cat([small_images, dark], 1), "fog", 3)
    assert torch.equal(found[:, :3], corrupt(small_images, "fog", 3))
    assert found[:, 3].float().std() > 5


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_corruption_of_colours_is_refused(channels: int) -> None:
    images = torch.zeros(1, channels, 16, 16)
    for name in OF_COLOURS:
        if channels == 1 and name not in COLOUR_ONLY:
            continue
        made = "colour images (3 channels)" if name in COLOUR_ONLY else "grey or colour images (1 or 3 channels)"
        with pytest.raises(UsageError) as caught:
            corrupt(images, by_function()[name], 1)
        assert str(caught.value) == f"{name} is made for {made}, not for images of {channels}"
    if channels > 1:
        with pytest.raises(UsageError, match=rf"a JPEG has 1 or 3 channels, not {channels}; leave `jpeg_quality` out"):
            corrupt(images, "contrast", 1, jpeg_quality=85)
    with pytest.raises(DataError, match=rf"takes and makes colour images, not images of {channels} channels"):
        corrupt(torch.zeros(1, channels, 32, 32), "contrast", 1, backend="reference")


def test_forms_of_other_channels_come_back_as_they_came() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 20, 24, 4), dtype=np.uint8)
    expected = corrupt(torch.tensor(pixels).permute(0, 3, 1, 2), "gaussian_noise", 3).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(corrupt(pixels, "gaussian_noise", 3), expected)
    np.testing.assert_array_equal(np.stack(corrupt(list(pixels), "gaussian_noise", 3)), expected)
    first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(corrupt(first, "gaussian_noise", 3).transpose(0, 2, 3, 1), expected)
    assert corrupt(pixels[..., :1], "fog", 2).shape == (3, 20, 24, 1)
