"""Oracle: the made runs' own accuracies, 90 % and 60 %."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest


def test_two_runs_are_compared_and_written(
    tmp_path: Path, make_run: Callable[..., Path], call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    runs = make_run(tmp_path / "first", right=180), make_run(tmp_path / "second", right=120)
    assert call("compare", *runs, "--out", tmp_path / "out") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "second at t = 0 is less accurate than first at t = 0 on corrupted images" in printed
    assert "90.0 % → 60.0 %, −30.0 points, 95 % interval [" in printed
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert table.difference.tolist() == [-0.3]
    assert "| 90.0 | 60.0 |" in (tmp_path / "out" / "comparison.md").read_text()


def test_what_cannot_be_compared_is_one_line_and_exit_2(
    tmp_path: Path, make_run: Callable[..., Path], call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    first, other = make_run(tmp_path / "first", right=180), make_run(tmp_path / "second", right=180, crop=28)
    for arguments, problem in [
        (("compare", first, other), "data.preprocessing: {'crop': 32} -> {'crop': 28}"),
        (("compare", first), "has one timestep only"),
        (("compare", tmp_path / "nowhere"), "not a run of pcbench"),
    ]:
        capsys.readouterr()
        assert call(*arguments) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert len(error.splitlines()) == 1
