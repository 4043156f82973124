"""Predictors: the decoders D_n that predict the layer below, built, checked, and their reach counted.

Source: Choksi et al., NeurIPS 2021, arXiv 2106.02749.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


def inferred_predictor(shape: Shape, below: Shape) -> nn.Module:
    """Return Predify's default predictor: bilinear upsampling where sizes differ, then ConvTranspose2d 3x3.

    Predify upsamples by a factor. Of some sizes (55 and 224 are such) the rounded factor makes one row or column less
    than there is below; there the size itself is asked for. Names of weights are the same either way.

    Args:
        shape: (channels, height, width) of the representation.
        below: (channels, height, width) of what it predicts.
    """
    convolution = nn.ConvTranspose2d(shape[0], below[0], kernel_size=3, stride=1, padding=1)
    if shape[1:] == below[1:]:
        return nn.Sequential(convolution)
    factors = (below[1] / shape[1], below[2] / shape[2])
    made = tuple(int(size * factor) for size, factor in zip(shape[1:], factors, strict=True))  # as PyTorch rounds it
    asked: dict[str, Any] = {"scale_factor": factors} if made == below[1:] else {"size": below[1:]}
    return nn.Sequential(nn.Upsample(**asked, mode="bilinear"), convolution)


def predicted_shape(predictor: nn.Module, shape: Shape) -> Shape:
    """Return the shape that a predictor makes of one representation, without computing anything.

    Raises:
        Exception: PyTorch's own complaint, of any type, where the representation does not fit the predictor.
    """
    with torch.no_grad():
        weightless = copy.deepcopy(predictor).to("meta").eval()
        return tuple(_passed(weightless, torch.empty(1, *shape, device="meta")).shape[1:])


def _passed(module: nn.Module, value: Tensor) -> Tensor:
    if isinstance(module, nn.Sequential):
        for layer in module:
            value = _passed(layer, value)
        return value
    channels = getattr(module, "in_channels", None)
    # Without data PyTorch does not compare channels.
    if channels is not None and channels != value.shape[1]:
        raise ValueError(f"a layer takes {channels} channels and is given {value.shape[1]}")
    return module(value)


def counted_error_window(predictor: nn.Module, shape: Shape) -> int:
    """Count the prediction cells that the central cell of a representation reaches: C of the gradient scale.

    Padding is clipped, activations are ignored, and weights count as nonzero. A module that PyTorch does not bring
    is probed as it is: its output for the central cell alone is compared with its output for zeros.

    Args:
        predictor: D_n.
        shape: (channels, height, width) of e_n.
    """
    reach = torch.zeros(1, *shape)
    reach[(0, *(size // 2 for size in shape))] = 1
    with torch.no_grad():
        return int((_reach(predictor, reach) != 0).sum())


def _reach(module: nn.Module, reach: Tensor) -> Tensor:
    if isinstance(module, nn.Sequential):
        for layer in module:
            reach = _reach(layer, reach)
        return reach
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        return _reach_of_convolution(module, reach)
    if type(module).__module__.startswith(("torch.nn.modules.activation", "torch.nn.modules.batchnorm")):
        return reach
    probed = copy.deepcopy(module).to(device=reach.device, dtype=reach.dtype).eval()
    return (probed(reach) != probed(torch.zeros_like(reach))).to(reach)


def _reach_of_convolution(layer: nn.Conv2d | nn.ConvTranspose2d, reach: Tensor) -> Tensor:
    """One channel a group stands for all of its channels, which reach the same cells."""
    options: dict[str, Any] = {
        "kernel_size": layer.kernel_size,
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
    }
    if isinstance(layer, nn.ConvTranspose2d):
        options["output_padding"] = layer.output_padding
    thin = nn.utils.skip_init(type(layer), layer.groups, layer.groups, groups=layer.groups, bias=False, **options)
    thin.load_state_dict({"weight": torch.ones_like(thin.state_dict()["weight"])})
    grouped = reach.reshape(1, layer.groups, -1, *reach.shape[2:]).amax(2)
    # A threshold keeps the values at 0 and 1, whatever the kernel's size.
    return (thin(grouped) > 0).to(reach).repeat_interleave(layer.out_channels // layer.groups, dim=1)


def initialise(predictors: Sequence[nn.Module], seed: int) -> None:
    """Give predictors the random weights that PyTorch starts layers with, from a seed of their own.

    The global generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for predictor in predictors:
            for layer in predictor.modules():
                reset = getattr(layer, "reset_parameters", None)
                if callable(reset):
                    reset()
