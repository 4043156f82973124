"""Oracles: one process; the files' own hashes; the shipped weights' record; the same command run twice."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import forking
import numpy as np
import pytest

from pcbench.errors import UnknownNameError, UsageError
from pcbench.files import file_sha256
from pcbench.models import load
from pcbench.models.weights import read_weights, state_sha256
from pcbench.models.zoo import zoo_entry
from pcbench.options import resolved
from pcbench.training import job
from pcbench.training.job import train_model
from pcbench.training.options import TrainOptions, file_stem, folder_of, model_name
from pcbench.training.processes import launch
from pcbench.training.record import CARD
from pcbench.training.request import command_of

OWN_NETWORK = textwrap.dedent(
    """
    import torch
    from torch import nn
    import pcbench

    def network():
        with torch.random.fork_rng():
            torch.manual_seed(1)
            layers = [nn.Conv2d(3, 4, 3, stride=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)]
        predictor = "ConvTranspose2d(4, 3, kernel_size=4, stride=4)"
        configuration = {"input_size": [3, 32, 32], "pcoders": [{"module": "2", "predictor": predictor}]}
        return pcbench.predify(nn.Sequential(*layers), configuration)
    """
)


def asked(out: Path, **options: Any) -> TrainOptions:
    return resolved(TrainOptions, {"out": out, **options})


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainOptions:
    (tmp_path / "own_network.py").write_text(OWN_NETWORK)
    monkeypatch.chdir(tmp_path)
    changes = {"method": "descent", "epochs": 2, "batch_size": 30, "optimizer": "adam", "learning_rate": 0.01}
    return asked(tmp_path / "out", model="own_network:network", data="digits", images=62, **changes)


@pytest.mark.filterwarnings("ignore")  # PyTorch's process groups warn of what they do
def test_two_processes_train_as_one(own: TrainOptions, forks: forking.Forks) -> None:
    # Oracle: the same training in one process; 62 images in steps of 30 leave two for the last step.
    alone, losses = launch(job._fit_predictors, own, None, None)
    shared = asked(**{**own, "out": folder_of(own) / "shared"})
    with forks.spawning():
        together, losses_together = launch(job._fit_predictors, shared, None, None, processes=2, device="cpu")
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=1e-4, atol=1e-6)
    assert [row[0] for row in losses_together] == pytest.approx([row[0] for row in losses], rel=1e-4)


def test_a_network_of_ones_own_is_trained_and_its_weights_load(own: TrainOptions) -> None:
    # Oracle: the file's own sha256, and the predictors that a run would load from it.
    trained = train_model(own)
    assert trained.sha256 == file_sha256(trained.weights)
    model = load(own["model"], weights=trained.weights)
    assert model.network is not None
    assert trained.network is not None
    assert state_sha256(model.network.predictors) == state_sha256(trained.network.predictors)
    assert not any(name.startswith("backbone.") for name in read_weights(trained.weights))
    card = json.loads((folder_of(own) / CARD).read_text())
    assert card["weights_sha256"] == trained.sha256
    assert card["made_by"] == (
        "pcbench train --model own_network:network --data digits --images 62 --method descent --epochs 2 "
        "--batch-size 30 --optimizer adam --learning-rate 0.01 --seed 0"
    )


def test_a_card_names_files_without_their_folders_and_leaves_out_where_it_was_made(tmp_path: Path) -> None:
    options = asked(
        tmp_path, model="pvgg16", data="imagefolder:/secret/images", backbone_weights="/secret/w", workers=2
    )
    assert command_of(options) == (
        "pcbench train --model pvgg16 --data imagefolder:images --backbone-weights w --seed 0"
    )
    own = asked(tmp_path, model="/secret/own.toml@torchvision:vgg16", data="digits")
    assert "secret" not in f"{command_of(own)} {model_name(own)} {file_stem(own)}"
    assert file_stem(own) == "own.toml@torchvision-vgg16"


@pytest.mark.usefixtures("no_figures")
def test_the_digits_network_is_trained_from_the_start(tmp_path: Path) -> None:
    # Oracle: the same command run again gives the same bytes; what is written is what a run would load.
    small: dict[str, Any] = {"epochs": 1, "images": 64}
    trained = train_model(asked(tmp_path / "one", **small))
    again = train_model(asked(tmp_path / "two", **small))
    assert trained.sha256 == again.sha256
    model = load("pdigits", weights=trained.weights)
    assert model.network is not None
    assert trained.network is not None
    assert state_sha256(model.network.backbone.module) == state_sha256(trained.network.backbone.module)
    finished = train_model(asked(tmp_path / "one", **small))
    assert finished.sha256 == trained.sha256


@pytest.mark.parametrize("name", ["pdigits", "alexnet_digits"])
def test_shipped_weights_say_which_command_made_them(name: str) -> None:
    # Oracle: the metadata that the trainer writes into the file, and the zoo's entry.
    from safetensors import safe_open

    entry = zoo_entry(name)
    assert entry.weights_path is not None
    assert file_sha256(entry.weights_path) == entry.weights_sha256
    assert entry.weights_path.stat().st_size < 400_000
    with safe_open(entry.weights_path, framework="pt") as file:
        metadata = json.loads(file.metadata()["training"])
    assert metadata["made_by"] == entry.made_by == f"pcbench train --model {name} --data digits --seed 0"
    assert command_of(resolved(TrainOptions, {"model": name})) == entry.made_by
    assert metadata["data"] == "digits:train"
    assert {"pcbench", "torch"} <= metadata["versions"].keys()


def test_a_feedforward_network_has_nothing_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "import torch\n\ndef plain():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))\n"
    )
    (tmp_path / "plain_network.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no predictors"):
        train_model(asked(tmp_path / "out", model="plain_network:plain", data="digits", images=64))


def test_an_unknown_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pdigits'"):
        train_model(asked(tmp_path / "out", model="pdigit", data="digits"))
