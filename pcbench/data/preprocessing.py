"""The preprocessing contract: stated by the model, applied once to each image, recorded with the run.

A model states a `Preprocessing`; a source applies it while it decodes. Nothing later resizes or crops again, and
normalisation (mean, standard deviation) is the model's own business: what a source hands out is 8-bit RGB.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcbench.data.decoding import MAX_PIXELS, refuse_mode
from pcbench.errors import ConfigurationError, DataError

Interpolation = Literal["nearest", "bilinear", "bicubic"]

_FILTERS: dict[str, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
# An image that would be larger than this once resized, 0.1 GB, is cut to what is kept before it is resized: its sides
# are to each other as 500 to 1 or more. Its pixels can then differ by a grey level or two, and by more at hard edges
# under the bicubic filter: Pillow rounds and clips between the resizing across and down, and chooses their order.
_LARGEST_RESIZED = 2**25


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

    def without_resizing(self) -> Preprocessing:
        """Return the same without the resizing: images keep their sizes, and the centred square is cut from them."""
        return replace(self, resize=None)

    def changes_own_size(self, height: int, width: int) -> bool:
        """Return whether an image that has the size of the result already is resized and cropped all the same."""
        return self.resize is not None and self.resize != self.crop and height == width == self.crop

    def refuse_size(self, height: int, width: int, name: str) -> None:
        """Refuse an image whose size leaves no result.

        Raises:
            DataError: It is smaller than the crop, or it would be resized to more pixels than may be held.
        """
        height, width = self._resized(height, width)
        if self.crop is not None and min(height, width) < self.crop:
            raise DataError(
                f"{name}: is {width}x{height} px, smaller than the {self.crop}x{self.crop} px that the model takes; "
                "use larger images or a model that resizes"
            )
        if self.crop is None and height * width > MAX_PIXELS:
            raise DataError(
                f"{name}: would be resized to {width}x{height} px, more than memory should hold; cut it to a sensible "
                "shape, or use a model that states a crop"
            )

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what `apply` makes of an image of this size."""
        return self._resized(height, width) if self.crop is None else (self.crop, self.crop)

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
            DataError: The image is smaller than the crop, has more than 8 bits per channel, or has no form in RGB.
        """
        refuse_mode(image, name)
        self.refuse_size(image.height, image.width, name)
        height, width = self._resized(image.height, image.width)
        if (height, width) == (image.height, image.width):
            return np.asarray(_to_rgb(image if self.crop is None else _crop_centre(image, self.crop)))
        interpolation = _FILTERS[self.interpolation]
        if self.crop is not None and height * width > _LARGEST_RESIZED:
            return np.asarray(_resize_centre(image, (height, width), self.crop, interpolation))
        pixels = _to_rgb(image).resize((width, height), interpolation)
        return np.asarray(pixels if self.crop is None else _crop_centre(pixels, self.crop))

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after resizing, before the crop."""
        if self.resize is None or min(height, width) == self.resize:
            return height, width
        long_side = int(self.resize * max(height, width) / min(height, width))
        return (long_side, self.resize) if width <= height else (self.resize, long_side)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of the same conversion in one step
    return image if image.mode == "RGB" else image.convert("RGB")


def _crop_centre(image: Image.Image, side: int) -> Image.Image:
    left, top = _offset(image.width, side), _offset(image.height, side)
    return image.crop((left, top, left + side, top + side))


def _resize_centre(
    image: Image.Image, size: tuple[int, int], side: int, interpolation: Image.Resampling
) -> Image.Image:
    """Return the centred square of the image resized to `size` (height, width), without making the rest of it.

    Only the pixels that the square is made of are taken. They are resized across and then down, as Pillow resizes.
    """
    across, down = image.width / size[1], image.height / size[0]
    left, right, first_column, last_column = _reach(image.width, across, _offset(size[1], side), side)
    top, bottom, first_row, last_row = _reach(image.height, down, _offset(size[0], side), side)
    part = _to_rgb(image.crop((first_column, first_row, last_column, last_row)))
    part = part.resize((side, part.height), interpolation, (left, 0, right, part.height))
    return part.resize((side, side), interpolation, (0, top, side, bottom))


def _reach(length: int, scale: float, start: int, side: int) -> tuple[float, float, int, int]:
    """Return where a run of resized pixels lies along one axis of an image.

    Args:
        length: The image's pixels along the axis.
        scale: Pixels of the image to one resized pixel.
        start: The first resized pixel.
        side: How many resized pixels.

    Returns:
        The run's borders, counted from the first pixel that a filter reaches, and the first and the end of those.
    """
    begin, end = start * scale, min((start + side) * scale, length)
    reach = 2 * max(1.0, scale) + 1  # the bicubic filter's, the longest
    first, last = max(0, int(begin - reach)), min(length, int(end + reach) + 1)
    return begin - first, min(end - first, last - first), first, last


def _offset(length: int, side: int) -> int:
    return round((length - side) / 2)
