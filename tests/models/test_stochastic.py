"""Oracles: expectations in closed form (Gauss-Hermite quadrature, the probit, one Bernoulli draw) of networks with
additive noise and with dropout; the draws themselves, made again by hand."""

from __future__ import annotations

import dataclasses
import math
import random
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import norm
from torch import Tensor, nn

import pcbench
from pcbench import models
from pcbench.attacks.api import find_attack
from pcbench.errors import UsageError
from pcbench.models.draws import Drawing, current_drawing, drawing, tallied
from pcbench.models.scores import scores
from pcbench.models.stochastic import StochasticModel
from pcbench.models.timestep_model import FeedforwardModel, LowPrecisionModel
from pcbench.network.gradient import Gradient
from pcbench.network.seeding import seeded, states
from pcbench.network.timestep_model import TimestepModel

SIGMA = 1.5
CPU = torch.device("cpu")


class Noisy(nn.Module):
    """The logit of class 0 is the sum of the pixels, less 1, plus noise; that of class 1 is 0."""

    input_size = (1, 2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        total = images.sum((1, 2, 3)) - 1
        return torch.stack([total + SIGMA * torch.randn_like(total), torch.zeros_like(total)], dim=1)


class Dropping(nn.Module):
    """The same without noise, with dropout that is on in evaluation mode too."""

    input_size = (1, 2, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        kept = F.dropout(images.sum((1, 2, 3), keepdim=True) - 1, 0.5, training=True)[:, :, 0, 0]
        return torch.cat([kept, torch.zeros_like(kept)], dim=1)


def of_total(total: float, count: int = 1) -> Tensor:
    """Images whose pixels sum up to a number."""
    return torch.full((count, 1, 2, 2), total / 4)


def mean_of(module: nn.Module, draws: int, *, recompute: bool = False) -> StochasticModel:
    return StochasticModel(FeedforwardModel(module), draws, recompute=recompute).eval()


def expected_probability(z: float) -> float:
    """The expectation of the sigmoid of z with noise."""
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    return float((weights / (1 + np.exp(-(z + SIGMA * points)))).sum() / math.sqrt(2 * math.pi))


@pytest.mark.parametrize("z", [-0.8, 0.0, 1.0, 2.5])
def test_the_mean_probability_under_noise_is_the_expectation(z: float) -> None:
    model, images = mean_of(Noisy(), 4_000), of_total(z + 1)
    with drawing(0, ["a"]), tallied() as tally:
        logits = model(images, 0)
    probabilities = logits.exp()[0, 0]
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert float(probabilities[0]) == pytest.approx(expected_probability(z), abs=5 * 0.5 / math.sqrt(4_000))
    # A single draw is right with the probability of the probit.
    right = scores(logits, torch.tensor([0]), tally.predictions(logits)).columns["draws_right"]
    assert right.shape == (1, 1)
    assert right.dtype == torch.float32
    assert float(right) == pytest.approx(float(norm.cdf(z / SIGMA)), abs=5 * 0.5 / math.sqrt(4_000))


@pytest.mark.parametrize("recompute", [False, True])
def test_the_gradient_is_that_of_the_expectation(*, recompute: bool) -> None:
    model, images = mean_of(Noisy(), 2_000, recompute=recompute), of_total(1.5).requires_grad_()
    with drawing(0, ["a"]):
        loss = F.cross_entropy(model(images, 0)[0], torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, images)
    step = 1e-4
    slope = -(math.log(expected_probability(0.5 + step)) - math.log(expected_probability(0.5 - step))) / (2 * step)
    assert gradient.flatten().tolist() == pytest.approx([slope] * 4, abs=0.02)


@pytest.mark.parametrize("z", [0.7, 2.0])
def test_the_mean_probability_under_dropout_is_the_expectation(z: float) -> None:
    # Half of the draws keep twice the logit, half of them 0.
    with drawing(0, ["a"]):
        logits = mean_of(Dropping(), 4_000)(of_total(z + 1), 0)
    expected = 0.5 / (1 + math.exp(-2 * z)) + 0.25
    assert float(logits.exp()[0, 0, 0]) == pytest.approx(expected, abs=5 * 0.5 / math.sqrt(4_000))


def test_an_attack_breaks_the_expected_classifier_at_its_margin() -> None:
    # The expectation of a symmetric noise leaves the decision where it was: at z = 0, and FGSM moves z by 4ε.
    totals = np.array([1.2, 1.6, 2.0, 2.4])
    images = torch.cat([of_total(total) for total in totals])
    found = pcbench.attack(
        Noisy(), images, [0] * 4, "fgsm", epsilons=[0.1, 0.2, 0.3, 0.4], stochastic=1_000, bracketing=False
    )
    needed = (totals - 1) / 4
    assert found.eligible.all()
    assert found.smallest_broken_epsilon.tolist() == [
        next(epsilon for epsilon in found.epsilons if epsilon > least) for least in needed
    ]
    right = found.columns["draws_right"]
    assert right[0].tolist() == pytest.approx(norm.cdf((totals - 1) / SIGMA).tolist(), abs=0.05)


def test_equal_draws_give_equal_answers_whatever_was_drawn_before() -> None:
    model = models.load(Noisy(), stochastic=3)
    images = of_total(1.5, 2)
    found: list[Tensor] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the generator that networks draw from
        random.seed(seed)
        before = states(CPU)
        with drawing(7, ["a", "b"]):
            found += [model.logits(images), model.logits(images)]
        assert states(CPU) == before
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])
    assert not torch.equal(found[0], found[1])  # another step
    assert torch.equal(model.logits(images), model.logits(images))  # nobody said what they depend on


def test_the_mean_is_of_draws_from_the_stated_seeds() -> None:
    images = of_total(1.5, 2)
    with drawing(7, ["a", "b"], "attack pgd 0"):
        found = mean_of(Noisy(), 3)(images, 0)[0]
    each: list[Tensor] = []
    for seed in Drawing(7, ["a", "b"], "attack pgd 0", repeated=False).seeds(3):
        with seeded(seed, CPU):
            each.append(Noisy()(images).softmax(1))
    assert torch.allclose(found.exp(), torch.stack(each).mean(0), atol=1e-6)


def test_draws_differ_by_seed_images_purpose_and_step() -> None:
    kinds = [(0, ["a"], "score"), (1, ["a"], "score"), (0, ["b"], "score"), (0, ["a", "b"], "score"), (0, ["a"], "x")]
    seeds = [set(Drawing(*kind, repeated=False).seeds(50)) for kind in kinds]
    steps = Drawing(0, ["a"], "score", repeated=False)
    seeds += [set(steps.seeds(50)) for _ in range(3)][1:]
    assert all(len(one) == 50 for one in seeds)
    assert not any(one & other for one, other in combinations(seeds, 2))
    repeated = Drawing(0, ["a"], "score", repeated=True)
    assert repeated.seeds(2) == repeated.seeds(2)


class Listening(TimestepModel):
    """Notes what the draws would be seeded by."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, int]] = []

    def logits_of_input(self, inputs: Tensor, timesteps: int, gradient: Gradient = "exact") -> Tensor:
        """Return the pixels' sum and the rest."""
        del timesteps, gradient
        self.seen.append((inputs.requires_grad, current_drawing().seeds(1)[0]))
        total = inputs.sum((1, 2, 3))
        return torch.stack([total, 2 - total], dim=1)[None]


@pytest.mark.parametrize("attack", ["pgd", "fgsm", "l2/pgd"])
def test_attacks_draw_anew_at_each_step_and_are_scored_by_other_draws(attack: str) -> None:
    model = models.load(Noisy(), stochastic=2)
    listening = Listening()
    model = dataclasses.replace(model, timestep_model=listening)
    pcbench.attack(model, of_total(1.5, 3), [0, 0, 0], attack, epsilons=[0.1], bracketing=False)
    steps = [seed for with_gradient, seed in listening.seen if with_gradient]
    scored = [seed for with_gradient, seed in listening.seen if not with_gradient]
    assert len(set(steps)) == len(steps) >= (1 if attack == "fgsm" else 10)
    assert len(set(scored)) == 1  # the clean and the attacked images of the same batch
    assert not set(steps) & set(scored)


def test_precision_and_compilation_are_of_each_draw() -> None:
    model = models.load(Noisy(), stochastic=2).configured(precision="bfloat16", recompute=True)
    assert isinstance(model.timestep_model, StochasticModel)
    assert model.timestep_model.recompute
    assert isinstance(model.timestep_model.inner, LowPrecisionModel)
    precise = model.in_full_precision().timestep_model
    assert isinstance(precise, StochasticModel)
    assert isinstance(precise.inner, FeedforwardModel)
    assert (precise.draws, precise.recompute) == (2, True)


CONFIGURATION = {"input_size": (3, 8, 8), "pcoders": [{"module": "conv"}]}


class Backbone(nn.Module):
    """A convolution with dropout that stays on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.head(F.dropout(self.conv(images), 0.5, training=True).mean((2, 3)))


def test_a_converted_network_whose_backbone_draws_is_the_mean_of_draws() -> None:
    torch.manual_seed(0)
    network = pcbench.predify(Backbone().eval(), CONFIGURATION, stochastic=True)
    images = torch.rand(2, 3, 8, 8)
    with pytest.raises(UsageError, match="give stochastic=20"):
        models.load(network)
    model = models.load(network, stochastic=4, timesteps=2)
    with drawing(0, ["a", "b"]):
        found = model.logits(images)
    each: list[Tensor] = []
    for seed in Drawing(0, ["a", "b"], "score", repeated=False).seeds(4):
        with seeded(seed, CPU), torch.no_grad():
            each.append(network(images, 2).softmax(2))
    assert not torch.equal(each[0], each[1])
    assert torch.allclose(found.exp(), torch.stack(each).mean(0), atol=1e-6)
    with pytest.raises(UsageError, match="not stochastic"):
        model.predictive_network("that")


def test_a_model_that_is_loaded_takes_its_draws_at_loading() -> None:
    with pytest.raises(UsageError, match=r"give `stochastic` to pcbench\.load"):
        pcbench.attack(models.load(Noisy(), stochastic=2), of_total(1.5), [0], "fgsm", stochastic=3)


@pytest.mark.parametrize("attack", ["pgd", "minimal-norm/deepfool"])
def test_a_library_attack_on_a_random_network_repeats(attack: str) -> None:
    definition = find_attack(attack)
    found: list[list[float]] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        sweep = pcbench.attack(
            Noisy(), of_total(1.3, 3), [0] * 3, definition, epsilons=[0.05], stochastic=3, library_only=True
        )
        found.append(sweep.columns["margin"].ravel().tolist())
    assert found[0] == found[1]


class Layers(nn.Module):
    """A network with a layer of dropout and a batch norm."""

    input_size = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Dropout(0.5)
        self.head = nn.Linear(6, 4)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.drop(self.norm(self.conv(images))).mean((2, 3)))


def test_dropout_that_is_kept_on_in_a_network_in_evaluation_mode_stays_on() -> None:
    network = Layers().eval()
    models.load(network)
    network.drop.train()
    with pytest.raises(UsageError, match="give stochastic=20"):
        models.load(network)
    model = models.load(network, stochastic=5).configured(precision="bfloat16")
    with tallied() as tally, drawing(0, ["a", "b"]):
        model.logits(torch.rand(2, 3, 8, 8))
    assert model.timestep_model.eval().training is False
    predictions = tally.predictions(torch.zeros(1, 2, 4))
    assert predictions is not None
    assert predictions.shape == (5, 1, 2)
    assert (network.training, network.drop.training) == (False, True)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_of_a_network_in_one_mode_is_off(*, training: bool) -> None:
    with pytest.raises(UsageError, match=r"leave `stochastic` out, or, where dropout is to stay on"):
        models.load(Layers().train(training), stochastic=5)
