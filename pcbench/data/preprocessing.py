"""The preprocessing contract: stated by the model, applied once to each image, recorded with the run.

A model states a `Preprocessing`; a source applies it while it decodes. Nothing later resizes or crops again, and
normalisation (mean, standard deviation) is the model's own business: what a source hands out are 8-bit channels.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcbench.data.channels import Planes, converted, pixels_of, planes_of
from pcbench.data.decoding import MAX_PIXELS, refuse_mode
from pcbench.errors import ConfigurationError, DataError, UsageError

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
    channels: int = 3
    """How many channels the network takes: 3 are red, green and blue; see `pcbench.data.channels`."""

    def __post_init__(self) -> None:
        for name, size in (("resize", self.resize), ("crop", self.crop)):
            if size is not None and size < 1:
                raise ConfigurationError(f"preprocessing: {name} must be a positive number of pixels (got {size})")
        if self.channels < 1:
            raise ConfigurationError(f"preprocessing: an image has at least one channel (got {self.channels})")
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
        return json.dumps(self.stated(), sort_keys=True)

    def stated(self) -> dict[str, int | str | None]:
        """Return what is stated, by name; three channels go without saying, and keys of such runs stay the same."""
        found = asdict(self)
        if self.channels == 3:
            del found["channels"]
        return found

    def of_size(self, resize: int | bool, crop: int | None) -> Preprocessing:
        """Return the same steps with other sizes.

        Args:
            resize: Length of the short side in pixels; True leaves it as it is, False resizes nothing.
            crop: Side of the square; None leaves it as it is.

        Raises:
            UsageError: The crop does not fit in the resized image.
        """
        side = self.resize if resize is True else resize or None
        try:
            return replace(self, resize=side, crop=self.crop if crop is None else crop)
        except ConfigurationError as error:
            raise UsageError(f"{error}; change `resize` or `crop`") from None

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

    def apply(self, image: Image.Image | NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """Prepare one decoded image.

        Greyscale, palette and CMYK images become RGB by Pillow's conversion; an alpha channel is dropped. Networks of
        other channels than three are given what `pcbench.data.channels.converted` makes of an image. An EXIF
        orientation is left alone, as torchvision and the published ImageNet results leave it.

        Args:
            image: The image as Pillow opened it, of any size and 8-bit mode, or pixels (height, width, channels).
            name: What the image is called in error messages.

        Returns:
            Pixels, shape (height, width, `channels`), 0 to 255.

        Raises:
            DataError: The image is smaller than the crop, has more than 8 bits per channel, or has no form in the
                channels that the network takes.
        """
        if isinstance(image, Image.Image):
            refuse_mode(image, name)
            planes = (image,)
        else:
            planes = planes_of(image)
        return pixels_of(self._applied(planes, name))

    def _applied(self, planes: Planes, name: str) -> Planes:
        width, height = before = planes[0].size
        self.refuse_size(height, width, name)
        height, width = self._resized(height, width)
        if (width, height) == before:
            cut = planes if self.crop is None else _crop_centre(planes, self.crop)
            return converted(cut, self.channels, name)
        interpolation = _FILTERS[self.interpolation]
        if self.crop is not None and height * width > _LARGEST_RESIZED:
            square = _Square.of(planes[0].size, (width, height), self.crop)
            parts = converted(tuple(plane.crop(square.box) for plane in planes), self.channels, name)
            return tuple(square.resized(part, interpolation) for part in parts)
        resized = tuple(
            plane.resize((width, height), interpolation) for plane in converted(planes, self.channels, name)
        )
        return resized if self.crop is None else _crop_centre(resized, self.crop)

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after resizing, before the crop."""
        if self.resize is None or min(height, width) == self.resize:
            return height, width
        long_side = int(self.resize * max(height, width) / min(height, width))
        return (long_side, self.resize) if width <= height else (self.resize, long_side)


def _crop_centre(planes: Planes, side: int) -> Planes:
    left, top = _offset(planes[0].width, side), _offset(planes[0].height, side)
    return tuple(plane.crop((left, top, left + side, top + side)) for plane in planes)


@dataclass(frozen=True)
class _Square:
    """The part of an image that becomes the centred square once resized: the rest of it is not resized at all."""

    side: int
    box: tuple[int, int, int, int]
    """The pixels that the square is made of: left, top, right, bottom."""
    across: tuple[float, float]
    """Where the square begins and ends in that part, from the left."""
    down: tuple[float, float]
    """The same from the top."""

    @classmethod
    def of(cls, before: tuple[int, int], after: tuple[int, int], side: int) -> _Square:
        """Return the square of an image; its size is (width, height), before and after."""
        across, down = (
            _reach(length, length / resized, _offset(resized, side), side)
            for length, resized in zip(before, after, strict=True)
        )
        return cls(side, (across[2], down[2], across[3], down[3]), across[:2], down[:2])

    def resized(self, part: Image.Image, interpolation: Image.Resampling) -> Image.Image:
        """Resize the part across and then down, as Pillow resizes."""
        (left, right), (top, bottom) = self.across, self.down
        part = part.resize((self.side, part.height), interpolation, (left, 0, right, part.height))
        return part.resize((self.side, self.side), interpolation, (0, top, self.side, bottom))


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
