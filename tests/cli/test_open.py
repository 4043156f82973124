"""Oracles: the call that the browser gets; the folders that were made; the runs' own accuracies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pcbench.cli.runs import age_of

Call = Callable[..., int]


@pytest.fixture
def page(tmp_path: Path, make_run: Callable[..., Path]) -> Path:
    """The page of a run, which has one by hand."""
    path = make_run(tmp_path / "runs" / "one", right=180) / "report" / "index.html"
    path.parent.mkdir()
    path.write_text("a page", encoding="utf-8")
    return path


def test_a_page_is_opened_where_there_is_a_display(
    page: Path, call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) is None)
    monkeypatch.setenv("DISPLAY", ":0")
    assert call("open", page.parents[1]) == 0
    assert call("open", page) == 0
    assert opened == [page.resolve().as_uri()] * 2
    assert capsys.readouterr().out == f"opened {page}\n" * 2


def test_without_a_display_its_path_is_said(
    page: Path, call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("a browser of the terminal would take it over"))
    monkeypatch.setattr("sys.platform", "linux")
    assert call("open", page.parents[1]) == 0
    assert str(page.resolve()) in capsys.readouterr().out
    page.unlink()
    assert call("open", page.parents[1]) == 2
    assert f"has no page: pcbench report {page.parents[1]} makes it" in capsys.readouterr().err


def test_runs_are_listed_with_their_main_number(
    page: Path, make_run: Callable[..., Path], call: Call, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_run(tmp_path / "runs" / "deep" / "two", right=120, seed=1)
    make_run(tmp_path / "runs" / "deep" / "two" / "feedback=0", right=100, seed=2)  # a setting's is part of its run
    assert call("runs", tmp_path / "runs") == 0
    printed = capsys.readouterr().out
    assert printed.count("fog-only") == 2
    assert str(page.parents[1]) in printed
    empty = tmp_path / "empty"
    empty.mkdir()
    assert call("runs", empty) == 0
    assert "no finished run lies below" in capsys.readouterr().out
    assert call("runs", tmp_path / "nowhere") == 2
    assert "is not a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("before", "told"),
    [(timedelta(seconds=5), "5 s"), (timedelta(minutes=90), "1 h"), (timedelta(days=3, hours=5), "3 d")],
)
def test_an_age_is_in_one_unit(before: timedelta, told: str) -> None:
    assert age_of((datetime.now(UTC) - before).isoformat()) == told
    assert age_of(None) == ""
