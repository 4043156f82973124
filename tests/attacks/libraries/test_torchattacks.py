"""Oracle: foolbox's PGD on the same network; runs where the extra `torchattacks` is installed."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import pcbench
from pcbench.attacks.adapters.registry import select
from pcbench.attacks.agreement import library_agreement
from pcbench.attacks.api import own_attack
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.errors import MissingExtraError, UnknownNameError, UsageError
from pcbench.extras import is_installed, require

from ..conftest import Case, attack

installed = pytest.mark.skipif(
    not is_installed("torchattacks"), reason="the extra torchattacks is not installed in this environment"
)


def theirs(name: str, **changes: object) -> AttackDefinition:
    return attack("pgd", **{"library": "torchattacks", "attack": name, **changes})


@pytest.mark.skipif(is_installed("torchattacks"), reason="the extra torchattacks is installed")
def test_without_the_extra_one_line_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="torchattacks is not installed"):
        select(theirs("PGD"))


@installed
def test_the_same_pgd_agrees_within_its_interval(digits: Case) -> None:
    for found in library_agreement(digits.classifier, digits.images, digits.labels, epsilons=(0.05, 0.1, 0.2)):
        assert found.agrees, found
        assert found.p_value > 0.01


@installed
def test_without_random_starts_the_same_images_are_broken(digits: Case) -> None:
    found = library_agreement(
        digits.classifier, digits.images, digits.labels, epsilons=(0.05, 0.1, 0.2), random_start=False
    )
    assert all(one.foolbox_only + one.torchattacks_only <= 1 for one in found)
    assert 0 < found[0].rates[0] < found[2].rates[0]


@installed
def test_images_are_seeded_and_epsilon_zero_is_clean(digits: Case) -> None:
    def run(places: slice) -> torch.Tensor:
        outcome = sweep(
            digits.classifier,
            digits.images[places],
            digits.labels[places],
            theirs("PGD", steps=5, relative_step_size=0.5),
            ids=digits.ids[places],
            seed=0,
            epsilons=[0.1],
            keep_images=True,
        )
        assert outcome.images is not None
        np.testing.assert_array_equal(outcome.columns["perturbation_linf"][0], 0)
        return outcome.images

    assert torch.equal(run(slice(0, 6))[:, 4:], run(slice(4, 6)))


@installed
def test_steps_scale_with_epsilon_so_that_a_large_ball_is_crossed(digits: Case) -> None:
    outcome = sweep(
        digits.classifier,
        digits.images[:20],
        digits.labels[:20],
        theirs("PGD", random_start=False),
        ids=digits.ids[:20],
        seed=0,
        epsilons=[1.0],
    )
    assert (outcome.columns["perturbation_linf"][-1][outcome.eligible] > 0.9).all()
    assert outcome.columns["queries"][-1].max() == 20


@installed
def test_the_number_of_classes_is_the_model_s(digits: Case) -> None:
    class Five(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return digits.classifier(images).reshape(len(images), 5, 2).sum(dim=2)

    labels = Five()(digits.images[:2]).argmax(dim=1)
    definition = theirs("APGDT", relative_step_size=None, steps=5, random_start=False)
    outcome = sweep(Five().eval(), digits.images[:2], labels, definition, ids="ab", seed=0, epsilons=[0.3])
    assert outcome.success_within[-1].all()


@installed
def test_targets_are_reached(digits: Case) -> None:
    definition = theirs("PGD", targeted=True, target_offset=3, random_start=False)
    outcome = sweep(
        digits.classifier, digits.images, digits.labels, definition, ids=digits.ids, seed=0, epsilons=["48/255"]
    )
    assert outcome.targets is not None
    np.testing.assert_array_equal(outcome.success_within[-1], (outcome.prediction[-1] == outcome.targets))
    assert outcome.success_within[-1].mean() > 0.5


@installed
def test_what_torchattacks_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'PGD'"):
        select(theirs("PGDD"))
    with pytest.raises(UsageError, match="takes no alpha"):
        select(theirs("APGD"))
    with pytest.raises(UnknownNameError, match="momentum"):
        select(theirs("PGD", parameters={"momentum": 1.0}))


@installed
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_images_of_other_channels_are_attacked_but_by_what_smooths_colours(channels: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, 3))
    images = torch.full((2, channels, 8, 8), 0.5)
    labels = classifier(images).argmax(1).numpy()

    def run(name: str) -> Sweep:
        definition = theirs(name, steps=5, relative_step_size=0.5)
        return sweep(classifier, images, labels, definition, ids=["a", "b"], seed=0, epsilons=[0.3])

    assert run("PGD").success[-1].all()
    with pytest.raises(UsageError, match=f"TIFGSM is made for images of 3 channels, not of {channels}"):
        run("TIFGSM")


def made(name: str, model: nn.Module, **arguments: object) -> Any:
    return getattr(require("torchattacks"), name)(model, **arguments)


@installed
def test_an_object_attacks_the_timestep_in_place_of_the_network_it_was_made_of(digits: Case) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(digits.images[0].numel(), 10))
    given = made("BIM", other, eps=0.1, alpha=0.02, steps=10)
    found = pcbench.attack(digits.classifier, digits.images, digits.labels, given)
    assert (found.norm, found.epsilons) == ("linf", (0.0, 0.1))
    same = theirs("BIM", steps=10, relative_step_size=0.2, random_start=False, epsilons=(0.1,))
    named = pcbench.attack(digits.classifier, digits.images, digits.labels, same)
    np.testing.assert_array_equal(found.prediction, named.prediction)
    assert given.model is other


@installed
def test_the_step_of_an_object_scales_with_the_budget(digits: Case) -> None:
    given = made("BIM", digits.classifier, eps=0.1, alpha=0.02, steps=10)
    found = pcbench.attack(digits.classifier, digits.images, digits.labels, given, epsilons=[0.05])
    same = theirs("BIM", steps=10, relative_step_size=0.2, random_start=False, epsilons=(0.05,))
    named = pcbench.attack(digits.classifier, digits.images, digits.labels, same)
    np.testing.assert_array_equal(found.prediction, named.prediction)


@installed
def test_attacks_inside_an_object_are_moved_too(digits: Case) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(digits.images[0].numel(), 10))
    each = [made(name, other, eps=0.1) for name in ("FGSM", "PGD")]
    both = require("torchattacks").MultiAttack(each)
    first, second = (
        pcbench.attack(digits.classifier, digits.images, digits.labels, both, batch_size=size) for size in (4, 128)
    )
    np.testing.assert_array_equal(first.success, second.success)
    assert first.success_within.mean() > 0.2


@installed
def test_an_object_without_a_seed_of_its_own_has_the_same_identity_again(digits: Case) -> None:
    first, again, other = (
        own_attack(made("AutoAttack", digits.classifier, eps=epsilon)).identified() for epsilon in (0.1, 0.1, 0.2)
    )
    assert first == again
    assert first != other


@installed
def test_what_cannot_be_moved_to_another_network_is_said(digits: Case) -> None:
    normalising = made("PGD", digits.classifier)
    normalising.set_normalization_used([0.5] * 3, [0.2] * 3)
    targeted = made("PGD", digits.classifier)
    targeted.set_mode_targeted_by_function(lambda images, labels: labels)  # noqa: ARG005 - torchattacks' names
    classes = made("AutoAttack", digits.classifier, n_classes=100)
    mixed = require("torchattacks").MultiAttack([made("PGD", digits.classifier), made("PGDL2", digits.classifier)])
    sparse = made("OnePixel", digits.classifier)
    for attacking, message in (
        (normalising, "leave set_normalization_used out"),
        (targeted, "target_offset"),
        (classes, "n_classes=10"),
        (mixed, "several budgets or norms"),
        (sparse, "states no norm"),
    ):
        with pytest.raises(UsageError, match=message):
            pcbench.attack(digits.classifier, digits.images[:2], digits.labels[:2], attacking)
