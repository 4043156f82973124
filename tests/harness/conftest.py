"""A network small enough that a whole run takes seconds, and suites of two corruptions and one attack."""

from __future__ import annotations

import functools
import re
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forking
import pytest
import torch
from made_shards import all_shards
from torch import nn

import pcbench
from pcbench import models
from pcbench.catalog import catalog_folder
from pcbench.harness.engines import local
from pcbench.models.zoo import zoo_names
from pcbench.network.network import PredictiveNetwork
from pcbench.results.directory import Run

CONFIGURATION = {
    "name": "tiny",
    "input_size": [3, 32, 32],
    "gradient_scaling": True,
    "shared_hyperparameters": False,
    "pcoders": [
        {
            "module": "1",
            "predictor": "ConvTranspose2d(4, 3, 4, stride=2, padding=1)",
            "hyperparameters": {"feedforward": 0.4, "feedback": 0.2, "pc": 0.01},
        },
        {
            "module": "3",
            "predictor": "ConvTranspose2d(6, 4, 4, stride=2, padding=1)",
            "hyperparameters": {"feedforward": 0.4, "feedback": 0.0, "pc": 0.01},
        },
    ],
}


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Leave out figures, page and example images, which take longer than these small runs, except in one test."""
    if "with_pictures" not in request.keywords:
        monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))


@pytest.fixture(scope="package", autouse=True)
def networks_of_the_zoo_are_made_once() -> Iterator[None]:
    """Let all runs of a network of the zoo have the same one: taking it apart takes longer than a small run itself."""
    load = functools.cache(models.load)

    def once(model: Any, **options: Any) -> models.Model:
        return (load if isinstance(model, str) and model in zoo_names() else models.load)(model, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.context.models", types.SimpleNamespace(load=once))
        yield


@pytest.fixture(scope="module")
def quick_shards(forks: forking.Forks) -> Iterator[None]:
    """Leave out pages and figures of runs that a module's tests share: they are made from a finished run. Workers are
    forks.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "subprocess", forks.subprocess)
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        yield


@pytest.fixture
def few_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rival attacks of the checks ask seldom, where it does not matter what they find: they take seconds."""
    monkeypatch.setattr("pcbench.attacks.checks.rivals.SQUARE_QUERIES", 10)
    monkeypatch.setattr("pcbench.attacks.checks.rivals.RANDOM_TRIALS", 5)


@pytest.fixture
def network() -> PredictiveNetwork:
    """A predictive network with two PCoders and seeded, untrained weights."""
    generator = torch.Generator().manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 10),
    )
    made = pcbench.predify(backbone, CONFIGURATION, mean=[0.5] * 3, std=[0.5] * 3)
    for parameter in made.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return made


@pytest.fixture
def corruption_suite(tmp_path: Path) -> Path:
    """A suite of the user's own with two corruptions."""
    return _write_corruption_suite(tmp_path / "corruptions" / "two")


@pytest.fixture
def attack_suite(tmp_path: Path) -> Path:
    """A suite of the user's own with a single-step and an iterative attack."""
    return _write_attack_suite(tmp_path / "attacks" / "small")


@pytest.fixture(scope="module")
def shared_suites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same two suites, for runs that several tests share."""
    folder = tmp_path_factory.mktemp("suites")
    return _write_corruption_suite(folder / "corruptions" / "two"), _write_attack_suite(folder / "attacks" / "small")


def _write_corruption_suite(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text('version = 1\ntitle = "Two"\nsource = "this test"\n')
    catalogue = catalog_folder("corruptions") / "digits-c"
    for name in ("gaussian_noise", "contrast"):
        # Two of the five severities: the others are measured in the same way.
        text = re.sub(r"= \[(\S+),.*, (\S+)\]", r"= [\1, \2]", (catalogue / f"{name}.toml").read_text())
        (folder / f"{name}.toml").write_text(text)
    return folder


def _write_attack_suite(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text('name = "small"\nversion = "1"\ntitle = "Small"\nsource = "this test"\n')
    common = 'library = "foolbox"\nnorm = "linf"\nepsilons = ["2/255", "8/255", "32/255"]\nsource = "this test"\n'
    (folder / "fgsm.toml").write_text(
        f'title = "FGSM"\nattack = "LinfFastGradientAttack"\nsteps = 1\nrelative_step_size = 1.0\n{common}'
    )
    (folder / "pgd.toml").write_text(
        'title = "PGD"\nattack = "LinfProjectedGradientDescentAttack"\nsteps = 4\nrelative_step_size = 0.5\n'
        f"random_start = true\n{common}"
    )
    return folder


@pytest.fixture(scope="module")
def whole(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of a test module's own `options`, by one process."""
    return pcbench.run(**options, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def shards(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All shards of the same run."""
    return all_shards(options, tmp_path_factory.mktemp("shards"))


@pytest.fixture
def own(shards: Path, tmp_path: Path) -> Path:
    """A copy of the shards, to be changed."""
    return shutil.copytree(shards, tmp_path / "own")
