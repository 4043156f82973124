"""Channels beside each other from t = 1 on. Oracle: the same pass in the backbone's own format."""

from __future__ import annotations

import pytest
import torch
from small_network import backbone, configuration
from torch import Tensor

import pcbench
from pcbench.network.fast import choosing
from pcbench.network.fast.memory_format import channels_last_suits
from pcbench.network.fast.table import FastForm

ALWAYS = (FastForm("timesteps", "channels last"),)


@pytest.fixture(scope="module")
def network() -> pcbench.PredictiveNetwork:
    return pcbench.predify(backbone(), configuration(gradient_scaling=True))


@pytest.mark.parametrize("recompute", [False, True])
def test_format_changes_no_bit_at_t_0_and_only_rounding_later(
    network: pcbench.PredictiveNetwork, recompute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for rows in ((), ALWAYS):
        monkeypatch.setattr(choosing, "ROWS", rows)
        leaf = images.clone().requires_grad_()
        unrolled = network.unroll_input(leaf, 3, recompute=recompute)
        (gradient,) = torch.autograd.grad(unrolled.logits.square().sum(), leaf)
        found.append((unrolled.logits, unrolled.magnitudes, gradient))
    assert torch.equal(found[0][0][0], found[1][0][0])
    for plain, fast in zip(*found, strict=True):
        assert torch.allclose(plain, fast, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        kept = network.unroll_input(images, 1, keep=("representations",)).representations
    assert [one.is_contiguous(memory_format=torch.channels_last) for one in (kept[0][1], kept[1][1])] == [False, True]


def test_small_images_and_what_is_no_image_keep_their_format() -> None:
    assert channels_last_suits(torch.zeros(1, 3, 224, 224), [torch.zeros(1, 64, 224, 224)])
    assert not channels_last_suits(torch.zeros(1, 3, 32, 32), [torch.zeros(1, 64, 32, 32)])
    assert not channels_last_suits(torch.zeros(1, 3, 224, 224), [torch.zeros(1, 64, 224, 224), torch.zeros(1, 9)])
