"""Oracle: the verdict on the same rows in their first order."""

# ruff: noqa: TID252 - tests are not an installed package, so an absolute import has nothing to name
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from pcbench.attacks.checks.gradients import BUDGET_METRICS
from pcbench.attacks.checks.rows import COLUMNS
from pcbench.attacks.checks.verdict import TimestepChecks, checks_table, judge
from pcbench.errors import DataError, UsageError

from ..conftest import Case
from .conftest import EPSILON, SUITE, gathered, two_timesteps, victims_of


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


def test_the_order_of_the_rows_changes_nothing(rows: pd.DataFrame) -> None:
    expected = checks_table(verdicts(rows))
    for seed in range(3):
        assert checks_table(verdicts(rows.sample(frac=1, random_state=seed))) == expected
    assert [one["timestep"] for one in expected] == [0, 1]
    signs = [comparison["sign"] for comparison in expected[1]["comparisons"]]
    assert [sign.split()[0] for sign in signs] == ["random", "Square", "the", "the", "success", "transfer"]
    assert [one["sign"].split()[0] for one in expected[1]["shown"]] == ["FGSM", "the"]


def test_a_parquet_file_gives_the_rows_back(rows: pd.DataFrame, tmp_path: Path) -> None:
    lost = changed(rows, np.nan, check="gradients", metric="products_wide", attacked_timestep=1)
    for one in (rows, lost):
        columns: dict[str, Any] = {name: pa.array(one[name].tolist()) for name in COLUMNS}
        for name in ("image_id", "check", "metric"):
            columns[name] = columns[name].dictionary_encode()
        columns["value"] = pa.array(one["value"], from_pandas=True)  # NaN is an empty cell
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
    def reasons(metric: str, value: float, rows: pd.DataFrame = rows) -> str:
        for image_id in ("3", "5"):
            rows = changed(rows, value, metric=metric, image_id=image_id)
        return " ".join(verdicts(rows)[0].reasons)

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


def test_evidence_of_former_versions_is_judged_by_what_it_holds(rows: pd.DataFrame) -> None:
    # It says nothing of the budget's scale, and has no attack along averaged gradients.
    former = rows[~rows["metric"].isin(BUDGET_METRICS) & (rows["check"] != "smoothed")]
    for now, then in zip(verdicts(rows), verdicts(former), strict=True):
        assert (then.form, then.verdict, then.gradients.budget_agreement) == ("full", now.verdict, None)
        assert then.gradients.agreement == now.gradients.agreement
        assert [one for one in now.comparisons if "averaged" not in one.sign] == list(then.comparisons)
    partly = rows[rows["check"] != "smoothed"]
    with pytest.raises(DataError, match="'smoothed' at t = 0 is missing"):
        verdicts(partly)
