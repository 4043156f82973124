"""Convolution by tiles and discrete Fourier transforms, as products of small real matrices.

An image is cut into overlapping tiles of N = m + L - 1 pixels per side; circular convolution of a tile with a kernel of
L pixels per side gives m x m of the pixels wanted (overlap-save; Oppenheim and Schafer, "Discrete-Time Signal
Processing", section 8.7). At each frequency the transforms meet in a product over channels; a complex product takes
three real ones (Gauss), so the transforms give three real numbers for a complex frequency. Tiles and kernels are real:
of two conjugate frequencies one is kept.

The transforms go over the tile's rows first, then over its columns. Order of the numbers: for each complex row
frequency all column frequencies, three numbers each; then for each real row frequency (0, and N/2 where N is even) half
of the column frequencies, one or three numbers each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class TileTransforms:
    """The matrices for tiles that give m x m pixels with kernels of L x L."""

    pixels: int
    """m."""
    side: int
    """N = m + L - 1."""
    complex_rows: int
    """How many complex row frequencies there are."""
    real_rows: int
    """How many real row frequencies there are, 1 or 2."""
    rows: Tensor
    """(N, N), rows of pixels to row frequencies (real and imaginary parts beside each other)."""
    columns: Tensor
    """(3N, 2N), for a complex row frequency."""
    columns_of_real: Tensor
    """(…, N), for a real row frequency."""
    inverse_columns: Tensor
    """(2m, 3N), products of a complex row frequency to pixels along columns."""
    inverse_columns_of_real: Tensor
    """(m, …), the same for a real row frequency."""
    inverse_rows: Tensor
    """(m, N), row frequencies to pixels."""

    @property
    def numbers(self) -> int:
        """How many real numbers stand for one tile."""
        return 3 * self.side * self.complex_rows + len(self.columns_of_real) * self.real_rows

    def forward(self, tiles: Tensor, workspace: Tensor, out: Tensor) -> None:
        """Transform tiles.

        Args:
            tiles: (N, N, values), contiguous.
            workspace: At least as many values as `tiles`.
            out: (numbers, values), written.
        """
        self._analyse((self.rows, self.columns, self.columns_of_real), tiles, workspace, out)

    def transposed_inverse(self, pixels: Tensor, workspace: Tensor, out: Tensor) -> None:
        """Apply the transposed matrix of `inverse`: cotangents of pixels become cotangents of products.

        Args:
            pixels: (m, m, values), contiguous.
            workspace: At least N x m x values.
            out: (numbers, values), written.
        """
        matrices = (self.inverse_rows.t(), self.inverse_columns.t(), self.inverse_columns_of_real.t())
        self._analyse(matrices, pixels, workspace, out)

    def _analyse(self, matrices: tuple[Tensor, Tensor, Tensor], square: Tensor, workspace: Tensor, out: Tensor) -> None:
        rows, columns, columns_of_real = matrices
        given, values = square.shape[0], square.shape[-1]
        by_row = workspace[: self.side * given * values].view(self.side, given * values)
        torch.mm(rows, square.view(given, given * values), out=by_row)
        split, parts = 3 * self.side * self.complex_rows, 2 * self.complex_rows
        target = out[:split].view(self.complex_rows, 3 * self.side, values)
        grouped = by_row[:parts].view(self.complex_rows, 2 * given, values)
        torch.bmm(columns.expand(self.complex_rows, -1, -1), grouped, out=target)
        for row, part in zip(by_row[parts:], out[split:].chunk(self.real_rows), strict=True):
            torch.mm(columns_of_real, row.view(given, values), out=part)

    def inverse(self, products: Tensor, workspace: Tensor, out: Tensor) -> None:
        """Turn products into pixels.

        Args:
            products: (numbers, values).
            workspace: At least N x m x values.
            out: (m, m, values), written.
        """
        side, pixels, values = self.side, self.pixels, products.shape[-1]
        by_row = workspace[: side * pixels * values].view(side, pixels * values)
        split, parts = 3 * side * self.complex_rows, 2 * self.complex_rows
        columns = self.inverse_columns.expand(self.complex_rows, -1, -1)
        target = by_row[:parts].view(self.complex_rows, 2 * pixels, values)
        torch.bmm(columns, products[:split].view(self.complex_rows, 3 * side, values), out=target)
        for row, part in zip(by_row[parts:], products[split:].chunk(self.real_rows), strict=True):
            torch.mm(self.inverse_columns_of_real, part, out=row.view(pixels, values))
        torch.mm(self.inverse_rows, by_row, out=out.view(pixels, pixels * values))


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
    columns, inverse_columns = _complex_columns(side, kept, adjoint=adjoint)
    columns_of_real, inverse_columns_of_real = _real_columns(side, kept, adjoint=adjoint)
    return TileTransforms(
        pixels,
        side,
        len(complex_rows),
        len(real_rows),
        torch.stack(rows).float(),
        columns.float(),
        columns_of_real.float(),
        inverse_columns.float(),
        inverse_columns_of_real.float(),
        (torch.stack(inverse_rows, 1) / side).float(),
    )


def _row_frequencies(side: int) -> tuple[range, list[int]]:
    return range(1, (side - 1) // 2 + 1), [0] if side % 2 else [0, side // 2]


def _half(side: int) -> Iterator[tuple[int, bool]]:
    """Give the frequencies of a real signal, and whether each is real itself."""
    complex_ones, real_ones = _row_frequencies(side)
    yield from ((frequency, True) for frequency in real_ones)
    yield from ((frequency, False) for frequency in complex_ones)


def _waves(frequency: int, positions: Tensor, side: int) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * frequency * positions / side
    return angle.cos(), angle.sin()


def _three(real: Tensor, imaginary: Tensor, *, adjoint: bool) -> list[Tensor]:
    """The three numbers of a complex frequency x that meet those of a kernel w: (w_r, w_i - w_r, w_r + w_i).

    The adjoint multiplies by the conjugate of w: the second and third numbers change their order and signs.
    """
    if adjoint:
        return [real + imaginary, -imaginary, -real]
    return [real + imaginary, real, imaginary]


def _from_three(cosine: Tensor, sine: Tensor, *, adjoint: bool) -> list[tuple[Tensor, Tensor]]:
    """How much of each of the three products goes into real and imaginary part of x w e^{i angle}."""
    # Real part: first minus third product; imaginary part: first plus second. In the adjoint the last two are swapped.
    shares = [(1, 1), (-1, 0), (0, 1)] if adjoint else [(1, 1), (0, 1), (-1, 0)]
    return [(real * cosine - imaginary * sine, real * sine + imaginary * cosine) for real, imaginary in shares]


def _complex_columns(side: int, kept: Tensor, *, adjoint: bool) -> tuple[Tensor, Tensor]:
    positions = torch.arange(side, dtype=torch.float64)
    columns: list[Tensor] = []
    inverse: list[Tensor] = []
    for frequency in range(side):
        cosine, sine = _waves(frequency, positions, side)
        columns += _three(torch.cat([cosine, sine]), torch.cat([-sine, cosine]), adjoint=adjoint)
        cosine, sine = _waves(frequency, kept, side)
        inverse += [torch.cat(parts) for parts in _from_three(cosine, sine, adjoint=adjoint)]
    return torch.stack(columns), torch.stack(inverse, 1) / side


def _real_columns(side: int, kept: Tensor, *, adjoint: bool) -> tuple[Tensor, Tensor]:
    positions = torch.arange(side, dtype=torch.float64)
    columns: list[Tensor] = []
    inverse: list[Tensor] = []
    for frequency, real in _half(side):
        cosine, sine = _waves(frequency, positions, side)
        columns += [cosine] if real else _three(cosine, -sine, adjoint=adjoint)
        cosine, sine = _waves(frequency, kept, side)
        # A complex frequency stands for its conjugate too.
        inverse += [cosine] if real else [2 * share[0] for share in _from_three(cosine, sine, adjoint=adjoint)]
    return torch.stack(columns), torch.stack(inverse, 1) / side


@cache
def kernel_transform(pixels: int, kernel: int) -> Tensor:
    """Return the matrix (numbers, L * L) that transforms kernels, row by row, for tiles that give m x m pixels."""
    side = pixels + kernel - 1
    positions = torch.arange(kernel, dtype=torch.float64)
    down, across = torch.meshgrid(positions, positions, indexing="ij")
    complex_rows, real_rows = _row_frequencies(side)
    chosen = [(row, column, False) for row in complex_rows for column in range(side)]
    chosen += [(row, column, real) for row in real_rows for column, real in _half(side)]
    rows: list[Tensor] = []
    for row, column, is_real in chosen:
        cosine, sine = _waves(1, row * down + column * across, side)
        real, imaginary = cosine.flatten(), -sine.flatten()
        rows += [real] if is_real else [real, imaginary - real, real + imaginary]
    return torch.stack(rows).float()
