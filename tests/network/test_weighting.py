"""Oracles: the equation of the update written out, and what a configuration file gives for the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_network import Configure
from torch import Tensor, nn

import pcbench
from pcbench.errors import UsageError
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters

THREE = [(0.8, 0.1, 0.01), (0.7, 0.2, 0.02), (0.6, 0.0, 0.03)]
WITH_LAST = [Hyperparameters(*entry) for entry in (*THREE[:2], (0.6, 0.3, 0.03))]


@pytest.fixture
def network(small_backbone: nn.Module, small_configuration: Configure) -> PredictiveNetwork:
    return pcbench.predify(small_backbone, small_configuration(hyperparameters=THREE, gradient_scaling=True))


def logits(network: PredictiveNetwork, images: Tensor, **options: Any) -> Tensor:
    return network.unroll_input(images, 4, **options).logits


def test_the_last_feedback_weight_never_enters_its_memory(network: PredictiveNetwork, images: Tensor) -> None:
    """A file sets it to 0; so does an argument, the attribute, and a tensor that is learned."""
    expected = logits(network, images)
    assert torch.equal(logits(network, images, hyperparameters=WITH_LAST), expected)
    tensors = [[torch.tensor(value, requires_grad=True) for value in vars(entry).values()] for entry in WITH_LAST]
    learned = [Hyperparameters(*entry) for entry in tensors]
    torch.testing.assert_close(logits(network, images, hyperparameters=learned).detach(), expected)
    network.hyperparameters = WITH_LAST
    assert torch.equal(logits(network, images), expected)
    assert network.hyperparameters[-1].feedback == 0


@pytest.mark.parametrize("names", [("feedforward", "feedback", "error_weight"), ("ffm", "fbm", "erm")])
def test_mappings_are_known_by_our_names_and_the_references(
    network: PredictiveNetwork, images: Tensor, names: tuple[str, str, str]
) -> None:
    tables = [dict(zip(names, map(np.float64, entry), strict=True)) for entry in THREE]
    assert torch.equal(logits(network, images, hyperparameters=tables), logits(network, images))


def test_one_mapping_is_for_all_and_leaves_the_rest(network: PredictiveNetwork, images: Tensor) -> None:
    found = logits(network, images, hyperparameters={"fbm": 0.15})
    other = [Hyperparameters(feedforward, 0.15, error) for feedforward, _, error in THREE]
    assert torch.equal(found, logits(network, images, hyperparameters=other))
    network.hyperparameters = {"feedback": 0.15}
    network.hyperparameters = {"erm": 0.5}
    last = Hyperparameters(0.6, 0.0, 0.5)
    assert network.hyperparameters == (Hyperparameters(0.8, 0.15, 0.5), Hyperparameters(0.7, 0.15, 0.5), last)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([Hyperparameters(0.8, 0.3, 0.0)] * 3, "feedforward \\+ feedback of PCoder 1 is 1.1"),
        ([Hyperparameters(0.8, -0.1, 0.0)] * 3, "feedback of PCoder 1 is -0.1"),
        ({"alpha": 1}, "hyperparameter .*alpha"),
        ({"feedback": float("nan")}, "feedback of PCoder 1 is nan"),
        ({"feedback": "0.1"}, "feedback is a number or a tensor \\(got '0.1'\\)"),
        ({"feedback": 0.1, "fbm": 0.2}, "feedback is given twice"),
        ([Hyperparameters(0.8, 0.1, 0.0)] * 2, "for 2 PCoders; the network has 3"),
        ([(0.8, 0.1, 0.01)] * 3, "one for all PCoders or a list"),
        (0.3, "one for all PCoders or a list"),
        ([Hyperparameters(torch.tensor(0.8), torch.tensor(0.3), torch.tensor(0.0))] * 3, "together they are at most 1"),
    ],
)
def test_what_a_file_refuses_is_refused_in_code(
    network: PredictiveNetwork, images: Tensor, given: Any, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        network.unroll_input(images, 1, hyperparameters=given)
    with pytest.raises(UsageError, match=problem):
        network.hyperparameters = given


def test_several_hyperparameters_share_what_they_do_not_change(
    network: PredictiveNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: a pass of its own for each, to the bit. What lies below the first PCoder runs once for all."""
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    given: list[dict[str, float]] = [{"feedback": 0.0}, {"feedback": 0.15, "erm": 0.1}, {"ffm": 0.0}]
    alone = [network.unroll_input(images, 3, hyperparameters=one).logits for one in given]
    assert not torch.equal(alone[0], alone[1])
    calls, prepare = list[Tensor](), network.backbone.prepare

    def counted(images: Tensor) -> Any:
        calls.append(images)
        return prepare(images)

    monkeypatch.setattr(network.backbone, "prepare", counted)
    together = list(network.logits_of_each(given, images, 3))
    assert all(map(torch.equal, together, alone))
    assert len(calls) == 1
