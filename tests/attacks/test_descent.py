"""Oracle: foolbox 3.3.4's own attacks at equal batches and equal starts, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Task
from pcbench.attacks.adapters.registry import select
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent
from pcbench.errors import UsageError

from .conftest import Case, attack

CLASSES = {"fgsm": "FastGradient", "bim": "BasicIterative", "pgd": "ProjectedGradientDescent"}


def task(case: Case, epsilons: Tensor) -> Task:
    return Task(case.images, case.labels, epsilons, case.ids, seed=3, attack="pgd", restart=0, classes_known=10)


def in_norm(name: str, norm: str, **changes: object) -> AttackDefinition:
    prefix = {"linf": "Linf", "l2": "L2"}[norm]
    return attack(name, norm=norm, attack=f"{prefix}{CLASSES[name]}Attack", **changes)


@pytest.mark.parametrize("epsilon", [0.0, 4 / 255, 0.3])
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_every_image_is_foolbox_s_bit_for_bit(digits: Case, name: str, norm: str, epsilon: float) -> None:
    definition = in_norm(name, norm)
    one = task(digits, torch.full((len(digits.images),), epsilon, dtype=torch.float64))
    library = select(definition, library_only=True).perturb(digits.classifier, one)
    ours = GradientDescent(definition).perturb(digits.classifier, one)
    assert torch.equal(ours.images, library.images)
    assert torch.equal(ours.queries, library.queries)
    assert torch.equal(ours.images, digits.images) == (epsilon == 0)


def test_targeted_steps_go_towards_the_target_as_in_foolbox(digits: Case) -> None:
    definition = attack("bim", targeted=True, target_offset=3)
    one = task(digits, torch.full((len(digits.images),), 0.1, dtype=torch.float64))
    library = select(definition, library_only=True).perturb(digits.classifier, one)
    assert torch.equal(GradientDescent(definition).perturb(digits.classifier, one).images, library.images)


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_budgets_may_be_mixed_in_one_batch(linear: Case, name: str) -> None:
    # Oracle: one call for each budget; the linear model's gradient does not depend on the batch.
    epsilons = torch.linspace(0, 0.2, len(linear.images), dtype=torch.float64)
    mixed = GradientDescent(attack(name)).perturb(linear.classifier, task(linear, epsilons)).images
    for place, epsilon in enumerate(epsilons.tolist()):
        alone = GradientDescent(attack(name)).perturb(
            linear.classifier, task(linear, torch.full_like(epsilons, epsilon))
        )
        assert torch.equal(mixed[place], alone.images[place])


def test_the_classifier_s_parameters_get_no_gradients(digits: Case) -> None:
    one = task(digits, torch.full((len(digits.images),), 0.1, dtype=torch.float64))
    for library_only in (False, True):
        select(attack("pgd"), library_only=library_only).perturb(digits.classifier, one)
        assert all(parameter.grad is None and parameter.requires_grad for parameter in digits.classifier.parameters())


class WithoutGradient(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.detach().flatten(1)[:, :10]


def test_a_model_without_gradients_is_refused(digits: Case) -> None:
    one = task(digits, torch.full((len(digits.images),), 0.1, dtype=torch.float64))
    with pytest.raises(UsageError, match="black-box"):
        GradientDescent(attack("fgsm")).perturb(WithoutGradient(), one)
