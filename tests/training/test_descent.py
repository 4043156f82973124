"""β, λ and α learned by gradient.

Oracle: the plain implementation of the dynamics, which shares no code with ours: its losses at slightly moved values,
and PyTorch's own Adam through its graph.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain import plain_dynamics
from torch import Tensor, nn

import pcbench
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UnknownNameError, UsageError
from pcbench.network.configuration import read_configuration
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.options import resolved
from pcbench.training.descent import add_gradients, descend
from pcbench.training.hyperparameters import FreeHyperparameters, rounded, write_configuration
from pcbench.training.options import TuneOptions
from pcbench.training.tuning import tune_model
from pcbench.training.validation import Validation, prepared

START = (Hyperparameters(0.3, 0.25, 0.05), Hyperparameters(0.6, 0.0, 0.1))
T = 3
Values = Sequence[Sequence[float | Tensor]]


@pytest.fixture
def validation(source: ImageSource) -> Validation:
    return Validation(source, timesteps=T, conditions=(0, 5), batch_size=5)


@pytest.fixture
def exact(network: PredictiveNetwork) -> PredictiveNetwork:
    """The network with hyperparameters that are not at an edge, in float64."""
    network.hyperparameters = START
    return network.double()


@pytest.fixture
def plain_losses(
    backbone: nn.Module, exact: PredictiveNetwork, validation: Validation
) -> Callable[[Values, bool], Tensor]:
    """A function that gives the cross-entropy at every t, (T+1,), mean over images and conditions, for β, λ, α."""
    module = plain_dynamics()
    windows = [window for window in exact.error_windows if window is not None]
    scales = [cells / window**0.5 for cells, window in zip((3 * 8 * 8, 4 * 8 * 8), windows, strict=True)]
    batches = prepared(exact, validation)

    def losses(values: Values, graph: bool) -> Tensor:
        total = torch.zeros(T + 1, dtype=torch.float64)
        for condition in validation.conditions:
            for inputs, labels in batches(condition):
                net = module.PlainNetwork(
                    backbone.double(), ["2", "4"], list(exact.predictors), values, scales, graph, guarded=True
                )
                logits = net.unroll(inputs.double(), T)
                total = total + torch.stack([F.cross_entropy(row, labels, reduction="sum") for row in logits])
        return total / (len(validation.source) * len(validation.conditions))

    return losses


def numbers(theta: Tensor) -> list[tuple[Tensor, Tensor | float, Tensor]]:
    """β, λ, α from the logarithms of (β, λ, memory, α), as the docs state it; the last PCoder has no λ."""
    first, last = theta[0, :3].softmax(0), theta[1, [0, 2]].softmax(0)
    return [(first[0], first[1], theta[0, 3].exp()), (last[0], 0.0, theta[1, 3].exp())]


def logarithms() -> Tensor:
    rows = [[entry.feedforward, entry.feedback or 1e-3, 0.0, entry.error_weight] for entry in START]
    for row, entry in zip(rows, START, strict=True):
        row[2] = 1 - entry.feedforward - entry.feedback
    return torch.tensor(rows, dtype=torch.float64).log()


def the_loss(losses: Tensor, kind: str) -> Tensor:
    return losses[-1] if kind == "last" else losses.mean()


@pytest.mark.parametrize("kind", ["last", "mean"])
def test_the_gradient_is_that_of_finite_differences(
    kind: Any, exact: PredictiveNetwork, validation: Validation, plain_losses: Callable[[Values, bool], Tensor]
) -> None:
    # Oracle: central differences of the plain implementation's losses in float64.
    free = FreeHyperparameters(START).double()
    assert add_gradients(exact, validation, free, prepared(exact, validation), kind)
    assert free.shares.grad is not None
    assert free.errors.grad is not None
    found = torch.cat([free.shares.grad, free.errors.grad[:, None]], 1)
    expected, step = torch.zeros(2, 4, dtype=torch.float64), 1e-4
    for row in range(2):
        for column in range(4):
            moved = []
            for sign in (1, -1):
                theta = logarithms()
                theta[row, column] += sign * step
                moved.append(the_loss(plain_losses(numbers(theta), False), kind))
            expected[row, column] = (moved[0] - moved[1]) / (2 * step)
    assert float(expected.abs().min()) == expected[1, 1] == 0  # only the last PCoder's λ counts for nothing
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-8)


def test_five_steps_are_those_of_adam_on_the_plain_implementation(
    exact: PredictiveNetwork, validation: Validation, plain_losses: Callable[[Values, bool], Tensor]
) -> None:
    theta = logarithms().requires_grad_()
    optimizer = torch.optim.Adam([theta], lr=0.2)
    visited: list[tuple[float, list[list[float]]]] = []
    for number in range(6):
        values = [[round(float(value), 4) for value in entry] for entry in numbers(theta.detach())]
        visited.append((float(plain_losses(values, False).mean()), values))
        if number < 5:
            optimizer.zero_grad()
            plain_losses(numbers(theta), True).mean().backward()
            optimizer.step()
    tuned = descend(exact, validation, steps=5, learning_rate=0.2, loss="mean")
    lowest = min(visited)
    found = [[e.feedforward, e.feedback, e.error_weight] for e in tuned.hyperparameters]
    assert np.asarray(found, float) == pytest.approx(np.asarray(lowest[1]), abs=1.01e-4)
    assert tuned.score.loss == pytest.approx(lowest[0], abs=1e-5)
    assert tuned.before.loss == pytest.approx(visited[0][0], abs=1e-6)
    assert lowest != visited[0]
    assert f"mean cross-entropy of t = 0..3, lowered from {tuned.before.loss:.4f}" in tuned.method


@pytest.mark.parametrize(
    "learn", [("feedback",), ("error_weight",), ("feedforward", "error_weight"), ("feedforward", "feedback")]
)
def test_what_is_not_learned_stays(learn: tuple[str, ...], network: PredictiveNetwork, validation: Validation) -> None:
    # Oracle: the start; the others are moved by hand as far as they go, and still make a file that is read.
    network.hyperparameters = START
    free = FreeHyperparameters(START, learn)
    with torch.no_grad():
        free.shares += torch.tensor([[3.0, -2.0, 0.5], [-4.0, 9.0, 1.0]])
        free.errors += 1.0
    for own, moved in zip(START, rounded(free()), strict=True):
        for name in ("feedforward", "feedback", "error_weight"):
            changes = name in learn and not (name == "feedback" and own is START[-1])
            assert (getattr(moved, name) != getattr(own, name)) == changes
        assert moved.feedforward + moved.feedback <= 1
    tuned = descend(network, validation, steps=2, loss="mean", learn=learn)
    assert f"; learned: {', '.join(learn)}" in tuned.method


@pytest.mark.parametrize(("right", "end"), [(True, 0.0), (False, 1.0)], ids=["to 0", "to 1"])
def test_feedback_that_wants_to_leave_the_range_stops_at_its_edge(right: bool, end: float, tmp_path: Path) -> None:
    # Oracle: e_1(1) = (1 - 5λ) x, as D_2 = -4 x: for labels that are right at t = 0 any λ is too much, for the opposite
    # ones any is too little. β is 0 at first, and the file is read again.
    layers = [nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)]
    backbone = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 2, bias=False))
    decoder = "Conv2d(1, 1, 1, bias=False)"
    pcoders = [{"module": name, "predictor": decoder, "hyperparameters": {"pc": 0.0}} for name in ("0", "1")]
    network = pcbench.predify(backbone, {"input_size": (1, 2, 2), "pcoders": pcoders}, mean=(0.5,), std=(0.5,))
    with torch.no_grad():
        for layer in (*network.backbone.module.children(), *network.predictors):
            if isinstance(layer, nn.Conv2d):
                layer.weight.fill_(1.0)
            elif isinstance(layer, nn.Linear):
                layer.weight.copy_(torch.tensor([[-1.0], [1.0]]).expand(2, 4))
        network.predictors[1].weight.fill_(-4.0)
    inputs = torch.linspace(-1, 1, 8)[:, None, None, None].expand(8, 1, 2, 2)
    labels = (inputs[:, 0, 0, 0] > 0).long() if right else (inputs[:, 0, 0, 0] < 0).long()
    free = FreeHyperparameters(network.hyperparameters, ("feedforward", "feedback"))
    optimizer = torch.optim.Adam(free.parameters(), lr=1.0)
    for _ in range(60):
        optimizer.zero_grad()
        logits = network.unroll_input(inputs, 1, hyperparameters=free()).logits[-1]
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
    learned = rounded(free())
    assert learned[0].feedback == pytest.approx(end, abs=0.02)
    assert 0 <= learned[0].feedback <= 1
    path = tmp_path / "learned.toml"
    write_configuration(path, network.configuration.table, learned, ["by a test"])
    assert read_configuration(path).hyperparameters == learned


def test_without_labels_nothing_is_tuned(source: ImageSource) -> None:
    unlabelled = dataclasses.replace(source, labels=np.full(len(source), -1))
    with pytest.raises(UsageError, match="these images have no labels; give images that have"):
        Validation(unlabelled, T)


def test_arguments_that_make_no_sense_are_refused(network: PredictiveNetwork, validation: Validation) -> None:
    with pytest.raises(UnknownNameError, match="'feedforward'"):
        descend(network, validation, learn=("feedforwards",))
    with pytest.raises(UsageError, match="nothing to learn"):
        descend(network, validation, learn=())
    with pytest.raises(UnknownNameError, match="did you mean 'mean'"):
        descend(network, validation, loss="meen")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="learning rate is above 0"):
        descend(network, validation, learning_rate=0.0)
    with pytest.raises(UsageError, match="`loss` belongs to the gradient: give method='gradient'"):
        tune_model(resolved(TuneOptions, {"method": "search", "loss": "mean"}))


def test_a_network_of_one_image_is_tuned(network: PredictiveNetwork) -> None:
    one = open_source((np.zeros((1, 8, 8, 3), np.uint8), [1]), preprocessing=Preprocessing())
    tuned = descend(network, Validation(one, 1, (0,)), steps=1, loss="mean")
    assert tuned.score.loss <= tuned.before.loss
