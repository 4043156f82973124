"""The forms in which a user's images come to `corrupt`, and how its results return to the same form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pcbench.arguments import asked
from pcbench.data.pixels import as_array, range_remedy, to_pixels
from pcbench.errors import DataError

SMALLEST_SIDE = 8
"""Pixels: below, blurs and reduced images are meaningless."""

AnyImages = TypeVar("AnyImages", torch.Tensor, NDArray[Any], Image.Image, list[Any])
"""What `corrupt` takes and returns."""

MOST_CHANNELS = 4
"""So that an axis of channels is not taken for one of pixels."""
_CHANNELS = tuple(range(1, MOST_CHANNELS + 1))
_SHAPE = "images have the shape (batch, channels, height, width), with 1 to 4 channels"


@dataclass(frozen=True)
class OpenImages:
    """Images as tensors, and the way back."""

    batches: Sequence[torch.Tensor]
    """Each (n, channels, height, width), uint8 or floating point in [0, 1]; sizes may differ between them."""
    restored: Callable[[Sequence[torch.Tensor]], Any]
    """Makes of the results what the user gave."""

    @property
    def count(self) -> int:
        """How many images there are."""
        return sum(len(batch) for batch in self.batches)


def open_images(images: object) -> OpenImages:
    """Return a user's images as tensors.

    Args:
        images: A tensor (batch, channels, height, width), with 1 to 4 channels; an array of this shape, or with
            channels last, or one image; a Pillow image; or a list of images (Pillow, arrays, tensors).

    Raises:
        DataError: They have another shape, type or range, or an object of the user's own raised an exception.
    """
    return asked("images", lambda: _opened(images))


def _opened(images: object) -> OpenImages:
    if isinstance(images, torch.Tensor):
        return OpenImages([_checked(images, "")], lambda results: results[0])
    if isinstance(images, list | tuple):
        held = cast("Sequence[object]", images)
        each = [_open_one(image, f"image {index}") for index, image in enumerate(held)]
        return OpenImages([one.batches[0] for one in each], lambda results: _restored(each, results))
    if isinstance(images, Image.Image):
        return _open_one(images, "image 0")
    array = as_array(images, "images")
    return _open_one(array, "image 0") if array.ndim == 3 else _open_array(array)


def _restored(each: Sequence[OpenImages], results: Sequence[torch.Tensor]) -> list[Any]:
    return [one.restored([result]) for one, result in zip(each, results, strict=True)]


def _open_one(image: Any, name: str) -> OpenImages:
    """Return one image, whose form does not tell of a batch."""
    where = f"{name}: "
    if isinstance(image, Image.Image):
        pixels = _tensor(to_pixels(image, name)).permute(2, 0, 1)[None]
        return OpenImages([_checked(pixels, where)], lambda results: Image.fromarray(_array(results[0][0], last=True)))
    if isinstance(image, torch.Tensor):
        _refuse_other_memory(image, where)
        return OpenImages([_checked(image[None], where)], lambda results: results[0][0])
    array = as_array(image, name)
    last = array.ndim == 3 and array.shape[2] in _CHANNELS
    if array.ndim != 3 or last is (array.shape[0] in _CHANNELS):
        raise DataError(f"{where}an image has the shape (height, width, channels), not {array.shape}; {_SHAPE}")
    pixels = _tensor(array.transpose(2, 0, 1) if last else array)[None]
    return OpenImages([_checked(pixels, where)], lambda results: _array(results[0][0], last=last))


def _open_array(array: NDArray[Any]) -> OpenImages:
    last = array.ndim == 4 and array.shape[3] in _CHANNELS and array.shape[1] not in _CHANNELS
    pixels = _tensor(array.transpose(0, 3, 1, 2) if last else array)
    return OpenImages([_checked(pixels, "")], lambda results: _array(results[0], last=last))


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # torch has no longer floats
    native = array.astype(array.dtype.newbyteorder("="), copy=True)
    return torch.from_numpy(native)


def _array(result: torch.Tensor, *, last: bool) -> NDArray[Any]:
    axes = (*range(result.ndim - 3), -2, -1, -3)
    return np.ascontiguousarray((result.permute(axes) if last else result).cpu().numpy())


def _checked(images: torch.Tensor, where: str) -> torch.Tensor:
    """Return images without a graph, and refuse those that cannot be corrupted.

    Raises:
        DataError: They have another shape, type or range.
    """
    _refuse_other_memory(images, where)
    images = images.detach()
    if images.ndim != 4 or images.shape[1] not in _CHANNELS:
        raise DataError(f"{where}{_SHAPE}, not {tuple(images.shape)}{_shape_remedy(images) if not where else ''}")
    if min(images.shape[2:]) < SMALLEST_SIDE:
        raise DataError(
            f"{where}images have at least {SMALLEST_SIDE} px a side to be corrupted, not {tuple(images.shape[2:])}"
        )
    if images.dtype == torch.uint8:
        return images
    if images.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise DataError(f"{where}images are uint8 or floating point in [0, 1], not {images.dtype}")
    # NaN fails both comparisons, so it is refused too.
    if images.numel() and not bool((images >= 0).all() & (images <= 1).all()):
        low, high = (float(value) for value in images.double().aminmax())
        raise DataError(f"{where}floating-point images lie in [0, 1]; {range_remedy(low, high)}; do not normalise them")
    return images


def _refuse_other_memory(images: torch.Tensor, where: str) -> None:
    """Refuse tensors whose values do not lie in memory one beside the other.

    Raises:
        DataError: They are nested, sparse, quantised, or have no values.
    """
    if images.is_nested:
        raise DataError(f"{where}a nested tensor has no one shape; give list(images.unbind())")
    if images.layout is not torch.strided or images.device.type == "meta" or images.is_quantized:
        raise DataError(f"{where}images are dense tensors in memory; give images.to_dense(), or .dequantize()")


def _shape_remedy(images: torch.Tensor) -> str:
    if images.ndim == 3 and images.shape[0] in _CHANNELS:
        return "; for one image give image[None]"
    if images.ndim == 3 and images.shape[2] in _CHANNELS:
        return "; for one image give image.permute(2, 0, 1)[None]"
    if images.ndim == 4 and images.shape[3] in _CHANNELS:
        return "; give images.permute(0, 3, 1, 2)"
    if images.ndim == 3:
        return "; for grey images give images[:, None]"
    return ""
