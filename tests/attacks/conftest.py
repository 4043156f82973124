"""Small classifiers that tests of attacks share: a linear one with a closed form, and a CNN trained on digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.definitions import AttackDefinition, load_attack
from pcbench.catalog import catalog_folder, parse_definition
from pcbench.data.digits import digit_scans

IMAGE = (3, 8, 8)


@dataclass(frozen=True)
class Case:
    """A classifier with images and labels; `ids` are the images' positions."""

    classifier: nn.Module
    images: Tensor
    labels: Tensor

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(position) for position in range(len(self.images)))

    def first(self, count: int) -> Case:
        """Return the same with the first so many images."""
        return Case(self.classifier, self.images[:count], self.labels[:count])


@pytest.fixture(scope="session")
def linear() -> Case:
    """Two classes; images so far from 0 and 1 that no budget up to 0.2 is cut by them."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Linear(192, 2, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(2, 192, generator=generator))
        difference = layer.weight[1] - layer.weight[0]
        layer.bias.copy_(torch.stack([0.5 * difference.sum(), torch.zeros(())]))  # the boundary through mid-grey
    classifier = nn.Sequential(nn.Flatten(), layer).eval()
    images = torch.rand(40, *IMAGE, generator=generator, dtype=torch.float64) * 0.4 + 0.3
    labels = classifier(images).argmax(dim=1)
    labels[:4] = 1 - labels[:4]
    return Case(classifier, images, labels)


@pytest.fixture(scope="session")
def digits() -> Case:
    """A small CNN trained for a second on three quarters of the 8-px digits, and 96 of the rest."""
    return _trained(8)


@pytest.fixture(scope="session")
def wide_digits() -> Case:
    """The same with a CNN of twice as many channels, whose gradients vary less from pixel to pixel."""
    return _trained(16)


def _trained(channels: int) -> Case:
    scans, classes = digit_scans()
    images = torch.tensor(scans / 16, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    labels = torch.tensor(classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * channels, 10),
        )
        optimizer = torch.optim.Adam(classifier.parameters(), lr=0.048 / channels)
        for _ in range(6):
            for chosen in torch.randperm(1300).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(classifier(images[chosen]), labels[chosen]).backward()
                optimizer.step()
        optimizer.zero_grad()
    classifier.input_size = IMAGE  # what pcbench.models.load asks of a module whose images are of an unusual size
    return Case(classifier.eval(), images[1300:1396], labels[1300:1396])


BUDGETS = ["4/255", "8/255", "16/255", "24/255", "32/255", "48/255", "64/255", "96/255"]
"""From one that breaks little to one that breaks all, of the networks that are trained here."""


def attack(name: str, **changes: object) -> AttackDefinition:
    """One of the shipped `digits-linf` attacks at the tests' budgets, with other changes."""
    definition = load_attack(catalog_folder("attacks") / "digits-linf" / f"{name}.toml")
    return parse_definition(
        AttackDefinition, {**definition.model_dump(), "epsilons": BUDGETS, **changes}, Path("test.toml")
    )
