"""Oracles: closed forms for a linear classifier, and foolbox's own objects."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import numpy as np
import pytest
import torch

from pcbench.attacks.adapters.registry import select
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.errors import UnknownNameError, UsageError

from ..conftest import Case, attack

NEAREST = {"search": "minimal_norm", "relative_step_size": None, "random_start": False}


def nearest(case: Case, name: str, norm: str, **changes: object) -> Sweep:
    definition = attack("pgd", **{**NEAREST, "attack": name, "norm": norm, "steps": 300, **changes})
    return sweep(
        case.classifier, case.images, case.labels, definition, ids=case.ids, seed=0, epsilons=[0.01, 0.02, 0.2, 0.9]
    )


@pytest.mark.parametrize(
    ("name", "norm", "tolerance"),
    [("LinfDeepFoolAttack", "linf", 0.03), ("L2DeepFoolAttack", "l2", 0.03), ("DDNAttack", "l2", 0.05)],
)
def test_the_distance_of_a_linear_model_is_the_margin_over_the_dual_norm(
    linear: Case, name: str, norm: str, tolerance: float
) -> None:
    outcome = nearest(linear, name, norm)
    layer = linear.classifier[1]  # type: ignore[index]
    logits = linear.classifier(linear.images).detach()
    difference = (layer.weight[0] - layer.weight[1]).detach()
    dual = difference.abs().sum() if norm == "linf" else difference.norm()
    expected = ((logits[:, 0] - logits[:, 1]).abs() / dual).numpy()[4:]
    assert np.isnan(outcome.distance[:4]).all()
    assert (outcome.distance[4:] >= expected * (1 - 1e-6)).all()
    # A budget between the margin and the attack's overshoot is met by shortening, so distances lie just above.
    np.testing.assert_allclose(outcome.distance[4:], expected, rtol=tolerance, atol=2e-4)


def test_a_minimal_norm_attack_runs_once_an_image(linear: Case) -> None:
    outcome = nearest(linear, "LinfDeepFoolAttack", "linf")
    assert outcome.columns["queries"][0][4:].all()
    assert not outcome.columns["queries"][1:].any()


def test_images_that_nothing_breaks_are_infinitely_far(linear: Case) -> None:
    definition = attack("pgd", **{**NEAREST, "attack": "LinfDeepFoolAttack", "steps": 5})
    outcome = sweep(
        linear.classifier, linear.images, linear.labels, definition, ids=linear.ids, seed=0, epsilons=[1e-5]
    )
    assert np.isinf(outcome.distance[4:]).all()


@pytest.mark.parametrize("name", ["HopSkipJumpAttack", "BoundaryAttack"])
def test_a_decision_based_attack_is_seeded_by_image(digits: Case, name: str) -> None:
    changes = {
        **NEAREST,
        "attack": name,
        "norm": "l2",
        "steps": 2 if name.startswith("Hop") else 60,
        "white_box": False,
    }
    definition = attack("pgd", **changes)
    arguments = {"seed": 0, "keep_images": True, "epsilons": [13.0]}
    together = sweep(digits.classifier, digits.images[:3], digits.labels[:3], definition, ids="abc", **arguments)  # type: ignore[arg-type]
    alone = sweep(digits.classifier, digits.images[2:3], digits.labels[2:3], definition, ids="c", **arguments)  # type: ignore[arg-type]
    assert together.images is not None
    assert alone.images is not None
    assert torch.equal(together.images[-1][2], alone.images[-1][0])
    np.testing.assert_array_equal(together.success_within[-1], together.eligible)
    assert together.columns["queries"][0][together.eligible].min() > 20


def test_a_decision_based_attack_that_finds_no_start_has_failed(digits: Case) -> None:
    class Stubborn(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[torch.full((len(images),), 3)] + 0 * images.mean()

    definition = attack("pgd", **{**NEAREST, "attack": "HopSkipJumpAttack", "norm": "l2", "steps": 1})
    labels = torch.full((2,), 3)
    outcome = sweep(Stubborn().eval(), digits.images[:2], labels, definition, ids="ab", seed=0, epsilons=[9.0])
    assert not outcome.success_within.any()


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"attack": "PGD2"}, UnknownNameError, "attack in foolbox"),
        ({"attack": "LinfDeepFoolAttack", "relative_step_size": None}, UsageError, "minimal_norm"),
        ({"parameters": {"momentum": 1.0}}, UnknownNameError, "momentum"),
        ({"attack": "LinfFastGradientAttack"}, UsageError, "takes one step"),
    ],
)
def test_what_foolbox_does_not_have_is_refused(
    changes: dict[str, object], error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        select(attack("pgd", **changes))
