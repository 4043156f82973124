"""Oracles: the table of changes that is published of a small study, read by itself, and that study's file."""

from __future__ import annotations

import tomllib

import pandas as pd
import pytest
from small_studies import PUBLISHED_RESNET

from pcbench.reports.charts import Chart
from pcbench.studies.figures import change_charts_of
from pcbench.studies.study_file import StudyFile, read_study

CHANGES = pd.read_csv(PUBLISHED_RESNET / "changes.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def study() -> StudyFile:
    return read_study(PUBLISHED_RESNET / "study.toml")


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    changes = CHANGES.copy()
    changes.loc[changes["question"] == "attack", "change"] = [0.0, 0.9, 0.2]
    return {"changes": changes, "answers": pd.read_csv(PUBLISHED_RESNET / "answers.csv", keep_default_na=False)}


@pytest.fixture(scope="module")
def on_page(study: StudyFile, frames: dict[str, pd.DataFrame]) -> dict[str, Chart]:
    return {question.name: chart for question, chart in change_charts_of(study, frames)}


def test_a_figure_of_attacks_is_drawn_at_attacked_timesteps_alone(on_page: dict[str, Chart]) -> None:
    table = tomllib.loads((PUBLISHED_RESNET / "study.toml").read_text())
    (attacked,) = (suite["attacked_timesteps"] for suite in table["suites"] if suite["name"] == "linf")
    assert attacked == [0, 2]
    of_attack = CHANGES[CHANGES["question"] == "attack"]
    assert list(of_attack["timestep"]) == [0, 1, 2]  # at t = 1 are images that were made against another timestep
    (line,) = on_page["attack"].panels[0].lines
    assert line.x == (0.0, 2.0)
    assert line.y == (0.0, 20.0)
    assert on_page["attack"].caption.endswith("Attacked, and drawn, at t = 0 and 2 alone, each by itself.")
    for name in ("noise", "representations"):
        assert on_page[name].panels[0].lines[0].x == (0.0, 1.0, 2.0)
        assert "Attacked" not in on_page[name].caption
