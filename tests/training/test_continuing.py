"""A training that is asked for more epochs. Oracle: the training that does them all in one go, bit for bit."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.predictors import initialise
from pcbench.training.checkpoint import earlier_schedules
from pcbench.training.loop import CHECKPOINT, TrainingPlan, fit
from pcbench.training.objectives import Reconstruction
from pcbench.training.processes import launch
from pcbench.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("no_figures")
SETTINGS = TrainingSettings(2, 5, "adam", 0.01, weight_decay=1e-3, augmentation=True, seed=4)


def trained(
    network: PredictiveNetwork, source: ImageSource, settings: TrainingSettings, folder: Path, stop: int | None = None
) -> tuple[dict[str, torch.Tensor], list[list[float]]]:
    initialise(list(network.predictors), 3)
    plan = TrainingPlan(folder=folder, stop_after=stop, identity={"what": "test"})
    losses = launch(lambda fabric: fit(Reconstruction(network), source, settings, fabric, plan))
    return {name: tensor.clone() for name, tensor in network.predictors.state_dict().items()}, losses


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("begun", [2, 3], ids=["finished", "stopped"])
def test_a_training_that_goes_on_ends_as_one_that_did_all_epochs_at_once(
    optimizer: str, begun: int, network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    settings = SETTINGS.changed(optimizer=optimizer, noise=(0.0, 0.5), shuffle="rows")
    whole = trained(network, source, settings.changed(epochs=4), tmp_path / "whole")
    # Two epochs that finished, or three of which the last was stopped in the middle.
    trained(network, source, settings.changed(epochs=begun), tmp_path / "parts", stop=None if begun == 2 else 8)
    # It is killed while it goes on, too.
    trained(network, source, settings.changed(epochs=4), tmp_path / "parts", stop=10)
    went_on = trained(network, source, settings.changed(epochs=4), tmp_path / "parts")
    assert equal(whole[0], went_on[0])
    assert whole[1] == went_on[1]
    assert len(went_on[1]) == 4
    assert earlier_schedules(tmp_path / "parts" / CHECKPOINT) == []


def test_a_rate_that_depends_on_the_number_of_epochs_is_told_and_noted(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cosine = SETTINGS.changed(schedule="cosine")
    whole, _ = trained(network, source, cosine.changed(epochs=4), tmp_path / "whole")
    trained(network, source, cosine, tmp_path / "parts")
    with caplog.at_level(logging.WARNING, "pcbench"):
        trained(network, source, cosine.changed(epochs=4), tmp_path / "parts", stop=8)
    assert "goes on after 2 epochs with the learning rate of epoch 3 of 4; 4 epochs in one go" in caplog.text
    assert earlier_schedules(tmp_path / "parts" / CHECKPOINT) == [2]
    with pytest.raises(UsageError, match=r"has done 2 of 4 epochs, and its learning rate depends .* epochs=4 first"):
        trained(network, source, cosine.changed(epochs=5), tmp_path / "parts")
    caplog.clear()
    went_on, losses = trained(network, source, cosine.changed(epochs=4), tmp_path / "parts")
    assert not caplog.text
    assert len(losses) == 4
    assert not equal(whole, went_on)
    assert earlier_schedules(tmp_path / "parts" / CHECKPOINT) == [2]


@pytest.mark.parametrize("stop", [None, 4], ids=["finished", "stopped"])
def test_fewer_epochs_than_were_done_are_refused(
    stop: int | None, network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    done = trained(network, source, SETTINGS, tmp_path, stop)[0]
    told = "past the 1 epoch that are asked for" if stop else r"past the 1 epoch .*\(2 are done\); ask for more"
    with pytest.raises(UsageError, match=told):
        trained(network, source, SETTINGS.changed(epochs=1), tmp_path)
    if stop is None:
        assert equal(done, trained(network, source, SETTINGS, tmp_path)[0])


def test_another_learning_rate_is_another_training_and_the_way_is_told(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    trained(network, source, SETTINGS, tmp_path)
    with pytest.raises(UsageError, match=r"learning_rate was 0.01, now 0.001.* `weights` starts from what this one"):
        trained(network, source, SETTINGS.changed(epochs=4, learning_rate=0.001), tmp_path)


def test_a_plan_may_refuse_another_number_of_epochs(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    plan = TrainingPlan(folder=tmp_path, goes_on=False)
    launch(lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric, plan))
    more = dataclasses.replace(SETTINGS, epochs=3)
    with pytest.raises(UsageError, match="another training \\(epochs was 2, now 3\\)"):
        launch(lambda fabric: fit(Reconstruction(network), source, more, fabric, plan))


def test_a_checkpoint_of_before_there_was_noise_is_resumed(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    # Oracle: the keys that a checkpoint's identity had then.
    trained(network, source, SETTINGS, tmp_path, stop=4)
    with safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        identity = file.metadata()["identity"]
    assert "noise" not in identity
    assert "shuffle" not in identity


def test_no_file_has_no_earlier_schedules(tmp_path: Path) -> None:
    assert earlier_schedules(tmp_path / CHECKPOINT) == []
