"""Oracles: the closed form for a linear classifier, the plain sweep, and foolbox's own loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pcbench.attacks.sweep import Sweep, sweep
from pcbench.errors import DataError, UnknownNameError, UsageError

from .conftest import Case, attack

GRID = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.012, 0.016, 0.024, 0.032]


def run(
    case: Case, name: str = "pgd", *, seed: int = 0, changes: dict[str, object] | None = None, **options: object
) -> Sweep:
    definition = attack(name, **(changes or {}))
    return sweep(case.classifier, case.images, case.labels, definition, ids=case.ids, seed=seed, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_the_smallest_broken_epsilon_of_a_linear_model_is_the_margin_over_the_l1_norm(linear: Case, name: str) -> None:
    outcome = run(linear, name, epsilons=GRID)
    layer = linear.classifier[1]  # type: ignore[index]
    logits = linear.classifier(linear.images).detach()
    margin = (logits[:, 0] - logits[:, 1]).abs()
    nearest = (margin / (layer.weight[0] - layer.weight[1]).abs().sum()).detach().numpy()
    expected = np.array([next((step for step in GRID if step > radius), np.nan) for radius in nearest])
    expected[~outcome.eligible] = np.nan
    np.testing.assert_array_equal(outcome.smallest_broken_epsilon, expected)
    assert len(set(expected[4:])) > 3


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_epsilon_zero_is_clean(digits: Case, name: str) -> None:
    for library_only in (False, True):
        outcome = run(digits, name, library_only=library_only, epsilons=["8/255"])
        clean = digits.classifier(digits.images).argmax(dim=1).numpy()
        assert outcome.epsilons[0] == 0
        np.testing.assert_array_equal(outcome.prediction[0], clean)
        assert not outcome.success[0].any()
        assert not outcome.columns["perturbation_linf"][0].any()
        np.testing.assert_array_equal(outcome.attacked[0], outcome.eligible)


def test_images_wrong_from_the_start_are_not_attacked_and_stay_errors(linear: Case) -> None:
    outcome = run(linear, epsilons=GRID)
    assert not outcome.eligible[:4].any()
    assert outcome.eligible[4:].all()
    assert not outcome.attacked[:, :4].any()
    assert not outcome.correct[:, :4].any()
    assert not outcome.columns["perturbation_linf"][:, :4].any()
    assert not outcome.success_within[:, :4].any()


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_pruned_and_plain_sweeps_score_the_same_images(digits: Case, name: str) -> None:
    # A batch of one makes the batches of both sweeps equal, so not one bit may differ.
    some = Case(digits.classifier, digits.images[:12], digits.labels[:12])
    pruned, plain = run(some, name, batch_size=1, bracketing=False), run(some, name, batch_size=1, plain=True)
    compared = ("prediction", "confidence", "margin", "true_label_probability", "success_within")
    for column in (*compared, "perturbation_linf", "perturbation_l2"):
        np.testing.assert_array_equal(pruned.columns[column], plain.columns[column])
    np.testing.assert_array_equal(pruned.success[pruned.attacked], plain.success[pruned.attacked])
    np.testing.assert_array_equal(np.logical_or.accumulate(plain.success), pruned.success_within)
    assert (plain.attacked == plain.eligible).all()
    assert 0.2 < pruned.attacked.sum() / plain.attacked.sum() < 0.9


@pytest.mark.parametrize("name", ["bim", "pgd"])
def test_leaving_out_what_is_out_of_reach_finds_the_same_and_attacks_less(digits: Case, name: str) -> None:
    skipped, full = run(digits, name), run(digits, name, bracketing=False)
    # Batches differ, so float rounding may flip an image.
    assert (skipped.success_within != full.success_within).sum() <= 1
    assert skipped.attacked[1:].sum() < 0.6 * full.attacked[1:].sum()
    assert skipped.attacked[0].sum() == full.attacked[0].sum()
    assert not full.columns["spot_checked"].any()
    left_out = (skipped.eligible & ~skipped.attacked & ~skipped.success_within)[1:].sum()
    # A tenth of what is out of reach is attacked anyway.
    assert 0.05 < skipped.columns["spot_checked"].sum() / (left_out + skipped.columns["spot_checked"].sum()) < 0.15


def test_rates_are_monotone_and_budgets_are_kept(digits: Case) -> None:
    outcome = run(digits, "fgsm", plain=True)
    assert (np.diff(outcome.success_within.sum(axis=1)) >= 0).all()
    assert (np.diff(outcome.correct.sum(axis=1)) <= 0).all()
    assert (outcome.columns["perturbation_linf"] <= np.asarray(outcome.epsilons)[:, None] + 1e-6).all()
    assert outcome.success_within[-1].sum() > 10


def test_success_is_the_library_s_own_verdict(digits: Case) -> None:
    # Oracle: foolbox's __call__, which attacks, clips and classifies by itself.
    from foolbox.attacks import LinfBasicIterativeAttack
    from foolbox.models.pytorch import PyTorchModel

    outcome = run(digits, "bim", plain=True)
    kept = torch.from_numpy(outcome.eligible)
    model = PyTorchModel(digits.classifier, bounds=(0, 1), device="cpu")
    library = LinfBasicIterativeAttack(rel_stepsize=0.2, steps=10)
    *_, success = library(model, digits.images[kept], digits.labels[kept], epsilons=list(outcome.epsilons))
    np.testing.assert_array_equal(outcome.success[:, kept], success.numpy())
    for parameter in digits.classifier.parameters():
        parameter.grad = None


def test_the_kept_images_are_those_scored(digits: Case) -> None:
    outcome = run(digits, keep_images=True)
    assert outcome.images is not None
    for row, epsilon in enumerate(outcome.epsilons):
        difference = (outcome.images[row] - digits.images).flatten(1)
        assert difference.abs().max() <= epsilon + 1e-6
        np.testing.assert_allclose(difference.abs().amax(dim=1), outcome.columns["perturbation_linf"][row], atol=1e-7)
        np.testing.assert_allclose(difference.norm(dim=1), outcome.columns["perturbation_l2"][row], rtol=1e-4)
        np.testing.assert_array_equal(digits.classifier(outcome.images[row]).argmax(dim=1), outcome.prediction[row])


def test_batch_size_does_not_change_what_is_found(digits: Case) -> None:
    # Starts are the image's own; a different batch may only flip an image by float rounding.
    one, many = run(digits, batch_size=7), run(digits, batch_size=96)
    assert (one.success_within != many.success_within).sum() <= 1


def test_a_run_s_seed_moves_the_starts_and_repeats_itself(digits: Case) -> None:
    first, again, other = (run(digits, seed=seed, keep_images=True) for seed in (1, 1, 2))
    assert first.images is not None
    assert again.images is not None
    assert other.images is not None
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)


def test_restarts_only_add_successes_and_cost_queries(digits: Case) -> None:
    one, three = run(digits), run(digits, changes={"restarts": 3})
    assert (three.success_within >= one.success_within).all()
    assert set(np.unique(three.columns["queries"])) <= {0, 20, 40, 60}
    standing = three.attacked & ~three.success
    assert (three.columns["queries"][standing] == 60).all()


def test_targeted_success_is_reaching_the_target(digits: Case) -> None:
    outcome = run(digits, "bim", changes={"targeted": True, "target_offset": 3}, epsilons=["32/255", "48/255"])
    assert outcome.targets is not None
    np.testing.assert_array_equal(outcome.targets, (outcome.labels + 3) % 10)
    at_goal = outcome.prediction == outcome.targets
    np.testing.assert_array_equal(outcome.success_within, at_goal & outcome.eligible)
    assert 0 < outcome.success_within[-1].sum() < len(digits.images)


def test_progress_settles_every_pair_once(digits: Case) -> None:
    steps: list[int] = []
    outcome = run(digits, on_progress=steps.append)
    assert sum(steps) == outcome.prediction.size


class Constant(nn.Module):
    """Answers with the same logits whatever it is asked, but with a path for gradients."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), *self.logits.shape) + 0 * images.sum()


@pytest.mark.parametrize(
    ("logits", "problem"),
    [(torch.zeros(4), "the classifier has 4 classes"), (torch.zeros(9, 10), "logits are")],
)
def test_unusable_classifiers_are_refused(digits: Case, logits: Tensor, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run(Case(Constant(logits), digits.images, digits.labels))


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (torch.full((96, 3, 8, 8), 1.5), r"lie in \[0, 1\]"),
        (torch.full((96, 3, 8, 8), float("nan")), r"lie in \[0, 1\]"),
        (torch.zeros(96, 3, 8, 8, dtype=torch.uint8), "float tensor"),
        (torch.zeros(5, 3, 8, 8), "5 images need 5 labels"),
    ],
)
def test_unusable_images_are_refused(digits: Case, images: Tensor, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        run(Case(digits.classifier, images, digits.labels))


def test_wrong_use_is_refused(digits: Case) -> None:
    with pytest.raises(UsageError, match="at most 1"):
        run(digits, epsilons=[1.5])
    with pytest.raises(UsageError, match="number"):
        run(digits, epsilons=["much"])
    with pytest.raises(UnknownNameError, match="LinfProjectedGradientDescentAttack"):
        run(digits, changes={"attack": "LinfProjectedGradientDescent"})
    with pytest.raises(DataError, match="each once"):
        sweep(digits.classifier, digits.images, digits.labels, attack("pgd"), ids=["a"] * 96, seed=0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"targeted": True, "target_offset": 800}, "is the label.*another target_offset"),
        ({"targeted": True, "target_class": 10}, "target class 10 does not exist"),
    ],
)
def test_a_target_that_is_none_is_refused(digits: Case, changes: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        run(digits, "bim", changes=changes)


def test_images_at_their_target_from_the_start_are_outside_the_denominator(wide_digits: Case) -> None:
    outcome = run(wide_digits, "bim", changes={"targeted": True, "target_class": 4}, epsilons=[0.1])
    clean = wide_digits.classifier(wide_digits.images).argmax(dim=1).numpy()
    # Nor is an image of the target's own class that is seen as another: to answer its label is no success.
    wrong = (clean != 4) & (outcome.labels == 4)
    assert wrong.any()
    np.testing.assert_array_equal(outcome.eligible, (clean != 4) & ~wrong)
    assert not outcome.success_within[:, wrong].any()
    assert not outcome.attacked[:, wrong].any()
