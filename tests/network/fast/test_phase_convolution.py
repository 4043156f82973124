"""Small transposed convolutions as ordinary ones. Oracle: PyTorch's own, in float64, and its derivatives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcbench.network.decoding import decode
from pcbench.network.fast.phase_convolution import by_phases, suits_phases


@pytest.mark.parametrize("size", [(2, 2), (5, 6), (8, 3)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 1, 1), (5, 1, 0), (4, 2, 1), (3, 2, 0), (2, 2, 0), (6, 2, 2), (5, 3, 2), (7, 4, 3), (4, 4, 0)],
)
def test_it_is_the_transposed_convolution(kernel: int, stride: int, padding: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 3, kernel, stride=stride, padding=padding).double()
    value = torch.randn(2, 4, *size, dtype=torch.float64)
    assert suits_phases(layer, value)
    torch.testing.assert_close(by_phases(layer, value), layer(value))


def test_new_weights_are_noticed() -> None:
    layer = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
    value = torch.rand(1, 4, 5, 5)
    by_phases(layer, value)
    nn.init.normal_(layer.weight)
    torch.testing.assert_close(by_phases(layer, value), layer(value))


def test_what_is_kept_does_not_depend_on_who_asks_first() -> None:
    layer = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1)
    value = torch.rand(1, 4, 5, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert by_phases(layer, value).dtype == torch.bfloat16
    torch.testing.assert_close(by_phases(layer, value), layer(value))


def test_a_layer_that_learns_gets_the_gradients_of_pytorch() -> None:
    layer = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1).double()
    value = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    wanted = [value, layer.weight, layer.bias]
    expected = torch.autograd.grad(layer(value).sin().sum(), wanted)
    found = torch.autograd.grad(by_phases(layer, value, frozen=False).sin().sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_what_inference_mode_asked_for_first_serves_gradients_too() -> None:
    # A layer of a size that no other test has, so that nothing of it is kept yet.
    layer = nn.ConvTranspose2d(3, 5, 6, stride=3, padding=1)
    value = torch.rand(1, 3, 4, 4, requires_grad=True)
    with torch.inference_mode():
        by_phases(layer, value.detach())
    by_phases(layer, value).sum().backward()
    by_phases(layer, value, frozen=False).sum().backward()
    assert layer.weight.grad is not None


def test_derivatives() -> None:
    layer = nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1).double()
    value = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def error_gradient(representation: Tensor) -> Tensor:
        prediction, pullback = decode(layer, representation)
        return pullback(prediction.sin())

    assert torch.autograd.gradcheck(error_gradient, value)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 32, 3),
        nn.ConvTranspose2d(4, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 4, (3, 5)),
        nn.ConvTranspose2d(4, 4, 3, stride=2, output_padding=1),
        nn.ConvTranspose2d(4, 4, 2, stride=3),
    ],
)
def test_other_layers_are_left_to_pytorch(layer: nn.ConvTranspose2d) -> None:
    value = torch.rand(1, 4, 5, 5)
    assert not suits_phases(layer, value)
    assert torch.equal(decode(layer, value)[0], layer(value))
