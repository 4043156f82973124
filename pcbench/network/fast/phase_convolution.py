"""Small transposed convolutions as ordinary ones, on the CPU.

A transposed convolution of stride s is s x s ordinary convolutions, one for each phase of the output's rows and
columns. Laid out as one convolution with s x s times the channels, kernels filled up with zeros, it has more
multiplications than the transposed form; with few channels it is still several times faster, because PyTorch has no
fast transposed form there.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

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
    """Return what the layer makes of (batch, channels, height, width).

    Args:
        layer: One that suits.
        value: Its input.
        frozen: Its parameters are taken as constants; otherwise the result is differentiable in them too.
    """
    if frozen:
        plan = _PLANS.get(layer, layer.weight, None, lambda: _Plan.of(layer, layer.weight.detach()))
        bias = None if layer.bias is None else layer.bias.detach()
    else:
        plan, bias = _Plan.of(layer, layer.weight), layer.bias
    height, width = (_transposed_side(layer, side) for side in value.shape[-2:])
    bias = None if bias is None else bias.repeat_interleave(plan.stride**2)
    ends = [-(-made // plan.stride) - 1 + plan.last - (side - 1) for made, side in _sides(value, height, width)]
    if ends == [-plan.first, -plan.first]:
        phases = F.conv2d(value, plan.kernels, bias, padding=ends[0])
    else:
        phases = F.conv2d(F.pad(value, (-plan.first, ends[1], -plan.first, ends[0])), plan.kernels, bias)
    if plan.stride == 1:
        return phases
    return F.pixel_shuffle(phases, plan.stride)[..., :height, :width]


def _transposed_side(layer: nn.ConvTranspose2d, side: int) -> int:
    return (side - 1) * layer.stride[0] - 2 * int(layer.padding[0]) + layer.kernel_size[0]


def _sides(value: Tensor, height: int, width: int) -> list[tuple[int, int]]:
    return [(height, value.shape[-2]), (width, value.shape[-1])]


@dataclass(frozen=True)
class _Plan:
    """The kernels of all phases, (channels_out s s, channels_in, window, window).

    Position p of every phase sees the inputs p + first .. p + last.
    """

    kernels: Tensor
    stride: int
    first: int
    last: int

    @staticmethod
    def of(layer: nn.ConvTranspose2d, weight: Tensor) -> _Plan:
        stride = layer.stride[0]
        elements, first, last = _elements(layer.kernel_size[0], stride, int(layer.padding[0]))
        elements = elements.to(weight)
        kernels = torch.einsum("ajk,blm,iokm->oabijl", elements, elements, weight)
        return _Plan(kernels.flatten(0, 2).contiguous(), stride, first, last)


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


_PLANS: WeightCache[_Plan] = WeightCache()
