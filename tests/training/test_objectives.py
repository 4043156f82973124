"""Oracles: PyTorch's own MSE over hooks on the plain backbone; the backbone's state before training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.data.image_source import ImageSource
from pcbench.models.weights import state_sha256
from pcbench.network.network import PredictiveNetwork
from pcbench.training.loop import fit
from pcbench.training.objectives import Classification, Reconstruction
from pcbench.training.processes import launch
from pcbench.training.settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=3, batch_size=5, optimizer="adam", learning_rate=0.02)


def test_reconstruction_is_the_mse_of_each_predictor_on_the_layer_below(
    backbone: nn.Module, network: PredictiveNetwork
) -> None:
    # Oracle: the backbone's activations, noted by hooks, and F.mse_loss.
    noted: dict[str, Tensor] = {}
    for name in ("2", "4"):
        backbone[int(name)].register_forward_hook(lambda _m, _i, out, name=name: noted.__setitem__(name, out))
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    inputs = (images - 0.5) / 0.5
    with torch.no_grad():
        backbone.eval()(inputs)
        expected = torch.stack(
            [
                F.mse_loss(network.predictors[0](noted["2"]), inputs),
                F.mse_loss(network.predictors[1](noted["4"]), noted["2"]),
            ]
        )
    objective = Reconstruction(network)
    losses = objective(images, torch.zeros(4, dtype=torch.int64))
    torch.testing.assert_close(losses.mean(1), expected)
    assert objective.terms == ("pcoder1", "pcoder2")


def test_training_predictors_leaves_weights_and_batch_statistics_alone(
    network: PredictiveNetwork, source: ImageSource
) -> None:
    # Oracle: the sha256 of the backbone's whole state, running means and batch counters included.
    before = state_sha256(network.backbone.module)
    predictors = state_sha256(network.predictors)
    losses = launch(lambda fabric: fit(Reconstruction(network), source, SETTINGS, fabric))
    assert state_sha256(network.backbone.module) == before
    assert state_sha256(network.predictors) != predictors
    assert losses[-1] < losses[0]


def test_training_predictors_never_looks_at_labels(network: PredictiveNetwork) -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    objective = Reconstruction(network)
    one = objective(images, torch.tensor([0, 1, 0, 1]))
    other = objective(images, torch.tensor([1, 1, 1, 1]))
    assert torch.equal(one, other)


def test_a_backbone_learns_what_it_is_told(backbone: nn.Module, source: ImageSource) -> None:
    # Oracle: twelve random images can be learned by heart, so the cross-entropy falls far below ln 2.
    objective = Classification(backbone, (0.5,) * 3, (0.5,) * 3)
    settings = SETTINGS.changed(epochs=40)
    losses = launch(lambda fabric: fit(objective, source, settings, fabric))
    assert losses[-1][0] < 0.1 < losses[0][0]
