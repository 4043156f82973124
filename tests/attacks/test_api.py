"""Oracle: the sweep on the same classifier."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench.attacks.api import find_attack
from pcbench.attacks.sweep import sweep
from pcbench.errors import DataError, UnknownNameError, UsageError

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


@pytest.mark.parametrize(
    ("epsilons", "read"),
    [
        (8 / 255, (8 / 255,)),
        ("8/255", (8 / 255,)),
        ("4/255, 8/255", (4 / 255, 8 / 255)),
        (["8/255", 0.25], (8 / 255, 0.25)),
        (np.arange(1, 3) / 255, (1 / 255, 2 / 255)),
        (torch.tensor([0.25, 0.5]), (0.25, 0.5)),
        (torch.tensor(0.25), (0.25,)),
        ({Fraction(8, 255)}, (8 / 255,)),
    ],
)
def test_budgets_are_read_in_their_natural_spellings(digits: Case, epsilons: Any, read: tuple[float, ...]) -> None:
    outcome = pcbench.attack(digits.classifier, digits.images[:2], digits.labels[:2], "fgsm", epsilons=epsilons)
    assert outcome.epsilons == (0.0, *read)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"epsilon": ["8/255"]}, "option 'epsilon' does not exist; did you mean 'epsilons'"),
        ({"eps": 0.1}, "did you mean 'epsilons'"),
        ({"batchsize": 1}, "did you mean 'batch_size'"),
        ({"steps": 500}, r"'steps' is a setting of the attack; change it in the definition: .*model_copy\(update="),
        ({"restarts": 10}, "'restarts' is a setting of the attack"),
        ({"batch_size": 0}, r"`batch_size` is a whole number of at least 1 \(got 0\)"),
        ({"batch_size": True}, r"got True"),
        ({"plain": 1}, "`plain` is True or False"),
        ({"seed": 2**70}, "`seed` is a whole number from -9223372036854775807 to"),
        ({"seed": 0.5}, "`seed` is a whole number"),
        ({"timestep": True}, "`timestep` is a whole number from 0 to 1000"),
        ({"timestep": 100_000}, "`timestep` is a whole number from 0 to 1000"),
        ({"gradient": "exakt"}, "gradient 'exakt' does not exist; did you mean 'exact'"),
        ({"epsilons": [True]}, "`epsilons` is a list of numbers"),
        ({"epsilons": []}, "at least one epsilon"),
        ({"epsilons": 8}, r"at most 1, not 8; did you mean 8/255\?"),
        ({"epsilons": 128, "attack": "l2/pgd"}, r"at most 13.86, not 128; did you mean 128/255\?"),
        ({"epsilons": "nan"}, "finite"),
        ({"attack": 3}, "an attack is a name"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_in_one_line(digits: Case, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        pcbench.attack(digits.classifier, digits.images, digits.labels, **options)
    assert "\n" not in str(refused.value)


def test_the_settings_of_an_attack_are_changed_as_the_message_says(digits: Case) -> None:
    longer = find_attack("digits-linf/bim").model_copy(update={"steps": 15})
    arguments = (digits.classifier, digits.images[:4], digits.labels[:4])
    queries = pcbench.attack(*arguments, longer, epsilons="1/255", plain=True).columns["queries"]
    assert queries.max() == 15


class Never:
    """A name of the zoo whose weights must not be read."""

    def __init__(self, *_: object) -> None:
        raise AssertionError("something was loaded")


def test_what_is_wrong_is_said_before_a_model_is_loaded(digits: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcbench.attacks.api.load", Never)
    for images, labels, says in (
        (torch.zeros(2, 3, 28, 28), [0, 1], r"^images are 3x28x28, pdigits takes 3x32x32 \(channels, height, width\)"),
        (torch.zeros(2, 32, 32, 3), [0, 1], "put the channels first$"),
        (torch.zeros(2, 3, 32, 32), [0, 1, 2], "2 images but 3 labels"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), [0, 1], "divide bytes by 255"),
        (torch.full((2, 3, 32, 32), 2.0), [0, 1], r"lie in \[0, 1\]"),
        (None, [0, 1], "images are a float array"),
        ("x.png", [0, 1], "images are a float array"),
        ([digits.images[0], digits.images[0][:, :5]], [0, 1], "images are a float array"),
    ):
        with pytest.raises(DataError, match=says):
            pcbench.attack("pdigits", images, labels, "fgsm")  # type: ignore[arg-type]


def test_images_of_any_float_type_and_with_a_graph_are_taken(digits: Case) -> None:
    images, labels = digits.images[:4], digits.labels[:4]
    expected = pcbench.attack(digits.classifier, images, labels, "fgsm", epsilons="8/255")
    for other in (images.double(), images.double().numpy(), images.clone().requires_grad_(), list(images)):
        outcome = pcbench.attack(digits.classifier, other, labels, "fgsm", epsilons="8/255")  # type: ignore[arg-type]
        np.testing.assert_array_equal(outcome.prediction, expected.prediction)
        np.testing.assert_array_equal(outcome.columns["margin"], expected.columns["margin"])
