"""Oracle: the simulation itself, asked at the same sizes; and the words for a coverage that falls short."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from small_studies import small, written

from pcbench.metrics.coverage import LatentSpread, simulated_coverage, simulated_coverage_of_means
from pcbench.metrics.two_way import TwoWay, VarianceParts
from pcbench.studies.answers import ArmComparison
from pcbench.studies.covered import coverage_rows, coverage_sentence
from pcbench.studies.study_file import read_study

PARTS = VarianceParts(0.0004, 0.02, 0.03)


def _compared(tmp_path: Path, *, single: bool, other: float = 0.7) -> ArmComparison:
    question = {"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", "primary": True}
    (asked,) = read_study(written(tmp_path, small(questions=[question]))).table.questions
    of_seeds, of_images = (PARTS.seeds + PARTS.rest / 200) / 3, PARTS.images / 200
    found = TwoWay(0.02, -0.01, 0.05, 0.1, of_seeds, of_images, 3, 200)
    return ArmComparison(asked, "t = 0", 2, 0.72, other, found, 0.1, (), None, PARTS, single, corrected=4)


def test_the_coverage_is_that_of_the_studys_own_sizes_and_spread(tmp_path: Path) -> None:
    one = _compared(tmp_path, single=True)
    (row,) = coverage_rows([one])
    expected = simulated_coverage((3, 200), accuracy=0.7, spread=LatentSpread.like(PARTS, 0.7))
    assert (row["coverage"], row["width"]) == (expected.coverage, expected.width)
    assert row["difference"] == one.difference.smallest(4) > one.difference.smallest()
    # Seeds differ less where more images are right, and so a difference from 70 to 84 % is found more often.
    assert 0.75 < row["power"] < 0.95
    alone, other = replace(one, parts=None), replace(one, against="no-feedback")
    assert list(coverage_rows([alone, other])) == []


def test_images_with_means_over_conditions_are_simulated_as_such(tmp_path: Path) -> None:
    (row,) = coverage_rows([_compared(tmp_path, single=False)])
    expected = simulated_coverage_of_means((3, 200), parts=PARTS)
    assert (row["coverage"], row["width"]) == (expected.coverage, expected.width)
    assert row["power"] == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize("single", [True, False])
def test_a_gain_that_is_not_possible_has_no_power(single: bool, tmp_path: Path) -> None:
    (row,) = coverage_rows([_compared(tmp_path, single=single, other=0.99)])
    assert math.isnan(row["power"])
    assert "is found in" not in coverage_sentence([row], 1)


def test_a_coverage_that_falls_short_is_told() -> None:
    assert coverage_sentence([], 3) == ""
    rows = [{"coverage": 0.94, "power": 0.79}, {"coverage": 0.96, "power": 0.81}]
    assert "94.0 to 96.0 % of the 95 % intervals" in coverage_sentence(rows, 5)
    assert "That is of 2 of the 5 primary comparisons" in coverage_sentence(rows, 5)
    assert "is found in 79.0 to 81.0 % of them" in coverage_sentence(rows, 5)
    assert "That is below 93 %" in coverage_sentence([{"coverage": 0.9, "power": math.nan}], 1)
