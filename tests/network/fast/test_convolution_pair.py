"""Convolutions of fixed weights with faster gradients. Oracle: PyTorch's own convolution and its derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.network.fast import convolution_pair
from pcbench.network.fast.convolution_pair import ConvolutionPair, Geometry, input_gradient_pair
from pcbench.network.fast.phase_convolution import PhaseKernels, phase_kernels

CASES = {
    "plain": ((3, 3), Geometry((1, 1), (1, 1), (1, 1), 1)),
    "stride": ((3, 3), Geometry((2, 2), (1, 1), (1, 1), 1)),
    "even": ((4, 4), Geometry((2, 2), (1, 1), (1, 1), 1)),
    "no padding": ((5, 5), Geometry((3, 3), (0, 0), (1, 1), 1)),
    "more padding than kernel": ((2, 2), Geometry((1, 1), (2, 2), (1, 1), 1)),
    "rows and columns differ": ((3, 5), Geometry((1, 2), (0, 2), (1, 1), 1)),
    "dilation": ((3, 3), Geometry((1, 1), (2, 2), (2, 2), 1)),
    "groups": ((3, 3), Geometry((2, 2), (1, 1), (1, 1), 2)),
    "gaps": ((1, 1), Geometry((2, 2), (0, 0), (1, 1), 1)),
}


def _pair(case: str, dtype: torch.dtype = torch.float64) -> ConvolutionPair:
    kernel, geometry = CASES[case]
    torch.manual_seed(0)
    weight = torch.randn(6, 4 // geometry.groups, *kernel, dtype=dtype)
    fits = PhaseKernels.fit(weight, geometry)
    assert fits == (case not in ("dilation", "groups", "gaps"))
    return ConvolutionPair(weight, geometry, phase_kernels(weight, geometry.stride, geometry.padding) if fits else None)


@pytest.mark.parametrize("size", [(7, 7), (8, 9)])
@pytest.mark.parametrize("case", CASES)
def test_values_gradients_and_second_derivatives_are_pytorchs(case: str, size: tuple[int, int]) -> None:
    pair = _pair(case)
    bias = torch.randn(6, dtype=torch.float64)
    value = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    found, expected = pair.convolve(value, bias), F.conv2d(value, pair.weight, bias, *pair.geometry)
    assert torch.equal(found, expected)
    derivatives = [_two_derivatives(made, value) for made in (found, expected)]
    for one, other in zip(*derivatives, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def _two_derivatives(made: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    (first,) = torch.autograd.grad(made.sin().sum(), value, create_graph=True)
    return first.detach(), *torch.autograd.grad(first.cos().sum(), value)


@pytest.mark.parametrize("case", ["stride", "rows and columns differ"])
def test_the_adjoint_too_passes_pytorchs_check_of_both_derivatives(case: str) -> None:
    pair = _pair(case)
    value = torch.randn(1, 6, *pair.convolve(torch.zeros(1, 4, 3, 4, dtype=torch.float64)).shape[2:]).double()
    value.requires_grad_()

    def adjoint(given: Tensor) -> Tensor:
        return pair.transpose(given, None, (3, 4)).sin()

    assert torch.autograd.gradcheck(adjoint, value)
    assert torch.autograd.gradgradcheck(adjoint, value)


def test_in_float32_they_differ_by_rounding() -> None:
    pair = _pair("stride", torch.float32)
    value = torch.randn(3, 4, 9, 9, requires_grad=True)
    one, other = (
        torch.autograd.grad(made.sin().sum(), value)[0]
        for made in (pair.convolve(value), F.conv2d(value, pair.weight, None, *pair.geometry))
    )
    assert float((one - other).abs().max()) <= 1e-6 * float(other.abs().max())


def test_an_empty_batch_has_an_empty_gradient() -> None:
    value = torch.zeros(0, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    pair = _pair("stride")
    assert torch.autograd.grad(pair.convolve(value).sum(), value)[0].shape == value.shape


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # PyTorch uses it itself
def test_it_works_inside_the_transforms_of_torch_func() -> None:
    pair = _pair("stride")
    value = torch.randn(1, 4, 5, 5, dtype=torch.float64)

    def found(given: Tensor) -> Tensor:
        return pair.convolve(given).sin().sum((2, 3))

    def expected(given: Tensor) -> Tensor:
        return F.conv2d(given, pair.weight, None, *pair.geometry).sin().sum((2, 3))

    made, other = torch.func.jacrev(found), torch.func.jacrev(expected)
    torch.testing.assert_close(made(value), other(value))
    one, another = (torch.func.jvp(jacobian, (value,), (value,))[1] for jacobian in (made, other))
    torch.testing.assert_close(one, another)


def test_which_layers_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    value = torch.zeros(4, 4, 32, 32)
    geometry = CASES["stride"][1]
    few, many = nn.Conv2d(4, 6, 3).weight, nn.Conv2d(64, 64, 3).weight
    assert input_gradient_pair(few, value, geometry) is not None
    assert input_gradient_pair(many, value, geometry) is None
    assert input_gradient_pair(few, value.double(), geometry) is None
    assert input_gradient_pair(few, value, geometry._replace(groups=2)) is None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert input_gradient_pair(few, value, geometry) is None
    monkeypatch.setattr(convolution_pair, "choose", lambda _: "plain")
    assert input_gradient_pair(few, value, geometry) is None


def test_weights_that_change_are_noticed() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1)
    value = torch.rand(1, 4, 6, 6, requires_grad=True)
    geometry = CASES["plain"][1]

    def gradient() -> Tensor:
        pair = input_gradient_pair(layer.weight, value, geometry)
        assert pair is not None
        return torch.autograd.grad(pair.convolve(value, layer.bias).sum(), value)[0]

    gradient()
    nn.init.normal_(layer.weight)
    torch.testing.assert_close(gradient(), torch.autograd.grad(layer(value).sum(), value)[0])
