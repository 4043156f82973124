"""Oracle: arithmetic on arrays whose values are known here. What values mean is stated, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pcbench.data.pixels import to_pixels
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError

PIXELS = np.random.default_rng(1).integers(0, 256, (20, 24, 3), dtype=np.uint8)
SMOOTH = np.linspace(0, 1, 20 * 24 * 3).reshape(20, 24, 3)


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        (PIXELS.astype(np.float32), "these lie from 0 to 255: divide by the value of white, 255"),
        (SMOOTH * 16, "these lie from 0 to 16: divide by the value of white$"),
        (SMOOTH * 2 - 1, r"these lie from -1 to 1: leave normalisation to the model; for -1 to 1 give \(x \+ 1\) / 2"),
        ((SMOOTH - 0.45) / 0.22, r"these lie from -2.045 to 2.5: leave normalisation to the model$"),
        (SMOOTH * 65535, "these lie from 0 to 6.554e.04: divide by the value of white"),
        (np.full((20, 24, 3), np.nan), "these hold NaN or infinity"),
        (np.where(SMOOTH > 0.5, np.inf, SMOOTH), "these hold NaN or infinity"),
        (
            PIXELS.astype(np.int64),
            r"int64 with values from \d+ to \d+: where white is 255, give array.astype\('uint8'\)",
        ),
        (PIXELS.astype(np.uint16) * 200, "uint16 with values from .*: divide by the value of white, as 65535"),
        (PIXELS.astype(np.int16) - 128, "int16 with values from -128 to 127"),
        (PIXELS > 9, r"bool.*array.astype\('uint8'\) \* 255"),
        (PIXELS.reshape(-1), r"\(1440,\); reshape flat images"),
        (PIXELS[None], r"\(1, 20, 24, 3\); give one image an item"),
        (np.zeros((20, 24, 4), np.uint8), r"\(20, 24, 4\); leave out the fourth channel \(alpha\)"),
        (np.zeros((3, 24, 3), np.uint8), r"\(3, 24, 3\) does not say whether the channels come first or last"),
        (np.zeros((1, 24, 3), np.uint8), "does not say whether the channels come first or last"),
        (np.zeros((0, 24, 3), np.uint8), "has no pixels"),
        (np.ma.masked_less(PIXELS, 9), "some of its pixels are masked"),
        (PIXELS.astype(complex), "of complex128"),
        (np.array([{"a": 1}]), "of object"),
        ("photo.png", r"is the text 'photo\.png', not an image; open it first"),
        (None, "is not an image but NoneType"),
        ([[1, 2], [3]], "your data raised ValueError"),
        (torch.zeros(3, 20, 24, device="meta"), "your data raised NotImplementedError"),
        (b"not an image", "is not an image file"),
    ],
)
def test_what_is_refused_says_what_it_looks_like_and_what_to_do(image: Any, remedy: str) -> None:
    with pytest.raises(DataError, match=f"^x: .*{remedy}") as caught:
        to_pixels(image, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "image",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        PIXELS / 255,
        torch.tensor(PIXELS) / 255,
        (torch.tensor(PIXELS) / 255).to_sparse(),
        torch.tensor(PIXELS / 255).requires_grad_(),
        np.ma.masked_less(PIXELS, 0),
        Image.fromarray(PIXELS),
        (PIXELS / 255).astype(np.longdouble),
        # Single precision after a resize may end a little beyond.
        np.where(PIXELS == 255, np.float32(1 + 2e-7), (PIXELS / 255).astype(np.float32)),
    ],
)
def test_every_kind_of_one_image_gives_the_same_pixels(image: Any) -> None:
    np.testing.assert_array_equal(to_pixels(image, "x"), PIXELS)


@pytest.mark.parametrize(
    "images", [SMOOTH[None].astype(np.uint8), np.round(SMOOTH[None]).astype(np.uint8), SMOOTH[None] / 255]
)
def test_images_divided_or_cast_twice_are_refused(images: Any) -> None:
    # White is 1 of 255: (x / 255).astype("uint8"), or x / 255 / 255.
    with pytest.raises(DataError, match="the largest of 255 grey levels is 1 in all images looked at"):
        open_source((images, [0]), preprocessing=Preprocessing())
