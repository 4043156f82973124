"""Discrete Fourier transforms of tiles. Oracle: convolution and correlation of one tile by conv2d."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pcbench.network.fast.fourier_tiles import kernel_transform, tile_transforms
from pcbench.network.fast.tile_passes import Strips, convolve


@pytest.mark.parametrize("pixels", [7, 14])
@pytest.mark.parametrize("kernel", [5, 7])
def test_tiles_give_the_same_as_convolving(pixels: int, kernel: int) -> None:
    generator = torch.Generator().manual_seed(1)
    side = pixels + kernel - 1
    tile, weight = (torch.randn(size, size, generator=generator) for size in (side, kernel))
    kernels = (kernel_transform(pixels, kernel) @ weight.flatten())[:, None, None]
    for is_adjoint, turned in ((False, weight.flip(0, 1)), (True, weight)):
        transforms, found = tile_transforms(pixels, kernel, adjoint=is_adjoint), torch.empty(pixels, pixels)
        assert len(kernels) == side**2

        def write(image: int, row: int, pixels: torch.Tensor, found: torch.Tensor = found) -> None:
            assert (image, row) == (0, 0)
            found.copy_(pixels[:, :, 0, 0])

        convolve(Strips(tile[None, :, :, None], side, side, 0), transforms, kernels, write, adjoint=is_adjoint)
        expected = F.conv2d(tile[None, None].double(), turned[None, None].double())[0, 0]
        assert float((found - expected).abs().max() / expected.abs().max()) < 5e-6


def test_bands_are_the_row_frequencies_in_pieces() -> None:
    transforms = tile_transforms(7, 7, adjoint=False)
    for whole, parts in ((transforms.row_frequencies, 1), (transforms.bands, 2)):
        assert len(whole) == 7 * parts
        assert [one.numbers.start for one in whole[1:]] == [one.numbers.stop for one in whole[:-1]]
        assert [one.products.start for one in whole[1:]] == [one.products.stop for one in whole[:-1]]
        assert (whole[-1].numbers.stop, whole[-1].products.stop) == (169, transforms.products)
