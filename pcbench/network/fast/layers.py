"""Layers of a backbone run as they are, with a faster gradient of their input.

A network's own code is not changed: while it runs, its calls of PyTorch's functions are seen here, and those that have
a faster gradient are made so. Values are PyTorch's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pcbench.network.fast.choosing import LayerWork, choose
from pcbench.network.fast.convolution_pair import Geometry, input_gradient_pair, may_replace

_PAIR = 2


def fast_input_gradients() -> AbstractContextManager[object]:
    """Return the context in which layers of frozen weights get the faster gradients, where a graph is built."""
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return _FastInputGradients()
    return nullcontext()


class _FastInputGradients(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        options = kwargs or {}
        rule = _RULES.get(func)
        return func(*args, **options) if rule is None else rule(*args, **options)


def _convolution(
    value: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if _only_input_learns(value, weight, bias) and not isinstance(padding, str):
        geometry = Geometry(_two(stride), _two(padding), _two(dilation), groups)
        pair = input_gradient_pair(weight, value, geometry)
        if pair is not None:
            return pair.convolve(value, bias)
    return F.conv2d(value, weight, bias, stride, padding, dilation, groups)


def _batch_norm(
    value: Tensor,
    mean: Tensor | None,
    variance: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *rest: Any,
    **options: Any,
) -> Tensor:
    named = dict(zip(("training", "momentum", "eps"), rest, strict=False)) | options
    if mean is not None and variance is not None and not named.get("training", False):
        work = LayerWork("batch norm gradient", value.device.type, value.dtype, {"numbers": value.numel()})
        if (
            _only_input_learns(value, weight, bias)
            and may_replace(variance, value)
            and variance.dtype == value.dtype
            and choose(work) == "scaled"
        ):
            call = _Norm(mean, variance, weight, bias, named.get("eps", 1e-5))
            return cast("Tensor", _Normalised.apply(value, call))  # pyright: ignore[reportUnknownMemberType]
    return F.batch_norm(value, mean, variance, weight, bias, **named)


def _only_input_learns(value: Any, weight: Any, bias: Tensor | None) -> bool:
    """Return whether a gradient reaches the input of a layer and none of its weights."""
    return (
        type(value) is Tensor
        and value.requires_grad
        and (weight is None or (type(weight) is nn.Parameter and not weight.requires_grad))
        and (bias is None or not bias.requires_grad)
    )


@dataclass(frozen=True)
class _Norm:
    """Batch norm's constants; all but `eps` are (channels,)."""

    mean: Tensor
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float


class _Normalised(torch.autograd.Function):
    """Batch norm by kept statistics; the gradient of its input is the cotangent, scaled channel by channel."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, call: _Norm) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # PyTorch's own signature is open
        return F.batch_norm(value, call.mean, call.variance, call.weight, call.bias, eps=call.eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        del output
        call: _Norm = inputs[-1]
        scale = torch.rsqrt(call.variance + call.eps)
        ctx.scale = (scale if call.weight is None else scale * call.weight).reshape(-1, 1, 1)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return cotangent * ctx.scale, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return tangent * ctx.scale


def _two(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    sizes = tuple(int(one) for one in value)
    return sizes if len(sizes) == _PAIR else (sizes[0], sizes[0])  # pyright: ignore[reportReturnType]  # of length 2


_RULES: Mapping[Any, Callable[..., Tensor]] = {F.conv2d: _convolution, F.batch_norm: _batch_norm}
