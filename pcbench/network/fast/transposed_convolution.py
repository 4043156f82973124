"""Large transposed convolutions of stride 2 with fewer multiplications, on the CPU.

A transposed convolution of stride 2 is four ordinary convolutions with kernels of half the side, one for each parity of
the output's rows and columns; they share their input, and so their tiles (`fourier_tiles`). Its adjoint, which the
gradient of a prediction error takes, uses the same transformed kernels. PVGG16's decoders are of this kind.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pcbench.network.fast.choosing import LayerWork, choose
from pcbench.network.fast.fourier_tiles import kernel_transform, tile_transforms
from pcbench.network.fast.kernel_files import kept_kernels
from pcbench.network.fast.tile_passes import Strips, Write, convolve, learn
from pcbench.network.fast.weight_cache import WeightCache
from pcbench.network.fast.workers import share_pieces

_LARGE_SIDE = 56


def suits_tiles(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    """Return whether a layer, for this input, is faster by tiles: a large one that doubles the sides, on a CPU."""
    return _fits(layer, value) and choose(LayerWork.of("transposed convolution", layer, value)) == "tiles"


def suits_learning_tiles(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    """Return whether a layer that learns is faster by tiles; its kernels change at every step, so it needs many."""
    pixels = _pixels(value)
    tiles = value.shape[0] * -(-value.shape[-2] // pixels) * -(-value.shape[-1] // pixels)
    work = LayerWork.of("learning transposed convolution", layer, value, tiles=tiles)
    return _fits(layer, value) and choose(work) == "tiles"


def _fits(layer: nn.ConvTranspose2d, value: Tensor) -> bool:
    """Return whether tiles can compute this layer: it doubles the sides by a kernel of 4 n + 2 pixels, in float32."""
    kernel = layer.kernel_size[0]
    padding = (kernel - 2) // 2
    return (
        value.device.type == "cpu"
        and value.dtype == layer.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not layer.weight.is_inference()
        and layer.kernel_size == (kernel, kernel)
        and kernel % 4 == 2
        and layer.stride == (2, 2)
        and layer.padding == (padding, padding)
        and layer.output_padding == (0, 0)
        and layer.dilation == (1, 1)
        and layer.groups == 1
    )


def by_tiles(layer: nn.ConvTranspose2d, value: Tensor) -> Tensor:
    """Return what the layer makes of (batch, channels, height, width), its parameters taken as constants."""
    return _apply(_Transposed, value, _plan(layer, value), layer.bias)


def trained(layer: nn.ConvTranspose2d, value: Tensor) -> Tensor:
    """Return what the layer makes of (batch, channels, height, width), differentiable in its parameters too."""
    bias = layer.bias if layer.bias is not None else layer.weight.new_zeros(layer.out_channels)
    return cast("Tensor", _Trained.apply(value, layer.weight, bias))  # pyright: ignore[reportUnknownMemberType]


def adjoint(layer: nn.ConvTranspose2d, cotangent: Tensor) -> Tensor:
    """Return the transposed layer's adjoint, an ordinary convolution of stride 2 without bias."""
    return _apply(_Adjoint, cotangent, _plan(layer, cotangent[..., ::2, ::2]), None)


class TiledTransposedConvolution:
    """A transposed convolution with its kernels transformed, for one size of tiles.

    Args:
        weight: (channels_in, channels_out, k, k) with k of the form 4 n + 2, stride 2, padding k/2 - 1.
        pixels: m, the side of what a tile gives, in pixels of the input.
        keep: Keep the kernels between processes.
    """

    def __init__(self, weight: Tensor, pixels: int, *, keep: bool = False) -> None:
        self.channels_in, self.channels_out, size, _ = weight.shape
        self.kernel, self.pixels = size // 2, pixels
        # (numbers, channels_in, 4 channels_out), the four parities of the output beside each other.
        sizes = _transformed_sizes(weight, pixels)
        make = partial(_transformed, weight.detach(), pixels)
        self.kernels = kept_kernels(weight, f"{pixels} pixels", sizes, make) if keep else make()

    def transposed(self, value: Tensor, bias: Tensor | None) -> Tensor:
        """Return the layer's output, (batch, channels_out, 2 height, 2 width), in its input's memory format."""
        batch, _, height, width = value.shape
        side = self.pixels
        down, across = -(-height // side), -(-width // side)
        out = _room(value, (batch, down, side, 2, across, side, 2), self.channels_out)

        def write(image: int, row: int, pixels: Tensor) -> None:
            grid = pixels.view(side, side, across, 2, 2, self.channels_out)
            if bias is not None:
                grid += bias
            out[image, row].copy_(grid.permute(0, 3, 2, 1, 4, 5))

        self._convolve(value.permute(0, 2, 3, 1), write, adjoint=False)
        return out.flatten(4, 6).flatten(1, 3).permute(0, 3, 1, 2)[:, :, : 2 * height, : 2 * width]

    def adjoint(self, cotangent: Tensor) -> Tensor:
        """Return the adjoint's output, (batch, channels_in, height, width), for a cotangent of the layer's output."""
        batch, _, height, width = cotangent.shape
        height, width, side = height // 2, width // 2, self.pixels
        down, across = -(-height // side), -(-width // side)
        out = _room(cotangent, (batch, down, side, across, side), self.channels_in)

        def write(image: int, row: int, pixels: Tensor) -> None:
            out[image, row].copy_(pixels.permute(0, 2, 1, 3))

        self._convolve(_parities(cotangent), write, adjoint=True)
        return out.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)[:, :, :height, :width]

    def _convolve(self, image: Tensor, write: Write, *, adjoint: bool) -> None:
        transforms = tile_transforms(self.pixels, self.kernel, adjoint=adjoint)
        strips = Strips(image, self.pixels, transforms.side, self.kernel // 2)
        convolve(strips, transforms, self.kernels, write, adjoint=adjoint)


def _room(like: Tensor, sizes: tuple[int, ...], channels: int) -> Tensor:
    """Return room for (*sizes, channels), whose channels lie beside each other where they do in `like`."""
    if like.is_contiguous(memory_format=torch.channels_last) and not like.is_contiguous():
        return like.new_empty(*sizes, channels)
    return like.new_empty(sizes[0], channels, *sizes[1:]).movedim(1, -1)


def _parities(image: Tensor) -> Tensor:
    """Return a view (batch, height, width, 2, 2, channels) of (batch, channels, 2 height, 2 width)."""
    batch, channels, height, width = image.shape
    return image.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 3, 5, 1)


def _transformed_sizes(weight: Tensor, pixels: int) -> tuple[int, int, int]:
    """Return (numbers, channels_in, 4 channels_out)."""
    channels_in, channels_out, size, _ = weight.shape
    return len(kernel_transform(pixels, size // 2)), channels_in, 4 * channels_out


def _transformed(weight: Tensor, pixels: int) -> Tensor:
    """Return the kernels (numbers, channels_in, 4 channels_out), one input channel after another."""
    channels_in, channels_out, size, _ = weight.shape
    kernel = size // 2
    matrix = kernel_transform(pixels, kernel)
    kernels = weight.new_empty(_transformed_sizes(weight, pixels))

    def transform(channel: int) -> None:
        phases = weight[channel].view(channels_out, kernel, 2, kernel, 2).permute(2, 4, 0, 1, 3)
        torch.mm(matrix, phases.reshape(-1, kernel**2).t(), out=kernels[:, channel])

    share_pieces(channels_in, transform)
    return kernels


def weight_gradient(value: Tensor, cotangent: Tensor, size: int) -> Tensor:
    """Return the gradient of a layer's weight, (channels_in, channels_out, k, k).

    Args:
        value: The layer's input, (batch, channels_in, height, width).
        cotangent: Cotangent of the layer's output, (batch, channels_out, 2 height, 2 width).
        size: k.
    """
    kernel, pixels = size // 2, _pixels(value)
    transforms = tile_transforms(pixels, kernel, adjoint=False)
    given = Strips(value.permute(0, 2, 3, 1), pixels, transforms.side, kernel // 2)
    total = learn(given, Strips(_parities(cotangent), pixels, pixels, 0), transforms)
    matrix = kernel_transform(pixels, kernel).t()
    channels_in, channels_out = value.shape[1], cotangent.shape[1]
    gradient = value.new_empty(channels_in, channels_out, kernel, 2, kernel, 2)

    def collect(channel: int) -> None:
        phases = (matrix @ total[:, channel]).view(kernel, kernel, 2, 2, channels_out)
        gradient[channel].copy_(phases.permute(4, 0, 2, 1, 3))

    share_pieces(channels_in, collect)
    return gradient.view(channels_in, channels_out, size, size)


class _Trained(torch.autograd.Function):
    """The layer as it learns: its kernels are transformed again, and their gradient is made of tiles as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(value, weight)
        return TiledTransposedConvolution(weight, _pixels(value)).transposed(value, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        value, weight = cast("tuple[Tensor, Tensor]", ctx.saved_tensors)
        below = None
        if ctx.needs_input_grad[0]:
            below = TiledTransposedConvolution(weight, _pixels(value)).adjoint(cotangent)
        return below, weight_gradient(value, cotangent, weight.shape[-1]), cotangent.sum((0, 2, 3))


class _Transposed(torch.autograd.Function):
    """The layer; its derivative is its adjoint."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, plan: TiledTransposedConvolution, bias: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # PyTorch's own signature is open
        ctx.plan = plan
        return plan.transposed(value, bias)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Adjoint, cotangent, ctx.plan, None), None, None


class _Adjoint(torch.autograd.Function):
    """The adjoint; its derivative is the layer without bias."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, plan: TiledTransposedConvolution, bias: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del bias
        ctx.plan = plan
        return plan.adjoint(value)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _apply(_Transposed, cotangent, ctx.plan, None), None, None


def _apply(
    function: type[_Transposed | _Adjoint], value: Tensor, plan: TiledTransposedConvolution, bias: Tensor | None
) -> Tensor:
    constant = None if bias is None else bias.detach()
    return function.apply(value, plan, constant)  # pyright: ignore[reportUnknownMemberType, reportReturnType]


def _pixels(value: Tensor) -> int:
    return 14 if min(value.shape[-2:]) >= _LARGE_SIDE else 7


_PLANS: WeightCache[TiledTransposedConvolution] = WeightCache()


def _plan(layer: nn.ConvTranspose2d, value: Tensor) -> TiledTransposedConvolution:
    """Return the layer with its kernels transformed; done once, and again when the weights have changed."""
    pixels = _pixels(value)

    def make() -> TiledTransposedConvolution:
        # A layer that is transformed again is learning: its weights will not be met in another process.
        return TiledTransposedConvolution(layer.weight, pixels, keep=first)

    first = not _PLANS.knows(layer)
    return _PLANS.get(layer, layer.weight, pixels, make)
