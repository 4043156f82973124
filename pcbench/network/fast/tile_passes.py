"""Convolving an image tile by tile, in a few large pieces that threads share.

Tiles beside each other make a strip. First each strip is transformed along its rows; then, for some frequencies at a
time, along columns, and multiplied by the kernels; last, each strip's products become pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pcbench.network.fast.fourier_tiles import Frequencies, TileTransforms
from pcbench.network.fast.workers import share_pieces

# Tiles worked on at once: many make the products efficient, few need less memory.
_TILES_AT_ONCE = 64
_TILES_LEARNED_FROM = 256
# Kernels with fewer numbers go to PyTorch's own library: calling another costs more than it gains.
_WORTH_ONEDNN = 2**18
# With few rows the transposed product is the faster one, in spite of its result's order.
_FEW_ROWS = 16

Write = Callable[[int, int, Tensor], None]


@dataclass(frozen=True)
class Strips:
    """An image cut into overlapping windows; those beside each other make a strip."""

    image: Tensor
    """(batch, height, width, channels…)."""
    step: int
    """How many pixels lie between two windows."""
    window: int
    """A window's side."""
    border: int
    """How many pixels the first window begins outside the image."""

    @property
    def down(self) -> int:
        """How many strips an image has."""
        return -(-self.image.shape[1] // self.step)

    @property
    def across(self) -> int:
        """How many windows a strip has."""
        return -(-self.image.shape[2] // self.step)

    @property
    def channels(self) -> int:
        """How many channels a pixel has."""
        return self.image.shape[3:].numel()

    @property
    def count(self) -> int:
        """How many strips all images have."""
        return len(self.image) * self.down

    def transform(self, number: int, rows: Tensor, out: Tensor) -> None:
        """Multiply the rows of a strip's windows by a matrix.

        Args:
            number: Which strip.
            rows: (N, window).
            out: (N, window, windows across * channels), written.
        """
        index, strip = divmod(number, self.down)
        height, width = self.image.shape[1:3]
        top = strip * self.step - self.border
        first, last = max(top, 0), min(top + self.window, height)
        wide = (self.across - 1) * self.step + self.window
        padded = self.image.new_zeros(self.window, wide, *self.image.shape[3:])
        padded[first - top : last - top, self.border : self.border + width] = self.image[index, first:last]
        # (window, windows across, channels, window) as a view.
        windows = padded.flatten(2).unfold(1, self.window, self.step)
        gathered = windows.permute(0, 3, 1, 2).reshape(self.window, -1)
        torch.mm(rows, gathered, out=out.view(len(rows), -1))


def convolve(strips: Strips, transforms: TileTransforms, kernels: Tensor, write: Write, *, adjoint: bool) -> None:
    """Multiply the tiles of an image by kernels, and write the pixels.

    Args:
        strips: The image, its windows N x N.
        transforms: The matrices.
        kernels: (N * N, channels_in, channels_out), transformed.
        write: Takes an image's and a strip's number, and the pixels (m, m, windows across, channels made).
        adjoint: The image has channels_out channels, and channels_in are made.
    """
    side, pixels, across = transforms.side, transforms.pixels, strips.across
    given, made = strips.channels, kernels.shape[1 if adjoint else 2]
    at_once = max(1, min(strips.count, _TILES_AT_ONCE // across))
    by_row = strips.image.new_empty(at_once, side, side, across * given)
    products = strips.image.new_empty(transforms.products * at_once * across * made)
    for first in range(0, strips.count, at_once):
        count = min(at_once, strips.count - first)
        room = products[: transforms.products * count * across * made].view(transforms.products, count, across * made)

        def begin(strip: int, first: int = first) -> None:
            strips.transform(first + strip, transforms.rows, by_row[strip])

        def multiply(number: int, count: int = count, room: Tensor = room) -> None:
            band = transforms.bands[number]
            numbers = _along_columns(by_row[:count, band.parts], band.columns)
            _multiply(numbers.view(len(band.columns), -1, given), kernels, band, room[band.products], adjoint=adjoint)

        def finish(strip: int, first: int = first, room: Tensor = room) -> None:
            out = _to_pixels(transforms, room[:, strip])
            image, row = divmod(first + strip, strips.down)
            write(image, row, out.view(pixels, pixels, across, made))

        share_pieces(count, begin)
        share_pieces(len(transforms.bands), multiply)
        share_pieces(count, finish)


def _along_columns(by_row: Tensor, matrix: Tensor) -> Tensor:
    """Multiply (strips, parts, rows, values) by (numbers, parts rows), for (numbers, strips, values)."""
    strips, values = by_row.shape[0], by_row.shape[-1]
    out = by_row.new_empty(len(matrix), strips, values)
    for strip in range(strips):
        torch.mm(matrix, by_row[strip].view(matrix.shape[1], values), out=out[:, strip])
    return out


def _to_pixels(transforms: TileTransforms, products: Tensor) -> Tensor:
    """Turn a strip's products, (products, values), into pixels (m, m values)."""
    pixels, values = transforms.pixels, products.shape[-1]
    by_row = products.new_empty(transforms.side, pixels * values)
    for one in transforms.row_frequencies:
        torch.mm(one.inverse_columns, products[one.products], out=by_row[one.parts].view(-1, values))
    return transforms.inverse_rows @ by_row


def _multiply(numbers: Tensor, kernels: Tensor, band: Frequencies, out: Tensor, *, adjoint: bool) -> None:
    """Multiply (numbers, tiles, given) by a band's kernels, into (products, strips, values)."""
    tiles = numbers.shape[1]
    number = product = 0
    for is_complex in band.kinds:
        both = 1 + is_complex
        value = numbers[number : number + both].view(both * tiles, -1)
        kernel = kernels[band.numbers.start + number : band.numbers.start + number + both]
        target = out[product : product + both * both].view(both, both * tiles, -1)
        (_multiply_transposed if adjoint else _multiply_forward)(value, kernel, target)
        number, product = number + both, product + both * both


def _multiply_forward(value: Tensor, kernels: Tensor, out: Tensor) -> None:
    """Multiply (rows, given) by one or two kernels (given, made), into (1 or 2, rows, made)."""
    product = _onednn() if kernels[0].numel() >= _WORTH_ONEDNN else None
    for kernel, target in zip(kernels, out, strict=True):
        if product is None:
            torch.mm(value, kernel, out=target)
        else:
            target.copy_(product(value, kernel.t(), None, "none", [], ""))


def _multiply_transposed(value: Tensor, kernels: Tensor, out: Tensor) -> None:
    """Multiply (rows, given) by one or two transposed kernels (made, given), into (1 or 2, rows, made)."""
    product = _onednn() if kernels[0].numel() >= _WORTH_ONEDNN else None
    if product is not None and len(value) <= _FEW_ROWS:
        # oneDNN is faster where the larger matrix is not the one that it lays out anew.
        made = product(kernels.flatten(0, 1), value, None, "none", [], "")
        out.copy_(made.view(*kernels.shape[:2], -1).transpose(1, 2))
        return
    for kernel, target in zip(kernels, out, strict=True):
        if product is None:
            torch.mm(value, kernel.t(), out=target)
        else:
            target.copy_(product(value, kernel, None, "none", [], ""))


def _onednn() -> Callable[..., Tensor] | None:
    # PyTorch multiplies matrices by MKL, which on AMD's processors is the slower one for these.
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def learn(given: Strips, made: Strips, transforms: TileTransforms) -> Tensor:
    """Return the gradient of transformed kernels, (N * N, channels_in, channels_out).

    Args:
        given: The image, its windows N x N.
        made: The cotangent of the pixels, its windows m x m.
        transforms: The matrices that made pixels of products.
    """
    side, pixels, across = transforms.side, transforms.pixels, given.across
    total = given.image.new_zeros(side * side, given.channels, made.channels)
    at_once = max(1, min(given.count, _TILES_LEARNED_FROM // across))
    inputs = given.image.new_empty(at_once, side, side, across * given.channels)
    outputs = given.image.new_empty(at_once, side, pixels, across * made.channels)
    for first in range(0, given.count, at_once):
        count = min(at_once, given.count - first)

        def begin(strip: int, first: int = first) -> None:
            given.transform(first + strip, transforms.rows, inputs[strip])
            made.transform(first + strip, transforms.inverse_rows.t(), outputs[strip])

        def multiply(number: int, count: int = count) -> None:
            band = transforms.bands[number]
            values = _along_columns(inputs[:count, band.parts], band.columns)
            answers = _along_columns(outputs[:count, band.parts], band.inverse_columns.t())
            sizes = (count * across, given.channels, made.channels)
            _add_gradients(values.view(-1, *sizes[:2]), answers.view(-1, sizes[0], sizes[2]), band, total)

        share_pieces(count, begin)
        share_pieces(len(transforms.bands), multiply)
    return total


def _add_gradients(values: Tensor, answers: Tensor, band: Frequencies, total: Tensor) -> None:
    """Add the products of (numbers, tiles, channels_in) and (products, tiles, channels_out) to a band's kernels."""
    number = product = 0
    for is_complex in band.kinds:
        both = 1 + is_complex
        value = values[number : number + both].flatten(0, 1)
        answer = answers[product : product + both * both].view(both, len(value), -1)
        for part in range(both):
            total[band.numbers.start + number + part].addmm_(value.t(), answer[part])
        number, product = number + both, product + both * both
