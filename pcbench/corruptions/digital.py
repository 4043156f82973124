"""Corruptions of colour, geometry and storage (Hendrycks & Dietterich, ICLR 2019, section 3)."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, NonNegativeFloat
from typing_extensions import override

from pcbench.corruptions import filters, levels, randomness
from pcbench.corruptions.corruption import GREY_OR_COLOUR, ROUNDING_ERROR, Corruption, Drawn, as_float, whole_levels
from pcbench.corruptions.opencv import cv2

_PILLOW_BITS = 22
"""Of the fractions in which Pillow counts a filter's weights."""
_LARGEST_BOX = 128
"""As many rows of 255 can be added up, doubled and rounded within 16 bits."""
_WORDS = {2: np.uint16, 4: np.uint32}
"""The unsigned integers that hold a row of a box of so many columns."""


class Contrast(Corruption):
    """Every colour drawn towards its mean over the image. Source: `contrast` of ImageNet-C."""

    factor: NonNegativeFloat
    """What remains of the distance to the mean."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if levels.has_tables(images):
            means = self._means(images, levels.channel_sums(images))
            tables = self._drawn_together(levels.EVERY, means[..., None])
            return levels.by_level(images, whole_levels(tables))
        total = images.sum(dim=(2, 3), dtype=torch.int64 if images.dtype == torch.uint8 else torch.float64)
        return self._drawn_together(as_float(images), self._means(images, total)[..., None, None])

    def _means(self, images: torch.Tensor, totals: torch.Tensor) -> torch.Tensor:
        return (totals.double() / images.shape[-2:].numel()).float()

    def _drawn_together(self, values: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        return values * self.factor + means * (1 - self.factor)


class Brightness(Corruption):
    """The value of hue, saturation, value raised. Source: `brightness` of ImageNet-C.

    With hue and saturation kept, all three colours of a pixel grow by the factor by which its largest grows; a
    black pixel, which has no colour, becomes grey.
    """

    made_for = GREY_OR_COLOUR

    shift: NonNegativeFloat
    """Added to the value, as a share of the range from black to white."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        if levels.has_tables(images):
            return _raised_by_factors(images, self.shift)
        values = as_float(images)
        return _raised(values, values.amax(dim=1, keepdim=True), self.shift)


def _raised(values: torch.Tensor, largest: torch.Tensor, shift: float) -> torch.Tensor:
    """Return levels of pixels whose largest level is raised by a share of the range from black to white."""
    raised = (largest + 255 * shift).clamp_(max=255)
    return torch.where(largest > 0, values * (raised / largest), raised)


def _raised_by_factors(images: torch.Tensor, shift: float) -> torch.Tensor:
    """Return `_raised` of uint8 images on the CPU: the factor of a pixel's largest level is read from a table."""
    largest = levels.largest(images)
    raised = as_float(images).mul_(levels.entries(largest, _brightness_factors(shift)))
    if not largest.all():  # a black pixel has no colour that could grow
        raised = torch.where(largest > 0, raised, 255 * shift)
    return raised


@functools.lru_cache(maxsize=8)
def _brightness_factors(shift: float) -> torch.Tensor:
    return (levels.EVERY + 255 * shift).clamp_(max=255).div_(levels.EVERY.clamp(min=1))


class Saturate(Corruption):
    """The saturation of hue, saturation, value changed. Source: `saturate` of ImageNet-C's extra four.

    With hue and value kept, a colour's distance to the pixel's largest grows in proportion to the saturation. A grey
    pixel has hue 0 by convention, so that a raised saturation makes it red.
    """

    made_for = (3,)

    factor: NonNegativeFloat
    """Multiplies the saturation."""
    shift: NonNegativeFloat
    """Added to it, 0 to 1."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        colours = as_float(images)
        value, least = colours.amax(dim=1, keepdim=True), colours.amin(dim=1, keepdim=True)
        spread = value - least
        saturation = torch.where(value > 0, spread / value, 0)
        changed = (saturation * self.factor + self.shift).clamp_(0, 1)
        red = torch.tensor([0.0, 1.0, 1.0], device=colours.device).reshape(1, 3, 1, 1)
        below = torch.where(spread > 0, (value - colours) / spread, red)
        return value - value * changed * below


class ElasticTransform(Corruption):
    """Small regions stretched and shrunk by a smooth random field of displacements, after a random affine map.

    Source: `elastic_transform` of imagecorruptions (which has no affine map) and of CIFAR-10-C (which has one).
    """

    displacement: NonNegativeFloat
    """Half the range of a displacement before smoothing, as a share of the image's height."""
    smoothing: NonNegativeFloat
    """Standard deviation of the Gaussian that smooths the field, as a share of the image's side."""
    affine: NonNegativeFloat
    """Half the range by which three points of the affine map move, as a share of the image's height."""

    @override
    def draw(self, generator: np.random.Generator, channels: int, height: int, width: int) -> Drawn:
        points = randomness.uniform(generator, -self.affine * height, self.affine * height, (3, 2))
        reach = self.displacement * height
        field = randomness.uniform(generator, -reach, reach, (1, 2, height, width))
        sigma = (self.smoothing * height, self.smoothing * width)
        smooth = filters.gaussian_blur(torch.from_numpy(field), sigma, "reflect", truncate=3)
        return _inverse_affine(points, height, width), smooth[0].numpy()

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        matrix, field = drawn
        height, width = images.shape[-2:]
        rows = torch.arange(height, dtype=torch.float32, device=images.device)[None, :, None]
        columns = torch.arange(width, dtype=torch.float32, device=images.device)[None, None, :]
        moved = as_float(images)
        if self.affine:
            coefficients = matrix[..., None, None]
            x, y = (
                coefficients[:, row, 0] * columns + coefficients[:, row, 1] * rows + coefficients[:, row, 2]
                for row in (0, 1)
            )
            moved = filters.sample(moved, x, y, "mirror")
        if not self.displacement:
            return moved
        return filters.sample(moved, columns + field[:, 0], rows + field[:, 1], "reflect")


class Pixelate(Corruption):
    """A small image enlarged. Source: `pixelate` of ImageNet-C: Pillow's box filter down, its nearest pixel up."""

    scale: float = Field(gt=0, le=1)
    """Side of the small image, as a share of the image's."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        height, width = images.shape[-2:]
        if levels.has_tables(images):
            return _pixelated(images, (max(1, int(width * self.scale)), max(1, int(height * self.scale))))
        # Pillow shrinks along the rows first and rounds after each axis; moving whole rows is what torch does fast.
        narrow = _box_means(as_float(images.transpose(2, 3).contiguous()), max(1, int(width * self.scale)))
        small = _box_means(narrow.transpose(2, 3).contiguous(), max(1, int(height * self.scale)))
        down, across = (
            _nearest(count, length).to(images.device)
            for count, length in zip(small.shape[2:], (height, width), strict=True)
        )
        return small.index_select(2, down).index_select(3, across)


def _pixelated(images: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Return what Pillow makes of uint8 images on the CPU, to the bit, by moving whole rows.

    Args:
        images: (batch, channels, height, width).
        size: Width and height of the small image.
    """
    height, width = images.shape[-2:]
    # Of tall images Pillow 13 shrinks the columns first, others do not; sums over larger boxes need more than 16 bits.
    if height > 2 * width or max(width / size[0], height / size[1]) > _LARGEST_BOX:
        return torch.from_numpy(np.stack([_pixelated_by_pillow(image, size) for image in images.numpy()]))
    box = width // size[0]
    if box in _WORDS and (width, height) == (box * size[0], box * size[1]):
        planes = np.ascontiguousarray(images.numpy().reshape(-1, height, width))
        return torch.from_numpy(_pixelated_by_words(planes, box)).reshape(images.shape)
    turned = cv2.transpose(images.numpy().reshape(-1, width))
    narrow, columns = _rounded_box_means(np.asarray(turned, np.uint8)[None], size[0])
    upright = np.asarray(cv2.transpose(narrow[0]), np.uint8).reshape(-1, height, size[0])
    small, rows = _rounded_box_means(upright, size[1])
    turned = np.asarray(cv2.transpose(small.reshape(-1, size[0])), np.uint8)
    wide = cv2.transpose(turned.take(columns[_nearest(size[0], width).numpy()], axis=0))
    enlarged = np.asarray(wide, np.uint8).reshape(-1, size[1], width)
    return torch.from_numpy(enlarged.take(rows[_nearest(size[1], height).numpy()], axis=1)).reshape(images.shape)


def _pixelated_by_pillow(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    small = [Image.fromarray(channel).resize(size, Image.Resampling.BOX) for channel in image]
    return np.stack([np.asarray(one.resize(image.shape[:0:-1], Image.Resampling.NEAREST)) for one in small])


def _pixelated_by_words(planes: NDArray[np.uint8], box: int) -> NDArray[np.uint8]:
    """Pixelate planes, (planes, rows, columns), that boxes of 2 x 2 or 4 x 4 fill: a row of a box is one integer.

    Pillow rounds a half up, along the rows first: with weights of a half or a quarter this is exact.
    """
    word = _WORDS[box]
    every_other, every = word(0x00FF00FF % 256**box), word(0x01010101 % 256**box)
    words = planes.view(word)
    sums, others = words & every_other, words >> word(8)
    if box == 4:
        others &= every_other
    sums += others
    if box == 4:
        sums += sums >> word(16)
    narrow = _rounded_quotient(sums, box).reshape(len(planes), -1, box, sums.shape[2])
    total = narrow[:, :, 0] + narrow[:, :, 1]
    for row in range(2, box):
        total += narrow[:, :, row]
    wide = _rounded_quotient(total, box)
    wide *= every
    return np.repeat(wide.view(np.uint8), box, axis=1)


def _rounded_quotient(sums: NDArray[np.unsignedinteger], divisor: int) -> NDArray[np.unsignedinteger]:
    """Divide the lower 16 bits by 2 or 4 in place, a half rounded up; what stands above them is lost."""
    sums += sums.dtype.type(divisor // 2)
    sums >>= sums.dtype.type(divisor.bit_length() - 1)
    if divisor == 4:
        sums &= sums.dtype.type(0xFF)
    return sums


def _rounded_box_means(planes: NDArray[np.uint8], count: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Shrink planes, (planes, rows, columns), to `count` rows in the integers of Pillow's Resample.c.

    Returns:
        The rows, those of boxes of one size together, and where each of them is in its right order.
    """
    boxes, order = _boxes_by_size(planes.shape[1], count)
    means: list[NDArray[np.uint8]] = []
    for rows in boxes:
        total, size = np.take(planes, rows[0], axis=1), len(rows)
        if size > 1:
            sums = total.astype(np.uint16)
            for others in rows[1:]:
                sums += np.take(planes, others, axis=1)
            # A row's weight in fixed-point numbers may be a little below 1 / size: then Pillow rounds a half down.
            exact = int(0.5 + (1 << _PILLOW_BITS) / size) * size >= 1 << _PILLOW_BITS
            sums *= 2
            sums += size if exact else size - 1
            sums //= 2 * size
            total = sums.astype(np.uint8)
        means.append(total)
    return means[0] if len(means) == 1 else np.concatenate(means, axis=1), order


@functools.lru_cache(maxsize=64)
def _boxes_by_size(length: int, count: int) -> tuple[list[NDArray[np.int64]], NDArray[np.intp]]:
    """Return the rows of each box, (rows, boxes), an array for each size, and where each box is in their sequence."""
    first, sizes = _boxes(length, count)
    each = [np.add.outer(np.arange(size), first[sizes == size]) for size in range(1, sizes.max() + 1) if size in sizes]
    return each, np.argsort(np.argsort(sizes, kind="stable"))


class JpegCompression(Corruption):
    """The image stored as JPEG. Source: `jpeg_compression` of ImageNet-C.

    Images are encoded and decoded on the CPU, by libjpeg, with the colours at half resolution. A grey image is stored
    as grey, which is what a colour image of three equal colours decodes to.
    """

    made_for = GREY_OR_COLOUR

    quality: int = Field(ge=1, le=100)
    """Quality as libjpeg counts it."""

    @override
    def apply(self, images: torch.Tensor, drawn: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return jpeg_round_trip(images, self.quality)


def jpeg_round_trip(images: torch.Tensor, quality: int) -> torch.Tensor:
    """Store images as JPEG and read them back.

    Args:
        images: (batch, 3 or 1, height, width), grey levels 0 to 255; float values are rounded.
        quality: libjpeg's quality, 1 to 100.

    Returns:
        The same shape, uint8, on the images' device.
    """
    whole = images if images.dtype == torch.uint8 else images.round().clamp(0, 255).to(torch.uint8)
    read = np.empty(whole.shape, np.uint8)
    for image, into in zip(whole.cpu().numpy(), read, strict=True):
        _jpeg_round_trip(image, quality, into)
    return torch.from_numpy(read).to(images.device)


def _jpeg_round_trip(image: NDArray[np.uint8], quality: int, into: NDArray[np.uint8]) -> None:
    # OpenCV lets other threads run while it encodes, which Pillow does not; it keeps colours as blue, green, red.
    _, stored = cv2.imencode(".jpg", cv2.merge(list(image[::-1])), _jpeg_options(quality))
    kind = cv2.IMREAD_GRAYSCALE if len(image) == 1 else cv2.IMREAD_COLOR
    cv2.split(np.asarray(cv2.imdecode(stored, kind), np.uint8), list(into[::-1]))


def _jpeg_options(quality: int) -> list[int]:
    return [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]


def _inverse_affine(moves: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Return the 2 x 3 matrix from a point in the result to the point it shows, for three points that moved."""
    row, column, arm = height // 2, width // 2, min(height, width) // 3
    points = np.array([[row + arm, column + arm], [row + arm, column - arm], [row - arm, column - arm]], np.float32)
    return np.asarray(cv2.invertAffineTransform(cv2.getAffineTransform(points, points + moves)), np.float32)


def _box_means(levels: torch.Tensor, count: int) -> torch.Tensor:
    """Shrink images to `count` rows, each the rounded mean of the rows whose centres lie in its box."""
    first, sizes = (torch.from_numpy(part).to(levels.device) for part in _boxes(levels.shape[2], count))
    total = torch.zeros((*levels.shape[:2], count, levels.shape[3]), device=levels.device)
    for step in range(int(sizes.max())):
        weights = ((step < sizes) / sizes).float()
        total.addcmul_(levels.index_select(2, (first + step).clamp_(max=levels.shape[2] - 1)), weights[:, None])
    return total.add_(0.5 + ROUNDING_ERROR).floor_()


@functools.lru_cache(maxsize=64)
def _boxes(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each box, and how many there are.

    Whether a centre on the edge of a box lies in it is decided by double precision, as in Pillow's Resample.c.
    """
    scale = length / count
    centres = (np.arange(count) + 0.5) * scale
    starts = (centres - scale / 2 + 0.5).astype(np.int64)
    stops = np.minimum((centres + scale / 2 + 0.5).astype(np.int64), length)
    steps = np.arange(int((stops - starts).max()))[:, None]
    positions = (starts + steps - centres + 0.5) * (1 / scale)
    inside = (starts + steps < stops) & (positions > -0.5) & (positions <= 0.5)
    return starts + inside.argmax(axis=0), inside.sum(axis=0)


@functools.lru_cache(maxsize=64)
def _nearest(count: int, length: int) -> torch.Tensor:
    """Return for each of `length` pixels the nearest of `count`; ties fall as in Pillow, which adds up the steps."""
    steps = np.full(length, count / length)
    steps[0] *= 0.5
    return torch.from_numpy(np.minimum(np.add.accumulate(steps).astype(np.int32), count - 1))
