"""Predictors that come with pcbench for a backbone that does not.

Oracles: the hashes of the files' own bytes; the header that the training wrote; the tensors of the file itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # it leaves a path open
from torch import nn

from pcbench.errors import ConfigurationError
from pcbench.files import file_sha256
from pcbench.models import load
from pcbench.models.architectures import CifarResNet, cifar_resnet56
from pcbench.models.load_options import CheckedOptions
from pcbench.models.loading import model_facts
from pcbench.models.shipped import OTHER_BACKBONE, is_of_other_backbone
from pcbench.models.training_notes import training_header
from pcbench.models.weights import part, read_weights, state_sha256, values_sha256
from pcbench.models.zoo import zoo_entry
from pcbench.network.configuration import read_configuration

SHIPPED = {"presnet20_cifar10": CifarResNet, "presnet56_cifar10": cifar_resnet56}
LARGEST = 500_000
"""Bytes of one file."""


def made(name: str, tmp_path: Path) -> Path:
    """A backbone of the right form with other weights."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        backbone: nn.Module = SHIPPED[name]()
    path = tmp_path / "backbone.safetensors"
    save_file(backbone.state_dict(), path)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_is_the_one_that_its_entry_tells_of(name: str) -> None:
    entry = zoo_entry(name)
    path = entry.weights_path
    assert path is not None
    assert file_sha256(path) == entry.weights_sha256
    assert path.stat().st_size < LARGEST
    header = training_header(path)
    assert header["made_by"] == entry.made_by
    assert tuple(header["r_squared"]) == entry.r_squared
    assert min(one >= least for one, least in zip(entry.r_squared, (0.85, 0.5, 0.3), strict=True))
    assert {key.partition(".")[0] for key in read_weights(path)} == {"predictors"}  # the backbone is not copied in


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_taken_where_nothing_else_is_given_and_another_backbone_is_told_in_one_line(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry, path = zoo_entry(name), zoo_entry(name).weights_path
    assert path is not None
    model = load(name, backbone_weights=made(name, tmp_path))
    assert model.network is not None
    held = part(read_weights(path), "predictors.")
    assert all(torch.equal(tensor, held[key]) for key, tensor in model.network.predictors.state_dict().items())
    assert model.timesteps == 8
    assert model.description[OTHER_BACKBONE] is True
    lines = [record.message for record in caplog.records if "were trained on another backbone" in record.message]
    assert len(lines) == 1
    assert entry.backbone_weights_from is not None
    assert entry.backbone_weights_from in lines[0]
    load(name, backbone_weights=made(name, tmp_path))
    assert len([one for one in caplog.records if "were trained on another backbone" in one.message]) == 1
    paper = load(f"{name}-paper", backbone_weights=made(name, tmp_path)).network
    assert paper is not None
    assert {(one.feedforward, one.error_weight) for one in paper.hyperparameters} == {(0.8, 0.01)}
    assert state_sha256(paper.predictors) == state_sha256(model.network.predictors)


def test_random_predictors_and_given_ones_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    backbone = made("presnet20_cifar10", tmp_path)
    random = load("presnet20_cifar10", backbone_weights=backbone, random_predictors=3)
    assert random.network is not None
    assert OTHER_BACKBONE not in random.description
    save_file(
        {f"predictors.{key}": value for key, value in random.network.predictors.state_dict().items()}, "own.safetensors"
    )
    given = load("presnet20_cifar10", backbone_weights=backbone, weights="own.safetensors")
    assert given.network is not None
    assert state_sha256(given.network.predictors) == state_sha256(random.network.predictors)
    assert OTHER_BACKBONE not in given.description
    assert model_facts("presnet20_cifar10", backbone_weights=backbone, timesteps=0).description["feedforward"] is True


def test_the_backbone_is_known_by_its_values(test_data: Path) -> None:
    # Batch counters, which many files lack, and a type with fewer bits do not make it another one.
    for name, short in (("presnet20_cifar10", "resnet20"), ("presnet56_cifar10", "resnet56")):
        state = read_weights(test_data / "weights" / f"{short}.cifar10.safetensors")
        assert not is_of_other_backbone(zoo_entry(name), state, CheckedOptions())
        counted = {**state, "bn1.num_batches_tracked": torch.tensor(7)}
        assert values_sha256({key: value.double() for key, value in counted.items()}) == values_sha256(state)


@pytest.mark.parametrize("predictor", ["ConvTranspose2d(16, 3, kernel_size=3, padding=1)", None])
def test_a_configuration_with_other_predictors_asks_for_these(predictor: str | None, tmp_path: Path) -> None:
    own = zoo_entry("presnet20_cifar10").configuration_path
    assert own is not None
    text, path = own.read_text(encoding="utf-8"), tmp_path / "other.toml"
    first = f'predictor = "{read_configuration(own).table.pcoders[0].predictor}"\n'
    assert first in text
    path.write_text(text.replace(first, "" if predictor is None else f'predictor = "{predictor}"\n'), encoding="utf-8")
    backbone = made("presnet20_cifar10", tmp_path)
    with pytest.raises(ConfigurationError, match=r"predictor 1 is .* give one that was made for"):
        load("presnet20_cifar10", backbone_weights=backbone, configuration=path)
    load("presnet20_cifar10", backbone_weights=backbone, configuration=path, random_predictors=0)


@pytest.mark.parametrize("name", SHIPPED)
def test_its_configuration_says_how_it_was_tuned_and_on_which_images(name: str) -> None:
    entry = zoo_entry(name)
    path = entry.configuration_path
    assert path is not None
    text = path.read_text(encoding="utf-8")
    assert f"# Made by: pcbench tune --model {name} " in text
    assert f"# Reached {entry.objective:.4f};" in text
    assert "the predictors were not fitted on them" in text
    tuned_on = read_configuration(path).table.tuned_on
    assert len(set(tuned_on)) == len(tuned_on) >= 100
    assert f"({len(tuned_on)} " in text
