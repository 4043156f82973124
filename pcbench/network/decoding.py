"""Predictions, and the gradient of their error, as ordinary differentiable operations.

`decode` runs a predictor and returns with its output the pullback: the function that multiplies a cotangent by the
transposed Jacobian. For the layers that predictors are made of, the pullback is written out as the adjoint
operation, so that it can be differentiated again like any other; other modules go through `torch.func.vjp`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.fast import phase_convolution, transposed_convolution
from pcbench.network.fast.convolution_pair import Geometry, input_gradient_pair, transposed_pair
from pcbench.network.fast.upsampling import Upsampling

Pullback = Callable[[Tensor], Tensor]
Decoded = tuple[Tensor, Pullback]


def decode(module: nn.Module, representation: Tensor, *, frozen: bool = True) -> Decoded:
    """Run a predictor and return its output with the pullback through it.

    Args:
        module: The predictor D_n.
        representation: e_n, (batch, …).
        frozen: The predictor's parameters are constants: no gradient reaches them. It binds the layers that have a
            rule here; parameters of other modules follow their own `requires_grad`.

    Returns:
        The prediction of the layer below, and a function from a cotangent of the prediction's shape to J^T times it,
        of the representation's shape. Both stay differentiable where gradients are enabled.
    """
    if type(module) is nn.Sequential and not _has_hooks(module):
        return _decode_sequence(module, representation, frozen)
    rule = _RULES.get(type(module))
    if rule is None or _has_hooks(module):
        return _decode_any(module, representation)
    return rule(module, representation, frozen)


def is_explicit(module: nn.Module) -> bool:
    """Return whether every layer of a predictor has a pullback that is written out here."""
    if _has_hooks(module):
        return False
    if type(module) is nn.Sequential:
        return all(is_explicit(layer) for layer in module)
    if isinstance(module, nn.Upsample):
        return module.mode == "bilinear"
    if isinstance(module, nn.Conv2d):
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) in _RULES


def _has_hooks(module: nn.Module) -> bool:
    # PyTorch has no public way to ask.
    hooks: list[dict[int, Any]] = [getattr(module, "_forward_hooks"), getattr(module, "_forward_pre_hooks")]  # noqa: B009
    return any(hooks)


def _constant(parameter: Tensor | None, frozen: bool) -> Tensor | None:
    return parameter.detach() if frozen and parameter is not None else parameter


def _decode_sequence(sequence: nn.Sequential, value: Tensor, frozen: bool) -> Decoded:
    pullbacks: list[Pullback] = []
    for layer in sequence:
        decoded = decode(layer, value, frozen=frozen)
        value = decoded[0]
        pullbacks.append(decoded[1])

    def through_all(cotangent: Tensor) -> Tensor:
        for pullback in reversed(pullbacks):
            cotangent = pullback(cotangent)
        return cotangent

    return value, through_all


def _decode_any(module: nn.Module, value: Tensor) -> Decoded:
    prediction, pullback, *_ = torch.func.vjp(module, value)
    return prediction, lambda cotangent: pullback(cotangent)[0]


def _decode_transposed(layer: nn.ConvTranspose2d, value: Tensor, frozen: bool) -> Decoded:
    if frozen and transposed_convolution.suits_tiles(layer, value):
        return transposed_convolution.by_tiles(layer, value), partial(transposed_convolution.adjoint, layer)
    kernel, bias = layer.weight.detach() if frozen else layer.weight, _constant(layer.bias, frozen)
    padding = _pair(layer.padding)
    extra = _pair(layer.output_padding)
    if not frozen and transposed_convolution.suits_learning_tiles(layer, value):
        prediction = transposed_convolution.trained(layer, value)
    elif frozen and phase_convolution.suits_phases(layer, value):
        return _decode_by_phases(layer, value)
    elif not frozen and phase_convolution.suits_learning_phases(layer, value):
        prediction = phase_convolution.by_phases(layer, value, frozen=False)
    else:
        prediction = F.conv_transpose2d(value, kernel, bias, layer.stride, padding, extra, layer.groups, layer.dilation)

    def pullback(cotangent: Tensor) -> Tensor:
        pair = None
        if frozen and torch.is_grad_enabled() and cotangent.requires_grad:
            pair = input_gradient_pair(layer.weight, cotangent, Geometry.of(layer))
        if pair is not None:
            return pair.convolve(cotangent)
        return F.conv2d(cotangent, kernel, None, layer.stride, padding, layer.dilation, layer.groups)

    return prediction, pullback


def _decode_by_phases(layer: nn.ConvTranspose2d, value: Tensor) -> Decoded:
    if torch.is_autocast_enabled(value.device.type):
        kernel, options = layer.weight.detach(), (layer.stride, _pair(layer.padding))
        return phase_convolution.by_phases(layer, value), lambda cotangent: F.conv2d(cotangent, kernel, None, *options)
    pair, bias = transposed_pair(layer), _constant(layer.bias, frozen=True)
    return pair.transpose(value, bias, phase_convolution.transposed_sides(layer, value)), pair.convolve


def _decode_convolution(layer: nn.Conv2d, value: Tensor, frozen: bool) -> Decoded:
    if not is_explicit(layer):
        return _decode_any(layer, value)
    kernel, bias = layer.weight.detach() if frozen else layer.weight, _constant(layer.bias, frozen)
    padding = _pair(layer.padding)
    prediction = F.conv2d(value, kernel, bias, layer.stride, padding, layer.dilation, layer.groups)
    # The rows and columns at the far edges that no window reaches.
    rest = [
        (value.shape[axis - 2] + 2 * padding[axis] - layer.dilation[axis] * (layer.kernel_size[axis] - 1) - 1)
        % layer.stride[axis]
        for axis in (0, 1)
    ]

    def pullback(cotangent: Tensor) -> Tensor:
        return F.conv_transpose2d(cotangent, kernel, None, layer.stride, padding, rest, layer.groups, layer.dilation)

    return prediction, pullback


def _decode_linear(layer: nn.Linear, value: Tensor, frozen: bool) -> Decoded:
    weight = layer.weight.detach() if frozen else layer.weight
    return F.linear(value, weight, _constant(layer.bias, frozen)), lambda cotangent: cotangent @ weight


def _decode_relu(_: nn.ReLU, value: Tensor, frozen: bool) -> Decoded:
    del frozen
    prediction = F.relu(value)
    # Where the input is 0 the derivative is 0, as PyTorch has it.
    return prediction, lambda cotangent: torch.ops.aten.threshold_backward(cotangent, prediction, 0)


def _decode_upsample(layer: nn.Upsample, value: Tensor, frozen: bool) -> Decoded:
    del frozen
    if layer.mode != "bilinear":
        return _decode_any(layer, value)
    upsampling = Upsampling(layer, _pair(value.shape[-2:]), _made(layer, value), _factors(layer))
    return upsampling.up(value), upsampling.down


def _made(layer: nn.Upsample, value: Tensor) -> tuple[int, int]:
    if layer.size is not None:
        return _pair(layer.size)
    sides = zip(value.shape[-2:], _pair(layer.scale_factor), strict=True)
    rows, columns = (int(side * float(factor)) for side, factor in sides)
    return rows, columns


def _factors(layer: nn.Upsample) -> tuple[float | None, float | None]:
    # PyTorch uses the factors themselves only when they were given and are not to be recomputed from the sizes.
    if layer.scale_factor is None or layer.recompute_scale_factor:
        return None, None
    vertical, horizontal = _pair(layer.scale_factor)
    return float(vertical), float(horizontal)


def _decode_identity(_: nn.Module, value: Tensor, frozen: bool) -> Decoded:
    del frozen
    return value, lambda cotangent: cotangent


def _pair(value: Any) -> tuple[Any, Any]:
    if isinstance(value, (tuple, list)):
        first, second = value  # pyright: ignore[reportUnknownVariableType]  # PyTorch types sizes loosely
        return first, second  # pyright: ignore[reportUnknownVariableType]
    return value, value


_RULES: dict[type[nn.Module], Callable[[Any, Tensor, bool], Decoded]] = {
    nn.ConvTranspose2d: _decode_transposed,
    nn.Conv2d: _decode_convolution,
    nn.Linear: _decode_linear,
    nn.ReLU: _decode_relu,
    nn.Upsample: _decode_upsample,
    nn.Identity: _decode_identity,
}
