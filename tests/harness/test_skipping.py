"""Oracle: rows written by hand, and scipy's exact binomial interval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from pcbench.harness.skipping import SkippedAttacks, count_skipped
from pcbench.results.conditions import Condition
from pcbench.results.schema import outcome_table, write_outcomes


def write(path: Path, name: str, **columns: list[bool | None]) -> None:
    images = len(next(iter(columns.values())))
    given = {
        key: np.ma.array([bool(value) for value in values], mask=[value is None for value in values])
        for key, values in columns.items()
    }
    answers = {
        "image_id": np.array([str(index) for index in range(images)]),
        "label": np.zeros(images, int),
        "timestep": np.zeros(images, int),
        "prediction": np.zeros(images, int),
        "confidence": np.ones(images),
    }
    condition = Condition("s", "attack", name, norm="linf", epsilon=0.1, targeted=False, attacked_timestep=0)
    write_outcomes(outcome_table(condition, answers | given), path)


def test_what_was_skipped_and_spot_checked_is_counted(tmp_path: Path) -> None:
    # In order: skipped, spot-checked and standing, spot-checked and broken, attacked, broken at a smaller ε,
    # wrong from the start.
    columns = {
        "correct": [True, True, False, True, False, False],
        "attacked": [False, True, True, True, False, False],
        "spot_checked": [False, True, True, False, False, False],
        "success": [None, False, True, False, None, None],
        "success_within": [False, False, True, False, True, None],
    }
    write(tmp_path / "s" / "pgd-t0.parquet", "pgd", **columns)
    write(tmp_path / "s" / "worst_case-t0.parquet", "worst_case", **columns)
    found = count_skipped(tmp_path)
    assert found == SkippedAttacks(1, 2, 1)
    assert "1 broke" in str(found.sentence)


def test_the_bound_is_the_exact_one() -> None:
    for spot_checked in (1, 30, 569):
        expected = binomtest(0, spot_checked, alternative="less").proportion_ci(0.95).high
        assert SkippedAttacks(5000, spot_checked, 0).largest_share == pytest.approx(expected)
    assert "at most 0.53 % of them" in str(SkippedAttacks(5120, 569, 0).sentence)
    assert "is not known; --no-bracketing" in str(SkippedAttacks(9, 0, 0).sentence)
    assert SkippedAttacks(0, 0, 0).sentence is None
