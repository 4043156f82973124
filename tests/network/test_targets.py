"""PCoders that predict something else than the layer below.

Oracle: the equations of docs/explanation/network.md, unrolled in a few lines here with hooks and `autograd.grad`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError, PcbenchError, UsageError
from pcbench.network.hooked import HookedBackbone
from pcbench.network.network import PredictiveNetwork
from pcbench.network.traced import TracedBackbone
from pcbench.training.objectives import Reconstruction

WEIGHTS = {"feedforward": 0.5, "feedback": 0.2, "pc": 3.0}
Target = int | str
"""What a PCoder predicts: e_k, or a value of the backbone by the name of its module and whether it comes in or out."""


class Plain:
    """A backbone with hooks that update representations and note the values that are predicted."""

    def __init__(self, backbone: nn.Module, network: PredictiveNetwork, targets: Sequence[Target]) -> None:
        self.backbone = copy.deepcopy(backbone)
        for module in self.backbone.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = False
        self.network, self.targets = network, targets
        for n, pcoder in enumerate(network.configuration.table.pcoders):
            self.backbone.get_submodule(pcoder.path).register_forward_hook(self._update(n))
        for name in (str(target) for target in targets if isinstance(target, str)):
            path, _, side = name.partition(":")
            module = self.backbone.get_submodule(path)
            if side == "in":
                module.register_forward_pre_hook(lambda _, given, name=name: self.values.update({name: given[0]}))
            else:
                module.register_forward_hook(lambda _, __, output, name=name: self.values.update({name: output}))

    def _update(self, n: int) -> Any:
        def hook(_module: nn.Module, _given: Any, drive: Tensor) -> Tensor:
            if self.old is None:
                self.values[n + 1] = drive
                return drive
            above = [m for m in range(n + 1, len(self.targets)) if self.targets[m] == n + 1]
            beta, alpha = WEIGHTS["feedforward"], WEIGHTS["pc"]
            weight = WEIGHTS["feedback"] if above else 0.0
            new = beta * drive + (1 - beta - weight) * self.old[n + 1] - alpha * self._gradient(n)
            self.values[n + 1] = new + (
                weight * self.network.predictors[above[0]](self.old[above[0] + 1]) if above else 0
            )
            return self.values[n + 1]

        return hook

    def _gradient(self, n: int) -> Tensor:
        assert self.old is not None
        with torch.enable_grad():
            own = self.old[n + 1].requires_grad_() if not self.old[n + 1].requires_grad else self.old[n + 1]
            errors = (self.network.predictors[n](own) - self.old[self.targets[n]]).square().flatten(1).mean(1).sum()
            return torch.autograd.grad(errors, own, create_graph=True)[0]

    def unroll(self, images: Tensor, timesteps: int) -> Tensor:
        logits: list[Tensor] = []
        self.old: dict[Any, Tensor] | None = None
        for _ in range(timesteps + 1):
            self.values: dict[Any, Tensor] = {0: images}
            logits.append(self.backbone(images))
            self.old = self.values
        return torch.stack(logits)


class Untraceable(nn.Module):
    """Its path depends on what it sees, and it gives a layer its input by name."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.act, self.head = nn.ReLU(inplace=True), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.stem(images)
        if hidden.abs().mean() > 0:
            hidden = self.second(input=self.act(hidden))
        return self.head(hidden.mean((2, 3)))


class Blocks(nn.Module):
    """Two blocks with a layer in place inside, and dropout, which does nothing, between them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.block1 = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))
        self.drop = nn.Dropout(0.5)
        self.block2 = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 1))
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        low = torch.relu_(self.norm(self.stem(images)))
        return self.head(self.block2(self.drop(self.block1(low))).mean((2, 3)))


def chain() -> nn.Module:
    """A Linear chain on flat images."""
    layers = (nn.Linear(48, 12), nn.ReLU(inplace=True), nn.Linear(12, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    return nn.Sequential(nn.Flatten(), *layers)


LINEAR = ["Linear(12, 48)", "Linear(8, 12)", "Linear(3, 8)"]
CASES: dict[str, tuple[Any, list[dict[str, str]], list[Target]]] = {
    # What a published script does: the first PCoder of a classifier's three predicts what goes into it.
    "a chain, the first predicts its input": (
        chain,
        [
            {"module": "[1]", "predictor": LINEAR[0], "predicts": "input"},
            {"module": "[3]", "predictor": LINEAR[1]},
            {"module": "[5]", "predictor": LINEAR[2]},
        ],
        ["1:in", 1, 2],
    ),
    "a chain, the inputs of layers that work in place": (
        chain,
        [
            {"module": "[2]", "predictor": "Linear(12, 12)", "predicts": "input"},
            {"module": "[5]", "predictor": LINEAR[2], "predicts": "[3]"},
        ],
        ["2:in", "3:out"],
    ),
    "blocks, what goes into the second is e_1": (
        Blocks,
        [{"module": "block1", "predicts": "input"}, {"module": "block2", "predicts": "input"}],
        ["block1:in", 1],
    ),
    "blocks, layers inside others, one twice": (
        Blocks,
        [
            {"module": "block1", "predicts": "stem"},
            {"module": "block2[0]", "predicts": "block1[0]"},
            {"module": "block2[2]", "predicts": "stem"},
        ],
        ["stem:out", "block1.0:out", "stem:out"],
    ),
    "a PCoder two below": (
        Blocks,
        [{"module": "stem"}, {"module": "block1"}, {"module": "block2", "predicts": "stem"}],
        [0, 1, 1],
    ),
    "not traced": (
        Untraceable,
        [{"module": "stem", "predicts": "input"}, {"module": "second", "predicts": "input"}],
        [0, "second:in"],
    ),
}


def make(name: str, **options: Any) -> tuple[nn.Module, PredictiveNetwork, Plain]:
    build, pcoders, targets = CASES[name]
    torch.manual_seed(0)
    backbone = build().double().eval()
    size = [3, 4, 4] if build is chain else [3, 8, 8]
    settled = [{"hyperparameters": WEIGHTS, **pcoder} for pcoder in pcoders]
    network = pcbench.predify(backbone, {"input_size": size, "pcoders": settled, **options})
    if "second:in" in targets:  # by name, which the plain hook does not see
        targets = ["act:out" if target == "second:in" else target for target in targets]
    return backbone, network, Plain(backbone, network, targets)


def images_of(network: PredictiveNetwork) -> Tensor:
    size = network.configuration.table.input_size
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("name", CASES)
def test_what_is_predicted_is_a_value_of_the_same_timestep(name: str) -> None:
    _, network, plain = make(name)
    assert isinstance(network.backbone, HookedBackbone if name == "not traced" or "inside" in name else TracedBackbone)
    images = images_of(network)
    found = network.unroll_input(images, 4).logits
    torch.testing.assert_close(found, plain.unroll(images, 4), rtol=1e-10, atol=1e-12)
    assert (found[4] - found[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_reach_the_image_through_what_is_predicted(name: str, recompute: bool) -> None:
    _, network, plain = make(name)
    images = images_of(network).requires_grad_()
    unrolled = (plain.unroll(images, 3), network.unroll_input(images, 3, recompute=recompute).logits)
    expected, found = (torch.autograd.grad(logits[-1].square().sum(), images)[0] for logits in unrolled)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_predictors_are_trained_to_predict_it(name: str) -> None:
    _, network, plain = make(name)
    images = images_of(network)
    plain.unroll(images, 0)
    values = plain.values
    losses = Reconstruction(network)(images, torch.zeros(3))
    for n, target in enumerate(plain.targets):
        error = (network.predictors[n](values[n + 1]) - values[target]).square().flatten(1).mean(1)
        torch.testing.assert_close(losses[n], error, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_state_that_is_carried_on_is_all_that_is_needed(name: str) -> None:
    _, network, _ = make(name)
    images = images_of(network)
    kept = network.unroll_input(images, 4, keep=["representations"])
    found = network.unroll_input(images, 2, start=kept.representations[2]).logits
    torch.testing.assert_close(found, kept.logits[2:], rtol=1e-12, atol=1e-12)


def test_a_pcoder_that_none_predicts_gets_no_feedback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "pcbench"):
        _, network, _ = make("blocks, layers inside others, one twice")
    assert [weights.feedback for weights in network.hyperparameters] == [0, 0, 0]
    assert "PCoder 1 (block1): no other predicts its representation" in caplog.text
    assert "PCoder 3 (block2[2]): no other predicts" not in caplog.text  # nobody expects the last one to be predicted
    images = images_of(network)
    given = network.unroll_input(images, 2, hyperparameters={"feedback": 0.4}).logits
    assert torch.equal(given, network.unroll_input(images, 2).logits)


def test_reconstructions_are_of_the_pcoder_that_predicts_the_image() -> None:
    _, network, _ = make("a PCoder two below")
    kept = network.unroll_input(images_of(network), 1, keep=["predictions", "reconstructions"])
    assert all(torch.equal(kept.reconstructions[t], kept.predictions[t][0]) for t in range(2))
    _, network, _ = make("blocks, layers inside others, one twice")
    with pytest.raises(UsageError, match="no PCoder of this network predicts the image"):
        network.unroll_input(images_of(network), 1, keep=["reconstructions"])


def test_the_layer_below_by_its_name_is_what_is_usual() -> None:
    pcoders = [{"module": "stem"}, {"module": "block1"}, {"module": "block2"}]
    named = [
        pcoders[0],
        *({**one, "predicts": below} for one, below in zip(pcoders[1:], ("stem", "block1"), strict=True)),
    ]
    torch.manual_seed(0)
    backbone = Blocks().eval()
    logits = [
        pcbench.predify(backbone, {"input_size": [3, 8, 8], "pcoders": one}).unroll(torch.ones(1, 3, 8, 8), 2).logits
        for one in (pcoders, named)
    ]
    assert torch.equal(*logits)


@pytest.mark.parametrize(
    ("pcoder", "predicts", "message"),
    [
        (1, "block1", "that is the PCoder itself; name a layer before it, or 'input'"),
        (1, "block2", "comes after the PCoder's own module"),
        (1, "block2[1]", "comes after the PCoder's own module"),
        (1, "head", "comes after the PCoder's own module"),
        (1, "blok1", "predicts = 'blok1': the backbone has no such module"),
        (1, "stem.input", "the backbone has no such module"),
        (1, "unused", "predicts = 'unused': the module does not run"),
        (2, "twice", "predicts = 'twice': the module runs 2 times"),
        (1, "", "at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(pcoder: int, predicts: str, message: str) -> None:
    backbone = Blocks()
    backbone.unused = nn.Conv2d(4, 4, 1)
    backbone.twice = nn.Identity()
    backbone.block1.append(nn.Sequential(backbone.twice, backbone.twice))
    pcoders: list[dict[str, str]] = [{"module": "stem"}, {"module": "block1"}, {"module": "block2"}]
    pcoders[pcoder]["predicts"] = predicts
    with pytest.raises(PcbenchError, match=message) as caught:
        pcbench.predify(backbone, {"input_size": [3, 8, 8], "pcoders": pcoders})
    assert "\n" not in str(caught.value)


class Windows(nn.Module):
    """Layers on parts of images, which stand in the place of images."""

    def __init__(self) -> None:
        super().__init__()
        self.parts, self.whole, self.head = nn.Linear(16, 16), nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        parts = self.parts(images.reshape(-1, 16))
        return self.head(self.whole(parts.reshape(images.shape)).mean((2, 3)))


@pytest.mark.parametrize("pcoder", [{"module": "parts"}, {"module": "whole", "predicts": "parts"}])
def test_what_has_no_row_for_each_image_is_refused(pcoder: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="gives 12 rows for one image; name one that gives one"):
        pcbench.predify(Windows(), {"input_size": [3, 8, 8], "pcoders": [pcoder]})


def test_a_predictor_of_another_shape_is_refused_by_name() -> None:
    pcoders = [{"module": "[1]", "predictor": "Linear(12, 3)", "predicts": "input"}]
    with pytest.raises(ConfigurationError, match=r"what it predicts \(input\) is \(48,\)"):
        pcbench.predify(chain(), {"input_size": [3, 4, 4], "pcoders": pcoders})
    del pcoders[0]["predictor"]
    with pytest.raises(ConfigurationError, match=r'such as predictor = "Linear\(12, 48\)"'):
        pcbench.predify(chain(), {"input_size": [3, 4, 4], "pcoders": pcoders})
