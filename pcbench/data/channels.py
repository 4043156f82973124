"""From what an image file or an array holds to the channels that a network takes.

One channel is grey, two are grey and alpha, three are red, green and blue, four these and alpha: the modes L, LA, RGB
and RGBA of Pillow. What the channels of an array with two, four or more mean is the user's own business, so nothing
is made of them: every channel is cut and resized by itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pcbench.errors import DataError

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_GREY = ("1", "L", "LA")
LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue count in a grey value: ITU-R BT.601, as in Pillow's and OpenCV's conversion to grey."""

Planes = tuple[Image.Image, ...]
"""An image that is cut and resized: one picture, or one grey picture for each channel of an array."""


def known_channels(channels: int) -> tuple[int, ...]:
    """Return which numbers of channels an array may have for a network that takes `channels`."""
    return (1, 3) if channels in (1, 3) else (channels,)


def is_grey(image: Image.Image) -> bool:
    """Return whether an image is stored without colours."""
    return image.mode in _GREY


def refuse_unlike(*, transparent: bool, channels: int, name: str) -> None:
    """Refuse an image file that does not hold the channels that a network takes.

    Args:
        transparent: Whether it has an alpha channel or a transparent colour.
        channels: How many channels the network takes.
        name: What the image is called in error messages.

    Raises:
        DataError: It lacks the alpha channel, or no image file has so many channels.
    """
    if channels not in _MODES:
        raise DataError(f"{name}: is an image file, and the network takes {channels} channels; give arrays of these")
    if channels % 2 == 0 and not transparent:
        mode = _MODES[channels]
        raise DataError(
            f"{name}: has no alpha channel, and the network takes {channels} channels ({mode}); where it is opaque, "
            f"save it again after convert({mode!r}), or give arrays"
        )


def refuse_other_count(count: int, channels: int, name: str) -> None:
    """Refuse an array that does not hold the channels that a network takes.

    Args:
        count: How many it has.
        channels: How many the network takes.
        name: What the image is called in error messages.

    Raises:
        DataError: It has others.
    """
    if count not in known_channels(channels):
        raise DataError(f"{name}: has {count} channels, and the network takes {channels}; give images of {channels}")


def planes_of(content: NDArray[np.uint8]) -> Planes:
    """Return the pixels of an array, (height, width, channels), as pictures; three channels are one in RGB."""
    count = content.shape[2]
    if count == 3:
        return (Image.fromarray(content),)
    return tuple(Image.fromarray(np.ascontiguousarray(content[..., channel])) for channel in range(count))


def converted(planes: Planes, channels: int, name: str) -> Planes:
    """Return an image in the channels that a network takes.

    Grey becomes colour by repeating; colour becomes grey by ITU-R BT.601 as Pillow computes it, which leaves a pixel
    of three equal values as it is. An alpha channel is dropped where the network takes one or three channels.

    Args:
        planes: One picture, or the planes of an array.
        channels: How many the network takes.
        name: What the image is called in error messages.

    Returns:
        One picture in RGB for three channels, else one grey picture a channel.

    Raises:
        DataError: It does not hold these channels.
    """
    first = planes[0]
    if len(planes) > 1 or (channels not in (1, 3) and not first.has_transparency_data):
        return _own_planes(planes, channels, name)
    image = _colours(first)
    if channels == 3:
        return (image if image.mode == "RGB" else image.convert("RGB"),)
    if channels == 1:
        # By way of RGB, so that a palette's and an ink's colours are those that a network with colours sees.
        return (_without_alpha(image).convert("L"),)
    refuse_unlike(transparent=True, channels=channels, name=name)
    return image.convert(_MODES[channels]).split()


def pixels_of(planes: Planes) -> NDArray[np.uint8]:
    """Return pictures as pixels, (height, width, channels)."""
    if len(planes) == 1 and planes[0].mode == "RGB":
        return np.asarray(planes[0])
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def grey_repeated(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return pixels with grey repeated for a network that takes colours, (height, width, 3); others as they are."""
    shape = (*pixels.shape[:2], 3) if channels == 3 else pixels.shape
    return np.array(np.broadcast_to(pixels, shape))


def _own_planes(planes: Planes, channels: int, name: str) -> Planes:
    if len(planes) == 1:
        refuse_unlike(transparent=False, channels=channels, name=name)
    refuse_other_count(len(planes), channels, name)
    return planes


def _colours(image: Image.Image) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns of the same conversion in one step
    return image


def _without_alpha(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "1", "RGB"):
        return image
    return image.convert("L" if image.mode == "LA" else "RGB")
