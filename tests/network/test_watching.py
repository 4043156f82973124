"""Oracle: the plain implementation of the dynamics, with ordinary forward hooks that run after the PCoders'."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.hooked import HookedBackbone
from pcbench.network.network import PredictiveNetwork
from pcbench.network.traced import TracedBackbone

T = 3


class Blocks(nn.Module):
    """Two residual blocks between a stem and a head, with layers that work in place."""

    traceable = True

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(Block(), Block())
        self.layer2 = nn.Sequential(Block(), Block())
        self.head = nn.Linear(4, 5)
        self.unused = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        found = self.layer2(self.layer1(self.stem(images)))
        if not self.traceable and found.sum() < -1e9:
            found = -found
        return self.head(found.mean((2, 3)))


class Block(nn.Module):
    """conv, relu, conv, plus what came in, and the relu again."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, found: Tensor) -> Tensor:
        return self.relu(self.two(self.relu(self.one(found))) + found)


CONFIG = {
    "input_size": [3, 8, 8],
    "pcoders": [
        {"module": name, "hyperparameters": {"feedforward": 0.4, "feedback": 0.2, "pc": 0.1}}
        for name in ("layer1[0].one", "layer2[1]")
    ],
}
NAMES = ("stem", "stem.0", "layer1", "layer1.0", "layer1.0.one", "layer1.1", "layer2", "layer2.0.two", "head")


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    torch.manual_seed(3)
    return Blocks()


@pytest.fixture(scope="module", params=[TracedBackbone, HookedBackbone])
def network(blocks: Blocks, request: pytest.FixtureRequest) -> PredictiveNetwork:
    backbone = copy.deepcopy(blocks)
    backbone.traceable = request.param is TracedBackbone
    made = pcbench.predify(backbone, CONFIG)
    assert isinstance(made.backbone, request.param)
    return made


def _expected(plain: Any, images: Tensor) -> dict[str, list[Tensor]]:
    found: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    for name in NAMES:
        module = plain.backbone.get_submodule(name)
        module.register_forward_hook(lambda _, __, output, name=name: found[name].append(output.clone()))
    plain.unroll(images, T)
    return found


def test_outputs_of_modules_are_those_of_every_timestep(
    network: PredictiveNetwork, blocks: Blocks, plain: Callable[..., Any], images: Tensor
) -> None:
    images = images[:2, :, :8, :8]
    before = network.unroll(images, T)
    kept = network.unroll(images, T, keep=NAMES)
    assert torch.equal(kept.logits, before.logits)
    assert list(kept.modules) == list(NAMES)
    for name, outputs in _expected(plain(blocks, network), images).items():
        assert len(kept.modules[name]) == T + 1
        for now, then in zip(kept.modules[name], outputs, strict=True):
            torch.testing.assert_close(now, then, msg=lambda said, name=name: f"{name}: {said}")
    assert torch.equal(network.unroll(images, T).logits, before.logits)


def test_errors_are_predictions_less_the_layer_below(network: PredictiveNetwork, images: Tensor) -> None:
    images = images[:2, :, :8, :8]
    kept = network.unroll(images, 2, keep=("representations", "predictions", "errors"))
    for t in range(3):
        below = (images, *kept.representations[t][:-1])
        for error, prediction, target in zip(kept.errors[t], kept.predictions[t], below, strict=True):
            assert torch.equal(error, prediction - target)
    assert network.unroll(images, 1, keep=("errors",)).predictions == ()


def test_values_that_are_shown_are_those_that_are_kept(network: PredictiveNetwork, images: Tensor) -> None:
    images, wanted = images[:2, :, :8, :8], ("representations", "errors", "layer1")
    shown: dict[tuple[str, int], Tensor] = {}
    logits = network.show_input(images, 2, wanted, lambda name, t, value: shown.update({(name, t): value.clone()}))
    kept = network.unroll_input(images, 2, keep=wanted)
    assert torch.equal(logits, kept.logits)
    assert len(shown) == 3 * 5
    for t in range(3):
        assert torch.equal(shown["errors/2", t], kept.errors[t][1])
        assert torch.equal(shown["representations/1", t], kept.representations[t][0])
        assert torch.equal(shown["modules/layer1", t], kept.modules["layer1"][t])


@pytest.mark.parametrize(
    ("name", "error", "problem"),
    [
        ("layer3", UnknownNameError, "keep 'layer3' does not exist; did you mean 'layer"),
        ("representation", UnknownNameError, "did you mean 'representations'"),
        ("unused", UsageError, "the module unused does not run when the backbone does"),
        ("layer1.1.relu", UsageError, "the module layer1.1.relu runs more than once in one pass"),
    ],
)
def test_modules_that_have_no_output_at_a_timestep_are_refused(
    network: PredictiveNetwork, images: Tensor, name: str, error: type[UsageError], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        network.unroll(images[:, :, :8, :8], 1, keep=(name,))
    own = list(network.backbone.paths) if isinstance(network.backbone, HookedBackbone) else []
    named = network.backbone.module.named_modules()
    assert [name for name, module in named if getattr(module, "_forward_hooks")] == own  # noqa: B009
