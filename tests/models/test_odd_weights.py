"""Weights as people really save them: wrapped, compiled, damaged. Oracle: the tensors that were written."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError, RunError, UsageError, WeightsError
from pcbench.models import load
from pcbench.models.predictor_files import read_predictor_weights, write_one_a_pcoder

from .test_predictor_files import equal, network, one_a_pcoder, predictors, prefixed, restored

_CONFIGURATION = """
input_size = [3, 8, 8]
[[pcoders]]
module = "[0]"
predictor = "Conv2d(4, 3, 3, padding=1)"
[[pcoders]]
module = "[2]"
predictor = "Conv2d(4, 4, 3, padding=1)"
"""


def states(made: nn.ModuleList, prefix: str = "pmodule.") -> dict[str, dict[str, Tensor]]:
    return {f"pcoder{number}": prefixed(prefix)(one.state_dict()) for number, one in enumerate(made, 1)}


def flat(made: nn.ModuleList, before: str = "") -> dict[str, Tensor]:
    return {f"{before}{name}.{key}": one for name, state in states(made).items() for key, one in state.items()}


ONE: dict[str, Callable[[Mapping[str, Tensor]], Any]] = {
    "compiled": prefixed("_orig_mod.pmodule."),
    "compiled and parallel": prefixed("module._orig_mod.pmodule."),
    "another wrapper": lambda state: {"net": prefixed("pmodule.")(state), "optimizer": {"state": {}}},
    "text, array and date beside": lambda state: {
        "model": "pnet", "loss": np.arange(3.0), "saved": datetime(2024, 1, 1), "net": dict(state),
    },
    "path beside": lambda state: {"pcoderweights": dict(state), "args": argparse.Namespace(out=PosixPath("here"))},
}  # fmt: skip
ALL: dict[str, Callable[[nn.ModuleList], Any]] = {
    "a mapping a PCoder": states,
    "without pmodule.": lambda made: states(made, ""),
    "inside a larger module": lambda made: {"state_dict": flat(made, "model."), "epoch": 3},
    "compiled": lambda made: flat(made, "_orig_mod."),
}
NO_WEIGHTS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "whole numbers": (lambda one: (one * 100).int(), r"PCoder 1: 'weight' holds whole numbers \(int32\)"),
    "not finite": (lambda one: one * float("nan"), r"PCoder 1: 'weight' holds values that are not finite"),
    "complex": (lambda one: one.to(torch.complex64), "'weight' is complex"),
    "meta": (lambda one: one.to("meta"), "'weight' is without values"),
    "sparse": (lambda one: one.to_sparse(), "'weight' is sparse"),
    "too small": (lambda one: one[:2], r"PCoder 1: .*'weight' is \(2, 3, 3, 3\) where"),
}


@pytest.mark.parametrize("change", ONE)
def test_wrapped_checkpoints_of_one_pcoder_are_read(tmp_path: Path, change: str) -> None:
    made = predictors(0)
    assert equal(made, restored(one_a_pcoder(ONE[change], ".pth")(tmp_path, made)))


@pytest.mark.parametrize("change", ALL)
def test_wrapped_files_of_all_predictors_are_read(tmp_path: Path, change: str) -> None:
    made = predictors(0)
    for name in ("all.pth", "net-pc2.pth"):
        torch.save(ALL[change](made), tmp_path / name)
        assert equal(made, restored(tmp_path / name))


@pytest.mark.parametrize("name", ["pc{}.pth", "pcoder{}.pth", "PNet_PC{}.pth", "a_lr0.1_pcoder_{}_epoch12.pt"])
def test_names_of_files_that_people_use(tmp_path: Path, name: str) -> None:
    made = predictors(0)
    for number, predictor in enumerate(made, 1):
        torch.save(predictor.state_dict(), tmp_path / name.format(number))
    assert equal(made, restored(tmp_path))
    assert equal(made, restored(tmp_path / name.format(2)))


@pytest.mark.parametrize("kind", NO_WEIGHTS)
def test_what_are_no_weights_is_refused_by_key(tmp_path: Path, kind: str) -> None:
    change, problem = NO_WEIGHTS[kind]
    write = one_a_pcoder(lambda state: {name: change(one) for name, one in state.items()}, ".pth")
    with pytest.raises(WeightsError, match=problem):
        restored(write(tmp_path, predictors(0)))


@pytest.mark.parametrize("scale", [torch.tensor(float("nan")), torch.ones(2)], ids=["nan", "two"])
def test_a_scale_that_is_no_number_is_refused(tmp_path: Path, scale: Tensor) -> None:
    write = one_a_pcoder(lambda state: {**state, "C_sqrt": scale}, ".pth")
    with pytest.raises(WeightsError, match="PCoder 1: C_sqrt is not one finite number"):
        restored(write(tmp_path, predictors(0)))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is not a checkpoint of PyTorch"),
        (None, r"could run code \(it holds .*ConvTranspose2d\)"),
    ],
    ids=["pointer", "module"],
)
def test_why_a_file_is_not_read_is_said(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "all.pth"
    torch.save(predictors(0)[0], path)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=problem):
        read_predictor_weights(path, 2)


def test_keys_without_tensors_are_told(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "best": 0.5}, tmp_path / "all.pth")
    with pytest.raises(WeightsError, match=r"no tensors by name \(its keys are 'epoch', 'best'\)"):
        read_predictor_weights(tmp_path / "all.pth", 2)


def test_what_is_not_taken_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """β, λ and α of the reference's network, tensors of no module, and PCoders that are too many."""
    own = network()
    held = flat(own.predictors) | {"ffm1": torch.tensor(0.7), "fbm1": torch.tensor(0.3), "fbm2": torch.tensor(0.3)}
    held |= {"erm": torch.tensor(0.02)}  # one for all, as the reference's shared ones
    held |= {"ff_part1": torch.tensor(0.3), "decoder.weight": torch.ones(1)}
    torch.save(held, tmp_path / "all.pth")
    model = load(own, weights=tmp_path / "all.pth").network
    assert model is not None
    assert model.hyperparameters == own.hyperparameters
    # λ of the last PCoder enters nothing, and 0.3 is that of the configuration already.
    assert "these are taken with --set pcoder1.feedforward=0.7 --set error_weight=0.02\n" in caplog.text
    assert "1 tensors are of no predictor and no backbone, and are not taken: decoder.weight" in caplog.text

    folder = tmp_path / "three"
    folder.mkdir()
    one_a_pcoder(lambda state: {**state, "C_sqrt": torch.tensor(3.0)}, ".pth")(folder, own.predictors)
    torch.save({}, folder / "pnet_pretrained_pc3.pth")
    load(own, weights=folder)
    assert "holds checkpoints of PCoders up to 3; the network has 2, and takes the first 2" in caplog.text


def test_the_backbone_beside_predictors_is_that_of_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the network whose state was saved, all of it learned; its function makes another backbone."""
    (tmp_path / "made.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "def backbone():\n    torch.manual_seed(9)\n    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), "
        "nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5))\n"
    )
    (tmp_path / "mine.toml").write_text(_CONFIGURATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    learned = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5)
    )
    saved = pcbench.predify(learned, tmp_path / "mine.toml")
    torch.save(saved.state_dict(), tmp_path / "joint.pth")
    name = f"{tmp_path / 'mine.toml'}@made:backbone"
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model = load(name, weights=tmp_path / "joint.pth")
    assert "gradient_scale" not in model.description
    assert torch.equal(model.logits(images, 2), saved.unroll(images, 2).logits)
    random = load(name, random_predictors=0)
    assert model.description["backbone_sha256"] != random.description["backbone_sha256"]
    scaled = {**saved.state_dict(), "predictors.0.C_sqrt": torch.tensor(3.0)}
    torch.save(scaled, tmp_path / "scaled.pth")
    (tmp_path / "mine.toml").write_text(f"gradient_scaling = true\n{_CONFIGURATION}")
    assert load(name, weights=tmp_path / "scaled.pth").description["gradient_scale"] == "9 for PCoder 1"
    # Another can still be given, from a file of a network whose names begin with `module.` too.
    parallel = {f"module.{key}": one for key, one in learned.state_dict().items()}
    torch.save({"state_dict": parallel}, tmp_path / "backbone.pth")
    given = load(name, random_predictors=0, backbone_weights=tmp_path / "backbone.pth")
    assert torch.equal(given.logits(images, 0)[0], learned(images))


def test_every_layout_can_be_written_out_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = predictors(0)
    folder = tmp_path / "lr0.1"
    folder.mkdir()
    one_a_pcoder(lambda state: {"pcoderweights": {**state, "C_sqrt": torch.tensor(3.0)}}, "_lr0.1_007.pth")(
        folder, made
    )
    for path, stem in ((folder, "lr0.1"), (folder / "pnet_pretrained_pc2_lr0.1_007.pth", "pnet_pretrained_lr0.1_007")):
        out = tmp_path / "out" / stem
        written = write_one_a_pcoder(path, out)
        assert [file.name for file in written] == [f"{stem}_pc1_pmodule.pth", f"{stem}_pc2_pmodule.pth"]
        assert equal(made, restored(out))
    assert "its C_sqrt is not written" in caplog.text


def test_a_backbone_that_normalises_itself_is_not_normalised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the backbone itself, on images in [0,1]."""
    (tmp_path / "normalising.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Normalising(nn.Sequential):\n    mean, std = (0.5, 0.4, 0.3), (0.25, 0.25, 0.2)\n\n"
        "    def forward(self, images):\n"
        "        mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (self.mean, self.std))\n"
        "        return super().forward((images - mean) / std)\n\n"
        "def backbone():\n    torch.manual_seed(9)\n    return Normalising(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), "
        "nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5))\n"
    )
    (tmp_path / "mine.toml").write_text(_CONFIGURATION)
    monkeypatch.syspath_prepend(str(tmp_path))
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model = load(f"{tmp_path / 'mine.toml'}@normalising:backbone", random_predictors=0)
    made: Any = __import__("normalising").backbone()
    assert torch.equal(model.logits(images, 0)[0], made(images))
    assert model.description["mean"] is None


def test_a_function_whose_backbone_has_several_outputs_or_another_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the second output of the backbone itself, on normalised images."""
    (tmp_path / "several.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Two(nn.Sequential):\n    mean, std = (0.5, 0.4, 0.3), (0.25, 0.25, 0.2)\n\n"
        "    def forward(self, images):\n"
        "        for layer in list(self)[:4]:\n            images = layer(images)\n"
        "        return images, self[4](images)\n\n"
        "def backbone():\n    torch.manual_seed(9)\n    return Two(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), "
        "nn.Conv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 5))\n\n"
        "def double():\n    return backbone().double()\n\n"
        "def half():\n    return backbone().half()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "mine.toml"
    path.write_text(f"output = 1\n{_CONFIGURATION}")
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    made: Any = __import__("several").backbone()
    mean, std = (torch.tensor(one).view(-1, 1, 1) for one in (made.mean, made.std))
    expected = made((images - mean) / std)[1]
    assert torch.equal(load(f"{path}@several:backbone", random_predictors=0).logits(images, 1)[0], expected)
    assert torch.equal(load(f"{path}@several:backbone", timesteps=0).logits(images, 0)[0], expected)
    torch.testing.assert_close(
        load(f"{path}@several:double", random_predictors=0).logits(images, 1)[0], expected.double(), atol=1e-5, rtol=0
    )
    with pytest.raises(UsageError, match="computes in float16"):
        load(f"{path}@several:half", random_predictors=0)
    path.write_text(_CONFIGURATION)
    with pytest.raises(ConfigurationError, match=r"gives tuple, not logits .* `output` in the configuration names"):
        load(f"{path}@several:backbone", random_predictors=0)
    path.write_text(f"output = 1\n{_CONFIGURATION.replace('[3, 8, 8]', '[1, 8, 8]')}")
    with pytest.raises(RunError, match="fails on an image of 1x8x8, the input_size of its configuration"):
        load(f"{path}@several:backbone", random_predictors=0)
