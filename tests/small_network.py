"""The small network of Predify's fixtures, and the numbers that Predify itself made with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import pcbench
from pcbench.network.network import PredictiveNetwork

Configure = Callable[..., dict[str, Any]]
PREDICTORS = [
    "ConvTranspose2d(8, 3, 5, padding=2)",
    "Sequential(ConvTranspose2d(16, 8, 6, stride=2, padding=2), ReLU())",
    "Sequential(Upsample(scale_factor=2, mode='bilinear', align_corners=False), ConvTranspose2d(24, 16, 3, padding=1))",
]


def backbone() -> nn.Sequential:
    """Return the fixtures' backbone with seeded random weights."""
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
    """Return a configuration of the small network, with options of its own."""
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


class PredifyCases:
    """Predify's cases, its tensors, and our network with a case's settings and weights."""

    def __init__(self, folder: Path) -> None:
        self.cases: dict[str, Any] = json.loads((folder / "small_network.json").read_text())
        self.tensors: dict[str, Tensor] = load_file(folder / "small_network.safetensors")

    def network(self, name: str) -> tuple[PredictiveNetwork, Tensor, dict[str, Any]]:
        """Return our network with a case's weights, the case's images and its settings."""
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
