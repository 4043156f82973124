"""One image as Python holds it, a Pillow image, an array or a tensor, as 8-bit pixels.

The order of the channels follows from the shape and the range from the values. Where they do not follow, the image is
refused with the remedy: a guess would change the numbers without a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pcbench.arguments import asked
from pcbench.data.channels import grey_repeated, is_grey, known_channels
from pcbench.data.decoding import decode_image, verify_opened
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DataError
from pcbench.limits.bounds import check_size, file_size, memory_limit

# What single precision leaves of 1 and 0 after a resize or a division by 255.
_ROUNDING = 1e-6


def to_pixels(image: Any, name: str, channels: int = 3) -> NDArray[np.uint8]:
    """Return an image's pixels, shape (height, width, channels), 0 to 255.

    Args:
        image: A Pillow image, the bytes of an image file (or a table with these under `bytes`, as Hugging Face
            stores them), or an array or tensor with its channels first or last: uint8, or floating point in [0, 1],
            which is rounded to the nearest of 256 grey levels. Where 1 or 3 channels are wanted it may have 1, 3 or
            none.
        name: What the image is called in error messages.
        channels: How many the network takes. Grey is repeated to three; of a colour image for one channel, all three
            are returned.

    Raises:
        DataError: It is not an image: the order of its channels or the range of its values does not follow from
            them, or they are none of these; or an object of the user's own raised an exception, which is the cause.
    """
    return asked(name, lambda: _to_pixels(image, name, channels))


def _to_pixels(image: Any, name: str, channels: int) -> NDArray[np.uint8]:
    if isinstance(image, Mapping):
        image = _content(cast("Mapping[str, Any]", image))
    if isinstance(image, bytes):
        image = decode_image(image, name)
    if isinstance(image, Image.Image):
        verify_opened(image, name)
        kept = 3 if channels == 1 and not is_grey(image) else channels
        return Preprocessing(channels=kept).apply(image, name)
    return grey_repeated(as_levels(channels_last(as_array(image, name), name, channels), name), channels)


def _content(stored: Mapping[str, Any]) -> Any:
    """Return the bytes of an image file as Hugging Face stores it: themselves, or in a file of this machine."""
    place = stored.get("path")
    if stored.get("bytes") is None and isinstance(place, str):
        check_size(place, "is an image file of", file_size(Path(place)), memory_limit())
        return Path(place).read_bytes()
    return stored.get("bytes", stored)


def as_array(image: Any, name: str) -> NDArray[Any]:
    """Return numbers in memory as an array, a tensor of any type, device and layout among them.

    Raises:
        DataError: They are not numbers, or some are missing or masked.
    """
    if isinstance(image, str | PathLike):
        what = "text" if isinstance(image, str) else "path"
        raise DataError(
            f"{name}: is the {what} {str(cast('object', image))[:40]!r}, not an image; open it first, as "
            "PIL.Image.open(…) does"
        )
    tensor = isinstance(image, torch.Tensor)
    array: NDArray[Any] = asked(name, lambda: _from_tensor(image) if tensor else np.asanyarray(image))
    if np.ma.is_masked(array):
        raise DataError(f"{name}: some of its pixels are masked; fill them first, with .filled(…)")
    if array.dtype.name == "bfloat16":  # of the package ml_dtypes, which NumPy does not count as floating point
        array = array.astype(np.float32)
    if array.dtype.kind not in "biuf":
        kind = type(image).__name__
        raise DataError(f"{name}: is not an image but {kind} of {array.dtype}; give Pillow images, arrays or tensors")
    return np.asarray(array)


def _from_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    held = tensor.detach()
    if held.is_quantized:
        held = held.dequantize()
    held = (held if held.layout is torch.strided else held.to_dense()).cpu()
    if held.dtype is torch.bfloat16 or (held.dtype.itemsize == 1 and held.is_floating_point()):
        held = held.float()  # NumPy has neither bfloat16 nor 8-bit floating point
    return held.resolve_conj().resolve_neg().numpy()


def channels_last(array: NDArray[Any], name: str, channels: int) -> NDArray[Any]:
    """Return an image with its channels last, shape (height, width, channels).

    Args:
        array: The image.
        name: What it is called in error messages.
        channels: How many the network takes; see `pcbench.data.channels.known_channels`.

    Raises:
        DataError: The shape is not that of such an image, or does not say which axis the channels are.
    """
    known = known_channels(channels)
    if array.ndim == 2 and 1 in known:
        array = array[..., None]
    if array.ndim != 3 or not {array.shape[0], array.shape[2]} & set(known):
        number = " or ".join(map(str, known)) + " channels"
        whose = "" if channels == 3 else " for this network"
        raise DataError(
            f"{name}: an image has {number}, first or last{whose}; this one has the shape {array.shape}"
            f"{_shape_remedy(array, known)}"
        )
    if 0 in array.shape:
        raise DataError(f"{name}: has no pixels; its shape is {array.shape}")
    first, last = array.shape[0] in known, array.shape[2] in known
    if first and last and array.shape[2] != 1:
        raise DataError(
            f"{name}: the shape {array.shape} does not say whether the channels come first or last; give Pillow "
            "images, or larger ones"
        )
    return array if last else array.transpose(1, 2, 0)


def _shape_remedy(array: NDArray[Any], known: Sequence[int]) -> str:
    if array.ndim == 1:
        return "; reshape flat images to (height, width, channels)"
    if array.ndim == 4:
        return "; give one image an item, not a batch of them"
    if array.ndim == 3 and 3 in known and 4 in (array.shape[0], array.shape[2]):
        return "; leave out the fourth channel (alpha)"
    return ""


def as_levels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return values as 256 grey levels, floating point rounded to the nearest.

    Raises:
        DataError: They are neither uint8 nor floating point in [0, 1]; the message says what they look like.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        remedy = _whole_remedy(array)
        raise DataError(f"{name}: images are uint8 or floating point; this one is {array.dtype}{remedy}")
    low, high = float(array.min()), float(array.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise DataError(
            f"{name}: floating-point images hold values from 0 to 1 (a network's `unroll_input` takes others); "
            f"{range_remedy(low, high)}"
        )
    levels = np.floor(array.astype(np.float64) * 255 + 0.5)
    return levels.clip(0, 255).astype(np.uint8)


def _whole_remedy(array: NDArray[Any]) -> str:
    if array.dtype.kind == "b":
        return ", which holds no grey levels; for black and white give array.astype('uint8') * 255"
    low, high = int(array.min()), int(array.max())
    if low >= 0 and high <= 255:
        return f" with values from {low} to {high}: where white is 255, give array.astype('uint8')"
    if low >= 0:
        return f" with values from {low} to {high}: divide by the value of white, as 65535"
    return f" with values from {low} to {high}"


def range_remedy(low: float, high: float) -> str:
    """Return what floating-point values outside [0, 1] look like, and what to do, for the end of a message.

    Args:
        low: The smallest.
        high: The largest.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        return "these hold NaN or infinity"
    shown = f"these lie from {low:.4g} to {high:.4g}"
    if low < 0:
        centred = "; for -1 to 1 give (x + 1) / 2" if low >= -1 and high <= 1 else ""
        return f"{shown}: leave normalisation to the model{centred}"
    return f"{shown}: divide by the value of white{', 255' if 16 < high <= 255 else ''}"
