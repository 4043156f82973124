"""The linear filters that several corruptions share, for images on the CPU and on a GPU.

On the CPU, OpenCV filters plane by plane: an order of magnitude faster there than torch's depthwise convolution.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pcbench.corruptions.opencv import cv2

if TYPE_CHECKING:
    from cv2.typing import MatLike

Border = Literal["replicate", "mirror", "reflect"]
"""Beyond the edge: the edge pixel; `dcb|abcd`'s mirror without (reflect101) or with the edge pixel repeated."""

# OpenCV's direct filter is faster than a pair of Fourier transforms up to about this size.
_LARGEST_DIRECT_KERNEL = 11

_OPENCV_BORDERS = {
    "replicate": cv2.BORDER_REPLICATE,
    "mirror": cv2.BORDER_REFLECT_101,
    "reflect": cv2.BORDER_REFLECT,
}


@functools.lru_cache(maxsize=64)
def gaussian_kernel(sigma: float, truncate: float = 4.0) -> NDArray[np.float32]:
    """Return a normalised Gaussian of standard deviation `sigma` pixels, cut off at `truncate` standard deviations.

    The radius is rounded as in scipy.ndimage.gaussian_filter, which scikit-image's filter calls.
    """
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return np.ones(1, np.float32)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return (weights / weights.sum()).astype(np.float32)


@functools.lru_cache(maxsize=16)
def disk_kernel(radius: float, edge_blur: float) -> NDArray[np.float32]:
    """Return the point spread of a defocused lens: a disk whose edge is smoothed by a Gaussian of `edge_blur` pixels.

    The smoothing has 3 x 3 taps up to radius 8 and 5 x 5 above, as in ImageNet-C.
    """
    half = 8 if radius <= 8 else math.ceil(radius)
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    disk = (rows**2 + columns**2 <= radius**2).astype(np.float32)
    taps = 3 if radius <= 8 else 5
    smoothed = np.asarray(cv2.GaussianBlur(disk / disk.sum(), ksize=(taps, taps), sigmaX=edge_blur), np.float32)
    reach = int(np.flatnonzero(smoothed.max(axis=0) > 1e-12).max()) - half
    return np.ascontiguousarray(smoothed[half - reach : half + reach + 1, half - reach : half + reach + 1])


@functools.lru_cache(maxsize=16)
def disk_kernel_of_levels(radius: float, edge_blur: float) -> NDArray[np.float32]:
    """Return a disk kernel for images of whole grey levels, whose blurred levels are cut off to whole ones.

    A direct kernel is left without weights below float32's least normal number, which only a sharp edge has:
    processors take many times as long over them. The other weights are then 1 / n for n pixels of a disk, or less than
    1e-18, and a blurred level is a multiple of 1 / n, which no rounding error moves across a whole level.
    """
    kernel = disk_kernel(radius, edge_blur)
    if len(kernel) > _LARGEST_DIRECT_KERNEL:
        return kernel
    return np.where(kernel < np.finfo(np.float32).tiny, np.float32(0), kernel)


def correlate(images: torch.Tensor, kernel: NDArray[np.float32], border: Border) -> torch.Tensor:
    """Correlate every plane with one symmetric kernel of two dimensions, large ones by Fourier transforms.

    Args:
        images: (batch, channels, height, width), float32.
        kernel: As many rows as columns, an odd number; the same after half a turn.
        border: How the image continues beyond its edge.
    """
    reach = kernel.shape[0] // 2
    if 2 * reach + 1 > _LARGEST_DIRECT_KERNEL:
        return _correlate_by_fourier(images, kernel, border)
    if _opencv_can(images):
        edge = _OPENCV_BORDERS[border]
        return _by_plane(images, lambda plane, into: cv2.filter2D(plane, -1, kernel, into, borderType=edge))
    return _convolve(pad(images, (reach, reach), (reach, reach), border), torch.from_numpy(kernel))


def gaussian_blur(
    images: torch.Tensor, sigma: float | tuple[float, float], border: Border = "replicate", truncate: float = 4.0
) -> torch.Tensor:
    """Blur every plane with a Gaussian.

    Args:
        images: (batch, channels, height, width), float32.
        sigma: Standard deviation in pixels; two numbers for rows and columns.
        border: How the image continues beyond its edge.
        truncate: Standard deviations after which the Gaussian is cut off.
    """
    down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    column, row = gaussian_kernel(down, truncate), gaussian_kernel(across, truncate)
    if _opencv_can(images):
        edge = _OPENCV_BORDERS[border]
        return _by_plane(images, lambda plane, into: cv2.sepFilter2D(plane, -1, row, column, into, borderType=edge))
    tall, wide = len(column) // 2, len(row) // 2
    padded = pad(images, (tall, tall), (wide, wide), border)
    return _convolve(_convolve(padded, torch.from_numpy(column[:, None])), torch.from_numpy(row[None, :]))


def pad(images: torch.Tensor, rows: tuple[int, int], columns: tuple[int, int], border: Border) -> torch.Tensor:
    """Continue images beyond their edges, by any number of pixels.

    Args:
        images: (batch, channels, height, width).
        rows: Pixels to add above and below.
        columns: Pixels to add left and right.
        border: How the image continues.
    """
    if border == "replicate":
        return F.pad(images, (*columns, *rows), mode="replicate")
    if border == "mirror" and max(rows) < images.shape[-2] and max(columns) < images.shape[-1]:
        return F.pad(images, (*columns, *rows), mode="reflect")
    down = _continued(images.shape[-2], rows, border).to(images.device)
    across = _continued(images.shape[-1], columns, border).to(images.device)
    return images.index_select(-2, down).index_select(-1, across)


def zoom_sum(images: torch.Tensor, factors: Sequence[float]) -> torch.Tensor:
    """Add up enlargements of the images' middles.

    An enlargement is bilinear, corner pixels onto corner pixels, as scipy.ndimage.zoom's of order 1. Its two axes
    are interpolated one after the other, each by moving whole rows, which needs the image turned in between.

    Args:
        images: (batch, channels, height, width), float32.
        factors: Each at least 1.
    """
    if _opencv_can(images):
        # Plane by plane, so that what is worked on stays in the processor's caches.
        return torch.stack([_zoom_sum(plane, factors) for plane in images.flatten(0, 1)]).reshape(images.shape)
    return _zoom_sum(images, factors)


def _zoom_sum(images: torch.Tensor, factors: Sequence[float]) -> torch.Tensor:
    total = torch.zeros_like(_turned(images))
    for factor in factors:
        if factor == 1:
            total += _turned(images)
            continue
        zoomed = _interpolate_rows(_turned(_interpolate_rows(images, factor)), factor)
        total[..., : zoomed.shape[-2], : zoomed.shape[-1]] += zoomed
    return _turned(total)


def _turned(images: torch.Tensor) -> torch.Tensor:
    """Return images, (..., height, width), or one plane, whose rows are their columns."""
    if images.ndim == 2 and _opencv_can(images):
        return torch.from_numpy(
            np.asarray(cv2.transpose(images.numpy()), np.float32)
        )  # torch takes three times as long
    return images.transpose(-2, -1).contiguous()


def _interpolate_rows(images: torch.Tensor, factor: float) -> torch.Tensor:
    lower, upper, weights = (part.to(images.device) for part in _zoomed_rows(images.shape[-2], factor))
    return images.index_select(-2, lower).lerp_(images.index_select(-2, upper), weights)


@functools.lru_cache(maxsize=256)
def _zoomed_rows(length: int, factor: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return which two rows make each row of an enlarged image, and the weight of the second, (rows, 1)."""
    count = math.ceil(length / factor)
    zoomed = round(count * factor)
    # Rounding may leave a row too many, which is cut off, or too few.
    positions = np.arange(min(zoomed, length)) * ((count - 1) / max(zoomed - 1, 1))
    lower = np.minimum(positions.astype(np.int32), count - 1)
    upper = np.minimum(lower + 1, count - 1)
    first = (length - count) // 2
    weights = torch.from_numpy((positions - lower).astype(np.float32)[:, None])
    return torch.from_numpy(lower + first), torch.from_numpy(upper + first), weights


def resize(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Scale images bilinearly to rows and columns, corner pixels onto corner pixels; float32."""
    return F.interpolate(images, size, mode="bilinear", align_corners=True)


def sample(
    images: torch.Tensor, x: torch.Tensor, y: torch.Tensor, border: Literal["mirror", "reflect"]
) -> torch.Tensor:
    """Read images bilinearly at given points.

    Args:
        images: (batch, channels, height, width), float32.
        x: (batch, height, width), columns in pixels, 0 the centre of the leftmost.
        y: (batch, height, width), rows in pixels.
        border: How the image continues beyond its edge.
    """
    height, width = images.shape[-2:]
    mirror = border == "mirror"
    grid = images.new_empty(*x.shape, 2)  # filled by halves: torch.stack takes many times as long
    for axis, (points, length) in enumerate(((x, width), (y, height))):
        grid[..., axis] = points * (2 / max(length - 1, 1)) - 1 if mirror else (2 * points + 1) / length - 1
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=mirror)


def zero_below(images: torch.Tensor, limit: float) -> torch.Tensor:
    """Replace values below a limit, rounded to float32, by 0.

    Where they lie is often a matter of chance, and torch.where then guesses wrong half the time.
    """
    return F.threshold(images, float(np.nextafter(np.float32(limit), np.float32(-np.inf))), 0)


@dataclass(frozen=True)
class Tap:
    """One weight of a sparse kernel: the image moved right by `right` and down by `down` pixels, times `weight`."""

    weight: float
    right: int
    down: int


def motion_taps(radius: int, sigma: float, angle: float, size: tuple[int, int]) -> list[Tap]:
    """Return the trace of a moving camera: a half Gaussian along a line.

    Args:
        radius: The line has 2 * radius + 1 taps.
        sigma: Standard deviation of the half Gaussian in pixels.
        angle: Direction in degrees.
        size: Rows and columns of the image: a trace that leaves the image ends there.
    """
    weights = np.exp(-0.5 * (np.arange(2 * radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    taps: list[Tap] = []
    for step, weight in enumerate(weights):
        tap = Tap(float(weight), -math.ceil(step * cosine - 0.5), -math.ceil(step * sine - 0.5))
        if abs(tap.down) >= size[0] or abs(tap.right) >= size[1]:
            break
        taps.append(tap)
    return taps


def trace(images: torch.Tensor, taps: list[Tap]) -> torch.Tensor:
    """Add up moved copies of images, edges repeated.

    Args:
        images: (batch, channels, height, width), float32.
        taps: The moves and their weights.
    """
    height, width = images.shape[-2:]
    above, below = max(tap.down for tap in taps), -min(tap.down for tap in taps)
    before, after = max(tap.right for tap in taps), -min(tap.right for tap in taps)
    above, below, before, after = (max(reach, 0) for reach in (above, below, before, after))
    padded = pad(images, (above, below), (before, after), "replicate")
    total = torch.zeros_like(images)
    for tap in taps:
        top, left = above - tap.down, before - tap.right
        total.add_(padded[..., top : top + height, left : left + width], alpha=tap.weight)
    return total


def _opencv_can(images: torch.Tensor) -> bool:
    return images.device.type == "cpu"


@functools.lru_cache(maxsize=64)
def _continued(length: int, beyond: tuple[int, int], border: Border) -> torch.Tensor:
    mode: Literal["reflect", "symmetric"] = "reflect" if border == "mirror" else "symmetric"
    return torch.from_numpy(np.pad(np.arange(length, dtype=np.int32), beyond, mode=mode))


def _by_plane(
    images: torch.Tensor, blur: Callable[[NDArray[np.float32], NDArray[np.float32]], MatLike]
) -> torch.Tensor:
    """Return images whose planes `blur` writes, (plane, into)."""
    blurred = torch.empty_like(images, memory_format=torch.contiguous_format)
    planes, results = (part.numpy().reshape(-1, *images.shape[-2:]) for part in (images.contiguous(), blurred))
    for plane, into in zip(planes, results, strict=True):
        blur(plane, into)
    return blurred


def _correlate_by_fourier(images: torch.Tensor, kernel: NDArray[np.float32], border: Border) -> torch.Tensor:
    height, width = images.shape[-2:]
    beyond = kernel.shape[0] - 1
    before = beyond // 2
    rows, columns = _fast_length(height + beyond), _fast_length(width + beyond)
    padded = pad(images, (before, rows - height - before), (before, columns - width - before), border)
    transfer = _transfer(kernel.tobytes(), kernel.shape[0], (rows, columns)).to(images.device)
    blurred = cast("torch.Tensor", torch.fft.irfft2(torch.fft.rfft2(padded).mul_(transfer), s=(rows, columns)))
    # The kernel starts at the origin and not around it: the result lies half its size further down and right.
    return blurred[..., beyond : beyond + height, beyond : beyond + width]


@functools.lru_cache(maxsize=16)
def _transfer(kernel: bytes, taps: int, size: tuple[int, int]) -> torch.Tensor:
    weights = torch.frombuffer(bytearray(kernel), dtype=torch.float32).reshape(taps, taps)
    return cast("torch.Tensor", torch.fft.rfft2(weights, s=size))


def _fast_length(length: int) -> int:
    """Return the next length that is a multiple of 16 without large factors: Fourier transforms are fastest there."""
    return next(
        candidate
        for candidate in range(-(-length // 16) * 16, 4 * length + 16, 16)
        if candidate in {factor << shift for factor in (1, 3, 5, 9, 15) for shift in range(4, 24)}
    )


def _convolve(padded: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    channels = padded.shape[1]
    weights = kernel.to(padded.device).expand(channels, 1, *kernel.shape)
    return F.conv2d(padded, weights, groups=channels)
