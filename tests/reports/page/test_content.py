"""Oracle: two made runs, of which one has a timestep more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

from pcbench.reports.page.content import page_content
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run


def run_of(folder: Path, timesteps: int) -> Run:
    """Make a run of 20 images under fog, all of them answered rightly."""
    spec = made_spec([made_suite("fog-only", 20)], made_data(20), made_settings(timesteps=timesteps))
    fog = Condition("fog-only", "corruption", "fog", severity=1)
    table = made_table(fog, range(timesteps + 1), np.full((timesteps + 1, 20), fill_value=True))
    return made_run(folder, spec, {"fog-only/fog.parquet": table})


def test_a_shorter_run_says_so_where_it_has_ended(tmp_path: Path) -> None:
    content = page_content([run_of(tmp_path / "long", 2), run_of(tmp_path / "short", 1)])
    said = [dict(run["headline"]) for run in content["runs"]]
    assert [set(of_run) for of_run in said] == [{0, 1, 2}, {0, 1, 2}]
    assert said[1][2] == "Nothing at t = 2: this run ends at t = 1."
    assert "Nothing" not in said[0][2]
