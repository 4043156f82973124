"""Oracle: what each network is made of: whether its answer to an image is a function of that image is known."""

from __future__ import annotations

import logging
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench import models
from pcbench.errors import ConfigurationError, UsageError
from pcbench.network.function_probe import smaller


class Net(nn.Module):
    """A small network, plain as it stands here."""

    input_size = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 8)

    def changed(self, images: Tensor) -> Tensor:
        """Do something to the images."""
        return images

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.conv(self.changed(images)).flatten(1)


class BatchMean(Net):
    """Takes the mean of the batch off."""

    def changed(self, images: Tensor) -> Tensor:
        """Centre."""
        return images - images.mean(0, keepdim=True)


class BatchStatistics(Net):
    """Has a batch norm that keeps no statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def changed(self, images: Tensor) -> Tensor:
        """Normalise."""
        return self.norm(images)


class Noisy(Net):
    """Adds noise."""

    def changed(self, images: Tensor) -> Tensor:
        """Add noise."""
        return images + 0.1 * torch.randn_like(images)


class NumpyNoise(Net):
    """Adds noise that NumPy draws."""

    def changed(self, images: Tensor) -> Tensor:
        """Add noise."""
        return images + torch.from_numpy(np.random.normal(0, 0.1, images.shape)).to(images)  # noqa: NPY002


class PythonNoise(Net):
    """Shifts all by what Python draws."""

    def changed(self, images: Tensor) -> Tensor:
        """Add noise."""
        return images * random.random()  # noqa: S311


class Seldom(Net):
    """Draws each time, and has an effect one time in ten."""

    def changed(self, images: Tensor) -> Tensor:
        """Turn the sign."""
        return -images if torch.rand(()) < 0.1 else images


class Votes(Net):
    """Counts the votes of noisy copies, which agree on images of noise."""

    def forward(self, images: Tensor) -> Tensor:
        """Return shares of votes."""
        votes = [self.conv(images + 1e-4 * torch.randn_like(images)).flatten(1).argmax(1) for _ in range(3)]
        return nn.functional.one_hot(torch.stack(votes), 5).float().mean(0)


class NoisyGradient(Net):
    """Adds noise to its gradient, and nothing to its logits."""

    def changed(self, images: Tensor) -> Tensor:
        """Hook the gradient."""
        images = images.clone()
        if images.requires_grad:
            images.register_hook(with_noise)
        return images


def with_noise(gradient: Tensor) -> Tensor:
    """Add noise."""
    return gradient + torch.randn_like(gradient)


class OwnGenerator(Net):
    """Draws from a generator of its own, which no seed of the global ones reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = np.random.default_rng(0)

    def changed(self, images: Tensor) -> Tensor:
        """Add noise."""
        return images + torch.from_numpy(self.generator.normal(0, 0.1, images.shape)).to(images)


class NoisyBatchMean(Noisy):
    """Takes the mean of the batch off, and adds noise."""

    def changed(self, images: Tensor) -> Tensor:
        """Centre, and add noise."""
        return super().changed(images - images.mean(0, keepdim=True)) * 10


class FirstOnly(Net):
    """Answers the first image by itself, and the others by the first too."""

    def changed(self, images: Tensor) -> Tensor:
        """Add the first image."""
        return torch.cat([images[:1], images[1:] + images[:1]])


class Remembering(Net):
    """Adds up what it was asked."""

    state: Tensor | float = 0.0

    def changed(self, images: Tensor) -> Tensor:
        """Add the sum of all former images."""
        self.state = self.state + images.mean()
        return images + self.state


class OneImageFails(Net):
    """Cannot take one image."""

    def changed(self, images: Tensor) -> Tensor:
        """Fail."""
        return images if len(images) > 1 else images[1][None]


class TwoHeads(Net):
    """Gives (batch, 2, classes), which looks like two timesteps of two images."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of two heads."""
        logits = super().forward(images)
        return torch.stack([logits, -logits], dim=1)


class TwoTimesteps(Net):
    """Gives (2, batch, classes)."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of two timesteps."""
        logits = super().forward(images)
        return torch.stack([logits, -logits])


CONFIGURATION = {"input_size": (3, 8, 8), "pcoders": [{"module": "conv"}]}


def built(kind: type[Net]) -> Net:
    torch.manual_seed(0)
    return kind().eval()


def normalised(kind: type[Net]) -> Net:
    """A network that states its mean and std; of another, pcbench says what it assumes."""
    made = built(kind)
    made.mean, made.std = (0.0,) * 3, (1.0,) * 3  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("kind", [BatchMean, BatchStatistics])
def test_answers_that_depend_on_the_batch_are_refused(kind: type[Net]) -> None:
    says = rf"^{kind.__name__} answers an image otherwise among other images \(logits differ by [0-9.]+\): .*; use "
    with pytest.raises(UsageError, match=says):
        models.load(built(kind))
    with pytest.raises(UsageError, match=says):
        pcbench.attack(built(kind), torch.rand(4, 3, 8, 8), [0, 1, 2, 3], "fgsm")
    with pytest.raises(UsageError, match=says):
        pcbench.predify(built(kind), CONFIGURATION)


RANDOM = r"answers the same image differently each time, since it draws random numbers .*: give stochastic=20 [^\n]*$"
STATE = r"answers the same image differently each time, from equal seeds too: it keeps a state[^\n]*$"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Noisy, RANDOM),
        (NumpyNoise, RANDOM),
        (PythonNoise, RANDOM),
        (Seldom, RANDOM),
        (Remembering, STATE),
        (OwnGenerator, STATE),
    ],
)
def test_answers_that_differ_each_time_are_refused(kind: type[Net], says: str) -> None:
    with pytest.raises(UsageError, match=f"^{kind.__name__} {says}"):
        models.load(built(kind))
    with pytest.raises(UsageError, match=f"^{kind.__name__} {says}"):
        pcbench.attack(built(kind), torch.rand(4, 3, 8, 8), [0, 1, 2, 3], "fgsm")
    with pytest.raises(ConfigurationError, match=f"the backbone {says}"):
        pcbench.predify(built(kind), CONFIGURATION)


@pytest.mark.parametrize("kind", [Remembering, OwnGenerator])
def test_draws_that_no_seed_repeats_are_refused_with_stochastic_too(kind: type[Net]) -> None:
    with pytest.raises(UsageError, match=STATE):
        models.load(built(kind), stochastic=2)
    with pytest.raises(ConfigurationError, match=STATE):
        pcbench.predify(built(kind), CONFIGURATION, stochastic=True)


def test_a_random_network_whose_draws_depend_on_the_batch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^NoisyBatchMean answers an image otherwise among other images"):
        models.load(built(NoisyBatchMean), stochastic=2)


def test_an_answer_that_depends_on_the_place_in_the_batch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^FirstOnly answers an image otherwise among other images"):
        models.load(built(FirstOnly))


def test_a_network_without_randomness_needs_no_draws() -> None:
    with pytest.raises(UsageError, match=r"^Net answers the same image alike each time: leave `stochastic` out"):
        models.load(built(Net), stochastic=2)
    with pytest.raises(UsageError, match=r"^pdigits draws no random numbers: leave `stochastic` out$"):
        models.load("pdigits", stochastic=2)


def test_draws_that_had_no_effect_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pcbench"):
        models.load(normalised(Votes))
    (line,) = caplog.messages
    assert line.startswith("Votes draws random numbers, without effect on the images of noise that it was asked about")
    models.load(built(Votes), stochastic=3)


def test_an_attack_on_a_network_whose_gradient_alone_is_noisy_repeats() -> None:
    images, found = torch.rand(4, 3, 8, 8), list[bytes]()
    for seed in (0, 1):
        network = built(NoisyGradient)
        torch.manual_seed(seed)
        found.append(pcbench.attack(network, images, [0, 1, 2, 3], "pgd", epsilons=[0.1]).columns["margin"].tobytes())
    assert found[0] == found[1]


def test_probing_leaves_the_generators_as_they_were() -> None:
    torch.manual_seed(5)
    random.seed(5)
    network = built(Noisy)
    before = torch.get_rng_state(), random.getstate()
    models.load(network, stochastic=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_a_network_that_takes_no_single_image_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^OneImageFails fails on one image alone, .*: IndexError") as refused:
        models.load(built(OneImageFails))
    assert isinstance(refused.value.__cause__, IndexError)


def test_a_second_head_is_not_a_timestep() -> None:
    with pytest.raises(UsageError, match=r"TwoHeads gives \(1, 2, 5\) for 1 image and \(2, 2, 5\) for 2: not one row"):
        models.load(built(TwoHeads))
    assert models.load(built(TwoTimesteps)).timesteps == 1


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_a_plain_network_is_loaded_without_a_word(kind: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pcbench"):
        models.load(normalised(Net).to(kind))
    assert caplog.messages == []


class Sized(nn.Module):
    """Notes the sizes that it is asked about."""

    def __init__(self, *, any_size: bool) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self.any_size = any_size

    def forward(self, images: Tensor) -> Tensor:
        """Return three logits."""
        self.sizes.append(tuple(images.shape[2:]))
        if not (self.any_size or images.shape[-1] == 160):
            raise ValueError("images of 160 pixels")
        return images.mean(dim=3)[:, :, 0]


@pytest.mark.parametrize(("any_size", "size"), [(True, 40), (False, 160)])
def test_large_images_are_made_smaller_where_the_network_takes_them(any_size: bool, size: int) -> None:
    network = Sized(any_size=any_size)
    images = torch.rand(2, 3, 160, 160)
    assert smaller(network, images).shape == (2, 3, size, size)
    assert network.sizes == [(40, 40)]
    assert smaller(network, images[..., :100, :100]).shape == (2, 3, 100, 100)
