"""Oracle: numbers made by running Predify, the published implementation, itself on a small network."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_network import PredifyCases
from torch import Tensor

CASES = ["unscaled_batch1", "unscaled_batch4", "unscaled_batch1_strong", "scaled", "scaled_strong"]


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", CASES)
def test_logits_of_every_timestep(predify_cases: PredifyCases, name: str) -> None:
    network, images, case = predify_cases.network(name)
    ours = network.unroll_input(images, case["timesteps"]).logits
    theirs = predify_cases.tensors[f"{name}.logits"]
    assert [relative(ours[t], theirs[t]) <= 1e-5 for t in range(9)] == [True] * 9


@pytest.mark.parametrize("timestep", [1, 8])
@pytest.mark.parametrize("what", ["representation", "prediction"])
def test_representations_and_predictions(predify_cases: PredifyCases, what: str, timestep: int) -> None:
    network, images, _ = predify_cases.network("scaled")
    kept = getattr(network.unroll_input(images, timestep, keep=[f"{what}s"]), f"{what}s")
    for n in range(3):
        assert relative(kept[timestep][n], predify_cases.tensors[f"scaled.t{timestep}.{what}{n + 1}"]) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_prediction_errors(predify_cases: PredifyCases, name: str) -> None:
    network, images, case = predify_cases.network(name)
    out = network.unroll_input(images, 8, keep=("representations", "predictions"))
    for t in range(9):
        below = [images, *out.representations[t]]
        ours = [(out.predictions[t][n] - below[n]).square().mean() for n in range(3)]
        torch.testing.assert_close(torch.stack(ours), torch.tensor(case["prediction_error"][t]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("timestep", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_input_gradients_with_constant_error_terms(predify_cases: PredifyCases, name: str, timestep: int) -> None:
    network, images, _ = predify_cases.network(name)
    images = images.clone().requires_grad_()
    logits = network.at(timestep, "stop_error")(images)
    F.cross_entropy(logits, predify_cases.tensors["labels"][: len(images)], reduction="sum").backward()
    assert relative(images.grad, predify_cases.tensors[f"{name}.t{timestep}.reference_input_gradient"]) <= 1e-4


def test_exact_gradients_differ_from_predify_where_errors_weigh_much(predify_cases: PredifyCases) -> None:
    # Predify drops the path through the error terms; with a strong weight that shows.
    network, images, _ = predify_cases.network("scaled_strong")
    images = images.clone().requires_grad_()
    F.cross_entropy(network.at(4)(images), predify_cases.tensors["labels"], reduction="sum").backward()
    assert relative(images.grad, predify_cases.tensors["scaled_strong.t4.reference_input_gradient"]) > 0.05


@pytest.mark.parametrize(("name", "grows"), [("scaled", False), ("unscaled_batch1_strong", True)])
def test_growing_representations_are_noticed(predify_cases: PredifyCases, name: str, grows: bool) -> None:
    # Predify's own prediction error grows from 0.2 to 4980 in the strong case.
    network, images, _ = predify_cases.network(name)
    assert network.unroll_input(images, 8).diverged().tolist() == [grows] * len(images)
