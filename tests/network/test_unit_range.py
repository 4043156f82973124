"""Oracle: the rule itself: a network takes a dense tensor of fractions in [0,1], and a whole number of updates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_network import Configure
from torch import Tensor, nn

import pcbench
from pcbench.errors import UsageError
from pcbench.models.timestep_model import FeedforwardModel
from pcbench.network.network import PredictiveNetwork
from pcbench.network.timestep_model import TimestepModel, unchecked

WRONG: dict[str, Any] = {
    "of type ndarray": lambda images: images.numpy(),
    "of type list": lambda images: images.tolist(),
    "of type NoneType": lambda _: None,
    "torch.bool": lambda images: images > 0.5,
    "torch.complex64": lambda images: images + 0j,
    "torch.uint8": lambda images: (255 * images).byte(),
    "on meta": lambda images: images.to("meta"),
    "sparse or nested": lambda images: images.to_sparse(),
    r"shape \(3, 16, 16\)": lambda images: images[0],
    "the batch is empty": lambda images: images[:0],
    "hold NaN": lambda images: images / 0 * 0,
    "reach from": lambda images: 2 * images - 1,
    "reach from 0 to 1.0001": lambda images: torch.where(images == images.max(), 1.0001, 0),
}


@pytest.fixture
def network(small_backbone: nn.Module, small_configuration: Configure) -> PredictiveNetwork:
    return pcbench.predify(small_backbone, small_configuration(), mean=[0.4] * 3, std=[0.2] * 3)


@pytest.fixture(params=["predictive", "feedforward"])
def model(request: pytest.FixtureRequest, network: PredictiveNetwork) -> TimestepModel:
    return network if request.param == "predictive" else FeedforwardModel(network.backbone.module, [0.4] * 3, [0.2] * 3)


@pytest.mark.parametrize("says", WRONG)
def test_what_is_not_images_in_the_unit_range_is_named(model: TimestepModel, images: Tensor, says: str) -> None:
    wrong = WRONG[says](images)
    for asked in (model, model.at(0)):
        with pytest.raises(UsageError, match=f"{says}.*; a network takes images in "):
            asked(wrong, 0) if asked is model else asked(wrong)


@pytest.mark.parametrize("wrong", ["2.0", "x", 2.5, -1, True, None, [1], float("nan"), 1j])
def test_what_is_not_a_number_of_updates_is_named(model: TimestepModel, images: Tensor, wrong: Any) -> None:
    for ask in (model.at, lambda timesteps: model(images, timesteps)):
        with pytest.raises(UsageError, match=r"timesteps is .* whole number from 0"):
            ask(wrong)


def test_another_gradient_is_refused(model: TimestepModel, images: Tensor) -> None:
    wrong: Any = "exakt"
    with pytest.raises(UsageError, match="gradient 'exakt' does not exist; did you mean 'exact'"):
        model.at(0, wrong)
    with pytest.raises(UsageError, match="gradient 'exakt'"):
        model(images, 0, wrong)


def test_numbers_of_updates_may_be_of_any_type(network: PredictiveNetwork, images: Tensor) -> None:
    expected = network(images, 2)
    for two in (np.int64(2), torch.tensor(2), 2.0):
        found: Any = two
        assert torch.equal(network(images, found), expected)
        assert torch.equal(network.at(found)(images), expected[2])


def test_rounding_and_types_of_fractions_are_taken_and_gradients_flow(
    network: PredictiveNetwork, images: Tensor
) -> None:
    edge = images.clone()
    edge[0, 0, 0, 0], edge[0, 0, 0, 1] = 1 + 1e-6, -1e-6
    inputs = edge.double().requires_grad_()
    (gradient,) = torch.autograd.grad(network.at(2)(inputs).sum(), inputs)
    assert gradient.abs().max() > 0
    assert network(edge.half(), 2).shape == (3, 4, 10)


def test_values_that_cannot_be_looked_at_are_not_in_the_way(network: PredictiveNetwork, images: Tensor) -> None:
    expected = network(images, 2)
    one_by_one = torch.func.vmap(lambda image: network(image[None], 2))(images)
    torch.testing.assert_close(one_by_one[:, :, 0].movedim(0, 1), expected)


def test_an_attack_may_look_outside(network: PredictiveNetwork, images: Tensor) -> None:
    classifier = network.at(2)
    outside = 3 * images - 1
    expected = network.unroll_input(network.normalise(outside), 2).logits[-1]
    assert torch.equal(unchecked(classifier)(outside), expected)
    assert unchecked(classifier).training == classifier.training
    plain = torch.nn.Identity()
    assert unchecked(plain) is plain
