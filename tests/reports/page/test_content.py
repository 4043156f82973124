"""Oracle: made runs: of two, one has a timestep more; of three, one is on other images."""

from __future__ import annotations

import dataclasses
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
    said = [dict(run["headline"]) for run in content.values["runs"]]
    assert [set(of_run) for of_run in said] == [{0, 1, 2}, {0, 1, 2}]
    assert said[1][2] == "Nothing at t = 2: this run ends at t = 1."
    assert "Nothing" not in said[0][2]


def test_runs_are_compared_where_their_images_are_the_same_and_it_is_said_where_they_are_not(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / name, 1) for name in ("first", "second", "third")]
    data = runs[2].spec.data.model_copy(update={"fingerprint": "dd"})
    runs[2] = dataclasses.replace(runs[2], spec=runs[2].spec.model_copy(update={"data": data}))
    content = page_content(runs).values
    same, other = content["compared"]
    assert [(row["at"], row["difference"], row["images"]) for row in same["rows"]][:2] == [
        ("0", "0.0", 20),
        ("1", "0.0", 20),
    ]
    assert (same["refused"], other["rows"]) == ("", [])
    assert "cannot be compared: data.fingerprint: cc -> dd" in other["refused"]
    assert str(tmp_path) not in other["refused"]
    drawn = [figure["drawn"] for suite in content["suites"] for figure in suite["figures"]]
    assert drawn
    # All three in each figure, on one axis.
    assert all({one["run"] for one in panel["runs"]} == {0, 1, 2} for figure in drawn for panel in figure["panels"])
