"""Oracles: moments; sorting; a training loop written with PyTorch's own loss, optimizer and hooks on the backbone."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.corruptions.randomness import corruption_generator
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.training.inputs import AUGMENTATION, InputChange
from pcbench.training.loop import TrainingPlan, fit
from pcbench.training.objectives import Reconstruction
from pcbench.training.processes import launch
from pcbench.training.sampler import Sampler, load_steps
from pcbench.training.settings import TrainingSettings

IDS = tuple(f"image {number}" for number in range(40))
SHAPE = (40, 3, 16, 16)
# Three steps an epoch, and so five steps are one epoch and two thirds of the next.
SETTINGS = TrainingSettings(2, 5, "adam", 0.02, weight_decay=1e-3, seed=4)


def drawn(change: InputChange, epoch: int = 0) -> Tensor:
    noise = change.noise_of(SHAPE, IDS, epoch)
    assert noise is not None
    return noise


def test_noise_has_its_standard_deviation_and_is_each_images_and_epochs_own() -> None:
    # Oracle: moments of 30,000 draws; the same image in another batch.
    change = InputChange(1, (2.0,))
    noise = drawn(change)
    assert noise.dtype == torch.float32
    assert float(noise.std()) == pytest.approx(2, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    alone = change.noise_of((1, 3, 16, 16), IDS[7:8], 0)
    assert alone is not None
    assert torch.equal(alone[0], noise[7])
    for other in (drawn(change, 1), drawn(InputChange(2, (2.0,))), noise.roll(1, 0)):
        assert abs(float((other * noise).mean())) < 0.1  # uncorrelated; with itself it is 4


def test_each_image_draws_one_of_several_deviations_in_each_epoch() -> None:
    # Oracle: the deviations of single images lie near one of the three, and each of the three is met.
    change = InputChange(0, (0.0, 0.5, 2.0))
    deviations = [drawn(change, epoch).flatten(1).std(1) for epoch in (0, 1)]
    nearest = [(found[:, None] - torch.tensor([0.0, 0.5, 2.0])).abs().min(1) for found in deviations]
    assert all(float(found.values.max()) < 0.2 for found in nearest)
    assert all(set(found.indices.tolist()) == {0, 1, 2} for found in nearest)
    assert not torch.equal(nearest[0].indices, nearest[1].indices)


@pytest.mark.parametrize(("what", "axis"), [("rows", 2), ("columns", 3)])
def test_rows_or_columns_of_an_image_move_as_wholes_into_an_order_of_its_own(what: Any, axis: int) -> None:
    # Oracle: each row is marked with its number, so sorting undoes it; the other axis and the channels stay.
    change = InputChange(3, shuffle=what)
    images = torch.arange(16, dtype=torch.uint8).repeat(40, 3, 16, 1)
    images = images.transpose(2, 3) if axis == 2 else images
    found = change.shuffled(images, IDS)
    assert torch.equal(found.sort(axis).values, images)
    orders = found.select(5 - axis, 0)
    assert all(torch.equal(found.select(5 - axis, other), orders) for other in (3, 15))
    assert len({tuple(order[0].tolist()) for order in orders}) == 40
    assert torch.equal(change.shuffled(images[7:8], IDS[7:8])[0], found[7])
    assert InputChange(3).shuffled(images, IDS) is images


def by_hand(backbone: nn.Module, predictors: nn.ModuleList, source: ImageSource, settings: TrainingSettings) -> None:
    """Do five steps with PyTorch alone; only which images a step sees, and their noise, are asked for."""
    backbone.eval()
    layers: dict[str, Tensor] = {}
    for name in ("2", "4"):
        backbone[int(name)].register_forward_hook(lambda _m, _i, out, name=name: layers.__setitem__(name, out))

    def activations(inputs: Tensor) -> list[Tensor]:
        with torch.no_grad():
            backbone(inputs)
        return [inputs, layers["2"], layers["4"]]

    optimizer = torch.optim.Adam(predictors.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    sampler = Sampler(len(source), settings.batch_size, settings.seed)
    for _, images, _, noise in load_steps(source, sampler, range(5), settings.change):
        clean = activations((images - 0.5) / 0.5)
        seen = clean if noise is None else activations((images - 0.5) / 0.5 + noise)
        targets = clean if settings.noise_target == "clean" else seen
        optimizer.zero_grad()
        sum(F.mse_loss(predictors[n](seen[n + 1]), targets[n]) for n in (0, 1)).backward()
        optimizer.step()


@pytest.mark.parametrize(
    "more",
    [{}, {"noise": (0.7,)}, {"noise": (0.7,), "noise_target": "clean"}, {"shuffle": "columns", "noise": (0.0, 1.0)}],
    ids=["plain", "noisy", "clean target", "shuffled"],
)
def test_five_steps_are_those_of_a_loop_in_plain_pytorch(
    more: dict[str, Any], backbone: nn.Module, network: PredictiveNetwork, source: ImageSource
) -> None:
    settings = SETTINGS.changed(**more)
    predictors = copy.deepcopy(network.predictors)
    by_hand(backbone, predictors, source, settings)

    objective, plan = Reconstruction(network, settings.noise_target), TrainingPlan(stop_after=5)
    launch(lambda fabric: fit(objective, source, settings, fabric, plan))
    for name, tensor in network.predictors.state_dict().items():
        torch.testing.assert_close(tensor, predictors.state_dict()[name], rtol=0, atol=2e-6)


def test_a_deviation_of_0_is_no_noise(network: PredictiveNetwork, source: ImageSource) -> None:
    # Oracle: the training without noise, bit for bit.
    start, ended = copy.deepcopy(network.predictors.state_dict()), []
    for noise in ((), (0.0,)):
        network.predictors.load_state_dict(start)
        settings = SETTINGS.changed(noise=noise)
        launch(lambda fabric, s=settings: fit(Reconstruction(network), source, s, fabric))
        ended.append({name: tensor.clone() for name, tensor in network.predictors.state_dict().items()})
    assert all(torch.equal(tensor, ended[1][name]) for name, tensor in ended[0].items())


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"noise": (-0.1,)}, "at least 0"),
        ({"noise": (float("inf"),)}, "at least 0"),
        ({"noise_target": "clean"}, "needs noise"),
    ],
)
def test_noise_that_makes_no_sense_is_refused(more: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        SETTINGS.changed(**more)


def test_a_turned_image_is_the_one_that_scipy_turns() -> None:
    # Oracle: scipy's own map by the same angles, sizes, shears and shifts, linear, with repeated edges.
    from scipy.ndimage import affine_transform

    change = InputChange(3, augmentation=AUGMENTATION)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 1, 12, 12)).astype(np.uint8))
    found = change.moved(images, IDS, 2)
    for name, image, one in zip(IDS, images[:, 0].double().numpy(), found[:, 0].numpy(), strict=True):
        turn, grow, shear, right, down = corruption_generator(3, name, "augmentation", 2).uniform(-1, 1, 5)
        angle, size = np.radians(10 * turn), 1 + 0.1 * grow
        x_row, y_row = [np.cos(angle), 0.1 * shear - np.sin(angle)], [np.sin(angle), np.cos(angle)]
        matrix = size * np.array([y_row[::-1], x_row[::-1]])  # scipy's first axis runs down
        offset = 5.5 + 6 * 0.125 * np.array([down, right]) - matrix @ [5.5, 5.5]
        expected = affine_transform(image, matrix, offset, order=1, mode="nearest")
        np.testing.assert_allclose(one, expected, atol=0.01)
    assert torch.equal(change.moved(images[7:8], IDS[7:8], 2)[0], found[7])
    assert not torch.equal(change.moved(images, IDS, 3), found)
    assert InputChange(3).moved(images, IDS, 2) is images
