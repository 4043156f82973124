"""Oracle: the work that each test counts by hand."""

from __future__ import annotations

import io
import json
import sys
import types
from pathlib import Path

import pytest

from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import Passes
from pcbench.harness.progress import RunProgress
from pcbench.results.conditions import Condition
from pcbench.results.directory import PROGRESS
from pcbench.terminal import NotebookBar, Terminal


def made_unit(name: str, work: float, severity: int = 1) -> Unit:
    """A unit of one image."""
    condition = Condition("digits-c", "corruption", name, severity=severity)
    return Unit("scores", condition, Block(0, 1, 0, 1, ""), Passes(work))


def test_work_is_counted_once_whether_told_on_the_way_or_not(tmp_path: Path) -> None:
    snow, fog, frost = units = [made_unit(name, work) for name, work in (("snow", 20), ("fog", 30), ("frost", 50))]
    with RunProgress(tmp_path, units, console=None) as progress:
        progress.skip(snow)
        progress.begin(fog)
        progress.step(10, images=5)
        progress.end(fog)
        progress.begin(frost)
        progress.step(50, images=25)
        progress.end(frost)
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["share"] == pytest.approx(1.0)
    assert told["conditions_done"] == told["conditions"] == 3


def test_a_terminal_sees_a_bar_with_the_condition_and_the_time_left(tmp_path: Path) -> None:
    console = Terminal(file=io.StringIO(), force_terminal=True, width=120)
    fog, _ = units = [made_unit("fog", 5, severity=3), made_unit("snow", 5)]
    with RunProgress(tmp_path, units, console=console) as progress:
        progress.begin(fog)
        progress.step(5, images=5)
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "digits-c: fog 3" in drawn
    assert "50 %" in drawn
    assert "images/s" in drawn
    assert " s left" in drawn


def test_work_inside_several_units_at_a_time_is_not_counted_twice(tmp_path: Path) -> None:
    units = [made_unit("fog", 50), made_unit("snow", 50)]
    with RunProgress(tmp_path, units, console=None, several=True) as progress:
        for unit in units:
            progress.begin(unit)
            progress.step(40, images=4)
        progress.end(units[0])
    told = json.loads((tmp_path / PROGRESS).read_text())
    assert told["share"] == pytest.approx(0.8)


def test_the_time_left_ends_with_the_pages(tmp_path: Path) -> None:
    unit = made_unit("fog", 5)
    with RunProgress(tmp_path, [unit], console=None, several=True, finishing=16.0) as progress:
        progress.begin(unit)
        progress.end(unit)
    assert json.loads((tmp_path / PROGRESS).read_text())["seconds_left"] == pytest.approx(16)


def test_a_notebook_shows_a_bar_with_escaped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Oracle: what a stand-in of IPython's display is given.
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            assert raw
            shown.append(content)

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        shown.append(content)
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    bar = NotebookBar()
    task = bar.add_task("<b>", total=4.0, rate="", left="")
    bar.start()
    bar.update(task, completed=1.0, description="<b>2/4</b>", rate="3 images/s")
    bar.update(task, completed=2.0)  # too soon to be drawn
    bar.stop()
    assert [one["text/plain"] for one in shown] == ["<b>", "<b>2/4</b>, 3 images/s", "<b>2/4</b>, 3 images/s"]
    assert shown[-1]["text/html"] == '<progress max="1" value="0.500"></progress> &lt;b&gt;2/4&lt;/b&gt;, 3 images/s'
    with RunProgress(tmp_path, [], Terminal(force_jupyter=True)) as progress:
        assert isinstance(progress._bar, NotebookBar)
