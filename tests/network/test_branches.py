"""Backbones whose modules run more than once, that have several outputs, or that are watched by hooks.

Oracles: how often a module runs, counted; a branch by itself, in a network of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.errors import ConfigurationError, UsageError


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 3, 3, padding=1)
        self.unused = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.shared(self.shared(images)).mean((2, 3))


class Branch(nn.Module):
    """A branch that runs a stem which another branch has run already."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stem(images).mean((2, 3)))


class TwoBranches(nn.Module):
    """Two branches that share a stem; the logits are those of the first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.first, self.second = Branch(self.stem), Branch(self.stem)

    def forward(self, images: Tensor) -> Tensor:
        logits, other = self.first(images), self.second(images)
        return logits + 0 * other


@pytest.mark.parametrize("module", ["stem", "first.stem", "second.stem"])
def test_a_module_that_runs_again_inside_a_whole_one_is_refused_with_both_places(module: str) -> None:
    words = r"PCoder 1 .* runs 2 times in one pass \(in first and in second\)"
    with pytest.raises(ConfigurationError, match=words):
        pcbench.predify(TwoBranches(), {"input_size": [1, 8, 8], "pcoders": [{"module": module}]})


@pytest.mark.parametrize(("module", "words"), [("shared", "runs 2 times"), ("unused", "does not run")])
def test_a_module_that_does_not_run_once_is_refused(module: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        pcbench.predify(Twice(), {"input_size": [3, 8, 8], "pcoders": [{"module": module}]})


class Several(nn.Module):
    """Two branches that share a stem; their outputs in a tuple, a mapping or a dataclass."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.first, self.second = Branch(self.stem), Branch(self.stem)
        self.form = form

    def forward(self, images: Tensor) -> Any:
        first, second = self.first(images), self.second(images)
        if self.form == "tuple":
            return first, second
        return {"main": first, "aux": second} if self.form == "mapping" else Answer(first, second)


@dataclass
class Answer:
    main: Tensor
    aux: Tensor


@pytest.mark.parametrize(("form", "first", "second"), [("tuple", 0, -1), ("mapping", "main", "aux")])
def test_one_output_of_several_counts_and_the_others_do_not_run(form: str, first: Any, second: Any) -> None:
    """Oracle: the branch by itself, in a network of its own."""
    torch.manual_seed(0)
    backbone = Several(form)
    images = torch.rand(2, 1, 8, 8)
    for output, branch in ((first, "first"), (second, "second")):
        pcoder = {"module": f"{branch}.stem", "predictor": "ConvTranspose2d(4, 1, 3)"}
        config = {"input_size": [1, 8, 8], "output": output, "pcoders": [pcoder]}
        network = pcbench.predify(backbone, config)
        ran: list[str] = []
        for name in ("first", "second"):
            head = network.backbone.module.get_submodule(f"{name}.head")
            nn.Module.register_forward_hook(head, partial(_note, ran, name))  # on one that does not run it is refused
        found = network.unroll(images, 3).logits
        assert set(ran) == {branch}
        plain = {"input_size": [1, 8, 8], "pcoders": [{**pcoder, "module": "stem"}]}
        assert torch.equal(found, pcbench.predify(getattr(backbone, branch), plain).unroll(images, 3).logits)


def _note(ran: list[str], name: str, *_: Any) -> None:
    ran.append(name)


@pytest.mark.parametrize(
    ("form", "output", "problem"),
    [
        ("tuple", 2, "output = 2: the backbone gives a tuple of 2"),
        ("mapping", "other", "gives a mapping with 'main', 'aux'"),
        ("dataclass", "other", "gives a Answer with main, aux"),
        ("tuple", None, "runs 2 times in one pass"),
        # Both branches run before the dataclass is made, so the stem runs twice whatever is named.
        ("dataclass", "main", r"runs 2 times in one pass \(in first and in second\)"),
    ],
)
def test_outputs_that_cannot_be_told_apart_are_refused(form: str, output: Any, problem: str) -> None:
    config = {"input_size": [1, 8, 8], "pcoders": [{"module": "first.stem"}], "output": output}
    with pytest.raises(ConfigurationError, match=problem):
        pcbench.predify(Several(form), config)


class Blocks(nn.Module):
    """A stem and two stages of two blocks, as in a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layer1 = nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(2)))
        self.layer2 = nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()) for _ in range(2)))
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer2(self.layer1(self.stem(images))).mean((2, 3)))


def test_a_hook_fires_at_every_timestep_or_is_refused() -> None:
    """Oracle: how often each hook fires in a pass of T = 3, counted."""
    pcoders = [{"module": "layer1[0][0]"}, {"module": "layer2[1][0]"}]
    network = pcbench.predify(Blocks(), {"input_size": [3, 8, 8], "pcoders": pcoders})
    ran: dict[str, list[str]] = {}
    refused: dict[str, str] = {}
    for name, module in network.backbone.module.named_modules():
        ran[name] = []
        try:
            module.register_forward_hook(partial(_note, ran[name], name))
        except UsageError as error:
            refused[name] = str(error)
    network.unroll(torch.rand(1, 3, 8, 8), 3)
    assert {name for name, calls in ran.items() if len(calls) != 4} == refused.keys()
    assert {"layer1", "layer2", "layer1.0", "layer2.1", "stem", ""} <= refused.keys()
    assert not refused.keys() & {"layer1.1", "layer2.0", "layer2.0.0", "head"}
    assert all("would not fire at every timestep" in message for message in refused.values())
