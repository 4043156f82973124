"""Oracles: a linear network's closed form, and networks that are the same function with another gradient."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pcbench
from pcbench.attacks.all_timesteps import AllTimesteps, sweep_all_timesteps
from pcbench.attacks.classify import single
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.retry import lost_gradient, retry
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.errors import RunError

from .conftest import IMAGE, attack

PROTOTYPES = (torch.rand(5, *IMAGE, generator=torch.Generator().manual_seed(0)) > 0.5).float() * 0.06 + 0.47
IMAGES, LABELS = PROTOTYPES.repeat(4, 1, 1, 1), torch.arange(5).repeat(4)
IDS = [str(index) for index in range(len(IMAGES))]
EPSILONS = (8 / 255, 16 / 255)


class Linear(nn.Module):
    """Logits are products with the prototypes: 16/255 breaks every image, since a prototype is 0.03 away from grey."""

    input_size = IMAGE

    def forward(self, images: Tensor) -> Tensor:
        return (images - 0.5).flatten(1) @ ((PROTOTYPES - 0.5).flatten(1).T * 10)


class Certain(Linear):
    """The same decisions, so certain that the cross-entropy is flat in float32."""

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * super().forward(images)


class NotFinite(Linear):
    """The same logits, with a slope of NaN everywhere (ART issue 824)."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + (images * 0).flatten(1).square().sum(1, keepdim=True).sqrt()


class Gamma(Linear):
    """The same function of images in [0, 1], with a slope of NaN at black pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((images * images).pow(0.5))


class OneOverflows(nn.Module):
    """Two classes by brightness; logits overflow where the mean is above 0.43."""

    input_size = IMAGE

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean((1, 2, 3))
        return torch.stack([mean, 1 - mean], 1) * torch.exp(1e4 * torch.relu(mean - 0.43))[:, None]


def both(network: nn.Module, definition: AttackDefinition, images: Tensor = IMAGES) -> tuple[Sweep, tuple[Sweep, ...]]:
    eval_batch = EvalBatch.of(images, LABELS, IDS, 0)
    found = sweep(network, images, LABELS, definition, ids=IDS, seed=0)
    return found, retry(eval_batch, definition, network, single(network), [found], {})


def standing(outcome: Sweep) -> int:
    return int((outcome.eligible & ~outcome.success_within[-1]).sum())


def states(outcome: Sweep, column: str = "first_step_gradient") -> set[str | None]:
    """Return the states at the budgets above 0 where the attack ran."""
    values: np.ma.MaskedArray[Any, Any] = np.ma.asarray(outcome.columns[column])[1:][outcome.attacked[1:]]
    return set(values.tolist())


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_a_gradient_that_is_alive_needs_no_second_attempt(name: str) -> None:
    found, again = both(Linear(), attack(name, epsilons=EPSILONS))
    assert (standing(found), again) == (0, ())
    assert states(found) == {"alive"}
    assert states(found, "later_step_gradient") == ({None} if name == "fgsm" else {"alive"})


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_a_flat_loss_is_counted_and_the_second_attempt_breaks_what_is_broken(name: str) -> None:
    found, (again,) = both(Certain(), attack(name, epsilons=EPSILONS))
    assert (standing(found), standing(again)) == (20, 0)
    assert (states(found), states(again)) == ({"zero"}, {"alive"})
    assert again.attack == f"{name}_retried"
    assert lost_gradient(found)[1:].all()


def test_a_slope_of_nan_stops_the_attack_with_a_mark_and_leaves_no_clean_image_unmarked() -> None:
    found, (again,) = both(NotFinite(), attack("bim", epsilons=EPSILONS))
    assert states(found) == {"nonfinite"}
    # Nothing is known of these images: no pixel has a finite slope, in the second attempt either.
    assert (standing(found), standing(again), states(again)) == (20, 20, {"zero"})


def test_one_pixel_without_a_slope_does_not_hide_the_others_from_the_second_attempt() -> None:
    black = IMAGES.clone()
    black[:, :, 0, 0] = 0
    definition = attack("bim", norm="l2", attack="L2BasicIterativeAttack", epsilons=(2.0,))
    plain, none = both(Linear(), definition, black)
    found, (again,) = both(Gamma(), definition, black)
    assert (standing(plain), none, standing(found), standing(again)) == (0, (), 20, 0)


def test_an_image_that_overflows_under_attack_is_broken_and_marked_and_the_others_are_kept() -> None:
    images = torch.full((4, *IMAGE), 0.2)
    images[0] = 0.4
    labels, ids = torch.ones(4, dtype=torch.int64), IDS[:4]
    found = sweep(OneOverflows(), images, labels, attack("fgsm", epsilons=(4 / 255, 16 / 255)), ids=ids, seed=0)
    assert found.success_within.tolist() == [[False] * 4, [False] * 4, [True, False, False, False]]
    assert found.columns["finite"].tolist() == [[True] * 4, [True] * 4, [False, True, True, True]]
    assert found.prediction[-1].tolist() == [-1, 1, 1, 1]


def test_a_gradient_that_ends_later_leaves_the_image_where_it_was() -> None:
    """Oracle: BIM's own first steps, made with fewer steps."""

    class Hooked(Linear):
        def forward(self, images: Tensor) -> Tensor:
            if images.requires_grad and bool(((images - IMAGES).abs().amax() > 0.005).all()):
                images.register_hook(lambda gradient: gradient * torch.nan)
            return super().forward(images)

    small = attack("bim", epsilons=(0.01,), steps=10, relative_step_size=0.2)
    found = sweep(Hooked(), IMAGES, LABELS, small, ids=IDS, seed=0, keep_images=True)
    assert (states(found), states(found, "later_step_gradient")) == ({"alive"}, {"nonfinite"})
    assert found.images is not None
    moved = (found.images[-1] - IMAGES).abs().amax((1, 2, 3))
    torch.testing.assert_close(moved, torch.full((20,), 0.006), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["mean", "worst"])
def test_an_attack_on_all_timesteps_is_retried_at_all_of_them(mode: str) -> None:
    network = AllTimesteps(lambda images: torch.stack([Certain()(images), 2 * Certain()(images)]))
    definition = attack("bim", epsilons=EPSILONS, over_timesteps=mode)
    found = sweep_all_timesteps(network, IMAGES, LABELS, definition, ids=IDS, seed=0)
    again = retry(EvalBatch.of(IMAGES, LABELS, IDS, 0), definition, network, network, found, {})
    assert [standing(one) for one in found] == [20, 20]
    assert [standing(one) for one in again] == [0, 0]


def test_python_users_get_a_line_and_the_second_attempt(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pcbench"):
        found = pcbench.attack(Certain(), IMAGES, LABELS, "bim", epsilons=["16/255"])
    assert "zero or not finite on 20 of 20 images" in caplog.text
    assert found.retried is not None
    assert (standing(found), standing(found.retried)) == (20, 0)


def test_a_network_without_a_finite_logit_is_refused() -> None:
    class Broken(Linear):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * torch.nan

    with pytest.raises(RunError, match="hold NaN or infinity for every image"):
        pcbench.attack(Broken(), IMAGES, LABELS, "fgsm")
