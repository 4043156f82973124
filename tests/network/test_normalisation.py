"""Oracle: logits of the same network on images that are normalised here by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench import models
from pcbench.errors import ConfigurationError, UsageError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)


class Plain(nn.Module):
    """A linear classifier."""

    input_size = (3, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(48, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.layer(images.flatten(1))


class Recurrent(Plain):
    """The same at three timesteps."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of all timesteps."""
        return torch.stack([super(Recurrent, self).forward(images) * (t + 1) for t in range(3)])


class UsesThem(Plain):
    """Normalises images itself, by its attributes."""

    mean, std = MEAN, STD

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, and return logits."""
        mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (self.mean, self.std))
        return super().forward((images - mean) / std)


class HoldsThem(Plain):
    """Normalises images itself, by a part that was made of its attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.std = list(MEAN), list(STD)
        self.register_buffer("offset", torch.tensor(MEAN).reshape(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Take the mean off, and return logits."""
        return super().forward(images - self.get_buffer("offset"))


class Tensors(Plain):
    """Normalises images itself, by buffers."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values))

    def forward(self, images: Tensor) -> Tensor:
        """Normalise, and return logits."""
        mean, std = (self.get_buffer(name).reshape(3, 1, 1) for name in ("mean", "std"))
        return Plain.forward(self, (images - mean) / std)


def stating(module: nn.Module, mean: Any = MEAN, std: Any = STD) -> nn.Module:
    """A network with a normalisation in its attributes."""
    vars(module).update(mean=mean, std=std)
    return module.eval()


@pytest.mark.parametrize("kind", [Plain, Recurrent])
@pytest.mark.parametrize("form", [tuple, list, np.array])
def test_a_stated_normalisation_is_applied_to_networks_with_and_without_time(kind: type[Plain], form: Any) -> None:
    images = torch.rand(2, 3, 4, 4)
    by_hand = (images - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)
    model = models.load(stating(kind(), form(MEAN), form(STD)))
    with torch.no_grad():
        expected = kind()(by_hand)
    assert torch.allclose(model.logits(images), expected, atol=1e-6)
    assert torch.allclose(model.normalise(images), by_hand)
    assert torch.allclose(model.logits_of_input(by_hand), expected, atol=1e-6)
    assert model.description["mean"] == str(MEAN)
    assert models.load(kind()).description.get("mean") is None


@pytest.mark.parametrize("kind", [UsesThem, HoldsThem, Tensors])
def test_a_network_that_normalises_itself_is_not_normalised_again(kind: type[Plain]) -> None:
    images = torch.rand(2, 3, 4, 4)
    network = kind().eval()
    model = models.load(network)
    with torch.no_grad():
        assert torch.equal(model.logits(images)[0], network(images))
    assert not model.states_normalisation
    if kind is UsesThem:
        assert not {"mean", "std"} & set(vars(network))  # probing left nothing behind


@pytest.mark.parametrize(
    ("mean", "std"), [((0.5, 0.5), STD), (MEAN, (1.0, 0.0, 1.0)), ("imagenet", STD), ((0.5, float("nan"), 0.5), STD)]
)
def test_what_is_no_normalisation_is_refused(mean: Any, std: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^Plain: its attributes? mean"):
        models.load(stating(Plain(), mean, std))


class Digits(Recurrent):
    """A network for digits, at three timesteps."""

    input_size = (3, 32, 32)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3072, 10)


@pytest.mark.parametrize("stated", [False, True])
def test_noise_after_normalisation_needs_one(tmp_path: Any, *, stated: bool) -> None:
    network = stating(Digits(), (0.0,) * 3, (1.0,) * 3) if stated else Digits().eval()
    options: dict[str, Any] = {"data": "digits", "images": 4, "out": tmp_path / "run", "progress": False}
    if stated:
        made = pcbench.run(network, ["gaussian-noise"], **options)
        assert sorted(made.outcomes()["timestep"].unique()) == [0, 1, 2]
        return
    with pytest.raises(UsageError, match=r"adds noise after normalisation, and Digits states none: give it attributes"):
        pcbench.run(network, ["gaussian-noise"], **options)
