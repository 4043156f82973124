"""Oracles: networks whose gradients are broken on purpose, and a plain CNN whose gradients are not."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.checks import rivals
from pcbench.attacks.checks.verdict import TimestepChecks, checks_table, judged_attack, run_checks
from pcbench.errors import UsageError

from ..conftest import Case, attack
from .conftest import SUITE, Before, Timesteps, victims_of


@pytest.fixture(autouse=True)
def fewer_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of Square's queries shows as much on these networks, and takes a third of the time."""
    monkeypatch.setattr(rivals, "SQUARE_QUERIES", 100)


def check(case: Case, *classifiers: nn.Module) -> list[TimestepChecks]:
    return run_checks(Timesteps(*classifiers), victims_of(case, 64), SUITE, timesteps=range(len(classifiers)))


def test_plain_cnns_are_consistent_at_every_timestep(digits: Case) -> None:
    blurred = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), digits.classifier)
    checks = check(digits, digits.classifier, blurred)
    assert [one.timestep for one in checks] == [0, 1]
    for one in checks:
        assert one.verdict == "consistent", one.reasons
        assert one.gradients.agreement is not None
        assert one.gradients.agreement > 0.99
        assert one.gradients.finite_share == 1
        assert len(one.transfer) == 2
    assert checks[0].transfer[0]["attack_success_rate"] == checks[0].comparisons[0].judged_rate


def test_a_quantised_layer_is_suspicious(digits: Case) -> None:
    (one,) = check(digits, Before(lambda images: (images * 4).round() / 4, digits.classifier))
    assert one.verdict == "suspicious"
    assert any("gradient is zero at 100.0 %" in reason for reason in one.reasons)
    assert any(reason.startswith("Square") for reason in one.reasons)
    assert any(reason.startswith("random search") for reason in one.reasons)
    assert any("widest epsilon" in reason for reason in one.reasons)


def test_a_quantised_layer_with_made_up_gradients_is_suspicious(digits: Case) -> None:
    def straight_through(images: Tensor) -> Tensor:
        return images + ((images * 4).round() / 4 - images).detach()

    (one,) = check(digits, Before(straight_through, digits.classifier))
    assert one.gradients.zero_share == 0
    assert any("finite differences" in reason for reason in one.reasons)


def test_shattered_gradients_are_suspicious_though_they_are_right(digits: Case) -> None:
    (one,) = check(digits, Before(lambda images: images + 0.02 * torch.sin(300 * images), digits.classifier))
    assert one.gradients.agreement is not None
    assert one.gradients.agreement > 0.9
    assert any(reason.startswith("random search") for reason in one.reasons)


def test_a_timestep_that_another_one_s_images_break_better_is_suspicious(digits: Case) -> None:
    def shatter(images: Tensor) -> Tensor:
        return images + 0.004 * torch.sin(1000 * images)

    plain, shattered = check(digits, digits.classifier, Before(shatter, digits.classifier))
    assert plain.verdict == "consistent", plain.reasons
    assert any(reason.startswith("transfer from t = 0") for reason in shattered.reasons)


def test_no_gradient_at_all_is_a_reason(digits: Case) -> None:
    class Detached(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return digits.classifier(images).detach()

    with pytest.raises(UsageError, match="black-box"):
        check(digits, Detached())


def test_the_content_of_checks_json_is_plain(digits: Case) -> None:
    table = checks_table(check(digits, digits.classifier))
    again = json.loads(json.dumps(table, allow_nan=False))
    assert [(row["timestep"], row["verdict"], row["reasons"]) for row in again] == [(0, "consistent", [])]
    assert again[0]["shown"][0]["sign"] == "FGSM"
    assert {"sign", "epsilon", "n", "judged_rate", "rival_rate", "p_value"} <= again[0]["comparisons"][0].keys()


def test_the_strongest_iterative_white_box_attack_is_judged() -> None:
    assert judged_attack(SUITE).name == "pgd"
    assert judged_attack([attack("fgsm"), attack("bim", restarts=3), attack("pgd")]).name == "bim"
    with pytest.raises(UsageError, match="such as PGD"):
        judged_attack([attack("fgsm"), attack("pgd", targeted=True, target_offset=1)])


def test_a_model_that_is_always_wrong_cannot_be_checked(digits: Case) -> None:
    wrong = Case(digits.classifier, digits.images, (digits.labels + 1) % 10)
    keep = np.flatnonzero((digits.classifier(digits.images).argmax(dim=1) != wrong.labels).numpy())
    some = Case(wrong.classifier, wrong.images[keep], wrong.labels[keep])
    with pytest.raises(UsageError, match="nothing to check"):
        check(some, digits.classifier)
