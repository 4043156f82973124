"""Oracle: the backbone's own gradient, which the converted network has at t = 0 or a trace would have lost."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.network.gradient_probe import same_gradient
from pcbench.network.hooked import HookedBackbone
from pcbench.network.traced import TracedBackbone

CONFIGURATION = {"input_size": (3, 8, 8), "pcoders": [{"module": "first"}, {"module": "second"}]}


class Plain(nn.Module):
    """A small CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, stride=2)
        self.head = nn.Linear(64, 5)

    def before(self, images: Tensor) -> Tensor:
        """Do something to the images."""
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        high = torch.relu(self.second(torch.relu(self.first(self.before(images)))))
        return self.head(high.flatten(1))


class Round(torch.autograd.Function):
    """Rounds, and passes the gradient straight through."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:  # type: ignore[override]
        """Round."""
        del ctx
        return torch.round(images * 8) / 8

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        """Return the gradient as it is."""
        del ctx
        return gradient


class StraightThrough(Plain):
    """Rounds its images, straight through."""

    def before(self, images: Tensor) -> Tensor:
        """Round."""
        return Round.apply(images)


class WithoutGradients(Plain):
    """Computes its first step without gradients."""

    def before(self, images: Tensor) -> Tensor:
        """Scale."""
        with torch.no_grad():
            return images * 2


class HalfDetached(Plain):
    """Has half of the gradient."""

    def before(self, images: Tensor) -> Tensor:
        """Scale, half of it detached by a context that a trace does not see."""
        with torch.no_grad():
            half = images / 2
        return images / 2 + half


class Hooked(Plain):
    """Turns the gradient around by a hook on the whole network."""

    def __init__(self) -> None:
        super().__init__()
        self.register_full_backward_hook(lambda *gradients: tuple(-gradient for gradient in gradients[1]))


def converted(kind: type[Plain]) -> tuple[Plain, pcbench.PredictiveNetwork, Tensor]:
    torch.manual_seed(0)
    net = kind().eval()
    return net, pcbench.predify(net, CONFIGURATION), torch.rand(2, 3, 8, 8)


def gradient(module: nn.Module, images: Tensor) -> Tensor:
    inputs = images.clone().requires_grad_()
    logits = module(inputs)
    if not logits.requires_grad:
        return torch.zeros_like(images)
    (found,) = torch.autograd.grad(logits[:, 0].sum(), inputs, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


@pytest.mark.parametrize("kind", [StraightThrough, WithoutGradients, HalfDetached, Hooked])
def test_a_gradient_that_a_trace_would_lose_is_kept_and_one_line_says_how(
    kind: type[Plain], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pcbench"):
        net, network, images = converted(kind)
    assert isinstance(network.backbone, HookedBackbone)
    (line,) = caplog.messages
    assert line.startswith(f"{kind.__name__} says itself what its gradient is (")
    assert "\n" not in line
    expected = gradient(net, images)
    torch.testing.assert_close(gradient(network.at(0), images), expected)
    # A trace has another gradient: this is what the comparison is for.
    traced = TracedBackbone(net, ["first", "second"])
    assert torch.equal(traced(images), net(images))
    assert not torch.allclose(gradient(traced, images), expected)
    # Also of a network that is converted again, or copied.
    again = pcbench.predify(copy.deepcopy(net), CONFIGURATION)
    torch.testing.assert_close(gradient(again.at(0), images), expected)
    torch.testing.assert_close(gradient(copy.deepcopy(network).at(0), images), expected)


def test_a_sound_network_is_traced_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pcbench"):
        net, network, images = converted(Plain)
    assert isinstance(network.backbone, TracedBackbone)
    assert caplog.messages == []
    torch.testing.assert_close(gradient(network.at(0), images), gradient(net, images))


def test_the_noise_of_the_original_is_allowed_and_no_more() -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(1, 3, 4, 4, generator=generator)

    def module(noise: float, shift: float = 0.0) -> Any:
        def ask(inputs: Tensor) -> Tensor:
            weights = 1 + shift + noise * torch.randn(inputs.shape, generator=generator)
            return (inputs * weights).flatten(1)

        return ask

    assert same_gradient(module(1e-3), module(1e-3), [images])
    assert not same_gradient(module(1e-3), module(1e-3, shift=0.1), [images])
    assert not same_gradient(module(0), module(0, shift=0.001), [images])
    assert same_gradient(module(0), module(0, shift=1e-6), [images])


def test_what_cannot_be_differentiated_is_compared_too() -> None:
    images = torch.rand(1, 3, 4, 4)

    def fails(inputs: Tensor) -> Tensor:
        if inputs.requires_grad:
            raise RuntimeError("of the user's own")
        return inputs.flatten(1)

    def roots(inputs: Tensor) -> Tensor:
        return (inputs - inputs).sqrt().flatten(1)

    assert same_gradient(fails, fails, [images])
    assert not same_gradient(fails, torch.flatten, [images])
    assert same_gradient(roots, roots, [images])  # nowhere finite
    assert not same_gradient(roots, lambda inputs: 0 * inputs.flatten(1), [images])


def test_where_a_gradient_vanishes_another_image_is_asked() -> None:
    dark, bright = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)

    def alive(factor: float) -> Any:
        return lambda inputs: factor * torch.relu(inputs - 0.5).flatten(1)

    assert same_gradient(alive(1), alive(2), [dark])
    assert not same_gradient(alive(1), alive(2), [dark, bright])
