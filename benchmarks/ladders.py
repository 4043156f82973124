"""On which works `choices.py` measures each row of `pcbench/network/fast/table.py`.

A row has one bound that is measured; its other bounds and number formats are fixed. The measured bound comes from a
ladder: rungs that differ in the bound's measure alone, each with one work or several.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from plain_networks import ours, some_images
from torch import Tensor, nn

from pcbench.models.backbones import open_backbone
from pcbench.models.zoo import zoo_entry
from pcbench.network.conversion import predify
from pcbench.network.decoding import decode
from pcbench.network.fast.choosing import PLAIN
from pcbench.network.fast.layers import fast_input_gradients

Run = Callable[[], object]
Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Ladder:
    """How a row's bound is measured."""

    operation: str
    """The row's."""
    form: str
    """The row's."""
    bound: str = ""
    """Name of the measured bound; none where all are fixed."""
    works: str = ""
    """On what it is measured, or why it is not, in words."""
    make: Callable[..., Run] | None = None
    """Makes a work of sizes."""
    rungs: Mapping[int, tuple[Sizes, ...]] = field(default_factory=dict[int, tuple[Sizes, ...]])
    """Sizes of the works at each value of the bound, from the smallest value."""
    rival: str = PLAIN
    """The form that is used beyond the bound."""
    follows: bool = False
    """The bound is one more than that of the row before, where this row's form takes over."""


def decoder(batch: int, channels: int, kernel: int, stride: int, side: int) -> Run:
    """Return a prediction with the gradient of its error, as a timestep needs both."""
    layer, value = _layer(batch, channels, kernel, stride, side)
    with torch.no_grad():
        cotangent = torch.randn_like(layer(value))

    def run() -> Tensor:
        with torch.no_grad():
            return decode(layer, value)[1](cotangent)

    return run


def learning_decoder(batch: int, channels: int, kernel: int, stride: int, side: int) -> Run:
    """Return a prediction, and the gradient of the weights."""
    return _learning(*_layer(batch, channels, kernel, stride, side))


def learning_image_decoder(batch: int, channels: int, side: int) -> Run:
    """Return a prediction of images by kernels of 3, and the gradient of the weights."""
    return _learning(nn.ConvTranspose2d(channels, 3, 3, 1, 1), torch.randn(batch, channels, side, side))


def _learning(layer: nn.ConvTranspose2d, value: Tensor) -> Run:
    def run() -> object:
        return torch.autograd.grad(decode(layer, value, frozen=False)[0].square().sum(), list(layer.parameters()))

    return run


def _layer(batch: int, channels: int, kernel: int, stride: int, side: int) -> tuple[nn.ConvTranspose2d, Tensor]:
    layer = nn.ConvTranspose2d(channels, channels, kernel, stride, (kernel - stride) // 2)
    return layer, torch.randn(batch, channels, side, side)


def convolution(batch: int, made: int, given: int, stride: int, side: int) -> Run:
    """Return a convolution of kernel 3, and the gradient of its input."""
    return _input_gradient(nn.Conv2d(made, given, 3, stride, 1), torch.randn(batch, made, side, side))


def _input_gradient(layer: nn.Module, value: Tensor) -> Run:
    layer.requires_grad_(requires_grad=False)
    leaf = value.requires_grad_()
    with torch.no_grad():
        cotangent = torch.randn_like(layer(value))

    def run() -> object:
        with fast_input_gradients():
            made = layer(leaf)
        return torch.autograd.grad(made, leaf, cotangent)

    return run


def doubling(batch: int, channels: int, side: int) -> Run:
    """Return the adjoint of bilinear upsampling to twice the side."""
    return _upsampling(nn.Upsample(scale_factor=2, mode="bilinear"), torch.randn(batch, channels, side, side))


def corners(batch: int, channels: int, side: int) -> Run:
    """Return the adjoint of bilinear upsampling to twice the side with corners aligned."""
    layer = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return _upsampling(layer, torch.randn(batch, channels, side, side))


def _upsampling(layer: nn.Upsample, value: Tensor) -> Run:
    cotangent = torch.randn_like(layer(value))

    def run() -> Tensor:
        with torch.no_grad():
            return decode(layer, value)[1](cotangent)

    return run


def attacked_network(batch: int) -> Run:
    """Return the gradient of ResNet-20's images after one timestep; its first stage has 16 channels of 32 x 32."""
    made, _ = ours("presnet20_cifar10-paper")
    images = some_images(made, batch).requires_grad_()
    return lambda: torch.autograd.grad(made.unroll_input(images, 1).logits[-1].square().sum(), images)


def network(batch: int, side: int) -> Run:
    """Return two timesteps of EfficientNetV2-B0 for images of some side."""
    entry = zoo_entry("ptf_efficientnetv2_b0")
    configuration = tomllib.loads(entry.configuration_path.read_text(encoding="utf-8"))
    made = predify(open_backbone(entry.backbone).eval(), configuration | {"input_size": [3, side, side]})
    images = torch.randn(batch, 3, side, side)
    return lambda: made.unroll_input(images, 2)


LADDERS = (
    Ladder(
        "transposed convolution",
        "tiles",
        "row_products",
        "a prediction and its error's gradient, 50 channels, kernel 10, stride 2",
        decoder,
        {500 * side: ((1, 50, 10, 2, side),) for side in (12, 18, 25, 36, 50, 70, 112)},
    ),
    Ladder(
        "transposed convolution",
        "phases",
        "most_channels",
        "a prediction and its error's gradient, kernel 5, and kernel 6 at stride 2",
        decoder,
        {count: ((32, count, 5, 1, 32), (32, count, 6, 2, 16)) for count in (4, 8, 12, 16, 24, 32)},
    ),
    Ladder(
        "learning transposed convolution",
        "tiles",
        "tiles",
        "a prediction and its weights' gradient, 64 channels, kernel 10, stride 2, 28 pixels a side",
        learning_decoder,
        {16 * batch: ((batch, 64, 10, 2, 28),) for batch in (1, 2, 4, 6, 8, 16)},
    ),
    Ladder(
        "learning transposed convolution",
        "phases",
        "most_channels",
        "a prediction of images and its weights' gradient, kernel 3",
        learning_image_decoder,
        {channels: ((32, channels, 32),) for channels in (4, 8, 12, 16, 24, 32)},
    ),
    Ladder(
        "input gradient",
        "phases",
        "given_channels",
        "a convolution of 16 channels and its input's gradient",
        convolution,
        {given: ((32, 16, given, 1, 32),) for given in (3, 4, 8, 12, 16, 24)},
    ),
    Ladder(
        "strided input gradient",
        "phases",
        "given_channels",
        "a convolution of 8 channels, stride 2, and its input's gradient",
        convolution,
        {given: ((32, 8, given, 2, 32),) for given in (4, 8, 16, 32, 48, 64)},
    ),
    Ladder(
        "strided input gradient",
        "phases",
        "made_channels",
        "a convolution to 8 channels, stride 2, and its input's gradient",
        convolution,
        {made: ((32, made, 8, 2, 32),) for made in (4, 8, 16, 24, 32, 48)},
    ),
    Ladder(
        "batch norm gradient",
        "scaled",
        "numbers",
        "the gradient of the images of ResNet-20 with PCoders, by its largest batch norm",
        attacked_network,
        {16384 * batch: ((batch,),) for batch in (1, 2, 4, 8, 16, 32)},
    ),
    Ladder("upsampling", "channels last", works="fixed: beyond it the bits would not be PyTorch's"),
    Ladder(
        "upsampling gradient",
        "sums and a matrix",
        "side",
        "doubling 64 channels, against sums",
        doubling,
        {side: ((8, 64, side),) for side in (7, 14, 28, 32, 56)},
        rival="sums",
    ),
    Ladder("upsampling gradient", "sums", "side", "begins where the row before ends", follows=True),
    Ladder(
        "upsampling gradient",
        "matrices",
        "side",
        "doubling 32 channels with corners aligned",
        corners,
        {side: ((8, 32, side),) for side in (7, 14, 28, 56, 84, 112)},
    ),
    Ladder(
        "timesteps",
        "channels last",
        "side",
        "two timesteps of EfficientNetV2-B0, two images",
        network,
        {side: ((2, side),) for side in (96, 128, 160, 192, 224)},
    ),
)
"""One for each row of the table, in its order."""
