"""A network's own layers with faster input gradients. Oracle: the same network without them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcbench.network.fast import layers
from pcbench.network.fast.layers import fast_input_gradients


def _network() -> nn.Module:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1, padding_mode="reflect", bias=False),
        nn.BatchNorm2d(6, affine=False),
        nn.Conv2d(6, 6, 3, padding="same", groups=2),
        nn.MaxPool2d(2),
    )
    for layer in network:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.normal_(layer.running_mean)
    return network.eval().requires_grad_(requires_grad=False)


def _gradients(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    made = network(images)
    return made.detach(), *torch.autograd.grad(made.sin().sum(), images)


def test_values_are_bit_equal_and_gradients_differ_by_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = _network(), torch.rand(32, 3, 12, 12, requires_grad=True)
    asked: list[str] = []
    choose = layers.choose
    monkeypatch.setattr(layers, "choose", lambda work: asked.append(choose(work)) or "scaled")
    expected = _gradients(network, images)
    with fast_input_gradients():
        found = _gradients(network, images)
    assert asked
    assert torch.equal(found[0], expected[0])
    assert float((found[1] - expected[1]).abs().max()) <= 1e-6 * float(expected[1].abs().max())
    assert not torch.equal(found[1], expected[1])  # the faster forms have run


def test_weights_that_learn_keep_their_gradients() -> None:
    network, images = _network().requires_grad_(), torch.rand(2, 3, 12, 12, requires_grad=True)
    expected = torch.autograd.grad(network(images).sin().sum(), [images, *network.parameters()])
    with fast_input_gradients():
        found = torch.autograd.grad(network(images).sin().sum(), [images, *network.parameters()])
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_statistics_of_a_batch_are_left_to_pytorch() -> None:
    layer = nn.BatchNorm2d(4).requires_grad_(requires_grad=False)
    images = torch.rand(64, 4, 16, 16, requires_grad=True)
    expected = torch.autograd.grad(layer(images).sin().sum(), images)[0]
    with fast_input_gradients():
        assert torch.equal(torch.autograd.grad(layer(images).sin().sum(), images)[0], expected)
