"""The preprocessing contract: stated by the model, applied once to each image, recorded with the run.

A model states a `Preprocessing`; a source applies it while it decodes. Nothing later resizes or crops again, and
normalisation (mean, standard deviation) is the model's own business: what a source hands out is 8-bit RGB.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcbench.errors import ConfigurationError, DataError

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_FILTERS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# The first letters of the modes in which Pillow keeps more than 8 bits a channel; converted, they would be clipped.
_DEEP_MODES = ("I", "F")


@dataclass(frozen=True)
class Preprocessing:
    """What is done to an image before a model sees it.

    The short side is resized to `resize` pixels (the long side follows, rounded down), then a centred square of
    `crop` pixels is cut out. Resizing is Pillow's, which averages over the whole area that an output pixel covers
    (anti-aliased); these are the steps and the rounding of torchvision's `Resize` and `CenterCrop` on Pillow images.

    Raises:
        ConfigurationError: A size is not positive, the crop is larger than the resized image, or the
            interpolation is not one of the three.
    """

    resize: int | None = None
    """Length of the short side in pixels after resizing; None leaves images as large as they are."""
    crop: int | None = None
    """Side of the centred square in pixels; None cuts nothing."""
    interpolation: Interpolation = "bilinear"
    """The filter that resizes."""

    def __post_init__(self) -> None:
        for name, size in (("resize", self.resize), ("crop", self.crop)):
            if size is not None and size < 1:
                raise ConfigurationError(f"preprocessing: {name} must be a positive number of pixels (got {size})")
        if self.resize is not None and self.crop is not None and self.crop > self.resize:
            raise ConfigurationError(
                f"preprocessing: a crop of {self.crop} px does not fit in images resized to {self.resize} px"
            )
        if self.interpolation not in _FILTERS:
            raise ConfigurationError(
                f"preprocessing: interpolation {self.interpolation!r} is not one of {', '.join(_FILTERS)}"
            )

    def as_text(self) -> str:
        """Return the contract as one line of JSON with sorted keys, the form that is hashed and recorded."""
        return json.dumps(asdict(self), sort_keys=True)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what `apply` makes of an image of this size."""
        if self.crop is not None:
            return self.crop, self.crop
        if self.resize is None or min(height, width) == self.resize:
            return height, width
        long_side = int(self.resize * max(height, width) / min(height, width))
        return (long_side, self.resize) if width <= height else (self.resize, long_side)

    def apply(self, image: Image.Image, name: str) -> NDArray[np.uint8]:
        """Prepare one decoded image.

        Greyscale, palette and CMYK images become RGB by Pillow's conversion; an alpha channel is dropped. An EXIF
        orientation is left alone, as torchvision and the published ImageNet results leave it.

        Args:
            image: The image as Pillow opened it, of any size and 8-bit mode.
            name: What the image is called in error messages.

        Returns:
            RGB pixels, shape (height, width, 3), 0 to 255.

        Raises:
            DataError: The image is smaller than the crop, or has more than 8 bits a channel.
        """
        if image.mode.startswith(_DEEP_MODES):
            raise DataError(f"{name}: has more than 8 bits a channel (mode {image.mode}); save it as an 8-bit image")
        pixels = image.convert("RGB")
        if self.resize is not None:
            pixels = _resize_short_side(pixels, self.resize, _FILTERS[self.interpolation])
        if self.crop is not None:
            pixels = _crop_centre(pixels, self.crop, name)
        return np.asarray(pixels)


def _resize_short_side(image: Image.Image, side: int, interpolation: Image.Resampling) -> Image.Image:
    width, height = image.size
    if min(width, height) == side:
        return image
    long_side = int(side * max(width, height) / min(width, height))
    size = (side, long_side) if width <= height else (long_side, side)
    return image.resize(size, interpolation)


def _crop_centre(image: Image.Image, side: int, name: str) -> Image.Image:
    width, height = image.size
    if min(width, height) < side:
        raise DataError(
            f"{name}: is {width}x{height} px, smaller than the {side}x{side} px that the model takes; "
            "use larger images or a model that resizes"
        )
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.crop((left, top, left + side, top + side))
