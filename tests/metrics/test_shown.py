"""Oracle: the rule for the budget written out plainly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from pcbench.errors import UsageError
from pcbench.metrics.shown import epsilon_of_sweeps, shown_epsilon, telling_epsilon

EPSILONS = (0.1, 0.2, 0.3, 0.4)


def plain_epsilon(rates: NDArray[np.float64]) -> float:
    mean = np.mean(list(rates), axis=0)
    best = np.argsort(np.abs(mean - 0.5), kind="stable")[0]
    return EPSILONS[-1 if (mean < 0.5).all() else int(best)]


def table(rates: NDArray[np.float64], **more: object) -> pd.DataFrame:
    """Rows of the tidy table, in a shuffled order."""
    rows = [
        {
            "metric": "attack_success_rate_within",
            "attacked_timestep": t,
            "timestep": t,
            "epsilon": epsilon,
            "value": value,
        }
        for t, of_timestep in enumerate(rates)
        for epsilon, value in zip((0.0, *EPSILONS), (0.0, *of_timestep), strict=True)
    ]
    return pd.DataFrame([{"metric": "attack_success_rate_within", **row, **more} for row in rows]).sample(
        frac=1, random_state=0
    )


def test_the_budget_is_that_of_the_plain_rule() -> None:
    generator = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(200):
        images = generator.integers(1, 6, size=3)  # few, so that ties are frequent
        share = generator.choice([0.0, 0.1, 0.4, 1.0])
        new = [generator.random((4, count)) < share for count in images]
        rates = np.array([np.logical_or.accumulate(one, axis=0).mean(axis=1) for one in new])
        found.append(telling_epsilon(EPSILONS, rates))
        assert found[-1] == plain_epsilon(rates)
        assert found[-1] == telling_epsilon((0.0, *EPSILONS), np.insert(rates, 0, 0.0, axis=1))
        assert found[-1] == shown_epsilon(table(rates))
    assert set(found) == set(EPSILONS)


def sweep(timestep: int, within: NDArray[np.bool_], counted: int) -> pa.Table:
    """Outcomes of a sweep, (budgets, images), of which those after the first `counted` are wrong when clean."""
    budgets, images = within.shape
    eligible = np.tile(np.arange(images) < counted, budgets)
    return pa.table(
        {
            "name": ["pgd"] * (budgets * images),
            "attacked_timestep": np.full(budgets * images, timestep),
            "timestep": np.full(budgets * images, timestep),
            "epsilon": np.repeat((0.0, *EPSILONS)[:budgets], images),
            "success_within": pa.array(within.ravel(), mask=~eligible),
        }
    )


def test_outcomes_give_the_budget_that_their_rates_give() -> None:
    generator = np.random.default_rng(1)
    for _ in range(50):
        new = [np.vstack([np.zeros((1, 6), bool), generator.random((4, 6)) < 0.3]) for _ in range(4)]
        within = [np.logical_or.accumulate(one, axis=0) for one in new]
        blocks = [sweep(0, within[0], 4), sweep(1, within[1], 3), sweep(0, within[2], 6), sweep(2, within[3], 0)]
        rates = np.array(
            [np.hstack([within[0][:, :4], within[2]]).mean(axis=1), within[1][:, :3].mean(axis=1)]
        )  # at t = 2 no image is right
        assert epsilon_of_sweeps(blocks) == telling_epsilon((0.0, *EPSILONS), rates)
        # An attack on all timesteps at once has one table for them.
        assert epsilon_of_sweeps([pa.concat_tables(blocks[:2]), *blocks[2:]]) == epsilon_of_sweeps(blocks)
        # Images that are scored where they were not made do not count.
        other = blocks[1].set_column(1, "attacked_timestep", pa.array(np.full(len(blocks[1]), 2)))
        assert epsilon_of_sweeps([*blocks, other]) == epsilon_of_sweeps(blocks)
    assert epsilon_of_sweeps([sweep(0, within[0], 0)]) == EPSILONS[-1]
    assert epsilon_of_sweeps([sweep(0, within[0][:1], 6)]) is None
    assert epsilon_of_sweeps([]) is None


def test_the_ends_and_ties_of_the_rule() -> None:
    assert telling_epsilon(EPSILONS, np.array([[0, 0, 0, 0]])) == 0.4
    assert telling_epsilon(EPSILONS, np.array([[1, 1, 1, 1]])) == 0.1
    assert telling_epsilon(EPSILONS, np.array([[0, 0.4, 0.6, 1]])) == 0.2
    assert telling_epsilon(EPSILONS, np.array([[0, 0.4, 0.4, 0.4]])) == 0.4
    with pytest.raises(UsageError, match="budget above 0"):
        telling_epsilon((0.0,), np.zeros((1, 1)))


def test_images_scored_at_another_timestep_count_only_where_there_is_no_other_row() -> None:
    rates = np.array([[0.1, 0.5, 0.9, 1.0]])
    crossed = table(np.array([[0.5, 0.9, 1.0, 1.0]]), timestep=1)
    assert shown_epsilon(pd.concat([table(rates), crossed])) == 0.2
    assert shown_epsilon(crossed) == 0.1
    assert shown_epsilon(table(rates, attacked_timestep=np.nan)) == 0.2


def test_without_a_rate_it_is_the_largest_budget_and_without_a_budget_none() -> None:
    rows = table(np.array([[0.1, 0.5, 0.9, 1.0]]), metric="robust_accuracy")
    assert shown_epsilon(rows) == 0.4
    assert shown_epsilon(rows[rows["epsilon"] == 0]) is None
