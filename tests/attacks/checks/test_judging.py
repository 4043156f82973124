"""Oracles: the rule for the budget written out plainly, and the verdict on the same rows in their first order."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from pcbench.attacks.checks.rows import COLUMNS
from pcbench.attacks.checks.verdict import TimestepChecks, checks_table, judge, telling_epsilon
from pcbench.errors import DataError, UsageError

from ..conftest import Case
from .conftest import EPSILON, SUITE, gathered, two_timesteps, victims_of

EPSILONS = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture(scope="module")
def rows(digits: Case) -> pd.DataFrame:
    return gathered(two_timesteps(digits), victims_of(digits, 20).batches(10))


def verdicts(rows: pd.DataFrame) -> list[TimestepChecks]:
    return judge(rows, SUITE, epsilon=EPSILON, timesteps=[0, 1], widest=1.0)


def changed(rows: pd.DataFrame, value: float, **where: object) -> pd.DataFrame:
    """The rows with another value wherever some columns hold something."""
    chosen = np.logical_and.reduce([rows[name] == wanted for name, wanted in where.items()])
    assert chosen.any()
    return rows.assign(value=rows["value"].mask(chosen, value))


def plain_epsilon(epsilons: tuple[float, ...], broken: dict[int, NDArray[np.bool_]]) -> float:
    rates = [within[1:].mean(axis=1) for within in broken.values()]
    mean = np.mean(rates, axis=0)
    best = np.argsort(np.abs(mean - 0.5), kind="stable")[0]
    if (mean < 0.5).all():
        best = len(mean) - 1
    return epsilons[-len(mean) :][int(best)]


def test_the_budget_is_that_of_the_plain_rule() -> None:
    generator = np.random.default_rng(0)
    found: list[float] = []
    for _ in range(400):
        images = generator.integers(1, 6, size=3)  # few, so that ties are frequent
        share = generator.choice([0.0, 0.1, 0.4, 1.0])
        new = [generator.random((5, count)) < share for count in images]
        broken = {t: np.logical_or.accumulate(one, axis=0) for t, one in enumerate(new)}
        for within in broken.values():
            within[0] = False
        found.append(telling_epsilon((0.0, *EPSILONS), broken))
        assert found[-1] == plain_epsilon(EPSILONS, broken)
        assert found[-1] == telling_epsilon(EPSILONS, {t: within[1:] for t, within in broken.items()})
    assert set(found) == set(EPSILONS)


def test_the_ends_and_ties_of_the_rule() -> None:
    def rates(*counts: int) -> dict[int, NDArray[np.bool_]]:
        return {0: np.arange(10) < np.array(counts)[:, None]}

    assert telling_epsilon(EPSILONS, rates(0, 0, 0, 0)) == 0.4
    assert telling_epsilon(EPSILONS, rates(10, 10, 10, 10)) == 0.1
    assert telling_epsilon(EPSILONS, rates(0, 4, 6, 10)) == 0.2
    assert telling_epsilon(EPSILONS, rates(0, 4, 4, 4)) == 0.4


def test_no_image_or_no_budget_is_no_ground_for_a_budget() -> None:
    nothing = np.zeros((4, 0), dtype=bool)
    with pytest.raises(UsageError, match="t = 1: nothing to check"):
        telling_epsilon(EPSILONS, {0: np.ones((4, 3), dtype=bool), 1: nothing})
    with pytest.raises(UsageError, match="budget above 0"):
        telling_epsilon((0.0,), {0: np.zeros((1, 3), dtype=bool)})


def test_the_order_of_the_rows_changes_nothing(rows: pd.DataFrame) -> None:
    expected = checks_table(verdicts(rows))
    for seed in range(3):
        assert checks_table(verdicts(rows.sample(frac=1, random_state=seed))) == expected
    assert [one["timestep"] for one in expected] == [0, 1]
    signs = [comparison["sign"] for comparison in expected[1]["comparisons"]]
    assert [sign.split()[0] for sign in signs] == ["random", "Square", "the", "success", "transfer"]
    assert [one["sign"].split()[0] for one in expected[1]["shown"]] == ["FGSM", "the"]


def test_a_parquet_file_gives_the_rows_back(rows: pd.DataFrame, tmp_path: Path) -> None:
    lost = changed(rows, np.nan, check="gradients", metric="products_wide", attacked_timestep=1)
    for one in (rows, lost):
        columns: dict[str, Any] = {name: pa.array(one[name].tolist()) for name in COLUMNS}
        for name in ("image_id", "check", "metric"):
            columns[name] = columns[name].dictionary_encode()
        columns["value"] = pa.array(one["value"], from_pandas=True)  # what is no number is an empty cell
        path = tmp_path / "evidence.parquet"
        parquet.write_table(pa.table(columns), path)
        again = parquet.read_table(path).to_pandas()
        assert isinstance(again["image_id"].dtype, pd.CategoricalDtype)
        np.testing.assert_equal(checks_table(verdicts(again)), checks_table(verdicts(one)))


def test_one_slope_that_is_no_number_is_disagreement(rows: pd.DataFrame) -> None:
    one = verdicts(changed(rows, np.nan, metric="predicted_squares", image_id="3"))[0]
    assert one.gradients.agreement == 0
    assert any("correlation of 0.00" in reason for reason in one.reasons)


def test_zero_missing_and_infinite_gradients_are_reasons(rows: pd.DataFrame) -> None:
    def reasons(metric: str, value: float) -> str:
        return " ".join(verdicts(changed(rows, value, metric=metric, image_id="3"))[0].reasons)

    assert "gradient is zero at" in reasons("zero", 1)
    assert "gradient is not finite at" in reasons("finite", 0)
    assert "give no gradient" in reasons("exists", 0)


def test_what_is_missing_or_twice_is_refused(rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="'square' at t = 1 is missing"):
        verdicts(rows[(rows["check"] != "square") | (rows["attacked_timestep"] == 0)])
    with pytest.raises(DataError, match="'transfer' at t = 1, scored at t = 0"):
        verdicts(rows[(rows["check"] != "transfer") | (rows["attacked_timestep"] == 0)])
    with pytest.raises(DataError, match="twice"):
        verdicts(pd.concat([rows, rows.tail(1)]))
    with pytest.raises(DataError, match="not of the same 0"):
        verdicts(rows.head(0))


def test_a_timestep_that_is_wrong_on_every_image_cannot_be_judged(rows: pd.DataFrame) -> None:
    of_it = (rows["check"] == "transfer") & (rows["metric"] == "success") & (rows["attacked_timestep"] == 1)
    with pytest.raises(UsageError, match="all images at t = 1: nothing to check"):
        verdicts(rows[~of_it])
