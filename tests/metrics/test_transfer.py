"""Oracle: statsmodels' Wilson interval, and the entries themselves."""

from __future__ import annotations

import pytest
from statsmodels.stats.proportion import proportion_confint

from pcbench.metrics.transfer import transfer_rows

CELL = {"attack": "pgd", "norm": "linf", "epsilon": 8 / 255, "attacked_timestep": 2, "timestep": 0}


def test_each_pair_of_timesteps_is_a_row_with_its_interval() -> None:
    checks = [{"suite": "linf", "transfer": [CELL | {"attack_success_rate": 0.25, "n": 40}]}]
    (row,) = transfer_rows(checks)
    low, high = proportion_confint(10, 40, method="wilson")
    assert row["ci_low"] == pytest.approx(low)
    assert row["ci_high"] == pytest.approx(high)
    found = {name: row[name] for name in ("suite", "name", "attacked_timestep", "timestep", "value", "n", "metric")}
    assert found == {
        "suite": "linf",
        "name": "pgd",
        "attacked_timestep": 2,
        "timestep": 0,
        "value": 0.25,
        "n": 40,
        "metric": "transfer_success_rate",
    }


def test_a_pair_without_an_image_right_at_both_has_no_row() -> None:
    checks = [{"suite": "linf", "transfer": [CELL | {"attack_success_rate": None, "n": 0}]}]
    assert list(transfer_rows(checks)) == []


def test_a_row_says_by_which_gradient_its_images_were_made() -> None:
    cell = CELL | {"attack_success_rate": 0.25, "n": 40}
    checks = [{"suite": "linf", "transfer": [cell | {"gradient": "stop_error"}, cell]}]
    assert [row["gradient"] for row in transfer_rows(checks)] == ["stop_error", "exact"]
