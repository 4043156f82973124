"""Training of PCoders that predict something else than the layer below; the losses are in `network/test_targets.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pcbench.errors import UsageError
from pcbench.options import resolved
from pcbench.training.job import train_model
from pcbench.training.options import TrainOptions
from pcbench.training.record import CARD
from pcbench.training.request import predicted_by

pytestmark = pytest.mark.usefixtures("no_figures")
NETWORK = """
from torch import nn

def small():
    layers = [nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Conv2d(4, 4, 2, stride=2), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, 10))
"""
CONFIGURATION = """
input_size = [3, 32, 32]

[[pcoders]]
module = "[1]"

[[pcoders]]
module = "[3]"
"""
OPTIONS: dict[str, Any] = {
    "data": "digits",
    "images": 20,
    "batch_size": 20,
    "epochs": 1,
    "out": "trained",
    "method": "descent",
}


def test_another_target_is_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "predicted_network.py").write_text(NETWORK)
    (tmp_path / "small.toml").write_text(CONFIGURATION)
    options: Any = {"model": "small.toml@predicted_network:small", **OPTIONS}
    train_model(options)
    assert "predicts" not in (tmp_path / "trained" / CARD).read_text()
    (tmp_path / "small.toml").write_text(CONFIGURATION + 'predicts = "[0]"\n')
    with pytest.raises(UsageError, match="is a checkpoint of another training"):
        train_model(options)
    assert predicted_by(resolved(TrainOptions, options)) == {"predicts": '[null, "[0]"]'}
