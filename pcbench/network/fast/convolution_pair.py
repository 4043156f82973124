"""A convolution and its adjoint, each the other's derivative, so that gradients of every order go by the faster forms.

PyTorch computes the gradient of a convolution's input several times more slowly than the convolution itself where there
are few channels. That gradient is a transposed convolution, which `phase_convolution` writes as an ordinary one. The
weights are constants here: no gradient reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.fast.choosing import LayerWork, choose
from pcbench.network.fast.phase_convolution import PhaseKernels, phase_kernels

Sides = tuple[int, int]


class Geometry(NamedTuple):
    """How a convolution's kernels lie on its input; all are (rows, columns)."""

    stride: Sides
    padding: Sides
    dilation: Sides
    groups: int

    @staticmethod
    def of(layer: nn.ConvTranspose2d) -> Geometry:
        """Return that of the convolution whose adjoint a layer is, and whose weights it has."""
        stride, padding, dilation = (cast("Sides", one) for one in (layer.stride, layer.padding, layer.dilation))
        return Geometry(stride, padding, dilation, layer.groups)

    def rest(self, kernel: Sides, sides: Sides) -> list[int]:
        """Return how many rows and columns at the far edges of an input no window reaches."""
        return [
            (sides[axis] + 2 * self.padding[axis] - self.dilation[axis] * (kernel[axis] - 1) - 1) % self.stride[axis]
            for axis in (0, 1)
        ]


@dataclass(frozen=True)
class ConvolutionPair:
    """A convolution of fixed weights, and its adjoint."""

    weight: Tensor
    """(channels_out, channels_in / groups, rows, columns), outside any graph."""
    geometry: Geometry
    """How the kernels lie."""
    kernels: PhaseKernels | None = None
    """By which the adjoint is computed; None: by PyTorch's own transposed form."""

    def convolve(self, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the convolution of (batch, channels_in, height, width): PyTorch's own, bit for bit."""
        if not follows(value):
            return self.convolved(value, bias)
        return _apply(_Convolved, value, bias, _Call(self, (value.shape[-2], value.shape[-1])))

    def transpose(self, value: Tensor, bias: Tensor | None, sides: Sides) -> Tensor:
        """Return the adjoint of (batch, channels_out, height, width), with rows and columns as in `sides`."""
        if not follows(value):
            return self.transposed(value, bias, sides)
        return _apply(_Transposed, value, bias, _Call(self, sides))

    def convolved(self, value: Tensor, bias: Tensor | None) -> Tensor:
        """Compute `convolve`."""
        return F.conv2d(value, self.weight, bias, *self.geometry)

    def transposed(self, value: Tensor, bias: Tensor | None, sides: Sides) -> Tensor:
        """Compute `transpose`."""
        if self.kernels is not None:
            return self.kernels.apply(value, bias, sides)
        stride, padding, dilation, groups = self.geometry
        kernel = cast("Sides", tuple(self.weight.shape[-2:]))
        rest = self.geometry.rest(kernel, sides)
        return F.conv_transpose2d(value, self.weight, bias, stride, padding, rest, groups, dilation)


def input_gradient_pair(weight: Tensor, value: Tensor, geometry: Geometry) -> ConvolutionPair | None:
    """Return the pair by which a convolution's gradient is faster than PyTorch's; None where there is none.

    Args:
        weight: (channels_out, channels_in / groups, rows, columns), a parameter or a module's buffer.
        value: The convolution's input, (batch, channels_in, height, width).
        geometry: How the kernels lie.
    """
    if value.dtype != weight.dtype or not may_replace(weight, value) or not PhaseKernels.fit(weight, geometry):
        return None
    made, given = weight.shape[1], weight.shape[0]
    measures = {
        "kernel": min(weight.shape[-2:]),
        "stride": max(geometry.stride),
        "given_channels": given,
        "made_channels": made,
        "pixels": value.shape[0] * value.shape[-2] * value.shape[-1],
        "threads": torch.get_num_threads(),
    }
    operation = "input gradient" if geometry.stride == (1, 1) else "strided input gradient"
    if choose(LayerWork(operation, value.device.type, value.dtype, measures)) != "phases":
        return None
    return ConvolutionPair(weight.detach(), geometry, phase_kernels(weight, geometry.stride, geometry.padding))


def transposed_pair(layer: nn.ConvTranspose2d) -> ConvolutionPair:
    """Return the pair of a transposed convolution that suits phases; the layer is its adjoint."""
    geometry = Geometry.of(layer)
    return ConvolutionPair(
        layer.weight.detach(), geometry, phase_kernels(layer.weight, geometry.stride, geometry.padding)
    )


def may_replace(weight: Tensor, value: Tensor) -> bool:
    """Return whether PyTorch's own operation on these may be replaced by one that says itself what its gradient is."""
    return (
        value.device.type == "cpu"  # the others have no fast form, and `meta` no autocast to ask for
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not weight.is_inference()
        and value.dim() == 4  # a batch of images
    )


@dataclass(frozen=True)
class _Call:
    """What a pair computes with besides the value."""

    pair: ConvolutionPair
    sides: Sides
    """Of the convolution's input."""


class KeepsCall(torch.autograd.Function):
    """A function whose derivative needs its last argument, and no value."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep the last argument."""
        del output
        ctx.call = inputs[-1]


class _Convolved(KeepsCall):
    """The convolution; its derivative is its adjoint."""

    @staticmethod
    def forward(value: Tensor, bias: Tensor | None, call: _Call) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # PyTorch's own signature is open
        return call.pair.convolved(value, bias)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Transposed, cotangent, None, ctx.call), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Convolved, tangent, None, ctx.call)


class _Transposed(KeepsCall):
    """The adjoint; its derivative is the convolution."""

    @staticmethod
    def forward(value: Tensor, bias: Tensor | None, call: _Call) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return call.pair.transposed(value, bias, call.sides)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Convolved, cotangent, None, ctx.call), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Transposed, tangent, None, ctx.call)


def _apply(function: type[_Convolved | _Transposed], value: Tensor, bias: Tensor | None, call: _Call) -> Tensor:
    constant = None if bias is None else bias.detach()
    return cast("Tensor", function.apply(value, constant, call))  # pyright: ignore[reportUnknownMemberType]


def follows(value: Tensor) -> bool:
    """Return whether a graph is built of what is done to a value; torch.compile makes its own."""
    return not torch.compiler.is_compiling() and torch.is_grad_enabled() and value.requires_grad
