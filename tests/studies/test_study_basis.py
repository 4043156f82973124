"""What a study stands on. Oracle: each of its parts is changed by itself, and nothing is done before it is put back."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_studies import small, written

from pcbench.errors import DataError, UsageError
from pcbench.harness.start import run
from pcbench.studies import study as studies
from pcbench.studies.agreement import refuse_mixed_runs
from pcbench.studies.basis import refuse_unpredictive, study_images
from pcbench.studies.options import Given
from pcbench.studies.publishing import compare_study, publish_study
from pcbench.studies.record import read_record
from pcbench.studies.steps import Step
from pcbench.studies.study import report_study, run_study
from pcbench.studies.study_file import read_study

CODE = """
from pathlib import Path

import torch
from torch import nn


def network():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(),
                          nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    model.load_state_dict(torch.load(Path(__file__).parent / "weights.pth"))
    model.mean, model.std, model.input_size = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), (3, 16, 16)
    return model
"""
CONFIGURATION = """
backbone = "basis_net:network"
input_size = [3, 16, 16]
gradient_scaling = true

[[pcoders]]
module = "1"
hyperparameters = {feedforward = 0.3, feedback = 0.3, pc = 0.01}

[[pcoders]]
module = "3"
hyperparameters = {feedforward = 0.3, feedback = 0.0, pc = 0.01}
"""


class StoppedHereError(Exception):
    """The study is stopped at its third step."""


def paint(folder: Path, seed: int) -> None:
    """Write six images of each of two classes."""
    pixels = np.random.default_rng(seed)
    for name in (f"{label}/{number}.png" for label in "ab" for number in range(6)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / name)


def put_weights(folder: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "2.weight": (4, 4, 3, 3), "2.bias": (4,)}
    shapes |= {"6.weight": (2, 16), "6.bias": (2,)}
    torch.save(
        {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}, folder / "weights.pth"
    )


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Given]:
    """A study of a user's own network and images, in the folder where the user works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "basis_net", raising=False)
    (tmp_path / "basis_net.py").write_text(CODE)
    (tmp_path / "mine.toml").write_text(CONFIGURATION)
    put_weights(tmp_path, 0)
    for seed, split in enumerate(("test", "train")):
        paint(tmp_path / "images" / split, seed)
    paint(tmp_path / "others" / "test", 7)
    tuning = {"noise": [2.0]}
    path = written(tmp_path, small(model="mine.toml", data="imagefolder", training={"images": 6}, tuning=tuning))
    training = f"imagefolder:{tmp_path / 'images' / 'train'}"
    return path, Given(Path("out"), f"imagefolder:{tmp_path / 'images' / 'test'}", training, workers=1)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the steps that were done: each leaves an empty file, and the third is stopped."""
    names: list[str] = []

    def do(step: Step, out: Path) -> None:
        if len(names) == 2:
            raise StoppedHereError
        (out / step.name).parent.mkdir(parents=True, exist_ok=True)
        (out / step.name).touch()
        names.append(step.name)

    monkeypatch.setattr(studies, "do_step", do)
    return names


def other_weights(folder: Path) -> None:
    put_weights(folder, 1)


def other_code(folder: Path) -> None:
    (folder / "basis_net.py").write_text(CODE.replace("nn.ReLU(),\n", "nn.GELU(),\n"))
    del sys.modules["basis_net"]


def other_configuration(folder: Path) -> None:
    (folder / "mine.toml").write_text(CONFIGURATION.replace('"3"', '"2"'))


def other_measured(folder: Path) -> None:
    shutil.copy(folder / "images/test/a/1.png", folder / "images/test/a/0.png")


def other_training(folder: Path) -> None:
    paint(folder / "images/train", 5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_weights, "the weights of the backbone changed"),
        (other_code, "the code of the model changed"),
        (other_configuration, "the file of the model's configuration changed"),
        (other_measured, "the content of the measured images changed"),
        (other_training, "the content of the training images changed"),
    ],
)
def test_a_study_does_not_go_on_from_something_else(
    begun: tuple[Path, Given],
    done: list[str],
    change: Callable[[Path], None],
    named: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path, given = begun
    with pytest.raises(StoppedHereError):
        run_study(path, given)
    kept = shutil.copytree(path.parent, tmp_path_factory.mktemp("kept"), dirs_exist_ok=True)
    change(path.parent)
    with pytest.raises(UsageError, match=rf"^out: {named} since trained/seed-0 was made \(sha256 \w+ then, .* now\)"):
        run_study(path, given)
    assert len(done) == 2
    shutil.copytree(kept, path.parent, dirs_exist_ok=True)
    sys.modules.pop("basis_net", None)
    with pytest.raises(StoppedHereError):  # with the former ones it goes on
        run_study(path, given)


def test_results_that_were_deleted_bind_no_longer(begun: tuple[Path, Given], done: list[str]) -> None:
    path, given = begun
    with pytest.raises(StoppedHereError):
        run_study(path, given)
    for folder in ("trained", "tuned"):
        shutil.rmtree(given.out / folder)
    done.clear()
    other_weights(path.parent)
    with pytest.raises(StoppedHereError):
        run_study(path, given)
    put_weights(path.parent, 0)
    with pytest.raises(UsageError, match="the weights of the backbone changed"):
        run_study(path, given)


def test_a_study_that_was_refused_was_not_begun(begun: tuple[Path, Given], done: list[str]) -> None:
    path, given = begun
    for model, what in (("basis_net:network", r"has no predictors.*predify --backbone basis_net:network > mine\.toml"),
                        ("pdigits_feedforward", "has no predictors")):  # fmt: skip
        path.write_text(path.read_text().replace('model = "mine.toml"', f'model = "{model}"'))
        with pytest.raises(UsageError, match=what):
            refuse_unpredictive(read_study(path))
        with pytest.raises(UsageError, match=what):
            run_study(path, given)
        assert read_record(given.out) is None
        assert not (given.out / "study.toml").exists()
        path.write_text(path.read_text().replace(f'model = "{model}"', 'model = "mine.toml"'))
    assert done == []


def measured(given: Given, name: str, **more: Any) -> None:
    """Measure a run of the study in small."""
    asked: dict[str, Any] = {"model": "mine.toml", "suites": ("gaussian-noise",), "data": given.data, "images": 8}
    asked |= {"severities": (1,), "timesteps": 1, "random_predictors": 0, "checks": False, "report": False}
    asked |= {"out": given.out / "runs/gaussian-noise" / name, "workers": 1, **more}
    run(**asked)


def test_runs_of_two_backbones_or_of_other_pixels_are_not_compared(begun: tuple[Path, Given]) -> None:
    path, given = begun
    study = read_study(path)
    measured(given, "network-seed-0")
    measured(given, "network-seed-1", random_predictors=1)  # another seed of the same backbone
    measured(given, "input-blur-seed-0", timesteps=0)
    refuse_mixed_runs(study, given.out, {})
    put_weights(path.parent, 1)
    measured(given, "no-feedback-seed-0")
    both = r"runs/gaussian-noise/network-seed-0 and runs/gaussian-noise/no-feedback-seed-0 differ in "
    with pytest.raises(DataError, match=f"{both}the weights of the backbone"):
        refuse_mixed_runs(study, given.out, {})
    shutil.rmtree(given.out / "runs/gaussian-noise/no-feedback-seed-0")
    put_weights(path.parent, 0)
    paint(path.parent / "images/test", 3)  # the same names
    measured(given, "no-feedback-seed-0")
    with pytest.raises(DataError, match=rf"{both}the content of \w/\d\.png"):
        refuse_mixed_runs(study, given.out, {})
    with pytest.raises(DataError, match=r"study\.json and runs/gaussian-noise/network-seed-0 differ in the weights"):
        refuse_mixed_runs(study, given.out, {"backbone_sha256": "0" * 64})
    study_now = replace(given, data=f"imagefolder:{path.parent / 'others' / 'test'}")
    now = study_images(study, study_now, [])
    with pytest.raises(
        DataError, match=r"the images that are given now \(.*\) and .*network-seed-0 differ in the cont"
    ):
        refuse_mixed_runs(study, given.out, {}, now)


def test_what_is_published_holds_the_configuration_and_says_what_it_stands_on(begun: tuple[Path, Given]) -> None:
    path, given = begun
    arms = {"arms": ["network", "feedforward"], "training_seeds": [0], "timesteps": 1}
    suites = {"suites": [{"name": "gaussian-noise", "images": 8, "severities": [1]}]}
    tuning = {"tuning": {"images": 4, "rounds": 1, "noise": [1.0]}, "training": {"images": 6}}
    written(path.parent, small(model="mine.toml", data="imagefolder", **arms, **suites, **tuning))
    run_study(path, given)
    report_study(path, given.out)
    (path.parent / "mine.toml").rename(path.parent / "moved.toml")  # it is published from the study's copy
    results = publish_study(path, given.out, path.parent / "public").results
    (path.parent / "moved.toml").rename(path.parent / "mine.toml")
    assert (results / "mine.toml").read_text() == CONFIGURATION
    basis = json.loads((results / "about.json").read_text())["basis"]
    assert basis["configuration_file_sha256"] == hashlib.sha256(CONFIGURATION.encode()).hexdigest()
    card = json.loads((given.out / "trained/seed-0/training.json").read_text())
    assert basis["backbone_sha256"] == card["backbone_sha256"]
    assert basis["training_data_sha256/trained/seed-0"] == card["data_fingerprint"]
    assert str(path.parent) not in json.dumps(basis)
    assert compare_study(path, given.out, results).passed
    answers = (given.out / "tables/answers.md").read_bytes()
    other_data = replace(given, data=f"imagefolder:{path.parent / 'others' / 'test'}")
    with pytest.raises(UsageError, match="the content of the measured images changed"):
        run_study(path, other_data)
    other_configuration(path.parent)
    for ask in (lambda: report_study(path, given.out), lambda: publish_study(path, given.out, path.parent / "again")):
        with pytest.raises(UsageError, match="the file of the model's configuration changed since trained/seed-0"):
            ask()
    assert (given.out / "tables/answers.md").read_bytes() == answers
