"""How far the answers of the network's fast form are from those of its plain form, over the networks of the zoo.

    python benchmarks/equal_answers.py [--threads 1] [NETWORK …]

Each predictive network of the zoo answers 32 images (4, where they have 224 pixels a side) at every timestep, t = 0 to
its own T; so does the plain form of the same dynamics (`plain_dynamics.py`), with the same weights. Printed are the
largest difference between two logits, as a share of the largest logit of that timestep, and how many decisions differ.
Weights that come with pcbench, or lie in the folder that `PCBENCH_TEST_DATA` names, are used; what a network lacks is
random, from a seed. Feedforward controls are left out: they are nothing but the backbone.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from plain_networks import ours, plain
from timing import threads
from torch import Tensor

from pcbench.data.sources import open_source
from pcbench.models import load
from pcbench.models.backbones import open_backbone
from pcbench.models.sizes import entry_preprocessing
from pcbench.models.zoo import CONTROL, PAPER, zoo_entry, zoo_names
from pcbench.network.network import PredictiveNetwork

DATA = Path(os.environ.get("PCBENCH_TEST_DATA", "."))
BACKBONES = {
    "presnet20_cifar10": "resnet20.cifar10.safetensors",
    "presnet56_cifar10": "resnet56.cifar10.safetensors",
    "ptf_efficientnetv2_b0": "tf_efficientnetv2_b0.imagenet.safetensors",
}
"""Files of weights, in the folder `weights` of the data."""
IMAGES = {"cifar10": DATA / "cifar10" / "test.parquet", "imagenet": DATA / "imagenette" / "val-500.parquet"}
FEW, MANY, LARGE = 4, 32, 224


def main() -> None:
    """Compare each network with its plain form, and print a row of a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="of the zoo; all that are predictive where none is named")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(
        "| network | weights | images, timesteps | largest difference | decisions that differ |\n|---|---|---|---|---|",
        flush=True,
    )
    with threads(options.threads), torch.no_grad():
        for name in options.networks or predictive_networks():
            print(_row(name), flush=True)


def predictive_networks() -> list[str]:
    """Return the names of the zoo's networks that have PCoders."""
    return [name for name in zoo_names() if not name.endswith(CONTROL) and zoo_entry(name).configuration is not None]


def _row(name: str) -> str:
    network, weights = _opened(name)
    timesteps = zoo_entry(name).timesteps
    images = network.normalise(_images(name, network))
    found = network.unroll_input(images, timesteps).logits
    backbone = open_backbone(zoo_entry(name).backbone).eval()
    backbone.load_state_dict(network.backbone.module.state_dict())
    expected = plain(network, backbone).unroll(images, timesteps)
    largest = expected.abs().amax((1, 2), keepdim=True)
    difference = float(((found - expected).abs() / largest).max())
    flipped = int((found.argmax(2) != expected.argmax(2)).sum())
    count = expected[..., 0].numel()
    return (
        f"| `{name}` | {weights} | {len(images)}, t = 0 to {timesteps} | {difference:.1e} of the largest logit "
        f"| {flipped} of {count} |"
    )


def _opened(name: str) -> tuple[PredictiveNetwork, str]:
    """Return a network, and in words where its weights come from."""
    entry, file = zoo_entry(name), BACKBONES.get(name.removesuffix(PAPER))
    if file is None:
        return (ours(name)[0], "random") if entry.weights is None else (_network(name), "trained")
    if not (DATA / "weights" / file).is_file():
        return ours(name)[0], "random"
    if entry.weights is None:
        network = _network(name, backbone_weights=DATA / "weights" / file, random_predictors=0)
        return network, "of the backbone trained, of the predictors random"
    return _network(name, backbone_weights=DATA / "weights" / file), "trained"


def _network(name: str, **options: Any) -> PredictiveNetwork:
    return load(name, **options).predictive_network("the comparison")


def _images(name: str, network: PredictiveNetwork) -> Tensor:
    """Return images in [0,1], (batch, channels, height, width): of the network's data where they are there."""
    entry = zoo_entry(name)
    size = network.configuration.table.input_size
    count = FEW if size[-1] >= LARGE else MANY
    path = IMAGES.get(entry.class_names or "")
    source = entry.data or (f"parquet:{path}" if path is not None and path.is_file() else None)
    if source is None:
        return torch.rand(count, *size, generator=torch.Generator().manual_seed(0))
    opened = open_source(source, preprocessing=entry_preprocessing(entry), split="test")
    return next(opened.take(count).batches(count)).images / 255


if __name__ == "__main__":
    main()
