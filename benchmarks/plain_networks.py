"""A network of the zoo with random weights, its plain form, and the published class where it is installed."""

from __future__ import annotations

import importlib
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from plain_dynamics import PlainNetwork
from torch import Tensor, nn

from pcbench.models.backbones import open_backbone
from pcbench.models.zoo import zoo_entry
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork


def ours(name: str) -> tuple[PredictiveNetwork, nn.Module]:
    """Return a network of the zoo and its backbone; weights are random, from a seed: time does not depend on them."""
    torch.manual_seed(0)
    entry = zoo_entry(name)
    backbone = open_backbone(entry.backbone).eval()
    return predify(backbone, entry.configuration_path, mean=entry.mean, std=entry.std), backbone


def plain(network: PredictiveNetwork, backbone: nn.Module) -> PlainNetwork:
    """Return the plain form of a network, with its weights."""
    sizes = [torch.Size(network.configuration.table.input_size)]
    with torch.no_grad():
        first = network.unroll(torch.zeros(1, *sizes[0]), 0, keep=("representations",)).representations[0]
    sizes += [representation.shape[1:] for representation in first[:-1]]
    scales = [
        1.0 if window is None else cells.numel() / window**0.5
        for window, cells in zip(network.error_windows, sizes, strict=True)
    ]
    weights = [(entry.feedforward, entry.feedback, entry.error_weight) for entry in network.hyperparameters]
    modules = [pcoder.path for pcoder in network.configuration.table.pcoders]
    return PlainNetwork(backbone, modules, list(network.predictors), weights, scales)


def some_images(network: PredictiveNetwork, batch: int) -> Tensor:
    """Return normalised images, (batch, channels, height, width)."""
    size = network.configuration.table.input_size
    return network.normalise(torch.rand(batch, *size, generator=torch.Generator().manual_seed(0)))


class Published:
    """PVGG16 as the class of Choksi et al. (2021) computes it.

    Args:
        folder: Holds `predify` and `predify2021`, unpacked from their repositories.
        network: Ours, whose weights it takes.
        backbone: The network's backbone; it is copied.
        batch: How many images it will be given: its errors are means over the whole batch.
    """

    def __init__(self, folder: Path, network: PredictiveNetwork, backbone: nn.Module, batch: int) -> None:
        self.network = _published_class(folder)(
            backbone,
            ff_multiplier=[entry.feedforward for entry in network.hyperparameters],
            fb_multiplier=[entry.feedback for entry in network.hyperparameters],
            er_multiplier=[entry.error_weight * batch for entry in network.hyperparameters],
        ).eval()
        for number, predictor in enumerate(network.predictors, 1):
            module = getattr(self.network, f"pcoder{number}").pmodule
            module.load_state_dict(predictor.state_dict())

    def unroll(self, images: Tensor, timesteps: int) -> Tensor:
        """Return the logits of t = 0..T, (T+1, batch, classes)."""
        self.network.build_graph = False
        return torch.stack([self.network(images), *(self.network() for _ in range(timesteps))])

    def gradient(self, images: Tensor, timesteps: int) -> Tensor:
        """Return the gradient of the last logits' squares with respect to the images."""
        self.network.build_graph = True
        images = images.clone().requires_grad_()
        logits = self.network(images)
        for _ in range(timesteps):
            logits = self.network()
        return torch.autograd.grad(logits.square().sum(), images)[0]


def _published_class(folder: Path) -> Any:
    sys.path.insert(0, str(folder))
    # They read their configuration files with a package that is not needed here.
    sys.modules.setdefault("toml", tomllib)
    # Its package's __init__ asks for pretrained weights' tools; the class needs its own file alone.
    package = ModuleType("model_factory")
    package.__path__ = [str(folder / "predify2021" / "model_factory")]
    sys.modules["model_factory"] = package
    return importlib.import_module("model_factory.pvgg16_shared").PVGG16SeparateHP
