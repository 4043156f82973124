"""Oracle: the sweep on the same classifier."""

from __future__ import annotations

import numpy as np
import pytest

import pcbench
from pcbench.attacks.api import find_attack
from pcbench.attacks.sweep import sweep
from pcbench.errors import UnknownNameError, UsageError

from .conftest import Case, attack


def test_any_module_is_attacked_as_a_network_of_one_timestep(digits: Case) -> None:
    ours = pcbench.attack(digits.classifier, digits.images, digits.labels, attack("pgd"), epsilons=["32/255"], seed=5)
    direct = sweep(
        digits.classifier, digits.images, digits.labels, attack("pgd"), ids=digits.ids, seed=5, epsilons=["32/255"]
    )
    assert ours.epsilons == (0.0, 32 / 255)
    np.testing.assert_array_equal(ours.prediction, direct.prediction)
    np.testing.assert_array_equal(ours.success_within, direct.success_within)


def test_arrays_are_taken_too(digits: Case) -> None:
    outcome = pcbench.attack(
        digits.classifier, digits.images.numpy(), digits.labels.tolist(), "digits-linf/fgsm", timestep=0
    )
    assert outcome.attack == "fgsm"
    assert len(outcome.epsilons) >= 9


def test_what_does_not_exist_is_named(digits: Case) -> None:
    arguments = (digits.classifier, digits.images, digits.labels)
    with pytest.raises(UnknownNameError, match="did you mean 'digits-linf'"):
        pcbench.attack(*arguments, "digit-linf/pgd")
    with pytest.raises(UnknownNameError, match="did you mean 'pgd'"):
        pcbench.attack(*arguments, "digits-linf/pdg")
    with pytest.raises(UsageError, match="corruptions"):
        find_attack("digits-c/fog")
    with pytest.raises(UsageError, match="whole number from 0"):
        pcbench.attack(*arguments, "digits-linf/pgd", timestep=-1)
    with pytest.raises(UsageError):
        pcbench.attack(*arguments, "digits-linf/pgd", timestep=3)
