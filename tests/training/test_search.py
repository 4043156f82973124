"""Oracles: the accuracy counted image by image; a network built so that feedback must help, or must diverge."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pcbench
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.conditions import standard_deviation
from pcbench.training.descent import descend
from pcbench.training.tuning_images import validation_images
from pcbench.training.validation import Validation, add_noise, evaluate


@pytest.fixture
def validation(source: ImageSource) -> Validation:
    return Validation(source, timesteps=3, conditions=(0, 5), batch_size=5)


def test_accuracy_is_what_counting_gives(network: PredictiveNetwork, validation: Validation) -> None:
    # Oracle: each image alone through unroll, its answers counted one by one.
    source = validation.source
    score = evaluate(network, validation)
    for row, condition in zip(score.accuracies, validation.conditions, strict=True):
        hits = np.zeros(4)
        for index, name in enumerate(source.ids):
            inputs = network.normalise(source.load([index]).float() / 255)
            inputs = add_noise(inputs, condition, seed=0, ids=[name])
            answers = network.unroll_input(inputs, 3).logits.argmax(2)[:, 0].numpy()
            hits += answers == source.labels[index]
        assert row == pytest.approx(hits / len(source))
    assert score.value == pytest.approx(np.mean([row[-1] for row in score.accuracies]))
    assert score.start == pytest.approx(np.mean([row[0] for row in score.accuracies]))


def test_noise_has_the_standard_deviation_it_says_and_belongs_to_the_image() -> None:
    # Oracle: moments of 150,000 draws; the same image in another batch.
    zeros = torch.zeros(50, 3, 32, 32)
    ids = [str(number) for number in range(50)]
    noise = add_noise(zeros, 5, seed=1, ids=ids)
    assert standard_deviation(5) == 2
    assert float(noise.std()) == pytest.approx(2, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert torch.equal(add_noise(zeros[:1], 5, seed=1, ids=["7"])[0], noise[7])
    assert not torch.equal(add_noise(zeros[:1], 5, seed=2, ids=["7"])[0], noise[7])
    assert torch.equal(add_noise(zeros, 0, seed=1, ids=ids), zeros)


@pytest.fixture
def contrary() -> PredictiveNetwork:
    """A network that is wrong at t = 0 and right where feedback is strong.

    e_1 = e_2 = x and D_2 = -4 x, so e_1(1) = (1 - 5λ) x changes its sign above λ = 1/5; the labels are the signs of -x.
    """
    backbone = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False), nn.Flatten(), nn.Linear(12, 2, bias=False)
    )
    backbone.load_state_dict(
        {
            "0.weight": torch.eye(3)[:, :, None, None],
            "1.weight": torch.eye(3)[:, :, None, None],
            "3.weight": torch.tensor([[-1.0], [1.0]]).expand(2, 12),
        }
    )
    predictor = "Conv2d(3, 3, 1, bias=False)"
    configuration = {
        "input_size": (3, 2, 2),
        "pcoders": [
            {"module": "0", "predictor": predictor, "hyperparameters": {"feedback": 0.01}},
            {"module": "1", "predictor": predictor, "hyperparameters": {"feedforward": 0.9}},
        ],
    }
    network = pcbench.predify(backbone, configuration, mean=(0.5,) * 3, std=(0.5,) * 3)
    network.predictors[0].load_state_dict({"weight": torch.eye(3)[:, :, None, None]})
    network.predictors[1].load_state_dict({"weight": -4 * torch.eye(3)[:, :, None, None]})
    return network


def test_a_descent_finds_the_feedback_that_a_network_needs(contrary: PredictiveNetwork) -> None:
    # Oracle: the closed form in the fixture: nothing is right at the start, everything once λ is large enough.
    images = np.repeat(np.array([40, 215], np.uint8), 4)[:, None, None, None].repeat(2, 1).repeat(2, 2).repeat(3, 3)
    labels = np.repeat([1, 0], 4)
    source = open_source((images, labels), preprocessing=Preprocessing())
    validation = Validation(source, timesteps=1, conditions=(0,), batch_size=8)
    tuned = descend(contrary, validation, steps=30, learning_rate=0.3)
    assert tuned.score.start == tuned.before.value == 0
    assert tuned.score.value == 1
    assert tuned.score == evaluate(contrary, validation, tuned.hyperparameters)


def test_divergence_is_noticed_and_counted(network: PredictiveNetwork, validation: Validation) -> None:
    # Oracle: built so. A predictor that multiplies by a thousand makes every feedback and every error term explode.
    for predictor in network.predictors:
        for parameter in predictor.parameters():
            parameter.data *= 1000
    score = evaluate(network, validation, (Hyperparameters(0.1, 0.8, 1.0), Hyperparameters(0.5, 0.0, 1.0)))
    assert score.diverged == 2 * len(validation.source)
    assert score.value == 0


def test_validation_never_shares_an_image_with_what_is_reported_on(source: ImageSource) -> None:
    # Oracle: set arithmetic on the ids.
    part = source.take(4, seed=3)
    rest = source.without(part.ids, "the other eight")
    assert set(part.ids) | set(rest.ids) == set(source.ids)
    assert not set(part.ids) & set(rest.ids)
    assert rest.subset == "the other eight"


def test_digits_are_tuned_on_their_validation_split() -> None:
    chosen = validation_images("digits", 1000, 0, preprocessing=Preprocessing())
    for split in ("train", "test"):
        assert not set(chosen.ids) & set(open_source("digits", preprocessing=Preprocessing(), split=split).ids)


def test_conditions_that_are_none_are_refused(source: ImageSource) -> None:
    with pytest.raises(UsageError, match="conditions are 0"):
        Validation(source, 3, conditions=(0, 6))
    with pytest.raises(UsageError, match="at least one timestep"):
        Validation(source, 0)
