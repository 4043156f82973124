"""The code of docs/how_to/training.md, word for word.

Oracle: the plain implementation of the dynamics, which shares no code with ours, trained by PyTorch's own optimizer.
"""

from __future__ import annotations

import copy
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pcbench
from pcbench.models import load
from pcbench.network.configuration import read_configuration
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how_to" / "training.md").read_text(encoding="utf-8")
VERB, JOINT, HYPERPARAMETERS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
CONFIGURATION = """
input_size = [3, 8, 8]
gradient_scaling = true

[[pcoders]]
module = "2"
predictor = "ConvTranspose2d(4, 3, kernel_size=3, padding=1)"

[[pcoders]]
module = "4"
predictor = "ConvTranspose2d(6, 4, kernel_size=4, stride=2, padding=1)"
"""
MINE = """
import torch
from torch import nn
import pcbench

def network():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        backbone = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    pcoder = {"module": "1", "predictor": "ConvTranspose2d(4, 3, kernel_size=4, stride=4)"}
    return pcbench.predify(backbone, {"input_size": [3, 32, 32], "pcoders": [pcoder]})

def small():
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, padding=1)]
    return pcbench.predify(nn.Sequential(*layers, nn.ReLU(), nn.Flatten(), nn.Linear(96, 2)), "mine.toml")
"""
Loader = list[tuple[Tensor, Tensor]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.toml").write_text(CONFIGURATION)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


@pytest.fixture
def loader() -> Loader:
    generator = torch.Generator().manual_seed(2)
    return [(torch.rand(4, 3, 8, 8, generator=generator), torch.tensor([0, 1, 0, 1])) for _ in range(5)]


def run_code(code: str, **given: Any) -> dict[str, Any]:
    """Run code of the page with the names that it takes from around it; return all of its names."""
    exec(code, given)  # noqa: S102  # this project's own page
    return given


def plain_loop(backbone: nn.Module, network: PredictiveNetwork, loader: Loader) -> tuple[nn.Module, nn.ModuleList]:
    """Train as the page says with the plain implementation; return backbone and decoders."""
    path = ROOT / "benchmarks" / "plain_dynamics.py"
    spec = importlib.util.spec_from_file_location("plain_dynamics", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    decoders = copy.deepcopy(network.predictors)
    windows = [window for window in network.error_windows if window is not None]
    scales = [cells / window**0.5 for cells, window in zip((3 * 8 * 8, 4 * 8 * 8), windows, strict=True)]
    weights = [(h.feedforward, h.feedback, h.error_weight) for h in network.hyperparameters]
    plain = module.PlainNetwork(backbone, ["2", "4"], list(decoders), weights, scales, differentiable=True)
    optimizer = torch.optim.Adam([*plain.backbone.parameters(), *decoders.parameters()], lr=0.001)
    for images, labels in loader:
        inputs = (images - 0.5) / 0.5
        answers = torch.stack([F.cross_entropy(logits, labels) for logits in plain.unroll(inputs, 3)]).mean()
        plain.unroll(inputs, 0)
        first, second = plain.representations
        errors = (decoders[0](first) - inputs, decoders[1](second) - first)
        optimizer.zero_grad()
        (answers + sum(error.square().mean() for error in errors)).backward()
        optimizer.step()
    return plain.backbone, decoders


def test_the_joint_loop_is_that_of_the_plain_implementation(
    backbone: nn.Module, network: PredictiveNetwork, loader: Loader
) -> None:
    # The predictors begin at random numbers, which are the same for both.
    torch.manual_seed(5)
    start = pcbench.predify(backbone, "mine.toml", mean=(0.5,) * 3, std=(0.5,) * 3)
    expected, decoders = plain_loop(backbone, start, loader)
    torch.manual_seed(5)
    found: PredictiveNetwork = run_code(JOINT, backbone=backbone, loader=loader)["network"]
    for ours, plain, before in (
        (found.backbone.module, expected, start.backbone.module),
        (found.predictors, decoders, start.predictors),
    ):
        for name, tensor in plain.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, rtol=0, atol=2e-6, msg=name)
        moved = [
            name for name, tensor in ours.named_parameters() if not torch.equal(tensor, before.get_parameter(name))
        ]
        assert moved == [name for name, _ in ours.named_parameters()]
    # Batch statistics stayed, and the file holds everything: a run would answer as the network does.
    assert torch.equal(found.backbone.module.get_buffer("1.running_mean"), backbone.get_buffer("1.running_mean"))
    assert network.configuration.table.input_size == found.configuration.table.input_size
    loaded = load("mine:small", weights="joint.pth").network
    assert loaded is not None
    inputs = torch.zeros(1, 3, 8, 8)
    assert torch.equal(loaded.unroll_input(inputs, 2).logits, found.unroll_input(inputs, 2).logits)


def test_without_unfreezing_the_predictors_alone_learn(backbone: nn.Module, loader: Loader) -> None:
    code = JOINT.replace("network.backbone.requires_grad_(True)", "pass")
    found: PredictiveNetwork = run_code(code, backbone=backbone, loader=loader)["network"]
    assert all(torch.equal(t, backbone.state_dict()[n]) for n, t in found.backbone.module.state_dict().items())


def test_in_evaluation_mode_there_is_no_graph(backbone: nn.Module, loader: Loader) -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        run_code(JOINT.replace("network.train()", "pass"), backbone=backbone, loader=loader)


def test_the_loop_that_learns_hyperparameters_ends_below_where_it_began(
    network: PredictiveNetwork, loader: Loader
) -> None:
    # Oracle: the loss over all batches before and after; the file that was written.
    def loss() -> float:
        rows = [(network.unroll(images, 3).logits, labels) for images, labels in loader]
        return sum(float(F.cross_entropy(one, labels)) for logits, labels in rows for one in logits)

    network.hyperparameters = (Hyperparameters(0.3, 0.3, 0.05), Hyperparameters(0.4, 0.0, 0.05))
    before = loss()
    run_code(HYPERPARAMETERS, network=network, loader=loader, torch=torch, F=F)
    assert loss() < before
    assert read_configuration("learned.toml").hyperparameters == network.hyperparameters


@pytest.mark.usefixtures("no_figures")
def test_the_training_of_the_page_starts_the_second_from_the_first(folder: Path) -> None:
    found = run_code(VERB)
    assert found["trained"].weights == Path("first/mine-network.safetensors")
    assert '"started_from": "mine-network.safetensors"' in (folder / "second" / "training.json").read_text()
