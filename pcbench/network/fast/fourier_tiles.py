"""Convolution by tiles and discrete Fourier transforms, as products of small real matrices.

An image is cut into overlapping tiles of N = m + L - 1 pixels per side; circular convolution of a tile with a kernel of
L pixels per side gives m x m of the pixels wanted (overlap-save; Oppenheim and Schafer, 2010, "Discrete-Time Signal
Processing", section 8.7). At each frequency the transforms meet in a product over channels. Tiles and kernels are real:
of two conjugate frequencies one is kept, so N x N real numbers stand for a tile and as many for a kernel. Both numbers
of a complex frequency of a tile, x_r and x_i, are multiplied by both of the kernel's; the inverse transform takes the
four products (x_r w_r, x_i w_r, x_r w_i, x_i w_i). Three products would do (Gauss), but kernels are larger than the
caches: what takes time is to read them, and three products need three numbers of each.

The transforms go over the tile's rows first, then over its columns. Order of the numbers: for each complex row
frequency all column frequencies, two numbers each; then for each real row frequency (0, and N/2 where N is even) half
of the column frequencies, one or two numbers each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frequencies:
    """Some column frequencies of one row frequency."""

    parts: slice
    """The row frequency's parts among all rows': two for a complex one, real and imaginary, else one."""
    numbers: slice
    """Their numbers among those of a tile or kernel."""
    products: slice
    """Their products among those of a tile."""
    kinds: tuple[bool, ...]
    """Of each, whether it is complex."""
    columns: Tensor
    """(numbers, parts N), from the row frequency along columns of pixels."""
    inverse_columns: Tensor
    """(parts m, products), back to it."""


@dataclass(frozen=True)
class TileTransforms:
    """The matrices for tiles that give m x m pixels with kernels of L x L."""

    pixels: int
    """m."""
    side: int
    """N = m + L - 1."""
    rows: Tensor
    """(N, N), rows of pixels to row frequencies (real and imaginary parts beside each other)."""
    inverse_rows: Tensor
    """(m, N), row frequencies to pixels."""
    row_frequencies: tuple[Frequencies, ...]
    """Each row frequency with all its column frequencies."""
    bands: tuple[Frequencies, ...]
    """The same in smaller pieces."""

    @property
    def products(self) -> int:
        """How many products stand for one tile."""
        return self.row_frequencies[-1].products.stop


@cache
def tile_transforms(pixels: int, kernel: int, *, adjoint: bool) -> TileTransforms:
    """Make the matrices.

    Args:
        pixels: m, the pixels that a tile gives along each side.
        kernel: L, the kernel's side.
        adjoint: Correlate, with the same transformed kernels, where otherwise they are convolved with.
    """
    side = pixels + kernel - 1
    kept = torch.arange(pixels, dtype=torch.float64) + (0 if adjoint else kernel - 1)
    whole = torch.arange(side, dtype=torch.float64)
    complex_rows, real_rows = _row_frequencies(side)
    rows: list[Tensor] = []
    inverse_rows: list[Tensor] = []
    for frequency in complex_rows:
        cosine, sine = _waves(frequency, whole, side)
        rows += [cosine, -sine]
        cosine, sine = _waves(frequency, kept, side)
        inverse_rows += [2 * cosine, -2 * sine]
    for frequency in real_rows:
        rows.append(_waves(frequency, whole, side)[0])
        inverse_rows.append(_waves(frequency, kept, side)[0])
    found = tuple(_all_frequencies(side, kept, adjoint=adjoint))
    with torch.inference_mode(mode=False):  # they are kept for all, gradients among them
        return TileTransforms(
            pixels,
            side,
            torch.stack(rows).float(),
            (torch.stack(inverse_rows, 1) / side).float(),
            found,
            tuple(band for one in found for band in _halves(one)),
        )


def _row_frequencies(side: int) -> tuple[range, list[int]]:
    return range(1, (side - 1) // 2 + 1), [0] if side % 2 else [0, side // 2]


def _half(side: int) -> Iterator[tuple[int, bool]]:
    """Give the frequencies of a real signal, and whether each is complex."""
    complex_ones, real_ones = _row_frequencies(side)
    yield from ((frequency, False) for frequency in real_ones)
    yield from ((frequency, True) for frequency in complex_ones)


def _waves(frequency: int, positions: Tensor, side: int) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * frequency * positions / side
    return angle.cos(), angle.sin()


def _all_frequencies(side: int, kept: Tensor, *, adjoint: bool) -> Iterator[Frequencies]:
    complex_rows, real_rows = _row_frequencies(side)
    part = number = product = 0
    for is_complex in [True] * len(complex_rows) + [False] * len(real_rows):
        make = _complex_columns if is_complex else _real_columns
        kinds = tuple([True] * side if is_complex else [kind for _, kind in _half(side)])
        columns, inverse = make(side, kept, adjoint=adjoint)
        parts, numbers, products = 2 if is_complex else 1, len(columns), inverse.shape[1]
        yield Frequencies(
            slice(part, part + parts),
            slice(number, number + numbers),
            slice(product, product + products),
            kinds,
            columns.float(),
            inverse.float(),
        )
        part, number, product = part + parts, number + numbers, product + products


def _halves(whole: Frequencies) -> Iterator[Frequencies]:
    """Give the first and the second half of some column frequencies."""
    middle = len(whole.kinds) // 2
    number = product = 0
    for kinds in (whole.kinds[:middle], whole.kinds[middle:]):
        numbers, products = sum(1 + kind for kind in kinds), sum(4 if kind else 1 for kind in kinds)
        yield Frequencies(
            whole.parts,
            slice(whole.numbers.start + number, whole.numbers.start + number + numbers),
            slice(whole.products.start + product, whole.products.start + product + products),
            kinds,
            whole.columns[number : number + numbers],
            whole.inverse_columns[:, product : product + products],
        )
        number, product = number + numbers, product + products


def _from_products(cosine: Tensor, sine: Tensor, *, adjoint: bool) -> list[tuple[Tensor, Tensor]]:
    """How much of each of the four products goes into real and imaginary part of x w e^{i angle}.

    The adjoint multiplies by the conjugate of w.
    """
    sign = -1 if adjoint else 1
    shares = [(1, 0), (0, 1), (0, sign), (-sign, 0)]
    return [(real * cosine - imaginary * sine, real * sine + imaginary * cosine) for real, imaginary in shares]


def _complex_columns(side: int, kept: Tensor, *, adjoint: bool) -> tuple[Tensor, Tensor]:
    positions = torch.arange(side, dtype=torch.float64)
    columns: list[Tensor] = []
    inverse: list[Tensor] = []
    for frequency in range(side):
        cosine, sine = _waves(frequency, positions, side)
        columns += [torch.cat([cosine, sine]), torch.cat([-sine, cosine])]
        cosine, sine = _waves(frequency, kept, side)
        inverse += [torch.cat(parts) for parts in _from_products(cosine, sine, adjoint=adjoint)]
    return torch.stack(columns), torch.stack(inverse, 1) / side


def _real_columns(side: int, kept: Tensor, *, adjoint: bool) -> tuple[Tensor, Tensor]:
    positions = torch.arange(side, dtype=torch.float64)
    columns: list[Tensor] = []
    inverse: list[Tensor] = []
    for frequency, is_complex in _half(side):
        cosine, sine = _waves(frequency, positions, side)
        columns += [cosine, -sine] if is_complex else [cosine]
        cosine, sine = _waves(frequency, kept, side)
        # A complex frequency stands for its conjugate too.
        found = [2 * share[0] for share in _from_products(cosine, sine, adjoint=adjoint)]
        inverse += found if is_complex else [cosine]
    return torch.stack(columns), torch.stack(inverse, 1) / side


@cache
def kernel_transform(pixels: int, kernel: int) -> Tensor:
    """Return the matrix (N * N, L * L) that transforms kernels, row by row, for tiles that give m x m pixels."""
    side = pixels + kernel - 1
    positions = torch.arange(kernel, dtype=torch.float64)
    down, across = torch.meshgrid(positions, positions, indexing="ij")
    complex_rows, real_rows = _row_frequencies(side)
    chosen = [(row, column, True) for row in complex_rows for column in range(side)]
    chosen += [(row, column, kind) for row in real_rows for column, kind in _half(side)]
    rows: list[Tensor] = []
    for row, column, is_complex in chosen:
        cosine, sine = _waves(1, row * down + column * across, side)
        rows += [cosine.flatten(), -sine.flatten()] if is_complex else [cosine.flatten()]
    with torch.inference_mode(mode=False):
        return torch.stack(rows).float()
