"""A training in closed form: its R², what it refuses, and what is written down."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pcbench
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, DivergenceError
from pcbench.network.network import PredictiveNetwork
from pcbench.training import closed_form
from pcbench.training.closed_form import solve_predictors
from pcbench.training.linear_parts import Learned
from pcbench.training.reconstructing import Images, r_squared
from pcbench.training.settings import TrainingSettings

SETTINGS = TrainingSettings(1, 8, "adam", 0.001)


def images(source: ImageSource, **changes: Any) -> Images:
    return Images(source, SETTINGS.changed(**changes))


@pytest.fixture
def source() -> ImageSource:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    return open_source((pixels, np.arange(40) % 2), preprocessing=Preprocessing())


@pytest.fixture
def parts(source: ImageSource) -> tuple[Images, Images]:
    fit = source.take(32, 0)
    return images(fit), images(source.without(fit.ids, "the rest"))


def test_r_squared_is_against_each_channels_own_mean(network: PredictiveNetwork, parts: tuple[Images, Images]) -> None:
    # Oracle: numpy, on all held-out images at once.
    _, held = parts
    pixels = held.source.load(np.arange(len(held.source))).float() / 255
    with torch.no_grad():
        out = network.unroll(pixels, 0, keep=("representations", "predictions"))
    below = [network.normalise(pixels), out.representations[0][0]]
    for target, prediction, found in zip(below, out.predictions[0], r_squared(network, held), strict=True):
        wanted = target.numpy().astype(np.float64)
        error = ((prediction.numpy() - wanted) ** 2).sum()
        spread = ((wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)) ** 2).sum()
        assert found == pytest.approx(1 - error / spread, rel=1e-6)


def test_no_step_of_gradient_descent_improves_the_closed_form(
    network: PredictiveNetwork, parts: tuple[Images, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the gradient of the squared error by autograd, which is 0 at its least value.
    monkeypatch.setattr(closed_form, "STRENGTHS", (0.0,))
    fit, held = parts
    network.double()
    solved = solve_predictors(network, fit, held)
    assert [one.method for one in solved] == ["ridge", "ridge"]
    assert [one.images for one in solved] == [32, 32]
    totals = [torch.zeros(()).double() for _ in network.predictors]
    for values, targets in fit.batches(network):
        for index, predictor in enumerate(network.predictors):
            totals[index] = totals[index] + (predictor(values[index].double()) - targets[index].double()).square().sum()
    for predictor, total in zip(network.predictors, totals, strict=True):
        for slope in torch.autograd.grad(total, list(predictor.parameters())):
            assert float(slope.abs().max()) < 1e-4 * total.item()
    assert [one.course[-1][1] for one in solved] == pytest.approx(r_squared(network, held), abs=1e-6)


def test_large_layers_and_upsampling_after_the_layer_go_by_conjugate_gradients(
    network: PredictiveNetwork, parts: tuple[Images, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Oracle: the normal equations of the same predictors.
    exact = solve_predictors(network, *parts)
    monkeypatch.setattr(closed_form, "is_small", never)
    monkeypatch.setattr(closed_form, "SETTLED", 1e-6)
    found = solve_predictors(network, *parts)
    assert [one.method for one in found] == ["conjugate gradients"] * 2
    for one, other in zip(found, exact, strict=True):
        assert one.course[-1][1] >= other.course[-1][1] - 0.01


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("nan", r"PCoder 1 \(2\): what it sees, or is to predict, is not finite"),
        ("dead", r"PCoder 1 \(2\): all 4 channels that its predictor sees are 0 on all images"),
    ],
)
def test_a_broken_backbone_is_named(
    broken: str, said: str, backbone: nn.Sequential, parts: tuple[Images, Images]
) -> None:
    norm = backbone[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.no_grad():
        norm.weight.fill_(float("nan") if broken == "nan" else 0.0)
        norm.bias.fill_(0.0 if broken == "nan" else -1.0)
    network = pcbench.predify(backbone, _configuration())
    with pytest.raises((DataError, DivergenceError), match=said):
        solve_predictors(network, *parts)


def test_images_that_are_all_the_same_are_refused(network: PredictiveNetwork) -> None:
    grey = open_source((np.full((12, 8, 8, 3), 7, np.uint8), np.arange(12) % 2), preprocessing=Preprocessing())
    with pytest.raises(DataError, match=r"PCoder 1 \(2\): what it is to predict does not vary"):
        solve_predictors(network, images(grey), images(grey))


def never(layer: Learned) -> bool:
    del layer
    return False


def _configuration() -> dict[str, Any]:
    predictor = "ConvTranspose2d(4, 3, kernel_size=3, padding=1)"
    return {"input_size": [3, 8, 8], "pcoders": [{"module": "2", "predictor": predictor}]}
