"""Ridge regression of one layer from streamed normal equations: sums over images, never a matrix of all of them.

The output of a convolution, a transposed convolution or a linear layer is linear in its weight. A transposed one with
stride s falls into s x s phases: output cells of one phase see the same taps of the kernel, and no tap serves two
phases. So each phase is a regression of its own on patches of the input (zeros outside the image, as the layer has
them), and the phases share nothing but the bias.

Source: A. E. Hoerl and R. W. Kennard, "Ridge regression: biased estimation for nonorthogonal problems", Technometrics
12, 1970.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.training.linear_parts import Learned, in_double

LARGEST = 4096
"""Unknowns of one phase up to which its equations are written down; larger ones are solved by conjugate gradients."""
_CELLS = 2**22
"""Cells of a piece of patches that is in memory at once, in float64."""
_REDUNDANT = 1e-12


@dataclass(frozen=True)
class _Axis:
    """One axis of one phase: which output cells, seen through which taps."""

    first: int
    """The first output cell; the others follow at the layer's stride (or 1 for a convolution)."""
    step: int
    cells: int
    taps: tuple[int, ...]
    """Indices in the kernel."""
    starts: tuple[int, ...]
    """Of each tap, the input cell that the first output cell sees; it may lie outside."""
    pace: int
    """How far the input cell moves from one output cell to the next."""


def _transposed_axes(out: int, kernel: int, stride: int, padding: int, dilation: int) -> list[_Axis]:
    axes: list[_Axis] = []
    for first in range(stride):
        taps = [tap for tap in range(kernel) if (first + padding - dilation * tap) % stride == 0]
        starts = tuple((first + padding - dilation * tap) // stride for tap in taps)
        cells = max(0, -(-(out - first) // stride))
        axes.append(_Axis(first, stride, cells, tuple(taps), starts, 1))
    return axes


def _plain_axes(out: int, kernel: int, stride: int, padding: int, dilation: int) -> list[_Axis]:
    starts = tuple(dilation * tap - padding for tap in range(kernel))
    return [_Axis(0, 1, out, tuple(range(kernel)), starts, stride)]


def largest_phase(layer: Learned) -> int:
    """Return how many unknowns the largest phase of a layer has, without the bias."""
    if isinstance(layer, nn.Linear):
        return layer.in_features
    taps = 1
    for axis in (0, 1):
        kernel, stride = layer.kernel_size[axis], layer.stride[axis]
        taps *= -(-kernel // stride) if isinstance(layer, nn.ConvTranspose2d) else kernel
    return layer.in_channels // layer.groups * taps


def is_small(layer: Learned) -> bool:
    """Return whether the normal equations of a layer are written down here."""
    plain = isinstance(layer, nn.Linear) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))
    return plain and largest_phase(layer) <= LARGEST


class NormalEquations:
    """The sums over images that decide a layer's weight and bias.

    Args:
        layer: Its numbers are not used, only its shape.
    """

    def __init__(self, layer: Learned) -> None:
        self.layer = layer
        self.rows = 0
        """Output cells of one channel so far."""
        self.groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        self.squares: list[list[Tensor]] = []
        """Of each phase and group: patches times patches."""
        self.crossed: list[list[Tensor]] = []
        """Of each phase and group: patches times targets."""
        self.sums: list[list[Tensor]] = []
        """Of each phase and group: the sum of the patches."""
        self.targets: Tensor | None = None
        """Sum of each output channel's target, (channels,)."""

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Add some images.

        Args:
            features: What the layer is given.
            targets: What its output should be, of the output's shape.
        """
        features, targets = in_double(features), in_double(targets)
        if isinstance(self.layer, nn.Linear):
            features = features.reshape(-1, self.layer.in_features, 1, 1)
            targets = targets.reshape(-1, self.layer.out_features, 1, 1)
        channels = targets.transpose(0, 1).flatten(1)
        found = channels.sum(1)
        self.targets = found if self.targets is None else self.targets + found
        self.rows += channels.shape[1]
        for number, (vertical, horizontal) in enumerate(self._phases(targets.shape[-2:])):
            wanted = targets[:, :, vertical.first :: vertical.step, horizontal.first :: horizontal.step]
            if number == len(self.squares):
                self._begin(len(vertical.taps) * len(horizontal.taps))
            self._add_phase(number, features, wanted, vertical, horizontal)

    def _phases(self, out: Sequence[int]) -> list[tuple[_Axis, _Axis]]:
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return [(_plain_axes(1, 1, 1, 0, 1)[0], _plain_axes(1, 1, 1, 0, 1)[0])]
        make = _transposed_axes if isinstance(layer, nn.ConvTranspose2d) else _plain_axes
        vertical, horizontal = (
            make(out[axis], layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis]), layer.dilation[axis])
            for axis in (0, 1)
        )
        return list(product(vertical, horizontal))

    def _shape(self) -> tuple[int, int]:
        """Return input and output channels of one group."""
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return layer.in_features, layer.out_features
        return layer.in_channels // layer.groups, layer.out_channels // layer.groups

    def _begin(self, taps: int) -> None:
        channels, out = self._shape()
        unknowns = channels * taps
        device = None if self.targets is None else self.targets.device
        for sums, shape in (
            (self.squares, (unknowns, unknowns)),
            (self.crossed, (unknowns, out)),
            (self.sums, (unknowns,)),
        ):
            sums.append([torch.zeros(shape, dtype=torch.float64, device=device) for _ in range(self.groups)])

    def _add_phase(self, number: int, features: Tensor, wanted: Tensor, vertical: _Axis, horizontal: _Axis) -> None:
        channels, out = self._shape()
        for group in range(self.groups):
            own = features[:, group * channels : (group + 1) * channels]
            target = wanted[:, group * out : (group + 1) * out]
            for patches, cells in _pieces(own, target, vertical, horizontal):
                self.squares[number][group] += _squares(patches)
                self.crossed[number][group] += patches @ cells.T
                self.sums[number][group] += patches.sum(1)

    def solve(self, strength: float) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias, float64, in the layer's own shapes.

        Args:
            strength: The squares of the weights are punished by this much of the patches' mean square; 0 is plain
                least squares. The bias is not punished.

        Raises:
            numpy.linalg.LinAlgError: The equations are singular.
        """
        found = [self._solve_group(group, strength) for group in range(self.groups)]
        bias = None if self.layer.bias is None else torch.cat([own for _, own in found])
        return self._as_weight([weights for weights, _ in found]), bias

    def _solve_group(self, group: int, strength: float) -> tuple[list[Tensor], Tensor]:
        squares = [phase[group] for phase in self.squares]
        unknowns = sum(len(one) for one in squares)
        total = float(sum(one.diagonal().sum() for one in squares))
        # Of a group that is 0 on all images any weights are the best ones: with a ridge they are 0.
        punished = strength * (total / max(unknowns, 1) or 1.0)
        weights: list[Tensor] = []
        columns: list[Tensor] = []
        for number, one in enumerate(squares):
            factor = _triangular(one + punished * torch.eye(len(one), dtype=one.dtype, device=one.device))
            weights.append(torch.cholesky_solve(self.crossed[number][group], factor))
            columns.append(torch.cholesky_solve(self.sums[number][group][:, None], factor)[:, 0])
        sums = self._target_sums(group)
        if self.layer.bias is None:
            return weights, torch.zeros_like(sums)
        # The bias is the last unknown of Gauss' elimination: what the patches do not explain of the mean.
        explained = sum(phase[group] @ column for phase, column in zip(self.sums, columns, strict=True))
        pivot = self.rows - float(explained)
        rest = sums - sum(phase[group] @ weight for phase, weight in zip(self.sums, weights, strict=True))
        # Where patches add up to a constant, the bias says nothing that they do not say.
        bias = rest / pivot if pivot > _REDUNDANT * self.rows else torch.zeros_like(rest)
        return [weight - torch.outer(column, bias) for weight, column in zip(weights, columns, strict=True)], bias

    def _target_sums(self, group: int) -> Tensor:
        _, out = self._shape()
        if self.targets is None:
            raise ValueError("no image was added")
        return self.targets[group * out : (group + 1) * out]

    def _as_weight(self, groups: Sequence[Sequence[Tensor]]) -> Tensor:
        layer = self.layer
        channels, out = self._shape()
        if isinstance(layer, nn.Linear):
            return groups[0][0].T.contiguous()
        weight = in_double(layer.weight).new_zeros(self.groups, channels, out, *layer.kernel_size)
        for group, phases in enumerate(groups):
            for (vertical, horizontal), solved in zip(self._all_taps(), phases, strict=True):
                shaped = solved.reshape(channels, len(vertical), len(horizontal), out)
                for (row, tap), (column, other) in product(enumerate(vertical), enumerate(horizontal)):
                    weight[group, :, :, tap, other] = shaped[:, row, column]
        if isinstance(layer, nn.ConvTranspose2d):
            return weight.flatten(0, 1)
        return weight.transpose(1, 2).flatten(0, 1)

    def _all_taps(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        layer = self.layer
        if isinstance(layer, nn.Linear):
            return
        for vertical, horizontal in self._phases((1, 1)):
            yield vertical.taps, horizontal.taps

    def dead_channels(self) -> tuple[int, int]:
        """Return how many input channels are 0 on all images, and how many there are."""
        channels, _ = self._shape()
        present = torch.zeros(self.groups, channels, dtype=torch.float64)
        for group in range(self.groups):
            for phase in self.squares:
                present[group] += phase[group].diagonal().reshape(channels, -1).sum(1).cpu()
        return int((present == 0).sum()), present.numel()


def _squares(patches: Tensor) -> Tensor:
    """Return patches times patches. NumPy sees that the result is symmetric, and computes half of it."""
    if patches.device.type != "cpu":
        return patches @ patches.T
    plain = patches.numpy()
    return torch.from_numpy(plain @ plain.T)


def _triangular(squares: Tensor) -> Tensor:
    # PyTorch leaves this function untyped.
    factor, problem = cast("tuple[Tensor, Tensor]", torch.linalg.cholesky_ex(squares))
    if int(problem):
        raise np.linalg.LinAlgError("the normal equations are singular")
    return factor


def _pieces(features: Tensor, targets: Tensor, vertical: _Axis, horizontal: _Axis) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield patches (unknowns, rows) and their targets (channels, rows), a piece of the images at a time."""
    count, channels = features.shape[:2]
    taps = len(vertical.taps) * len(horizontal.taps)
    if not taps or not targets.numel():
        return
    padded = _padded(features, vertical, horizontal)
    rows = max(1, _CELLS // (channels * taps * horizontal.cells))
    images = max(1, rows // vertical.cells)
    for first in range(0, count, images):
        some = padded[first : first + images]
        wanted = targets[first : first + images]
        for top in range(0, vertical.cells, rows):
            cells = min(rows, vertical.cells - top)
            windows = [
                some[..., _span(vertical, start, top, cells), :][..., _span(horizontal, beside, 0, horizontal.cells)]
                for start, beside in product(_shifted(vertical), _shifted(horizontal))
            ]
            stacked = torch.stack(windows).permute(2, 0, 1, 3, 4)
            piece = wanted[:, :, top : top + cells]
            yield stacked.reshape(channels * taps, -1), piece.transpose(0, 1).reshape(targets.shape[1], -1)


def _shifted(axis: _Axis) -> list[int]:
    """Return the starts, counted from the edge of the padded input."""
    return [start + max(0, -min(axis.starts)) for start in axis.starts]


def _span(axis: _Axis, start: int, first: int, cells: int) -> slice:
    begin = start + axis.pace * first
    return slice(begin, begin + axis.pace * (cells - 1) + 1, axis.pace)


def _padded(features: Tensor, vertical: _Axis, horizontal: _Axis) -> Tensor:
    pads: list[int] = []
    for axis, size in ((horizontal, features.shape[3]), (vertical, features.shape[2])):
        before = max(0, -min(axis.starts))
        last = max(axis.starts) + axis.pace * (axis.cells - 1)
        pads += [before, max(0, last + 1 - size)]
    return F.pad(features, pads)
