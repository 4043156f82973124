"""A training's folder belongs to one network, wherever its configuration lies.

Oracle: the training that was never moved, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pcbench.errors import UsageError
from pcbench.training.job import train_model
from pcbench.training.record import CARD

pytestmark = pytest.mark.usefixtures("no_figures")
_BACKBONE = """
import torch
from torch import nn

def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Conv2d(4, 5, 2, stride=2), nn.Flatten(), nn.Linear(80, 10)
        )
"""
_CONFIGURATION = """
input_size = [3, 32, 32]
[[pcoders]]
module = "[0]"
predictor = "ConvTranspose2d(4, 3, kernel_size=4, stride=4)"
hyperparameters = {feedforward = 0.4, feedback = 0.1, pc = 0.01}
"""


def test_a_training_goes_on_from_another_folder_but_not_as_another_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moved_training.py").write_text(_BACKBONE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    configuration = tmp_path / "mine.toml"
    configuration.write_text(_CONFIGURATION)
    options: dict[str, Any] = {"data": "digits", "images": 8, "batch_size": 4, "method": "descent"}
    options |= {"model": "mine.toml@moved_training:network", "out": "parts"}
    whole = train_model({**options, "out": "whole", "epochs": 2})
    train_model({**options, "epochs": 1})

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Other hyperparameters are no other training: predictors learn at t = 0.
    (elsewhere / "mine.toml").write_text(_CONFIGURATION.replace("0.4", "0.5"))
    moved = f"{elsewhere}/mine.toml@moved_training:network"
    assert train_model({**options, "epochs": 2, "model": moved}).sha256 == whole.sha256

    # The ReLU has the size of the convolution: every shape fits.
    configuration.write_text(_CONFIGURATION.replace("[0]", "[1]"))
    for epochs in (2, 3):  # what is finished is not given back, and what goes on does not go on
        with pytest.raises(UsageError, match=r"checkpoint of another training \(configuration_sha256 was"):
            train_model({**options, "epochs": epochs})

    # The card of a former version says nothing of the network.
    configuration.write_text(_CONFIGURATION)
    card = json.loads((tmp_path / "parts" / CARD).read_text())
    kept = {name: value for name, value in card.items() if name not in ("configuration_sha256", "backbone_sha256")}
    (tmp_path / "parts" / CARD).write_text(json.dumps(kept))
    assert train_model({**options, "epochs": 2}).sha256 == whole.sha256
    assert "backbone_sha256" not in json.loads((tmp_path / "parts" / CARD).read_text())
