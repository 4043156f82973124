"""Oracle: the simulation itself, asked at the same sizes; and the words for a coverage that falls short."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_studies import small, written

from pcbench.metrics.coverage import LatentSpread, simulated_coverage
from pcbench.metrics.two_way import TwoWay, VarianceParts, detectable_effect
from pcbench.studies.answers import ArmComparison
from pcbench.studies.covered import coverage_rows, coverage_sentence
from pcbench.studies.study_file import read_study


def test_the_coverage_is_that_of_the_studys_own_sizes_and_spread(tmp_path: Path) -> None:
    question = {"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", "primary": True}
    (asked,) = read_study(written(tmp_path, small(questions=[question]))).table.questions
    parts = VarianceParts(0.0004, 0.02, 0.03)
    found = TwoWay(0.02, -0.01, 0.05, 0.1, detectable_effect(parts, 3, 200), 3, 200)
    one = ArmComparison(asked, "t = 0", 2, 0.72, 0.7, found, 0.1, (), None, parts)
    (row,) = coverage_rows([one])
    expected = simulated_coverage(3, 200, accuracy=0.7, spread=LatentSpread.like(parts, 0.7))
    assert (row["coverage"], row["width"]) == (expected.coverage, expected.width)
    assert row["power"] == pytest.approx(0.8, abs=0.1)
    alone = ArmComparison(asked, "t = 0", 2, 0.72, 0.7, found, 0.1, (), None, None)
    other = ArmComparison(asked, "no-feedback", 2, 0.72, 0.7, found, None, (), None, parts)
    assert list(coverage_rows([alone, other])) == []


def test_a_coverage_that_falls_short_is_told() -> None:
    assert coverage_sentence([]) == ""
    assert "94.0 to 96.0 % of the 95 % intervals" in coverage_sentence([{"coverage": 0.94}, {"coverage": 0.96}])
    assert "That is below 93 %" in coverage_sentence([{"coverage": 0.9}])
