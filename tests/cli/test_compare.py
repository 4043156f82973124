"""Oracle: the made runs' own accuracies, 90 % and 60 %."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from simulated_runs import write_run

from pcbench.comparison.compare import compare_timesteps
from pcbench.comparison.compare_output import telling_rows


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


def test_the_last_timestep_and_clear_changes_are_shown_and_the_rest_with_all(
    tmp_path: Path, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "one", "pdigits", 0, corruptions=("fog", "snow"))
    rows = compare_timesteps(run)
    last = max(row.second.timestep for row in rows)
    told = {row for row in rows if row.p_holm <= 0.05 or row.second.timestep == last}
    assert 0 < len(told) < len(rows)
    assert set(telling_rows(rows)) == told
    assert call("compare", run.folder) == 0
    few = " ".join(capsys.readouterr().out.split())
    assert f"{len(rows) - len(told)} comparisons without a clear change are not shown; --all shows them" in few
    assert call("compare", run.folder, "--all") == 0
    every = " ".join(capsys.readouterr().out.split())
    assert "are not shown" not in every
    assert all(f"t = {t} is" in every for t in range(1, last + 1))
