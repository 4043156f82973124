"""Bilinear upsampling with a faster adjoint. Oracle: PyTorch's own upsampling and its derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pcbench.network.decoding import decode
from pcbench.network.fast import upsampling

SIZES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "doubled": ({"scale_factor": 2}, (5, 8)),
    "one pixel": ({"scale_factor": 2}, (1, 1)),
    "factor": ({"scale_factor": (2.5, 1.7)}, (4, 7)),
    "factor recomputed": ({"scale_factor": 2.3, "recompute_scale_factor": True}, (4, 7)),
    "smaller": ({"scale_factor": 0.6}, (9, 8)),
    "size": ({"size": (9, 11)}, (4, 5)),
    "corners": ({"scale_factor": 2, "align_corners": True}, (5, 4)),
}


@pytest.mark.parametrize(
    ("case", "form"),
    [(case, form) for case in SIZES for form in ("plain", "matrices", "channels last")]
    + [(case, form) for case in ("doubled", "one pixel") for form in ("sums", "sums and a matrix")],
)
def test_values_pullbacks_and_second_derivatives_are_pytorchs(
    case: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, size = SIZES[case]
    monkeypatch.setattr(upsampling, "choose", lambda _: form)
    layer = nn.Upsample(mode="bilinear", **options)
    torch.manual_seed(0)
    value = torch.randn(2, 5, *size, dtype=torch.float64, requires_grad=True)
    prediction, pullback = decode(layer, value)
    assert torch.equal(prediction, layer(value))
    assert prediction.is_contiguous()
    cotangent = torch.randn_like(prediction).requires_grad_()
    expected, vjp = torch.func.vjp(layer, value.detach())
    torch.testing.assert_close(pullback(cotangent), vjp(cotangent)[0])
    _same(torch.autograd.grad(prediction.sin().sum(), value), torch.autograd.grad(layer(value).sin().sum(), value))
    _same(
        torch.autograd.grad(pullback(cotangent).sin().sum(), cotangent),
        torch.autograd.grad(vjp(cotangent)[0].sin().sum(), cotangent),
    )
    assert expected.shape == prediction.shape


def _same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(found, expected)


def test_values_in_float32_are_bit_equal_up_to_the_size_where_pytorch_changes_its_kernel() -> None:
    for channels, side in ((1, 7), (3, 32), (5, 31), (64, 8), (24, 60)):
        value = torch.randn(2, channels, side, side)
        layer = nn.Upsample(scale_factor=2, mode="bilinear")
        assert torch.equal(decode(layer, value)[0], layer(value))


def test_second_derivatives_and_empty_batches() -> None:
    layer = nn.Upsample(scale_factor=2, mode="bilinear")
    value = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda given: decode(layer, given)[1](decode(layer, given)[0].sin()), value)
    empty = torch.zeros(0, 3, 4, 4)
    prediction, pullback = decode(layer, empty)
    assert pullback(prediction).shape == empty.shape
