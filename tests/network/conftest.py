"""The small network of Predify's fixtures, and the numbers that Predify itself made with it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import pcbench
from pcbench.network.network import PredictiveNetwork

PREDICTORS = [
    "ConvTranspose2d(8, 3, 5, padding=2)",
    "Sequential(ConvTranspose2d(16, 8, 6, stride=2, padding=2), ReLU())",
    "Sequential(Upsample(scale_factor=2, mode='bilinear', align_corners=False), ConvTranspose2d(24, 16, 3, padding=1))",
]


def backbone() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(96, 10),
        )


def configuration(**options: Any) -> dict[str, Any]:
    weights = options.pop("hyperparameters", [(0.4, 0.1, 0.01)] * 3)
    windows = options.pop("error_windows", [None] * 3)
    pcoders = [
        {
            "module": f"[{2 * n + 1}]",
            "predictor": PREDICTORS[n],
            "hyperparameters": dict(zip(("feedforward", "feedback", "pc"), weights[n], strict=True)),
            **({} if windows[n] is None else {"error_window": windows[n]}),
        }
        for n in range(3)
    ]
    return {"name": "small", "input_size": [3, 16, 16], "pcoders": pcoders, **options}


@pytest.fixture
def small_backbone():
    """The fixtures' backbone with seeded random weights."""
    return backbone()


@pytest.fixture
def small_configuration():
    """A function that makes configurations of the small network."""
    return configuration


@pytest.fixture
def images():
    """Four images of the small network's size."""
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))


class PredifyCases:
    """Predify's cases, its tensors, and our network with a case's settings and weights."""

    def __init__(self, folder: Path) -> None:
        self.cases: dict[str, Any] = json.loads((folder / "small_network.json").read_text())
        self.tensors: dict[str, Tensor] = load_file(folder / "small_network.safetensors")

    def network(self, name: str) -> tuple[PredictiveNetwork, Tensor, dict[str, Any]]:
        case = self.cases[name]
        scaled = case["C_sqrt"] is not None
        # Predify's unscaled error is a mean over the whole batch.
        weights = [pc if scaled else pc / case["images"] for pc in case["pc"]]
        settings = configuration(
            hyperparameters=list(zip(case["feedforward"], case["feedback"], weights, strict=True)),
            error_windows=[root**2 for root in case["C_sqrt"]] if scaled else [None] * 3,
            gradient_scaling=scaled,
        )
        trained = backbone()
        trained.load_state_dict(self._part("backbone."))
        network = pcbench.predify(trained, settings)
        for n, predictor in enumerate(network.predictors):
            predictor.load_state_dict(self._part(f"decoder{n + 1}."))
        return network, self.tensors["images"][: case["images"]], case

    def _part(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


@pytest.fixture(scope="session")
def predify_cases():
    """Predify's numbers, or a visible skip where they are not at hand."""
    folder = Path(os.environ.get("PCBENCH_TEST_DATA", "missing")) / ".." / "fixtures" / "predify"
    if not folder.is_dir():
        pytest.skip("set PCBENCH_TEST_DATA to the folder of test data to compare with Predify's numbers")
    return PredifyCases(folder)


@pytest.fixture(scope="session")
def plain():
    """A function that makes the plain implementation of one of our networks; it shares no code with ours."""
    path = Path(__file__).parents[2] / "benchmarks" / "plain_dynamics.py"
    spec = importlib.util.spec_from_file_location("plain_dynamics", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)

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
