"""Oracle: what a log without a terminal, and a notebook's cell, should hold, line by line."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import pytest

from pcbench.terminal import Terminal
from pcbench.training import watching
from pcbench.training.watching import Bars


def test_without_a_terminal_each_tenth_of_the_way_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars:
        report = bars.steps("predictors")
        for done in range(1, 41):
            report(done, 40, {"pcoder1": 0.5})
    lines = [line for line in capsys.readouterr().err.splitlines() if line]  # an older rich ends with an empty one
    assert lines[0] == "predictors: 4 of 40, pcoder1 0.5"
    assert lines[9:] == ["predictors: 40 of 40, pcoder1 0.5"]


def test_python_prints_no_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars(lines=False) as bars:
        bars.steps("predictors")(1, 1, {})
    assert capsys.readouterr().err.strip() == ""


def test_a_notebook_shows_a_bar_for_each_stage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells: list[list[str]] = []

    def display(content: dict[str, str], **_: Any) -> Any:
        shown = [content["text/plain"]]
        cells.append(shown)
        return types.SimpleNamespace(update=lambda content, **_: shown.append(content["text/plain"]))

    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    monkeypatch.setattr(watching, "Terminal", functools.partial(Terminal, force_jupyter=True))
    with Bars() as bars:
        for stage in ("backbone", "predictors"):
            bars.steps(stage)(4, 4, {"loss": 0.5})
    assert [one[-1] for one in cells] == ["backbone, loss 0.5", "predictors, loss 0.5"]
    assert capsys.readouterr().err.strip() == ""
