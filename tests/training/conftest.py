"""Small stand-ins: twelve images of 8x8 with two classes, and a network with two PCoders."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pcbench
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.network.network import PredictiveNetwork
from pcbench.training import losses

CONFIGURATION = {
    "input_size": (3, 8, 8),
    "gradient_scaling": True,
    "pcoders": [
        {"module": "2", "predictor": "ConvTranspose2d(4, 3, kernel_size=3, padding=1)"},
        {"module": "4", "predictor": "ConvTranspose2d(6, 4, kernel_size=4, stride=2, padding=1)"},
    ],
}


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing the losses takes longer than so small a training."""
    monkeypatch.setattr(losses, "_plot", lambda *_: None)


@pytest.fixture
def source() -> ImageSource:
    generator = np.random.default_rng(7)
    images = generator.integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    labels = np.arange(12) % 2
    return open_source((images, labels), preprocessing=Preprocessing())


@pytest.fixture
def backbone() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(96, 2),
        )


@pytest.fixture
def network(backbone: nn.Module) -> PredictiveNetwork:
    return pcbench.predify(backbone, CONFIGURATION, mean=(0.5,) * 3, std=(0.5,) * 3)
