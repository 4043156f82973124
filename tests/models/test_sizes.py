"""Oracle: the sizes that stand in the zoo's configurations, and those that a network states."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from pcbench import models
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import ConfigurationError, DataError, UsageError
from pcbench.models.devices import read_device
from pcbench.models.sizes import check_stated_size, stated_size


class Net(nn.Module):
    """A classifier of images of any size."""

    def __init__(self, input_size: object = None) -> None:
        super().__init__()
        self.input_size: Any = input_size

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return as many logits as there are channels."""
        return images.mean((2, 3))


def test_the_size_of_a_model_is_known_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcbench.models.loading.read_weights", None)
    check_stated_size("pvgg16", (3, 224, 224))
    check_stated_size("vgg16:anything", (3, 5, 5))
    check_stated_size(Net(), (3, 5, 5))
    with pytest.raises(
        DataError,
        match=r"^images are 3x256x256, pvgg16 takes 3x224x224 \(channels, height, width\); .* resize=224 with crop=224",
    ):
        check_stated_size("pvgg16", (3, 256, 256))
    with pytest.raises(DataError, match=r"Net takes 3x8x8.*put the channels first"):
        check_stated_size(nn.DataParallel(Net((3, 8, 8))), (8, 8, 3))
    with pytest.raises(DataError, match="images are 3x9x9, Net takes 3x8x8"):
        models.load(Net((3, 8, 8))).logits(torch.zeros(1, 3, 9, 9))


@pytest.mark.parametrize("stated", [(3, 8, 8), [3, 8.0, 8], torch.Size([3, 8, 8]), torch.tensor([3, 8, 8])])
def test_a_size_is_stated_in_any_list(stated: object) -> None:
    assert stated_size(Net(stated), "Net") == (3, 8, 8)


@pytest.mark.parametrize("stated", [224, (224, 224), "3x8x8", (3, 8, -1), (3, 8, 8.5), {}])
def test_what_is_not_a_size_is_refused(stated: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"Net: its input_size is .*; write input_size = \(channels, height, width\)"
    ):
        models.load(Net(stated))


class Convolution(nn.Module):
    """A classifier that says nothing of the size of its images."""

    def __init__(self, channels: int, **stated: object) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels, 3, 3)
        for name, value in stated.items():
            setattr(self, name, value)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, 3)."""
        return self.layer(images).mean((2, 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_channels_of_a_network_are_found_by_asking_it(channels: int) -> None:
    steps = Preprocessing(crop=16)
    assert models.load(Convolution(channels, preprocessing=steps)).preprocessing == replace(steps, channels=channels)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"mean": (0.5,) * 3, "std": (0.5,) * 3}, r"mean and std are .*; give one number for each of the 1 channels"),
        (
            {"preprocessing": Preprocessing(channels=4)},
            "states 4 channels, and it takes images of 1; leave",
        ),
        ({"input_size": (3, 8, 8)}, "fails on images of the input_size that it states"),
    ],
)
def test_what_a_network_states_fits_its_channels(stated: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        models.load(Convolution(1, **stated))


def test_devices_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.mps.device_count", lambda: 0)
    assert [read_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    for name, says in (
        ("mps", "^there is no MPS device here; use device='cpu'$"),
        ("cuda:2", "^there is no device 'cuda:2' here; the last one is 'cuda:1'$"),
        ("meta", "there is no meta device here"),
        ("gpu", "known: auto, cpu, cuda"),
    ):
        with pytest.raises(UsageError, match=says):
            read_device(name)
        with pytest.raises(UsageError, match=says):
            models.load("pdigits", device=name)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timestep": 1}, "did you mean 'timesteps'"),
        ({"timesteps": True}, "`timesteps` is a whole number from 0 to 1000"),
        ({"timesteps": 1.5}, "`timesteps` is a whole number"),
        ({"timesteps": 100_000}, "`timesteps` is a whole number from 0 to 1000"),
        ({"random_predictors": 0.5}, "`random_predictors` is a whole number"),
        ({"weights": 5}, "`weights` is a path"),
        ({"ablation": "no_error"}, "did you mean 'no-error'"),
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        models.load("pdigits", **options)


def test_quantised_weights_are_refused() -> None:
    class Odd(Net):
        def get_extra_state(self) -> tuple[int, int]:
            return (1, 2)

    with pytest.raises(UsageError, match=r"the state of the network holds _extra_state, a tuple, not a tensor"):
        models.load(Odd((3, 8, 8)))
