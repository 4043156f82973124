"""Fixtures of the network's tests; the networks and numbers are made in `tests/small_network.py`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from plain import plain_dynamics
from small_network import Configure, PredifyCases, backbone, configuration
from torch import Tensor, nn

from pcbench.network.network import PredictiveNetwork


@pytest.fixture
def small_backbone() -> nn.Module:
    """The fixtures' backbone with seeded random weights."""
    return backbone()


@pytest.fixture
def small_configuration() -> Configure:
    """A function that makes configurations of the small network."""
    return configuration


@pytest.fixture
def images() -> Tensor:
    """Four images of the small network's size."""
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="session")
def predify_cases() -> PredifyCases:
    """Predify's numbers, or a visible skip where they are not at hand."""
    folder = Path(os.environ.get("PCBENCH_TEST_DATA", "missing")) / ".." / "fixtures" / "predify"
    if not folder.is_dir():
        pytest.skip("set PCBENCH_TEST_DATA to the folder of test data to compare with Predify's numbers")
    return PredifyCases(folder)


@pytest.fixture(scope="session")
def plain() -> Callable[..., Any]:
    """A function that makes the plain implementation of one of our networks; it shares no code with ours."""
    module = plain_dynamics()

    def make(backbone: nn.Module, network: PredictiveNetwork, *, differentiable: bool = False) -> Any:
        below = [torch.zeros(network.configuration.table.input_size)]
        kept = network.unroll_input(below[0][None].to(next(network.parameters()).dtype), 0, keep=["representations"])
        below += [representation[0] for representation in kept.representations[0][:-1]]
        scales = [
            1.0 if window is None else cells.numel() / window**0.5
            for window, cells in zip(network.error_windows, below, strict=True)
        ]
        weights = [(h.feedforward, h.feedback, h.error_weight) for h in network.hyperparameters]
        names = [pcoder.path for pcoder in network.configuration.table.pcoders]
        return module.PlainNetwork(
            backbone, names, list(network.predictors), weights, scales, differentiable, guarded=True
        )

    return make
