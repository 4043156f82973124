"""Oracle: what a log without a terminal should hold, line by line."""

from __future__ import annotations

import pytest

from pcbench.training.watching import Bars


def test_without_a_terminal_each_tenth_of_the_way_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        report = bars.steps("predictors")
        for done in range(1, 41):
            report(done, 40, {"pcoder1": 0.5})
    lines = [line for line in capsys.readouterr().err.splitlines() if line]  # an older rich ends with an empty one
    assert lines[0] == "predictors: 4 of 40, pcoder1 0.5"
    assert lines[9:] == ["predictors: 40 of 40, pcoder1 0.5"]
