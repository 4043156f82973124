"""Bilinear upsampling and its adjoint, each the other's derivative, several times faster than PyTorch's on the CPU.

Upsampling is a small matrix for rows and one for columns, so its adjoint is their transposes: two products of
matrices. Where it doubles the sides, each pixel gets the sum of four of a line, which are added up without a matrix
where lines are long. The values of upsampling itself are PyTorch's, bit for bit: its kernel for small images works on
channels that lie beside each other, and is handed them so.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from pcbench.network.fast.choosing import PLAIN, LayerWork, choose
from pcbench.network.fast.convolution_pair import KeepsCall, Sides, follows

Factors = tuple[float | None, float | None]


@dataclass(frozen=True)
class Upsampling:
    """Bilinear upsampling between two sizes, and its adjoint."""

    layer: nn.Upsample
    """Of mode bilinear."""
    given: Sides
    """Rows and columns of its input."""
    made: Sides
    """Rows and columns of its output."""
    factors: Factors
    """By which positions are scaled; None where PyTorch works it out from the sides."""

    def up(self, value: Tensor) -> Tensor:
        """Return the upsampled (batch, channels, height, width), differentiable."""
        return _apply(_Upsampled, value, self) if follows(value) else self.upsampled(value)

    def down(self, cotangent: Tensor) -> Tensor:
        """Return the adjoint of (batch, channels, height, width) of the upsampled size, differentiable."""
        return _apply(_Gathered, cotangent, self) if follows(cotangent) else self.gathered(cotangent)

    def upsampled(self, value: Tensor) -> Tensor:
        """Compute `up`."""
        if self._form("upsampling", value) == "channels last":
            return self.layer(value.contiguous(memory_format=torch.channels_last)).contiguous()
        return self.layer(value)

    def gathered(self, cotangent: Tensor) -> Tensor:
        """Compute `down`."""
        form = self._form("upsampling gradient", cotangent)
        corners = bool(self.layer.align_corners)
        if form == PLAIN:
            shape = [*cotangent.shape[:2], *self.given]
            return torch.ops.aten.upsample_bilinear2d_backward(
                cotangent, list(self.made), shape, corners, *self.factors
            )
        if form == "sums":
            return _halved(_halved(cotangent, 2), 3)
        rows, columns = (
            interpolation(one, other, corners, factor, cotangent.dtype)
            for one, other, factor in zip(self.given, self.made, self.factors, strict=True)
        )
        down = _halved(cotangent, 2) if form == "sums and a matrix" else torch.matmul(rows.t(), cotangent)
        return torch.matmul(down, columns)

    def _form(self, operation: str, value: Tensor) -> str:
        if value.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
            return PLAIN
        # Inside vmap no memory format can be asked for; PyTorch has no public way to ask.
        if cast("Any", torch)._C._functorch.is_batchedtensor(value):  # noqa: SLF001
            return PLAIN
        doubled = not self.layer.align_corners and all(
            made == 2 * given and factor in (None, 2.0)
            for made, given, factor in zip(self.made, self.given, self.factors, strict=True)
        )
        measures = {
            "side": max(self.given),
            "made_rows_and_columns": sum(self.made),
            "doubled": int(doubled),
            "threads": torch.get_num_threads(),
        }
        return choose(LayerWork(operation, value.device.type, value.dtype, measures))


class _Upsampled(KeepsCall):
    """Upsampling; its derivative is its adjoint."""

    @staticmethod
    def forward(value: Tensor, call: Upsampling) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # PyTorch's own signature is open
        return call.upsampled(value)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Gathered, cotangent, ctx.call), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Upsampled, tangent, ctx.call)


class _Gathered(KeepsCall):
    """The adjoint; its derivative is upsampling."""

    @staticmethod
    def forward(value: Tensor, call: Upsampling) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return call.gathered(value)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Upsampled, cotangent, ctx.call), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Gathered, tangent, ctx.call)


def _apply(function: type[_Upsampled | _Gathered], value: Tensor, upsampling: Upsampling) -> Tensor:
    return cast("Tensor", function.apply(value, upsampling))  # pyright: ignore[reportUnknownMemberType]


@functools.cache
def interpolation(given: int, made: int, corners: bool, factor: float | None, dtype: torch.dtype) -> Tensor:
    """Return the matrix (made, given) that upsamples a line of pixels."""
    with torch.inference_mode(mode=False), torch.no_grad():  # it is kept for all
        lines = torch.eye(given, dtype=dtype)[None]
        return torch.ops.aten.upsample_linear1d(lines, [made], corners, factor)[0].t().contiguous()


def _halved(cotangent: Tensor, axis: int) -> Tensor:
    """Return the adjoint of doubling along one axis: weights 1/4, 3/4, 3/4, 1/4, pixels at the edges repeated."""
    shape = tuple(cotangent.shape)
    count = shape[axis] // 2
    parts = cotangent.reshape(*shape[:axis], count, 2, *shape[axis + 1 :])
    first, second = parts.select(axis + 1, 0), parts.select(axis + 1, 1)
    total = (first + second).mul_(0.75)
    total.narrow(axis, 1, count - 1).add_(second.narrow(axis, 0, count - 1), alpha=0.25)
    total.narrow(axis, 0, count - 1).add_(first.narrow(axis, 1, count - 1), alpha=0.25)
    total.narrow(axis, 0, 1).add_(first.narrow(axis, 0, 1), alpha=0.25)
    total.narrow(axis, count - 1, 1).add_(second.narrow(axis, count - 1, 1), alpha=0.25)
    return total
