"""Oracles: networks that are sound or masked by construction, McNemar's test by hand, and the sweep's own outcomes."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from pcbench import models
from pcbench.attacks.adapters.base import Task
from pcbench.attacks.checks.cheap import CHEAP_IMAGES, rival_rows
from pcbench.attacks.checks.comparison import SUSPICION_LEVEL, fewest_telling
from pcbench.attacks.checks.gradients import Quotients, gradient_numbers
from pcbench.attacks.checks.rivals import SmoothedDescent
from pcbench.attacks.checks.verdict import TimestepChecks, judged_attack, run_checks
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import sweep
from pcbench.data.digits import digit_scans
from pcbench.data.sources import open_source
from pcbench.norms import norm_named

from ..conftest import Case, attack
from .conftest import SUITE, Before, Timesteps, victims_of

TRAINED = 1300


class RandomFeatures(nn.Module):
    """A layer of random tanh units and the readout that fits digits best, by ridge regression in closed form.

    Args:
        steepness: Of the units. At 1 they are nearly linear; at 300 nearly all are saturated, so that the gradient is
            that of the few that are not: right at the image, and nothing at the distance of a budget.
    """

    def __init__(self, steepness: float) -> None:
        super().__init__()
        scans, classes = digit_scans()
        images = torch.tensor(scans[:TRAINED] / 16, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
        goals = torch.tensor(np.eye(10)[classes[:TRAINED]] * 10 - 1, dtype=torch.float32)
        self.units = torch.randn(192, 512, generator=torch.Generator().manual_seed(0)) * steepness / 192**0.5
        features = self.features(images)
        self.readout = torch.linalg.solve(features.T @ features + 3 * torch.eye(512), features.T @ goals)

    def features(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.units)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images) @ self.readout


class After(nn.Module):
    """Does something to the logits of a classifier."""

    def __init__(self, classifier: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.classifier, self.change = classifier, change

    def forward(self, images: Tensor) -> Tensor:
        return self.change(self.classifier(images))


class LowPrecision(nn.Module):
    """Computes with weights of 16 bits."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier).bfloat16()

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(images.bfloat16()).float()


class Autocast(nn.Module):
    """Has weights of 32 bits and computes with 16, as autocast in a forward pass does."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            logits: Tensor = self.classifier(images)
        return logits.float()


def sigmoid_stairs(levels: int, steepness: float) -> Callable[[Tensor], Tensor]:
    """Quantisation of the input whose steps are steep sigmoids: alive gradients, none of the right size."""
    edges = torch.arange(levels) + 0.5
    return lambda images: sum((torch.sigmoid(steepness * (images * levels - edge)) for edge in edges), torch.zeros(()))


def clipped(logits: Tensor) -> Tensor:
    """Logits whose gradient is clipped, so that only its signs are left."""
    logits = logits * 1.0
    if logits.requires_grad:
        logits.register_hook(lambda gradient: gradient.clamp(-1e-8, 1e-8))
    return logits


def cheap(case: Case, classifier: nn.Module) -> TimestepChecks:
    return run_checks(Timesteps(classifier), victims_of(case, 40), SUITE, timesteps=[0], form="cheap")[0]


SOUND: dict[str, Callable[[nn.Module], nn.Module]] = {
    "a CNN": lambda plain: plain,
    "a blur before it": lambda plain: nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), plain),
    "another temperature": lambda plain: After(plain, lambda logits: logits / 10),
    "smooth stairs": lambda plain: Before(lambda images: 0.5 + (images - 0.5) * 0.9, plain),
    "16 bits": LowPrecision,
    "autocast to 16 bits": Autocast,
    "nearly linear units": lambda _: RandomFeatures(1),
    "bent units": lambda _: RandomFeatures(20),
}
MASKED: dict[str, tuple[Callable[[nn.Module], nn.Module], str]] = {
    "saturating units": (lambda _: RandomFeatures(300), "budget's size"),
    "steep units": (lambda _: RandomFeatures(100), "budget's size"),
    "a plateau that is not flat": (lambda plain: After(plain, lambda logits: torch.tanh(5 * logits)), "budget's size"),
    "sigmoid stairs at the input": (lambda plain: Before(sigmoid_stairs(8, 60), plain), "budget's size"),
    "sigmoid stairs at the logits": (
        lambda plain: After(plain, lambda logits: sigmoid_stairs(30, 40)(logits / 60 + 0.5) * 2),
        "budget's size",
    ),
    "ripples": (lambda plain: Before(lambda images: images + 0.02 * torch.sin(300 * images), plain), "averaged"),
    "straight-through rounding": (
        lambda plain: Before(lambda images: images + ((images * 4).round() / 4 - images).detach(), plain),
        "finite differences",
    ),
    "clipped gradients": (lambda plain: After(plain, clipped), "times as large as finite differences"),
    "logits times 1000": (lambda plain: After(plain, lambda logits: 1000 * logits), "gradient is zero"),
    "logits times 30": (lambda plain: After(plain, lambda logits: 30 * logits), "widest epsilon"),
    "rounded pixels": (lambda plain: Before(lambda images: (images * 4).round() / 4, plain), "random noise"),
}


@pytest.mark.parametrize("name", SOUND)
def test_no_sound_network_is_accused(name: str, digits: Case) -> None:
    found = cheap(digits, SOUND[name](digits.classifier))
    assert (found.verdict, found.reasons, found.form) == ("consistent", (), "cheap")
    assert found.gradients.agreement is not None
    assert found.gradients.agreement > 0.99
    assert found.gradients.budget_agreement is not None
    assert found.gradients.budget_agreement > 0.9
    assert found.gradients.size == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_network_is_named(name: str, digits: Case) -> None:
    make, sign = MASKED[name]
    found = cheap(digits, make(digits.classifier))
    assert found.verdict == "suspicious"
    assert any(sign in reason for reason in found.reasons), found.reasons


def test_pooled_pixels_have_kinks_and_are_not_accused(wide_digits: Case) -> None:
    """Sound by construction: the largest of neighbouring pixels, of nearly equal ones, before a plain CNN."""
    large = Case(
        wide_digits.classifier,
        nn.functional.interpolate(wide_digits.images, scale_factor=4.0, mode="bilinear"),
        wide_digits.labels,
    )
    found = cheap(large, nn.Sequential(nn.MaxPool2d(2), nn.AvgPool2d(2), wide_digits.classifier))
    assert found.gradients.agreement is not None
    assert found.gradients.budget_agreement is not None
    assert found.gradients.agreement < 0.99
    assert found.gradients.budget_agreement < 0.8
    assert found.verdict == "consistent"


def test_saturated_units_look_right_at_a_point_and_hide_what_their_twin_shows(digits: Case) -> None:
    masked, twin = RandomFeatures(300), RandomFeatures(1)
    found = cheap(digits, masked)
    assert found.gradients.agreement is not None
    assert found.gradients.agreement > 0.99  # today's only sign
    images, labels = digits.images[:40], digits.labels[:40]
    common = {"ids": range(40), "seed": 0, "epsilons": [0.1]}
    own, plain = (sweep(network, images, labels, judged_attack(SUITE), **common) for network in (masked, twin))
    assert own.success_within[-1].mean() < 0.7
    assert plain.success_within[-1].mean() > 0.9


def test_an_untrained_network_that_answers_the_same_whatever_it_sees_is_not_accused(digits: Case) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.eye(10)[3] * 5 + 0.01 * digits.classifier(images)

    eval_batch = EvalBatch(digits.images[:40], torch.full((40,), 3), digits.ids[:40], seed=0)
    (found,) = run_checks(Timesteps(Constant()), eval_batch, SUITE, timesteps=[0], form="cheap")
    assert found.verdict == "consistent"
    assert not any("widest" in comparison.sign for comparison in found.comparisons)


def test_the_slope_of_a_linear_classifier_is_the_same_at_the_budget_s_scale(linear: Case) -> None:
    eval_batch = EvalBatch(linear.images[4:], linear.labels[4:], linear.ids[4:], seed=0)
    for name, epsilon in (("linf", 0.1), ("l2", 1.5)):
        quotients = Quotients.up_to(epsilon, norm_named(name), eval_batch.images, few=True)
        assert quotients.steps["budget"] == pytest.approx(epsilon if name == "linf" else epsilon / 192**0.5)
        numbers = gradient_numbers(linear.classifier, eval_batch, quotients)
        np.testing.assert_allclose(numbers["products_budget"], numbers["predicted_squares"], rtol=1e-6)


def test_a_rival_is_first_run_on_what_the_attack_left(digits: Case) -> None:
    eval_batch = victims_of(digits, 20)
    right = digits.classifier(eval_batch.images).argmax(dim=1) == eval_batch.labels
    attacked = eval_batch.some(right.numpy())

    def rivals(success: dict[str, bool]) -> pd.DataFrame:
        definition = judged_attack(SUITE)
        rows = rival_rows(digits.classifier, attacked, success, definition, timestep=0, epsilon=0.3)
        return pd.DataFrame(rows)

    # Noise of a tenth breaks none; the averaged gradient breaks all, whatever the attack is said to have done.
    none = rivals(dict.fromkeys(attacked.ids, False))
    assert none[none["check"] == "smoothed"]["value"].tolist() == [1] * len(attacked.ids)
    few = set(attacked.ids[: fewest_telling() - 1])
    rows = rivals({name: name not in few for name in attacked.ids})
    assert set(rows[rows["check"] == "smoothed"]["image_id"]) == few
    assert set(rows[rows["check"] == "widest"]["image_id"]) == set(attacked.ids)


def test_fewer_broken_images_than_these_are_never_significant() -> None:
    assert 0.5 ** fewest_telling() <= SUSPICION_LEVEL < 0.5 ** (fewest_telling() - 1)


def test_the_first_images_that_are_attacked_are_looked_at(digits: Case) -> None:
    labels = digits.labels.clone()
    labels[:10] = (labels[:10] + 1) % 10
    eval_batch = EvalBatch(digits.images, labels, digits.ids, seed=0)
    (found,) = run_checks(Timesteps(digits.classifier), eval_batch, SUITE, timesteps=[0], form="cheap")
    assert found.gradients.n == CHEAP_IMAGES
    assert found.norm == "linf"
    assert found.transfer == found.shown == ()


def test_averaged_gradients_stay_in_the_ball_and_leave_broken_images_alone(digits: Case) -> None:
    asked: list[int] = []

    def count(images: Tensor) -> Tensor:
        asked.append(len(images))
        return images

    images, wrong = digits.images[:8], (digits.classifier(digits.images[:8]).argmax(dim=1) + 1) % 10
    radii = torch.full((8,), 0.05, dtype=torch.float64)
    descent = SmoothedDescent(attack("pgd"), steps=3, draws=2)
    made = descent.perturb(digits.classifier, Task(images, digits.labels[:8], radii, digits.ids[:8], 0, "pgd", 0, 10))
    changed = (made.images - images).abs().flatten(1).amax(dim=1)
    assert 0.04 < changed.max() <= 0.05 + 1e-6
    assert made.images.min() >= 0
    # Where the labels are not what it predicts, there is nothing to do: one answer, and no step.
    broken = Task(images, wrong, radii, digits.ids[:8], 0, "pgd", 0, 10)
    assert torch.equal(descent.perturb(Before(count, digits.classifier), broken).images, images)
    assert asked == [8]


@pytest.mark.parametrize(("name", "timesteps"), [("pdigits", [0, 2]), ("alexnet_digits", [0])])
def test_no_undefended_network_of_the_repository_is_accused(name: str, timesteps: list[int]) -> None:
    model = models.load(name)
    source = open_source("digits", preprocessing=model.preprocessing, split="test", count=None)
    batch = next(iter(source.batches(24, range(24))))
    eval_batch = EvalBatch(batch.images.float() / 255, batch.labels, batch.ids, seed=0)
    few = [one.model_copy(update={"epsilons": (8 / 255, 16 / 255)}) for one in SUITE]
    for found in run_checks(model, eval_batch, few, timesteps=timesteps, form="cheap"):
        assert (found.verdict, found.reasons) == ("consistent", ())
