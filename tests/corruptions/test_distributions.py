"""Oracle: imagecorruptions 1.1.2 by its own random numbers: the two backends draw from the same distribution.

Compared are moments, spectra, and the accuracy of a trained classifier (ResNet-20, CIFAR-10) on real photographs.
Every bound is a number of standard errors; all seeds are fixed, so that a test cannot fail by chance of the day.
"""

from __future__ import annotations

import io
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from shipped_corruptions import IN_IMAGECORRUPTIONS, shipped_suites

from pcbench.corruptions.api import Backend, corrupt
from pcbench.models.architectures import CifarResNet

RANDOM = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "glass_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "elastic_transform",
    "spatter",
)
DRAWS = 32
SIDE = 56
STANDARD_ERRORS = 4.5


def features(corrupted: torch.Tensor, clean: torch.Tensor) -> NDArray[np.float64]:
    """Mean, deviation and skewness of what was added, its log power in four bands, its correlation of colours."""
    added = corrupted.double() - clean.double()
    flat = added.flatten(1)
    centred = flat - flat.mean(1, keepdim=True)
    deviation = centred.square().mean(1).sqrt()
    skewness = centred.pow(3).mean(1) / deviation.clamp(min=1e-9).pow(3)
    power = torch.fft.fft2(added).abs().square().mean(1)
    frequency = torch.fft.fftfreq(SIDE)
    radius = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
    edges = [0.001, 0.05, 0.15, 0.3, 0.75]
    bands = [
        (power * ((radius >= low) & (radius < high))).sum((1, 2)).clamp(min=1e-9).log()
        for low, high in itertools.pairwise(edges)
    ]
    colours = ((added[:, 0] - added[:, 1]).square().mean((1, 2)) + 1e-9).log()
    return torch.stack([flat.mean(1), deviation, skewness, *bands, colours], dim=1).numpy()


@pytest.mark.parametrize("name", RANDOM)
def test_the_backends_draw_from_one_distribution(photographs: torch.Tensor, name: str) -> None:
    # The package's glass blur is a loop over pixels in Python.
    draws = DRAWS // 2 if name == "glass_blur" else DRAWS
    clean = photographs[2:3, :, 60 : 60 + SIDE, 60 : 60 + SIDE].expand(draws, -1, -1, -1).contiguous()
    backends: tuple[Backend, Backend] = ("fast", "reference")
    ours, theirs = (features(corrupt(clean, name, 3, seed=11, backend=backend), clean) for backend in backends)
    difference = ours.mean(0) - theirs.mean(0)
    error = np.sqrt((ours.var(0, ddof=1) + theirs.var(0, ddof=1)) / draws)
    assert (np.abs(difference) <= STANDARD_ERRORS * error + 1e-6).all(), (difference / (error + 1e-12)).round(1)


@pytest.mark.parametrize("name", ["gaussian_noise", "speckle_noise"])
def test_noise_on_grey_has_the_normal_distribution_s_moments(name: str) -> None:
    # Oracle: the normal distribution, cut off to whole levels; grey 128 keeps 3 deviations of 0.15 from both ends.
    grey = torch.full((8, 3, 96, 96), 128, dtype=torch.uint8)
    added = corrupt(grey, name, 1).double() - 128
    deviation = {"gaussian_noise": 255 * 0.08, "speckle_noise": 128 * 0.15}[name]
    error = deviation / math.sqrt(added.numel())
    assert added.mean().item() == pytest.approx(-0.5, abs=5 * error)
    assert added.std().item() == pytest.approx(math.sqrt(deviation**2 + 1 / 12), abs=5 * error)
    assert (added.pow(4).mean() / added.square().mean().square()).item() == pytest.approx(3, abs=0.05)


def test_shot_noise_on_grey_has_poisson_s_moments() -> None:
    # Oracle: mean and variance of the Poisson distribution are its rate; at this grey white is 7 deviations away.
    grey = torch.full((8, 3, 96, 96), 51, dtype=torch.uint8)
    counts = (corrupt(grey.float() / 255, "shot_noise", 1) * 60).double()
    assert (counts - counts.round()).abs().max() < 1e-4
    error = math.sqrt(12 / counts.numel())
    assert counts.mean().item() == pytest.approx(12, abs=5 * error)
    assert counts.var().item() == pytest.approx(12, rel=5 * math.sqrt(2 / counts.numel()) + 0.002)


def test_impulse_noise_replaces_the_share_it_says() -> None:
    # Oracle: the binomial distribution.
    grey = torch.full((8, 3, 96, 96), 128, dtype=torch.uint8)
    noisy = corrupt(grey, "impulse_noise", 4)
    error = math.sqrt(0.085 * 0.915 / noisy.numel())
    for level in (0, 255):
        assert (noisy == level).double().mean().item() == pytest.approx(0.17 / 2, abs=5 * error)


@pytest.fixture(scope="module")
def cifar(test_data: Path) -> tuple[torch.Tensor, torch.Tensor]:
    rows = pd.read_parquet(test_data / "cifar10" / "test.parquet").head(80)
    images = [np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows["image"]]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(rows["label"].to_numpy())


@pytest.fixture(scope="module")
def classifier(test_data: Path) -> CifarResNet:
    network = CifarResNet()
    network.load_state_dict(load_file(test_data / "weights" / "resnet20.cifar10.safetensors"))
    return network.eval()


@torch.no_grad()
def is_right(network: CifarResNet, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    inputs = (images.float() / 255 - mean[:, None, None]) / deviation[:, None, None]
    return network(inputs).argmax(1) == labels


@pytest.mark.parametrize(
    "name", [one.function for suite in IN_IMAGECORRUPTIONS for one in shipped_suites()[suite].corruptions]
)
def test_a_classifier_errs_as_often(
    cifar: tuple[torch.Tensor, torch.Tensor], classifier: CifarResNet, name: str
) -> None:
    # McNemar's test, exact where few images differ: images right under one backend only are as often right under
    # either. 3.3 standard errors is one test in a thousand.
    images, labels = (part[:40] if name == "glass_blur" else part for part in cifar)
    ours = is_right(classifier, corrupt(images, name, 1), labels)
    theirs = is_right(classifier, corrupt(images, name, 1, backend="reference"), labels)
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    assert abs(only_ours - only_theirs) <= 3.3 * math.sqrt(only_ours + only_theirs)
