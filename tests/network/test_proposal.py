"""Oracle: small networks whose sizes can be counted by hand, and what was chosen by hand for ResNet-18."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError
from pcbench.models.conversions import starting_configuration
from pcbench.network.conversion import predify
from pcbench.network.proposal import proposed_configuration

CONFIGURATIONS = Path(pcbench.__file__).parent / "models" / "configurations"


class Block(nn.Module):
    """A residual block that uses one activation twice, and weighs channels by a vector of 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()
        self.weigh = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.layer(x))
        return self.act(y * self.weigh(y) + x)


def _modules(text: str) -> list[str]:
    return [one["module"] for one in tomllib.loads(text)["pcoders"]]


def test_the_last_module_of_each_resolution_is_chosen() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),  # 16 pixels
        nn.BatchNorm2d(4),
        nn.ReLU(),  # 2: the last that makes something new of 16 pixels
        nn.MaxPool2d(2),
        Block(),  # 4: the last of 8 pixels; its activation runs twice
        nn.Dropout(),
        nn.AvgPool2d(2),  # 4 pixels, and nothing is made of them
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10),
    )
    text = proposed_configuration("mine:network", network, torch.zeros(1, 1, 16, 16))
    assert _modules(text) == ["2", "4"]
    made = predify(network, tomllib.loads(text))
    assert [float(one.feedback) for one in made.hyperparameters] == [0.3, 0.0]
    assert not network[0]._forward_hooks  # the network is left as it was


def test_resnet18_gets_what_was_chosen_for_it_by_hand() -> None:
    text = starting_configuration("torchvision:resnet18")
    made = tomllib.loads(text)
    assert "# channels, height and width: as it states" in text
    chosen = tomllib.loads((CONFIGURATIONS / "presnet18.toml").read_text(encoding="utf-8"))
    assert [one["module"] for one in made["pcoders"]] == [one["module"] for one in chosen["pcoders"]]
    assert made["input_size"] == chosen["input_size"]
    assert made["backbone"] == "torchvision:resnet18"


def test_a_network_of_vectors_is_told() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    with pytest.raises(ConfigurationError, match="no PCoder can be proposed"):
        proposed_configuration("mine:network", network, torch.zeros(1, 1, 4, 4))
