"""Small transposed convolutions as ordinary ones, on the CPU.

A transposed convolution of stride s is s x s ordinary convolutions, one for each phase of the output's rows and
columns. Laid out as one convolution with s x s times the channels, kernels filled up with zeros, it has more
multiplications than the transposed form; with few channels it is still several times faster, because PyTorch has no
fast transposed form there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.fast.choosing import LayerWork, choose
from pcbench.network.fast.weight_cache import WeightCache


def suits_phases(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    """Return whether a layer is one that is faster as an ordinary convolution: few channels, on a CPU."""
    return _fits(layer, value) and choose(LayerWork.of("transposed convolution", layer, value)) == "phases"


def suits_learning_phases(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    """Return whether a layer that learns is faster this way: its kernels are laid out again at every step."""
    return _fits(layer, value) and choose(LayerWork.of("learning transposed convolution", layer, value)) == "phases"


def _fits(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    square = len({*layer.kernel_size}) == len({*layer.stride}) == len({*layer.padding}) == 1
    return (
        not torch.compiler.is_compiling()
        and value.device.type == "cpu"
        and square
        and layer.stride[0] <= layer.kernel_size[0]
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and layer.output_padding == (0, 0)
        and not layer.weight.is_inference()
    )


def by_phases(layer: nn.ConvTranspose2d, value: Tensor, *, frozen: bool = True) -> Tensor:
    """Return what the layer makes of (batch, channels, height, width), by operations that autograd follows.

    Args:
        layer: One that suits.
        value: Its input.
        frozen: Its parameters are taken as constants; otherwise the result is differentiable in them too.
    """
    stride, padding = _pair(layer.stride), _pair(layer.padding)
    sides = transposed_sides(layer, value)
    if not frozen:
        return PhaseKernels.of(layer.weight, stride, padding).apply(value, layer.bias, sides)
    bias = None if layer.bias is None else layer.bias.detach()
    return phase_kernels(layer.weight, stride, padding).apply(value, bias, sides)


def transposed_sides(layer: nn.ConvTranspose2d, value: Tensor) -> tuple[int, int]:
    """Return the rows and columns of what the layer makes of a value, without output padding and dilation."""
    rows, columns = (
        (value.shape[axis - 2] - 1) * layer.stride[axis] - 2 * int(layer.padding[axis]) + layer.kernel_size[axis]
        for axis in (0, 1)
    )
    return rows, columns


@dataclass(frozen=True)
class PhaseKernels:
    """The kernels of all phases, (channels_out s s, channels_in, rows, columns), for strides (s, s).

    Position p of every phase sees the inputs p + first .. p + last; both are (rows, columns).
    """

    kernels: Tensor
    stride: tuple[int, int]
    first: tuple[int, int]
    last: tuple[int, int]

    @staticmethod
    def fit(weight: Tensor, geometry: tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]) -> bool:
        """Return whether kernels can be laid out so, for (stride, padding, dilation, groups)."""
        stride, _, dilation, groups = geometry
        reached = all(step <= size for step, size in zip(stride, weight.shape[-2:], strict=True))
        return reached and dilation == (1, 1) and groups == 1

    @staticmethod
    def of(weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> PhaseKernels:
        """Lay kernels out; `weight` is (channels_in, channels_out, rows, columns) of the transposed convolution."""
        rows, top, bottom = _elements(weight.shape[-2], stride[0], padding[0])
        columns, left, right = _elements(weight.shape[-1], stride[1], padding[1])
        kernels = torch.einsum("ajk,blm,iokm->oabijl", rows.to(weight), columns.to(weight), weight)
        return PhaseKernels(kernels.flatten(0, 2).contiguous(), stride, (top, left), (bottom, right))

    def apply(self, value: Tensor, bias: Tensor | None, sides: tuple[int, int]) -> Tensor:
        """Return the transposed convolution of (batch, channels, height, width), cut to rows and columns `sides`."""
        bias = None if bias is None else bias.repeat_interleave(self.stride[0] * self.stride[1])
        top, left = (-first for first in self.first)
        bottom, right = (
            -(-sides[axis] // self.stride[axis]) - 1 + self.last[axis] - (value.shape[axis - 2] - 1) for axis in (0, 1)
        )
        if (top, left) == (bottom, right) and min(top, left) >= 0:
            phases = F.conv2d(value, self.kernels, bias, padding=(top, left))
        else:
            phases = F.conv2d(F.pad(value, (left, right, top, bottom)), self.kernels, bias)
        return phases if self.stride == (1, 1) else self._interleaved(phases, sides)

    def _interleaved(self, phases: Tensor, sides: tuple[int, int]) -> Tensor:
        """Return what `pixel_shuffle` makes of phases; several times faster, but not for a graph."""
        down, across = self.stride
        if phases.requires_grad and down == across:
            return F.pixel_shuffle(phases, down)[..., : sides[0], : sides[1]]
        batch, channels, *inner = phases.shape
        parts = phases.view(batch, channels // (down * across), down, across, *inner)
        out = phases.new_empty(batch, parts.shape[1], *sides)
        for row in range(down):
            for column in range(across):
                target = out[..., row::down, column::across]
                target.copy_(parts[:, :, row, column, : target.shape[-2], : target.shape[-1]])
        return out


def phase_kernels(weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> PhaseKernels:
    """Return the kernels of fixed weights, laid out once and again when the weights have changed."""
    return _PLANS.get(weight, weight, (stride, padding), lambda: PhaseKernels.of(weight.detach(), stride, padding))


def _pair(value: object) -> tuple[int, int]:
    rows, columns = cast("tuple[int, int]", value)
    return rows, columns


@functools.cache
def _elements(size: int, stride: int, padding: int) -> tuple[Tensor, int, int]:
    """Return which element of the kernel stands where, (phase, window, kernel), the same for rows and columns.

    Two more numbers say where the window begins and ends, counted from a phase's own position.
    """
    # Output s p + a takes kernel element s u + (a + padding) mod s from input p + (a + padding) div s - u.
    taps = [
        (phase, (phase + padding) // stride - step, stride * step + (phase + padding) % stride)
        for phase in range(stride)
        for step in range(-(-(size - (phase + padding) % stride) // stride))
    ]
    first, last = min(tap[1] for tap in taps), max(tap[1] for tap in taps)
    with torch.inference_mode(mode=False):  # it is kept for all, gradients among them
        elements = torch.zeros(stride, last - first + 1, size)
        for phase, offset, element in taps:
            elements[phase, offset - first, element] = 1
    return elements, first, last


_PLANS: WeightCache[PhaseKernels] = WeightCache()
