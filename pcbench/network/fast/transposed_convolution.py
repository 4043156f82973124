"""Large transposed convolutions of stride 2 with fewer multiplications, on the CPU.

A transposed convolution of stride 2 is four ordinary convolutions with kernels of half the side, one for each parity of
the output's rows and columns; they share their input, and so their tiles (`fourier_tiles`). Its adjoint, which the
gradient of a prediction error takes, uses the same transformed kernels. PVGG16's decoders are of this kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pcbench.network.fast.choosing import LayerWork, choose
from pcbench.network.fast.fourier_tiles import TileTransforms, kernel_transform, tile_transforms
from pcbench.network.fast.weight_cache import WeightCache

# Tiles worked on at once: many make the products efficient, few keep the work within the processor's caches.
_TILES_AT_ONCE = 64
_TILES_LEARNED_FROM = 256
_LARGE_SIDE = 56
# Products of fewer numbers than this go to PyTorch's own library: calling another costs more than it gains.
_WORTH_ONEDNN = 2**14


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
    """

    def __init__(self, weight: Tensor, pixels: int) -> None:
        channels_in, self.channels_out, size, _ = weight.shape
        self.channels_in, self.kernel, self.pixels = channels_in, size // 2, pixels
        phases = weight.detach().reshape(channels_in, self.channels_out, self.kernel, 2, self.kernel, 2)
        rows = phases.permute(2, 4, 0, 3, 5, 1).reshape(self.kernel**2, -1)
        kernels = kernel_transform(pixels, self.kernel) @ rows
        # (numbers, channels_in, 4 channels_out), the four parities of the output beside each other.
        self.kernels = kernels.view(-1, channels_in, 4 * self.channels_out)

    def transposed(self, value: Tensor, bias: Tensor | None) -> Tensor:
        """Return the layer's output, (batch, channels_out, 2 height, 2 width)."""
        batch, _, height, width = value.shape
        side = self.pixels
        down, across = -(-height // side), -(-width // side)
        out = value.new_empty(batch, self.channels_out, down, side, 2, across, side, 2)

        def write(pixels: Tensor, images: slice, rows: slice) -> None:
            target = out[images, :, rows]
            grid = pixels.view(side, side, target.shape[0], -1, across, 2, 2, self.channels_out)
            if bias is not None:
                grid += bias
            target.copy_(grid.permute(2, 7, 3, 0, 5, 4, 1, 6))

        transforms = tile_transforms(side, self.kernel, adjoint=False)
        self._run(transforms, value.permute(0, 2, 3, 1), self.kernels, write)
        return out.view(batch, self.channels_out, 2 * down * side, -1)[:, :, : 2 * height, : 2 * width]

    def adjoint(self, cotangent: Tensor) -> Tensor:
        """Return the adjoint's output, (batch, channels_in, height, width), for a cotangent of the layer's output."""
        batch, channels, height, width = cotangent.shape
        height, width, side = height // 2, width // 2, self.pixels
        down, across = -(-height // side), -(-width // side)
        out = cotangent.new_empty(batch, self.channels_in, down, side, across, side)

        def write(pixels: Tensor, images: slice, rows: slice) -> None:
            target = out[images, :, rows]
            grid = pixels.view(side, side, target.shape[0], -1, across, self.channels_in)
            target.copy_(grid.permute(2, 5, 3, 0, 4, 1))

        parities = cotangent.reshape(batch, channels, height, 2, width, 2).permute(0, 2, 4, 3, 5, 1)
        transforms = tile_transforms(side, self.kernel, adjoint=True)
        self._run(transforms, parities, self.kernels.transpose(1, 2), write)
        return out.view(batch, self.channels_in, down * side, -1)[:, :, :height, :width]

    def _run(
        self,
        transforms: TileTransforms,
        image: Tensor,
        kernels: Tensor,
        write: Callable[[Tensor, slice, slice], None],
    ) -> None:
        """Cut an image (batch, height, width, channels…) into tiles, and write what they give, some tiles at a time."""
        tiles = _tiles(image, transforms, self.kernel // 2)
        side, batch, down, across = transforms.side, *tiles.shape[2:5]
        images = max(1, _TILES_AT_ONCE // (down * across))
        rows = down if images > 1 else min(down, max(1, _TILES_AT_ONCE // across))
        most = min(images, batch) * rows * across
        room = _Room(transforms, most, kernels.shape[1], kernels.shape[2], like=image)
        for first in range(0, batch, images):
            for row in range(0, down, rows):
                part = tiles[:, :, first : first + images, row : row + rows]
                count = part.shape[2] * part.shape[3] * across
                gathered = room.tiles[: side * side * count * kernels.shape[1]]
                gathered.view(part.shape).copy_(part)
                frequencies = room.frequencies(count)
                transforms.forward(gathered.view(side, side, -1), room.work, frequencies)
                products = room.products(count)
                _multiply(frequencies.view(len(kernels), count, -1), kernels, products)
                pixels = room.pixels(count)
                transforms.inverse(products.view(len(kernels), -1), room.work, pixels)
                write(pixels, slice(first, first + images), slice(row, row + rows))


def weight_gradient(value: Tensor, cotangent: Tensor, size: int) -> Tensor:
    """Return the gradient of a layer's weight, (channels_in, channels_out, k, k).

    Args:
        value: The layer's input, (batch, channels_in, height, width).
        cotangent: Cotangent of the layer's output, (batch, channels_out, 2 height, 2 width).
        size: k.
    """
    kernel, pixels = size // 2, _pixels(value)
    transforms = tile_transforms(pixels, kernel, adjoint=False)
    batch, channels_in, height, width = value.shape
    channels_out = cotangent.shape[1]
    tiles = _tiles(value.permute(0, 2, 3, 1), transforms, kernel // 2)
    phases = cotangent.reshape(batch, channels_out, height, 2, width, 2).permute(0, 2, 4, 3, 5, 1)
    answers = _cells(phases, pixels)
    down, across = tiles.shape[3:5]
    images = max(1, _TILES_LEARNED_FROM // (down * across))
    total = value.new_zeros(transforms.numbers, channels_in, 4 * channels_out)
    for first in range(0, batch, images):
        given = tiles[:, :, first : first + images].reshape(transforms.side, transforms.side, -1)
        made = answers[:, :, first : first + images].reshape(pixels, pixels, -1)
        work = value.new_empty(transforms.side * max(given[0].numel(), made[0].numel()))
        inputs = value.new_empty(transforms.numbers, given.shape[-1])
        outputs = value.new_empty(transforms.numbers, made.shape[-1])
        transforms.forward(given, work, inputs)
        transforms.transposed_inverse(made, work, outputs)
        by_tile = inputs.view(transforms.numbers, -1, channels_in).transpose(1, 2)
        total.baddbmm_(by_tile, outputs.view(transforms.numbers, -1, 4 * channels_out))
    rows = kernel_transform(pixels, kernel).t() @ total.flatten(1)
    phased = rows.view(kernel, kernel, channels_in, 2, 2, channels_out)
    return phased.permute(2, 5, 0, 3, 1, 4).reshape(channels_in, channels_out, size, size)


def _cells(image: Tensor, side: int) -> Tensor:
    """Return (m, m, batch, cells down, cells across, channels) of an image (batch, height, width, channels…)."""
    batch, height, width = image.shape[:3]
    down, across = -(-height // side), -(-width // side)
    padded = image.new_zeros(batch, down * side, across * side, *image.shape[3:])
    padded[:, :height, :width] = image
    return padded.reshape(batch, down, side, across, side, -1).permute(2, 4, 0, 1, 3, 5)


class _Room:
    """The memory that the work on some tiles needs, taken once for a whole image."""

    def __init__(self, transforms: TileTransforms, count: int, given: int, made: int, like: Tensor) -> None:
        side, pixels = transforms.side, transforms.pixels
        self._numbers, self._given, self._made, self._pixels = transforms.numbers, given, made, pixels
        self.tiles = like.new_empty(side * side * count * given)
        self.work = like.new_empty(side * count * max(side * given, pixels * made))
        self._frequencies = like.new_empty(transforms.numbers * count * given)
        self._products = like.new_empty(transforms.numbers * count * made)
        self._out = like.new_empty(pixels * pixels * count * made)

    def frequencies(self, count: int) -> Tensor:
        values = count * self._given
        return self._frequencies[: self._numbers * values].view(self._numbers, values)

    def products(self, count: int) -> Tensor:
        values = count * self._made
        return self._products[: self._numbers * values].view(self._numbers, count, self._made)

    def pixels(self, count: int) -> Tensor:
        values = count * self._made
        return self._out[: self._pixels**2 * values].view(self._pixels, self._pixels, values)


def _tiles(image: Tensor, transforms: TileTransforms, border: int) -> Tensor:
    """Return a view (N, N, batch, tiles down, tiles across, channels) of the padded image."""
    batch, height, width = image.shape[:3]
    step, side = transforms.pixels, transforms.side
    down, across = -(-height // step), -(-width // step)
    padded = image.new_zeros(batch, down * step + side - step, across * step + side - step, *image.shape[3:])
    padded[:, border : border + height, border : border + width] = image
    return padded.flatten(3).unfold(1, side, step).unfold(2, side, step).permute(4, 5, 0, 1, 2, 3)


def _multiply(frequencies: Tensor, kernels: Tensor, out: Tensor) -> None:
    """Multiply (numbers, tiles, given) by (numbers, given, made), into `out`."""
    product = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
    if product is None or kernels[0].numel() < _WORTH_ONEDNN:
        torch.bmm(frequencies, kernels, out=out)
        return
    # PyTorch multiplies matrices by MKL, which on AMD's processors reaches half the speed of oneDNN.
    for part, kernel, target in zip(frequencies, kernels, out, strict=True):
        target.copy_(product(part, kernel.t(), None, "none", [], ""))


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
    return _PLANS.get(layer, layer.weight, pixels, lambda: TiledTransposedConvolution(layer.weight, pixels))
