"""The pullback through a predictor. Oracle: `torch.autograd.grad` through the module itself, once and twice."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pcbench.network.decoding import decode, is_explicit

MODULES = {
    "transposed": nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1),
    "transposed, odd": nn.ConvTranspose2d(3, 4, (3, 5), stride=(2, 3), padding=(1, 0), output_padding=(1, 2)),
    "transposed, grouped": nn.ConvTranspose2d(3, 6, 3, groups=3, dilation=2, bias=False),
    "convolution": nn.Conv2d(3, 2, 3, stride=2, padding=1),
    "convolution, edges left over": nn.Conv2d(3, 2, 3, stride=(3, 4), padding=(0, 1), dilation=(1, 2)),
    "upsampled": nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.ConvTranspose2d(3, 2, 3, padding=1)),
    "upsampled, uneven": nn.Upsample(scale_factor=(1.7, 2.4), mode="bilinear"),
    "upsampled, to a size": nn.Upsample(size=(9, 11), mode="bilinear", align_corners=True),
    "rectified": nn.Sequential(nn.ConvTranspose2d(3, 2, 6, stride=2, padding=2), nn.ReLU(inplace=True), nn.Identity()),
    "any: nearest": nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 3)),
    "any: reflected": nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"),
    "any: same": nn.Conv2d(3, 2, 3, padding="same"),
    "any: smooth": nn.Sequential(nn.Conv2d(3, 2, 1), nn.GELU(), nn.BatchNorm2d(2).eval()),
}


@pytest.mark.parametrize("name", MODULES)
def test_pullback_and_its_derivative(name: str) -> None:
    module = MODULES[name].double()
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(2, 3, 6, 7, dtype=torch.float64, generator=generator).requires_grad_()
    prediction, pullback = decode(module, value)
    torch.testing.assert_close(prediction, module(value))
    cotangent = torch.randn(prediction.shape, dtype=torch.float64, generator=generator).requires_grad_()
    (expected,) = torch.autograd.grad(module(value), value, cotangent, create_graph=True)
    found = pullback(cotangent)
    torch.testing.assert_close(found, expected)
    # The error's gradient depends on the representation through the cotangent and the layers' own bends.
    outer = torch.randn(found.shape, dtype=torch.float64, generator=generator)
    for target in (cotangent, value):
        wanted = torch.autograd.grad(expected, target, outer, retain_graph=True, allow_unused=True)[0]
        given = torch.autograd.grad(found, target, outer, retain_graph=True, allow_unused=True)[0]
        zero = torch.zeros_like(target)
        torch.testing.assert_close(zero if given is None else given, zero if wanted is None else wanted)
    assert is_explicit(module) != name.startswith("any")


def test_a_hook_of_the_user_s_own_is_not_passed_over() -> None:
    module = nn.ReLU()
    module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    prediction, pullback = decode(module, torch.ones(1, 2))
    assert prediction.tolist() == [[2, 2]]
    assert pullback(torch.ones(1, 2)).tolist() == [[2, 2]]


def test_frozen_parameters_get_no_gradient() -> None:
    layer = nn.ConvTranspose2d(1, 1, 3)
    value = torch.rand(1, 1, 2, 2, requires_grad=True)
    for frozen in (True, False):
        prediction, pullback = decode(layer, value, frozen=frozen)
        (prediction.sum() + pullback(prediction).sum()).backward()
        assert (layer.weight.grad is None) == frozen
