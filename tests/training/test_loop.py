"""Oracles: a training that never stopped; one process; plain gradient descent written out."""

from __future__ import annotations

import csv
import dataclasses
import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from pcbench.data.image_source import ImageSource
from pcbench.errors import DivergenceError, UsageError, WeightsError, WriteError
from pcbench.network.network import PredictiveNetwork
from pcbench.training.checkpoint import load_checkpoint
from pcbench.training.loop import CHECKPOINT, TrainingPlan, fit
from pcbench.training.objectives import Classification, Reconstruction
from pcbench.training.processes import launch
from pcbench.training.settings import TrainingSettings, make_optimizer

SETTINGS = TrainingSettings(
    epochs=4,
    batch_size=5,
    optimizer="adam",
    learning_rate=0.02,
    weight_decay=1e-3,
    schedule="cosine",
    augmentation=True,
    seed=4,
)


def dropping() -> Classification:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 2)
        )
    return Classification(layers, (0.5,) * 3, (0.5,) * 3)


def states(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
@pytest.mark.parametrize("stop", [2, 3, 7], ids=["inside-an-epoch", "after-an-epoch", "later"])
def test_a_resumed_training_ends_with_the_same_weights(
    optimizer: str, stop: int, source: ImageSource, tmp_path: Path
) -> None:
    # Oracle: the training that never stopped, bit for bit; dropout, batch statistics, moments and schedule included.
    settings = SETTINGS.changed(optimizer=optimizer, learning_rate=0.002)
    whole = dropping()
    expected = launch(lambda fabric: fit(whole, source, settings, fabric, TrainingPlan(folder=tmp_path / "whole")))
    interrupted = dropping()
    plan = TrainingPlan(folder=tmp_path / "parts", stop_after=stop, identity={"what": "test"})
    launch(lambda fabric: fit(interrupted, source, settings, fabric, plan))
    resumed = dropping()
    plan = dataclasses.replace(plan, stop_after=None)
    losses = launch(lambda fabric: fit(resumed, source, settings, fabric, plan))
    assert losses == expected
    for name, tensor in states(whole).items():
        assert torch.equal(tensor, states(resumed)[name]), name


def test_what_is_dropped_depends_on_no_foreign_random_numbers(source: ImageSource) -> None:
    # Oracle: the same training after other random numbers were drawn, bit for bit; another seed drops others.
    ended: list[dict[str, torch.Tensor]] = []
    for foreign, seed in ((1, 4), (2, 4), (1, 5)):
        objective = dropping()
        settings = SETTINGS.changed(seed=seed, batch_size=len(source), augmentation=False)
        with torch.random.fork_rng():
            torch.manual_seed(foreign)
            launch(lambda fabric, o=objective, s=settings: fit(o, source, s, fabric))
        ended.append(states(objective))
    assert all(torch.equal(tensor, ended[1][name]) for name, tensor in ended[0].items())
    assert not torch.allclose(ended[0]["backbone.5.weight"], ended[2]["backbone.5.weight"], atol=1e-4)


def test_one_step_of_sgd_is_gradient_descent(network: PredictiveNetwork, source: ImageSource) -> None:
    # Oracle: w - rate (dL/dw + decay w), the sum of all predictors' mean errors differentiated by autograd.
    settings = TrainingSettings(epochs=1, batch_size=12, optimizer="sgd", learning_rate=0.1, weight_decay=0.01)
    objective = Reconstruction(network)
    images = source.load(range(12)).float() / 255
    parameters = list(network.predictors.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    loss = objective(images, torch.zeros(12, dtype=torch.int64)).mean(1).sum()
    gradients = torch.autograd.grad(loss, parameters)
    launch(lambda fabric: fit(objective, source, settings, fabric))
    for parameter, old, gradient in zip(parameters, before, gradients, strict=True):
        torch.testing.assert_close(parameter.detach(), old - 0.1 * (gradient + 0.01 * old))


def test_losses_are_written_drawn_and_checkpointed(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    losses = launch(
        lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric, TrainingPlan(folder=tmp_path))
    )
    with (tmp_path / "losses.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "pcoder1", "pcoder2"]
    assert [[float(value) for value in row[1:]] for row in rows[1:]] == losses
    assert (tmp_path / "losses.svg").read_text().startswith("<?xml")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").glob("events.*"))
    assert not list(tmp_path.glob("*.partial"))


def test_tensorboard_on_a_full_disk_is_told_in_our_words(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    with pytest.raises(WriteError, match=r"tensorboard: cannot be written \(No space .*; free some space"):
        launch(lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric, TrainingPlan(folder=tmp_path)))


def test_a_checkpoint_of_another_training_is_refused(
    network: PredictiveNetwork, source: ImageSource, tmp_path: Path
) -> None:
    plan = TrainingPlan(folder=tmp_path, identity={"data": "one"}, stop_after=1)
    launch(lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric, plan))
    other = dataclasses.replace(plan, identity={"data": "other"})
    with pytest.raises(UsageError, match="another training \\(data was 'one', now 'other'\\)"):
        launch(lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric, other))


def test_a_damaged_checkpoint_is_refused(network: PredictiveNetwork, tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        load_checkpoint(path, network, make_optimizer(network.predictors.parameters(), SETTINGS), {}, None)


def test_a_diverging_training_is_named(network: PredictiveNetwork, source: ImageSource) -> None:
    settings = TrainingSettings(epochs=60, batch_size=12, optimizer="sgd", learning_rate=1e6)
    with pytest.raises(DivergenceError, match=r"loss of pcoder.* is not finite"):
        launch(lambda fabric: fit(Reconstruction(network), source, settings, fabric))
