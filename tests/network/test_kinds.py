"""Networks of the kinds that Predify's users bring, written anew and small.

Oracle: a plain implementation of the equations (`benchmarks/plain_dynamics.py`) that shares no code with ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError, UsageError
from pcbench.network.network import PredictiveNetwork


class TwoBranches(nn.Module):
    """A cochleagram of one channel, a shared stem, and two branches; the words are the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.words = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 6, 3, padding=1))
        self.genres = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.heads = nn.ModuleList([nn.Linear(6, 5), nn.Linear(4, 3)])

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        low = self.stem(images)
        word, genre = self.words(low).mean((2, 3)), self.genres(low).mean((2, 3))
        return {"words": self.heads[0](word), "genres": self.heads[1](genre)}


class Words(TwoBranches):
    """The same, with one output."""

    def forward(self, images: Tensor) -> Any:
        return super().forward(images)["words"]


class Block(nn.Module):
    """A block of a ResNet: the skip is added in place."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outside), nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1, stride=stride)

    def forward(self, images: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images)))))
        out += self.skip(images)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 6, 2), Block(6, 6, 1))
        self.head = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(images))))).mean((2, 3)))


class Recurrent(nn.Module):
    """A block of a CORnet: its layers run several times within one pass, with norms of their own."""

    def __init__(self, inside: int, outside: int, times: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inside, outside, 1, stride=2)
        self.conv, self.relu = nn.Conv2d(outside, outside, 3, padding=1), nn.ReLU(inplace=True)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outside) for _ in range(times))
        self.output = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        state = self.enter(images)
        for norm in self.norms:
            state = self.relu(norm(self.conv(state)) + state)
        return self.output(state)


class Cornet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.V1 = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.V2, self.V4 = Recurrent(4, 6, 2), Recurrent(6, 6, 3)
        self.decoder = nn.Linear(6, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.V4(self.V2(self.V1(images))).mean((2, 3)))


def four_channels() -> nn.Module:
    layers = [nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))


def chain() -> nn.Module:
    layers = [nn.Linear(12, 10), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(10, 8), nn.ReLU(inplace=True)]
    return nn.Sequential(nn.Conv2d(3, 3, 2, stride=2), nn.Flatten(), *layers, nn.Dropout(), nn.Linear(8, 5))


@dataclass(frozen=True)
class Kind:
    build: Callable[[], nn.Module]
    size: tuple[int, int, int]
    pcoders: Mapping[str, str | None]
    """Modules and predictors; None leaves the predictor out."""
    output: str | None = None


LINEAR = {"[2]": "Sequential(Linear(10, 12), Unflatten(1, (3, 2, 2)))", "[5]": "Linear(8, 10)", "[8]": "Linear(5, 8)"}
KINDS = {
    "two branches": Kind(TwoBranches, (1, 17, 23), {"stem[0]": None, "words[0]": None, "words[2]": None}, "words"),
    "blocks": Kind(ResNet, (3, 8, 8), {"layer1[0]": None, "layer1[1]": None, "layer2": None}),
    "four channels": Kind(
        four_channels,
        (4, 8, 8),
        {"[1]": None, "[4]": "Sequential(ConvTranspose2d(8, 6, 6, stride=2, padding=2), ReLU(inplace=True))"},
    ),
    "recurrent": Kind(Cornet, (3, 8, 8), {"V1": None, "V2": None, "V4.output": None}),
    "chain": Kind(chain, (3, 4, 4), {"[0]": None, **LINEAR}),
}


def make(kind: Kind, *, scaled: bool = False, **options: Any) -> tuple[nn.Module, PredictiveNetwork]:
    torch.manual_seed(0)
    backbone = kind.build().double().eval()
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.2)
    weights = {"feedforward": 0.4, "feedback": 0.2, "pc": 0.05 if scaled else 2.0}
    pcoders = [
        {"module": module, "hyperparameters": weights, **({} if predictor is None else {"predictor": predictor})}
        for module, predictor in kind.pcoders.items()
    ]
    config = {"input_size": kind.size, "pcoders": pcoders, "gradient_scaling": scaled, **options}
    return backbone, pcbench.predify(backbone, config | ({} if kind.output is None else {"output": kind.output}))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_every_timestep_equals_the_plain_implementation(name: str, scaled: bool, plain: Callable[..., Any]) -> None:
    kind = KINDS[name]
    backbone, network = make(kind, scaled=scaled)
    if name == "two branches":
        weights, backbone = backbone.state_dict(), Words().double().eval()
        backbone.load_state_dict(weights)
    inputs = torch.randn(2, *kind.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = network.unroll_input(inputs, 4).logits
    assert torch.equal(found[0], backbone(inputs))
    torch.testing.assert_close(found, plain(backbone, network).unroll(inputs, 4), rtol=1e-10, atol=1e-12)
    assert (found[4] - found[0]).abs().max() > 1e-3


def test_blocks_give_their_outputs_at_every_timestep() -> None:
    # Oracle: the block run by itself on what comes before it, and the PCoders' own representations.
    _, network = make(KINDS["blocks"])
    seen: list[Tensor] = []
    block = network.backbone.module.get_submodule("layer2.1")
    block.register_forward_hook(lambda _module, _inputs, output: seen.append(output.clone()))
    inputs = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kept = network.unroll_input(inputs, 3, keep=["representations", "layer2.1", "layer1"])
    assert len(seen) == 4
    for t, output in enumerate(seen):
        assert torch.equal(output, kept.modules["layer2.1"][t])
        assert torch.equal(kept.modules["layer1"][t], kept.representations[t][1])


def test_a_module_that_runs_several_times_in_a_block_is_refused_and_its_block_is_not() -> None:
    kind = KINDS["recurrent"]
    with pytest.raises(ConfigurationError, match=r"PCoder 1 \(V4.conv\): the module runs 3 times"):
        make(Kind(kind.build, kind.size, {"V4.conv": None}))
    make(Kind(kind.build, kind.size, {"V4": None}))


def test_images_of_other_channels_are_taken_and_others_told() -> None:
    for name, channels in (("two branches", 1), ("four channels", 4)):
        kind = KINDS[name]
        network = make(kind)[1].float()
        height, width = kind.size[1:]
        assert network.unroll(torch.rand(2, channels, height, width), 1).logits.shape == (2, 2, 5)
        with pytest.raises(UsageError, match=f"images are 3x{height}x{width}; this network takes {channels}x"):
            network.unroll(torch.rand(2, 3, height, width), 1)


def test_batch_norms_of_predictors_keep_their_statistics_in_training() -> None:
    """Oracle: the same network in evaluation mode, on each image alone."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5))
    predictor = "Sequential(Conv2d(4, 3, 3, padding=1), BatchNorm2d(3), InstanceNorm2d(3, track_running_stats=True))"
    network = pcbench.predify(backbone, {"input_size": (3, 8, 8), "pcoders": [{"module": "1", "predictor": predictor}]})
    images = torch.rand(3, 3, 8, 8)
    expected = torch.cat([network.unroll(image[None], 2).logits for image in images], 1)
    before = {name: tensor.clone() for name, tensor in network.named_buffers()}
    network.train()
    logits = network.unroll(images, 2).logits
    torch.testing.assert_close(logits, expected)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.predictors.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.named_buffers())
