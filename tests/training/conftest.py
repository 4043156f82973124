"""Small stand-ins: twelve images of 8x8 with two classes, and a network with two PCoders."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

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


OWN_NETWORK = textwrap.dedent(
    """
    import torch
    from torch import nn
    import pcbench

    def network():
        with torch.random.fork_rng():
            torch.manual_seed(1)
            layers = [nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Conv2d(4, 5, 2, stride=2), nn.ReLU(), nn.Flatten()]
            backbone = nn.Sequential(*layers, nn.Linear(80, 10))
        second = "ConvTranspose2d(5, 4, kernel_size=2, stride=2)"
        pcoders = [
            {"module": "1", "predictor": "ConvTranspose2d(4, 3, kernel_size=4, stride=4)"},
            {"module": "3", "predictor": second if LINEAR else f"Sequential({second}, ReLU())"},
        ]
        imports = ["from torch.nn import Sequential, ReLU, ConvTranspose2d"]
        table = {"input_size": [3, 32, 32], "imports": imports, "gradient_scaling": LINEAR, "pcoders": pcoders}
        return pcbench.predify(backbone, table)
    """
)


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bool], Path]:
    """Writes a module with a network of a user's own for the digits, in a folder that becomes the working one.

    Of the module's name, and whether all predictors are linear and errors scaled; else the second ends in a ReLU.
    """

    def write(module: str, linear: bool) -> Path:  # the type of a callable has no names
        (tmp_path / f"{module}.py").write_text(f"LINEAR = {linear}\n{OWN_NETWORK}")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return write


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
