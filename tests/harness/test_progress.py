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
        with progress.unit("fog 1", 30):
            progress.step(10, images=5)
        with progress.unit("fog 2", 50):
            progress.step(50, images=25)
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["share"] == pytest.approx(1.0)
    assert told["conditions_done"] == told["conditions"] == 3


def test_a_terminal_sees_a_bar_with_the_condition_and_the_time_left(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with RunProgress(tmp_path, units=2, work=10, console=console) as progress, progress.unit("digits-c: fog 3", 5):
        progress.step(5, images=5)
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "digits-c: fog 3" in drawn
    assert "50 %" in drawn
    assert "images/s" in drawn


def test_a_condition_that_fails_is_not_counted(tmp_path: Path) -> None:
    def fail() -> None:
        with RunProgress(tmp_path, units=1, work=10, console=None) as progress, progress.unit("fog", 10):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        fail()
    assert json.loads((tmp_path / PROGRESS).read_text())["conditions_done"] == 0
