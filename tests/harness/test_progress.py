"""Oracle: the work that each test counts by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from pcbench.harness.progress import RunProgress
from pcbench.results.directory import PROGRESS


def test_work_is_counted_once_whether_told_on_the_way_or_not(tmp_path: Path) -> None:
    with RunProgress(tmp_path, units=3, work=100, console=None) as progress:
        progress.skip(20)
        progress.begin("fog 1")
        progress.step(10, images=5)
        progress.end(30)
        progress.begin("fog 2")
        progress.step(50, images=25)
        progress.end(50)
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["share"] == pytest.approx(1.0)
    assert told["conditions_done"] == told["conditions"] == 3


def test_a_terminal_sees_a_bar_with_the_condition_and_the_time_left(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with RunProgress(tmp_path, units=2, work=10, console=console) as progress:
        progress.begin("digits-c: fog 3")
        progress.step(5, images=5)
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "digits-c: fog 3" in drawn
    assert "50 %" in drawn
    assert "images/s" in drawn


def test_work_inside_several_units_at_a_time_is_not_counted_twice(tmp_path: Path) -> None:
    with RunProgress(tmp_path, units=2, work=100, console=None, several=True) as progress:
        for title in ("fog 1", "fog 2"):
            progress.begin(title)
            progress.step(40, images=4)
        progress.end(50)
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["share"] == pytest.approx(0.8)
