"""Oracles: two networks that answer opposite, so that a number of the one is known when it is given for the other; and
what a user was promised: a finished run is found, or one line says why it is not."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from stops import STOPS, after_three_parts, stopped
from torch import Tensor, nn

import pcbench
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.files import Point
from pcbench.results.directory import Run, partial_folder

Measure = Callable[..., Run]

DIFFER = r"^the model gives \S+ for a logit of image '\S+' at t = 0, which was .*\(or it draws random numbers\)[^\n]*$"


@cache
def means() -> Tensor:
    """The mean of each class in the pixels, from some of the images that no run here is on."""
    source = open_source("digits", preprocessing=Preprocessing(), split="train")
    images, labels = source.load(range(400)).flatten(1) / 255, torch.from_numpy(source.labels[:400].copy())
    return torch.stack([images[labels == label].mean(0) for label in range(10)])


class Net(nn.Module):
    """The class whose mean is nearest, or, with the sign turned, the one whose mean is farthest."""

    input_size = (3, 32, 32)

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign
        self.layer = nn.Linear(3072, 10)
        self.layer.weight.data.copy_(means())
        self.layer.bias.data.copy_(-means().square().sum(1) / 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.sign * self.layer(images.flatten(1))


@pytest.fixture
def measure(corruption_suite: Path) -> Measure:
    """Run a model on a few digits, under one corruption."""
    (corruption_suite / "gaussian_noise.toml").unlink()

    def measured(model: nn.Module | str, out: Path | None, **options: Any) -> Run:
        settings: dict[str, Any] = {"images": 12, "data": "digits", "threads": 1, "progress": False, **options}
        return pcbench.run(model=model, suites=[str(corruption_suite)], out=out, **settings)

    return measured


def accuracy(run: Run) -> float:
    """Clean accuracy at t = 0."""
    table = run.metrics
    rows = table[(table["kind"] == "clean") & (table["metric"] == "accuracy") & (table["timestep"] == 0)]
    return float(rows["value"].iloc[0])


def refusal(measured: Callable[[], object]) -> str:
    """Return the one line in which a run is refused."""
    with pytest.raises(UsageError) as caught:
        measured()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_object_set_otherwise_is_another_network(measure: Measure, tmp_path: Path) -> None:
    out = tmp_path / "X"
    first = measure(Net(1.0), out)
    assert accuracy(first) > 0.7
    assert measure(Net(1.0), out).found
    with pytest.raises(UsageError, match=r"holds another run \(model\.attributes_sha256: \w{12} -> \w{12}\)"):
        measure(Net(-1.0), out)
    turned = Net(1.0)
    turned.layer.weight.data.neg_()
    with pytest.raises(UsageError, match=r"holds another run \(model\.weights_sha256"):
        measure(turned, out)
    assert accuracy(measure(Net(1.0), out)) == accuracy(first)
    second = measure(Net(-1.0), out, again=True)
    assert accuracy(second) < 0.1
    assert second.key != first.key


def test_default_folders_differ(measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = measure(Net(1.0), None), measure(Net(-1.0), None)
    assert one.folder != other.folder
    assert accuracy(one) > 0.7
    assert accuracy(other) < 0.1
    assert measure(Net(1.0), None).found
    folders = {path.name for path in (tmp_path / "results" / "runs").iterdir() if path.name.startswith("Net-two-")}
    assert folders == {one.folder.name, other.folder.name}


def test_unfinished_work_of_another_network_is_not_gone_on_with(measure: Measure, tmp_path: Path) -> None:
    stopped(lambda: measure(Net(1.0), tmp_path / "X"), after_three_parts)
    with pytest.raises(UsageError, match=r"unfinished work of other settings \(model\.attributes_sha256"):
        measure(Net(-1.0), tmp_path / "X")
    assert accuracy(measure(Net(-1.0), tmp_path / "X", again=True)) < 0.1


Write = Callable[[str, str], None]

MAIN = '''
import torch
from torch import nn
from layers import Layer


def make():
    """Make the network."""
    means = torch.load("means.pt", weights_only=True)
    linear = nn.Linear(3072, 10)
    linear.weight.data.copy_(means)
    linear.bias.data.copy_(-means.square().sum(1) / 2)
    made = nn.Sequential(nn.Unflatten(1, (3,)), nn.Flatten(), linear, Layer())
    made.input_size = (3, 32, 32)
    return made
'''
LAYER = """
import os, pathlib
import torch
from torch import nn


class Layer(nn.Module):
    def forward(self, logits):
        return logits
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module of the user's into the working folder and forget the old ones, as a new process would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    torch.save(means(), tmp_path / "means.pt")

    def forget() -> None:
        for name in ("main", "layers"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()

    def written(name: str, text: str) -> None:
        forget()
        Path(f"{name}.py").write_text(text)

    written("main", MAIN)
    written("layers", LAYER)
    yield written
    forget()


def test_an_edited_layer_of_an_imported_module_counts(write: Write, measure: Measure, tmp_path: Path) -> None:
    out = tmp_path / "X"
    first = measure("main:make", out)
    assert accuracy(first) > 0.7
    assert measure("main:make", out).found
    write("layers", LAYER.replace("return logits", "return -logits"))
    with pytest.raises(UsageError, match=r"holds another run \(model\.code_sha256: \w{12} -> \w{12}\)"):
        measure("main:make", out)
    assert accuracy(measure("main:make", out, again=True)) < 0.1
    assert measure("main:make", tmp_path / "other").key != first.key


def test_words_about_the_code_are_no_part_of_it(write: Write, measure: Measure, tmp_path: Path) -> None:
    first = measure("main:make", tmp_path / "X")
    write("layers", LAYER.replace("logits):", 'logits):\n        """Nothing."""  # is done'))
    write("main", MAIN.replace("Make the network.", "Make it."))
    assert measure("main:make", tmp_path / "X").key == first.key


@pytest.mark.parametrize(
    ("body", "turn"),
    [
        ('float(os.environ["SIGN"]) * logits', lambda: os.environ.update(SIGN="-1")),
        ('float(pathlib.Path("sign.txt").read_text()) * logits', lambda: Path("sign.txt").write_text("-1")),
    ],
    ids=["environment", "file"],
)
def test_equal_source_that_answers_otherwise_is_refused(
    write: Write,
    measure: Measure,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    turn: Callable[[], object],
) -> None:
    monkeypatch.setenv("SIGN", "1")
    Path("sign.txt").write_text("1")
    write("layers", LAYER.replace("return logits", f"return {body}"))
    first = measure("main:make", tmp_path / "finished")
    assert measure("main:make", tmp_path / "finished").found
    stops = STOPS if "SIGN" in body else STOPS[:1]
    for stop in stops:
        stopped(lambda where=stop.__name__: measure("main:make", tmp_path / where), stop)
    turn()
    assert re.search(DIFFER, refusal(lambda: measure("main:make", tmp_path / "finished")))
    for stop in stops:
        assert re.search(DIFFER, refusal(lambda where=stop.__name__: measure("main:make", tmp_path / where)))
        assert partial_folder(tmp_path / stop.__name__).is_dir()
    second = measure("main:make", tmp_path / "finished", again=True)
    assert second.key == first.key
    assert accuracy(second) < 0.1


@pytest.mark.parametrize("stop", STOPS)
def test_again_ends_with_this_networks_number_though_another_was_stopped_computing_anew(
    write: Write,
    measure: Measure,
    tmp_path: Path,
    stop: Callable[[Point], bool],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("SIGN", "1")
    write("layers", LAYER.replace("return logits", 'return float(os.environ["SIGN"]) * logits'))
    measure("main:make", tmp_path / "X")
    stopped(lambda: measure("main:make", tmp_path / "X", again=True), stop)
    monkeypatch.setenv("SIGN", "-1")
    assert accuracy(measure("main:make", tmp_path / "X", again=True)) < 0.1
    assert "discarding" in caplog.text


@pytest.mark.parametrize("damage", [b"nonsense", None])
def test_work_whose_own_answers_are_lost_is_not_gone_on_with(
    write: Write, measure: Measure, tmp_path: Path, damage: bytes | None
) -> None:
    del write
    stopped(lambda: measure("main:make", tmp_path / "X"), after_three_parts)
    part = next((tmp_path / "X.partial" / "parts" / "answers").rglob("*.part"))
    if damage is None:
        part.unlink()
    else:
        part.write_bytes(damage)
    with pytest.raises(UsageError, match=r"cannot be recognised.*again=True"):
        measure("main:make", tmp_path / "X")
    assert accuracy(measure("main:make", tmp_path / "X", again=True)) > 0.7


def test_a_network_that_draws_at_each_call_is_refused_or_its_mean_is_recognised(
    write: Write, measure: Measure, tmp_path: Path
) -> None:
    write("layers", LAYER.replace("return logits", "return logits + torch.randn_like(logits)"))
    assert re.search(r"^main:make .* give stochastic=20 ", refusal(lambda: measure("main:make", tmp_path / "X")))
    stopped(lambda: measure("main:make", tmp_path / "X", stochastic=3), after_three_parts)
    torch.manual_seed(1)  # as no other process has it
    resumed = measure("main:make", tmp_path / "X", stochastic=3)
    whole = measure("main:make", tmp_path / "whole", stochastic=3)
    for name in ("metrics.parquet", "answers.parquet"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert resumed.outcomes().equals(whole.outcomes())
    assert measure("main:make", tmp_path / "X", stochastic=3).found
    assert measure("main:make", tmp_path / "other", stochastic=3, seed=1).key != whole.key


SCALED = """
import torch
class Scaled(torch.nn.Module):
    input_size = (3, 32, 32)
    def __init__(self, net):
        super().__init__()
        self.net = net
    def forward(self, images):
        return SIGN * self.net(images)
"""


def hidden(sign: int, namespace: str) -> nn.Module:
    """A network whose code is in no file."""
    names: dict[str, Any] = {"__name__": namespace} if namespace else {}
    exec(SCALED.replace("SIGN", str(sign)), names)  # noqa: S102  # the point of the test
    return names["Scaled"](Net(1.0))


@pytest.mark.parametrize("namespace", ["nowhere", ""])
def test_a_network_of_unreadable_source_is_neither_found_nor_gone_on_with(
    measure: Measure, tmp_path: Path, namespace: str
) -> None:
    words = rf"^the source of {namespace or 'builtins'}\.?\S* cannot be read, [^\n]*model_version[^\n]*again=True$"
    first = measure(hidden(1, namespace), tmp_path / "X")
    assert accuracy(first) > 0.7
    notes = [note for note in first.manifest["notes"] if "cannot be recognised again" in note]
    assert len(notes) == 1
    assert "Scaled" in notes[0] or namespace in notes[0]
    for sign in (1, -1):
        assert re.search(words, refusal(lambda sign=sign: measure(hidden(sign, namespace), tmp_path / "X")))
    for stop in STOPS if namespace else ():
        stopped(lambda where=stop.__name__: measure(hidden(1, namespace), tmp_path / where), stop)
        assert re.search(words, refusal(lambda where=stop.__name__: measure(hidden(1, namespace), tmp_path / where)))
    assert accuracy(measure(hidden(-1, namespace), tmp_path / "X", again=True)) < 0.1


def test_a_stated_version_stands_for_a_source_that_cannot_be_read(measure: Measure, tmp_path: Path) -> None:
    first = measure(hidden(1, "nowhere"), tmp_path / "X", model_version="a")
    assert not any("recognised" in note for note in first.manifest["notes"])
    assert measure(hidden(1, "nowhere"), tmp_path / "X", model_version="a").found
    for stop in STOPS:
        out = tmp_path / stop.__name__
        stopped(lambda out=out: measure(hidden(1, "nowhere"), out, model_version="a"), stop)
        assert measure(hidden(1, "nowhere"), out, model_version="a").manifest["files"] == first.manifest["files"]
    with pytest.raises(UsageError, match=r"holds another run \(model\.model_version: a -> b\)"):
        measure(hidden(-1, "nowhere"), tmp_path / "X", model_version="b")
    # Who states the same version for another network is caught by its answers.
    assert re.search(DIFFER, refusal(lambda: measure(hidden(-1, "nowhere"), tmp_path / "X", model_version="a")))
    assert measure(hidden(-1, "nowhere"), tmp_path / "Y", model_version="b").key != first.key


CONFIGURATION = """
name = "Own"
input_size = [3, 32, 32]
gradient_scaling = true
shared_hyperparameters = false
[[pcoders]]
module = "1"
predictor = "ConvTranspose2d(4, 3, 4, stride=2, padding=1)"
hyperparameters = { feedforward = 0.4, feedback = 0.2, pc = 0.01 }
"""
BACKBONE = """
import torch
from torch import nn
from layers import Layer


def make():
    made = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), Layer(), nn.Flatten(), nn.Linear(1024, 10))
    for parameter in made.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    return made
"""


def test_a_backbone_of_the_users_under_a_configuration(write: Write, measure: Measure, tmp_path: Path) -> None:
    options: dict[str, Any] = {"random_predictors": 0, "timesteps": 1}
    write("main", BACKBONE)
    write("layers", LAYER.replace("return logits", "return torch.relu(logits)"))
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.toml").write_text(CONFIGURATION)
    first = measure("here/own.toml@main:make", tmp_path / "X", **options)
    assert measure("there/own.toml@main:make", tmp_path / "X", **options).key == first.key
    write("layers", LAYER.replace("return logits", "return -torch.relu(logits)"))
    with pytest.raises(UsageError, match=r"holds another run \(model\.code_sha256"):
        measure("here/own.toml@main:make", tmp_path / "X", **options)
    (tmp_path / "there" / "own.toml").write_text(CONFIGURATION.replace("0.2", "0.3"))
    write("layers", LAYER.replace("return logits", "return torch.relu(logits)"))
    with pytest.raises(UsageError, match=r"holds another run \(model\.configuration_sha256"):
        measure("there/own.toml@main:make", tmp_path / "X", **options)


def test_a_network_of_the_zoo_is_found_without_running_it(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure("pdigits", tmp_path / "X", timesteps=1)
    assert not (first.folder / "answers.parquet").exists()

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the network was run")

    monkeypatch.setattr(nn.Module, "__call__", forbidden)
    assert measure("pdigits", tmp_path / "X", timesteps=1).found
