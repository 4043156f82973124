"""Oracles: the same evidence gathered in one batch, each attack's own sweep, and slopes of a linear classifier."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from pcbench.attacks.checks.evidence import KINDS, evidence_kinds, gather
from pcbench.attacks.checks.gradients import gradient_numbers
from pcbench.attacks.checks.verdict import judge, run_checks
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.attacks.sweep import sweep
from pcbench.errors import UnknownNameError

from ..conftest import Case, attack
from .conftest import EPSILON, SUITE, Before, Timesteps, gathered, quick_square, two_timesteps, victims_of


def one_kind(kind: str, model: Timesteps, eval_batch: EvalBatch, timestep: int = 0) -> pd.DataFrame:
    timesteps = range(len(model.classifiers))
    rows = gather(kind, model, eval_batch, SUITE, timestep=timestep, epsilon=EPSILON, timesteps=timesteps)
    return pd.DataFrame(rows)


def test_batches_of_five_give_what_one_batch_gives(digits: Case) -> None:
    # In double precision, for a batch of another size may be rounded differently.
    precise = Case(copy.deepcopy(digits.classifier).double(), digits.images.double(), digits.labels)
    model, eval_batch = two_timesteps(precise), victims_of(precise, 18)
    whole = gathered(model, [eval_batch])
    square = whole[whole["check"] == "square"]  # it depends on its batch
    batched = pd.concat([gathered(model, eval_batch.batches(5), leave_out=("square",)), square])
    assert len(batched) == len(whole)
    once, often = (judge(rows, SUITE, epsilon=EPSILON, timesteps=[0, 1], widest=1.0) for rows in (whole, batched))
    for one, other in zip(once, often, strict=True):
        assert one.gradients.agreement == pytest.approx(other.gradients.agreement, abs=1e-6)
        agreements = {"agreement": one.gradients.agreement, "budget_agreement": one.gradients.budget_agreement}
        assert agreements["budget_agreement"] == pytest.approx(other.gradients.budget_agreement, abs=1e-6)
        assert one.gradients.size == pytest.approx(other.gradients.size, abs=1e-6)
        same = dataclasses.replace(other.gradients, **agreements, size=one.gradients.size)
        assert dataclasses.replace(other, gradients=same) == one
    assert {0.0, 1.0} == set(whole.loc[whole["metric"] == "broken", "value"])


@pytest.mark.parametrize(("kind", "name"), [("shown_fgsm", "fgsm"), ("more_steps", "pgd"), ("widest", "pgd")])
def test_a_rival_has_one_row_for_each_image_that_is_right(digits: Case, kind: str, name: str) -> None:
    definition = attack(name, steps=40) if kind == "more_steps" else attack(name)
    labels = digits.labels[:20].clone()
    labels[::5] = (labels[::5] + 1) % 10
    eval_batch = EvalBatch(digits.images[:20], labels, digits.ids[:20], seed=0)
    epsilons = [1.0 if kind == "widest" else EPSILON]
    outcome = sweep(
        digits.classifier,
        eval_batch.images,
        eval_batch.labels,
        definition,
        ids=eval_batch.ids,
        seed=0,
        epsilons=epsilons,
    )
    rows = one_kind(kind, Timesteps(digits.classifier), eval_batch)
    right = outcome.eligible
    assert 0 < right.sum() <= 16
    assert rows["image_id"].tolist() == [eval_batch.ids[place] for place in np.flatnonzero(right)]
    np.testing.assert_array_equal(rows["value"] == 1, outcome.success[-1][right])
    assert set(rows[["check", "metric"]].itertuples(index=False, name=None)) == {(kind, "broken")}
    assert (rows["attacked_timestep"] == rows["timestep"]).all()


def test_an_image_that_is_wrong_from_the_start_is_not_attacked(digits: Case) -> None:
    predicted = digits.classifier(digits.images[:6]).argmax(dim=1)
    eval_batch = EvalBatch(digits.images[:6], (predicted + 1) % 10, digits.ids[:6], seed=0)
    model = two_timesteps(Case(digits.classifier, eval_batch.images, eval_batch.labels))
    for kind in evidence_kinds(SUITE, 0):
        rows = one_kind(kind, model, eval_batch)
        if kind != "transfer":
            assert rows.empty
            continue
        assert rows.groupby("metric")["value"].count().to_dict() == {"broken": 12, "right": 6}
        assert (rows.loc[rows["metric"] == "right", "value"] == 0).all()


def test_no_pass_holds_more_images_than_the_batch(digits: Case) -> None:
    passes: list[int] = []

    def count(images: Tensor) -> Tensor:
        passes.append(len(images))
        return images

    model = Timesteps(Before(count, digits.classifier), Before(count, digits.classifier))
    with quick_square():
        run_checks(model, victims_of(digits, 12), SUITE, timesteps=[0, 1], batch_size=5)
    assert max(passes) == 5


def test_the_slopes_of_a_linear_classifier_are_its_difference_quotients(linear: Case) -> None:
    eval_batch = EvalBatch(linear.images[4:], linear.labels[4:], linear.ids[4:], seed=0)
    numbers = gradient_numbers(linear.classifier, eval_batch)
    for name in ("narrow", "wide"):
        np.testing.assert_allclose(numbers[f"seen_squares_{name}"], numbers["predicted_squares"], rtol=1e-6)
        np.testing.assert_allclose(numbers[f"products_{name}"], numbers["predicted_squares"], rtol=1e-6)
    assert numbers["predicted_squares"].min() > 0
    assert [numbers[name].tolist() for name in ("exists", "finite", "zero")] == [[1] * 36, [1] * 36, [0] * 36]


def test_the_kinds_of_a_suite() -> None:
    assert evidence_kinds(SUITE, 3) == (*KINDS, "shown_fgsm")
    assert evidence_kinds([attack("pgd")], 0) == tuple(kind for kind in KINDS if kind != "stop_error")
    joint = attack("fgsm", over_timesteps="mean")  # it attacks no timestep by itself
    assert evidence_kinds([attack("pgd"), joint], 3) == KINDS


def test_an_unknown_kind_is_refused(digits: Case) -> None:
    with pytest.raises(UnknownNameError, match="kind of evidence at t = 0 'stop_error'"):
        one_kind("stop_error", Timesteps(digits.classifier), victims_of(digits, 2))


def test_the_widest_epsilon_is_the_cube_or_half_its_diagonal() -> None:
    assert attack("pgd").ball.widest((3, 8, 8)) == 1
    assert attack("pgd", norm="l2").ball.widest((3, 8, 8)) == 0.5 * 192**0.5
