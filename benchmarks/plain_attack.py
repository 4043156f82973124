"""What an attack costs without pcbench: the same dynamics written plainly, as a classifier that foolbox can attack."""

from __future__ import annotations

import copy

import torch
from plain_dynamics import PlainNetwork
from torch import Tensor, nn

from pcbench.network.backbone import HOOKS
from pcbench.network.network import PredictiveNetwork


class PlainClassifier(nn.Module):
    """The logits of one timestep, (batch, classes), from dynamics that share no code with pcbench's.

    Args:
        network: Whose backbone, predictors and weights are taken.
        timestep: t.
    """

    def __init__(self, network: PredictiveNetwork, timestep: int) -> None:
        super().__init__()
        self.network, self.timestep = network, timestep
        targets = [torch.Size(network.configuration.table.input_size)]
        with torch.no_grad():
            start = network.backbone.start(torch.zeros(1, *targets[0]))
        targets += [drive.shape[1:] for drive in start[:-1]]
        self.plain = PlainNetwork(
            _hookable(network.backbone.module),
            network.backbone.paths,
            [decoder.requires_grad_(requires_grad=False) for decoder in network.predictors],
            [(one.feedforward, one.feedback, one.error_weight) for one in network.hyperparameters],
            [
                1.0 if window is None else shape.numel() / window**0.5
                for window, shape in zip(network.error_windows, targets, strict=True)
            ],
            differentiable=True,
        )
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in [0, 1]."""
        return self.plain.unroll(self.network.normalise(images), self.timestep)[-1]


def _hookable(module: nn.Module) -> nn.Module:
    """Return a copy of a backbone that takes hooks again, which pcbench refuses on its own."""
    copied = copy.deepcopy(module)
    for inner in copied.modules():
        for method in HOOKS:
            vars(inner).pop(method, None)
    return copied
