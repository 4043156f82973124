"""Oracles: the single-timestep sweep (one timestep is the special case), and classifying the kept images again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.all_timesteps import loss_over_timesteps, sweep_all_timesteps
from pcbench.attacks.descent import Loss, cross_entropy, logit_difference, loss_gradient
from pcbench.attacks.sweep import sweep
from pcbench.errors import UsageError

from .conftest import Case, attack


class Timesteps(nn.Module):
    """Blurs the image more at every timestep before one classifier sees it."""

    def __init__(self, classifier: nn.Module, timesteps: int) -> None:
        super().__init__()
        self.classifier, self.timesteps = classifier, timesteps
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        blurred = nn.functional.avg_pool2d(images, 3, stride=1, padding=1)
        shares = [timestep / 4 for timestep in range(self.timesteps)]
        return torch.stack([self.classifier(images * (1 - share) + blurred * share) for share in shares])


@pytest.mark.parametrize("mode", ["mean", "worst"])
@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_one_timestep_is_the_ordinary_sweep(digits: Case, name: str, mode: str) -> None:
    arguments, ids = (digits.images[:48], digits.labels[:48]), digits.ids[:48]
    joint = attack(name, over_timesteps=mode)
    (both,) = sweep_all_timesteps(Timesteps(digits.classifier, 1), *arguments, joint, ids=ids, seed=0)
    alone = sweep(digits.classifier, *arguments, attack(name), ids=ids, seed=0, bracketing=False)
    for column in ("prediction", "attacked", "success_within", "perturbation_linf", "queries"):
        np.testing.assert_array_equal(both.columns[column], alone.columns[column])


@pytest.mark.parametrize("mode", ["mean", "worst"])
def test_each_timestep_scores_the_same_images(digits: Case, mode: str) -> None:
    network, digits = Timesteps(digits.classifier, 3), digits.first(48)
    joint = attack("pgd", over_timesteps=mode)
    sweeps = sweep_all_timesteps(
        network, digits.images, digits.labels, joint, ids=digits.ids, seed=0, plain=True, keep_images=True
    )
    for timestep, outcome in enumerate(sweeps):
        clean = network(digits.images)[timestep].argmax(dim=1)
        np.testing.assert_array_equal(outcome.eligible, (clean == digits.labels).numpy())
        assert outcome.images is not None
        for row in range(len(outcome.epsilons)):
            again = network(outcome.images[row])[timestep].argmax(dim=1)
            np.testing.assert_array_equal(outcome.prediction[row], again.numpy())
        assert outcome.success_within[-1].sum() > 10
        np.testing.assert_array_equal(np.logical_or.accumulate(outcome.success), outcome.success_within)


@pytest.mark.parametrize("loss", [cross_entropy, logit_difference])
def test_the_losses_are_the_mean_least_and_greatest_over_timesteps(digits: Case, loss: Loss) -> None:
    network = Timesteps(digits.classifier, 3)
    logits = network(digits.images).detach()
    each = torch.stack([loss(one, digits.labels) for one in logits])
    mean, worst = attack("pgd", over_timesteps="mean"), attack("pgd", over_timesteps="worst")
    targeted = worst.model_copy(update={"targeted": True, "target_offset": 1})
    for definition, expected in (
        (mean, each.mean(dim=0)),
        (worst, each.min(dim=0).values),
        (targeted, each.max(dim=0).values),
    ):
        torch.testing.assert_close(loss_over_timesteps(definition, loss)(logits, digits.labels), expected)
    # Oracle: the gradient of a mean is the mean of the gradients.
    alone = [
        loss_gradient(network, digits.images, digits.labels, lambda all_, classes, t=t: cross_entropy(all_[t], classes))
        for t in range(3)
    ]
    together = loss_gradient(network, digits.images, digits.labels, loss_over_timesteps(mean, cross_entropy))
    torch.testing.assert_close(together, torch.stack(alone).mean(dim=0))


def test_the_worst_mode_breaks_every_timestep_of_more_images_than_attacking_one(digits: Case) -> None:
    network = Timesteps(digits.classifier, 3)
    joint = attack("pgd", over_timesteps="worst")
    sweeps = sweep_all_timesteps(network, digits.images, digits.labels, joint, ids=digits.ids, seed=0)
    everywhere = np.logical_and.reduce([outcome.success_within | ~outcome.eligible for outcome in sweeps])[-1]
    one = sweep(
        digits.classifier, digits.images, digits.labels, attack("pgd"), ids=digits.ids, seed=0, keep_images=True
    )
    assert one.images is not None
    with torch.no_grad():
        transferred = (network(one.images[-1]).argmax(dim=2) != digits.labels).all(dim=0)
    assert everywhere.sum() > transferred.sum()


def test_what_cannot_attack_all_timesteps_is_refused(digits: Case) -> None:
    network, arguments = Timesteps(digits.classifier, 2), (digits.images, digits.labels)
    with pytest.raises(UsageError, match="over_timesteps"):
        sweep_all_timesteps(network, *arguments, attack("pgd"), ids=digits.ids, seed=0)
    with pytest.raises(UsageError, match="needs them all"):
        sweep(digits.classifier, *arguments, attack("pgd", over_timesteps="mean"), ids=digits.ids, seed=0)
    joint = attack("pgd", over_timesteps="mean")
    with pytest.raises(UsageError, match="timesteps, images, classes"):
        sweep_all_timesteps(digits.classifier, *arguments, joint, ids=digits.ids, seed=0)
