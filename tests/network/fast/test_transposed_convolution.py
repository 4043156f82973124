"""Large transposed convolutions by tiles. Oracle: PyTorch's own, in float64, and `torch.autograd` through it."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.decoding import decode
from pcbench.network.fast import choosing, tile_passes
from pcbench.network.fast.table import FastForm
from pcbench.network.fast.transposed_convolution import (
    TiledTransposedConvolution,
    adjoint,
    by_tiles,
    suits_learning_tiles,
    suits_tiles,
    weight_gradient,
)

TILES = (FastForm("transposed convolution", "tiles", least={"fewest_channels": 32}),)


@pytest.fixture(autouse=True)
def small_layers_by_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "ROWS", TILES)


def layer(channels_in: int = 32, channels_out: int = 33, kernel: int = 14, seed: int = 0) -> nn.ConvTranspose2d:
    torch.manual_seed(seed)
    return nn.ConvTranspose2d(channels_in, channels_out, kernel, stride=2, padding=kernel // 2 - 1)


def exact(module: nn.ConvTranspose2d, value: Tensor) -> Tensor:
    wide = copy.deepcopy(module).double()
    return F.conv_transpose2d(value.double(), wide.weight, wide.bias, stride=2, padding=module.padding)


def close(found: Tensor, expected: Tensor) -> bool:
    # float32 keeps 24 bits; sums over thousands of products lose a few of them.
    return float((found - expected).detach().abs().max() / expected.detach().abs().max()) < 5e-6


@pytest.mark.parametrize("size", [(7, 7), (9, 20), (14, 7), (56, 57), (30, 100)])
@pytest.mark.parametrize("kernel", [10, 14])
def test_layer_and_adjoint_at_any_size(kernel: int, size: tuple[int, int]) -> None:
    module = layer(kernel=kernel)
    value = torch.randn(3, 32, *size, generator=torch.Generator().manual_seed(2))
    assert suits_tiles(module, value)
    assert close(by_tiles(module, value), exact(module, value))
    cotangent = torch.randn(3, 33, 2 * size[0], 2 * size[1], generator=torch.Generator().manual_seed(3))
    expected = F.conv2d(cotangent.double(), module.weight.double(), stride=2, padding=module.padding)
    assert close(adjoint(module, cotangent), expected)


@pytest.mark.parametrize("at_once", [1, 5, 1000])
def test_how_many_tiles_are_worked_on_at_once_changes_nothing(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_passes, "_TILES_AT_ONCE", at_once)
    module = layer()
    value = torch.randn(5, 32, 15, 22, generator=torch.Generator().manual_seed(4))
    assert close(by_tiles(module, value), exact(module, value))


@pytest.mark.parametrize(("least", "few"), [(0, 16), (0, 10**9), (10**9, 16)])
def test_products_are_the_same_with_and_without_onednn(least: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_passes, "_WORTH_ONEDNN", least)
    monkeypatch.setattr(tile_passes, "_FEW_ROWS", few)
    module = layer(32, 64)
    value = torch.randn(2, 32, 14, 14, generator=torch.Generator().manual_seed(5))
    assert close(by_tiles(module, value), exact(module, value))
    cotangent = torch.randn(2, 64, 28, 28, generator=torch.Generator().manual_seed(6))
    expected = F.conv2d(cotangent.double(), module.weight.double(), stride=2, padding=module.padding)
    assert close(adjoint(module, cotangent), expected)


@pytest.mark.parametrize("batch", [0, 3])
def test_results_are_the_same_to_the_bit_for_any_number_of_threads(batch: int) -> None:
    # What one thread computes is the oracle; threads take the same pieces.
    module = layer()
    value = torch.randn(batch, 32, 15, 22, generator=torch.Generator().manual_seed(4))
    cotangent = torch.randn(batch, 33, 30, 44, generator=torch.Generator().manual_seed(5))
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            plan = TiledTransposedConvolution(module.weight, 7)
            gradient = weight_gradient(value, cotangent, 14)
            found.append((plan.transposed(value, module.bias), plan.adjoint(cotangent), plan.kernels, gradient))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_threads_compute_in_the_caller_s_mode(mode: type[torch.inference_mode | torch.no_grad]) -> None:
    module = layer()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with mode():
            value = torch.randn(1, 32, 9, 9, generator=torch.Generator().manual_seed(4))
            found = by_tiles(module, value)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert close(found.clone(), exact(module, value.clone()))


def test_gradients_of_any_order_are_the_layer_s_own() -> None:
    module = layer()
    value = torch.randn(1, 32, 8, 8, generator=torch.Generator().manual_seed(6)).requires_grad_()
    target = torch.randn(1, 33, 16, 16, generator=torch.Generator().manual_seed(7))
    gradients = []
    for run in (lambda x: decode(module, x), lambda x: decode(copy.deepcopy(module).double(), x.double())):
        prediction, pullback = run(value)
        error_gradient = pullback(prediction - target)
        gradients.append(torch.autograd.grad(error_gradient.square().sum() + prediction.sin().sum(), value)[0])
    assert close(gradients[0], gradients[1])


def test_new_weights_are_noticed() -> None:
    module, other = layer(seed=0), layer(seed=1)
    value = torch.randn(1, 32, 7, 7, generator=torch.Generator().manual_seed(8))
    by_tiles(module, value)
    module.load_state_dict(other.state_dict())
    assert close(by_tiles(module, value), exact(other, value))
    with torch.no_grad():
        module.weight.mul_(2)
    assert close(by_tiles(module, value), exact(module, value))
    module.weight = nn.Parameter(other.weight.detach().clone())
    assert close(by_tiles(module, value), exact(other, value))


@pytest.mark.parametrize(
    "module",
    [
        nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
        nn.ConvTranspose2d(32, 32, 12, stride=2, padding=5),
        nn.ConvTranspose2d(32, 32, 14, stride=2, padding=5),
        nn.ConvTranspose2d(32, 32, 14, stride=1, padding=6),
        nn.ConvTranspose2d(32, 32, 14, stride=2, padding=6, groups=2),
        nn.ConvTranspose2d(32, 32, 14, stride=2, padding=6, output_padding=1),
        nn.ConvTranspose2d(32, 3, 14, stride=2, padding=6),
        layer().double(),
    ],
)
def test_other_layers_are_left_to_pytorch(module: nn.ConvTranspose2d) -> None:
    value = torch.rand(1, 32, 8, 8, dtype=module.weight.dtype)
    assert not suits_tiles(module, value)
    assert torch.equal(decode(module, value)[0], module(value))


def test_kernels_are_kept_once_for_a_size_of_tiles() -> None:
    plan = TiledTransposedConvolution(layer(32, 40).weight, 7)
    assert plan.kernels.shape == (169, 32, 160)


@pytest.mark.parametrize("size", [(7, 7), (9, 20), (56, 57)])
@pytest.mark.parametrize("kernel", [10, 14])
def test_a_layer_that_learns_gets_its_own_gradients(
    kernel: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tile_passes, "_TILES_LEARNED_FROM", 20)
    monkeypatch.setattr(choosing, "ROWS", (FastForm("learning transposed convolution", "tiles", least={"tiles": 3}),))
    module, wide = layer(kernel=kernel), layer(kernel=kernel).double()
    value = torch.randn(3, 32, *size, generator=torch.Generator().manual_seed(9))
    assert suits_learning_tiles(module, value)
    gradients = []
    for network, inputs in ((module, value.clone()), (wide, value.double())):
        inputs.requires_grad_()
        prediction = decode(network, inputs, frozen=False)[0]
        prediction.sin().sum().backward()
        gradients.append([inputs.grad, network.weight.grad, network.bias.grad])
    for found, expected in zip(*gradients, strict=True):
        assert close(found, expected)
