"""Noise levels that fit the images. Oracle: the definitions' own numbers, and rates written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pcbench.catalog import suite_folder
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.harness.suites import fitting_folder
from pcbench.metrics.marks import Marking, marks_title, noise_notes, stated_std
from pcbench.reports.figures import charts
from pcbench.reports.matrices import entry
from pcbench.reports.noise_charts import noise_charts
from pcbench.results.metrics_table import metrics_table
from pcbench.results.verdicts import Verdicts

PAPER = (0.25, 0.5, 0.75, 1.0, 2.0)


@pytest.mark.parametrize(
    ("name", "data", "side", "factor"),
    [
        ("gaussian-noise", None, 32, 0.2),
        ("gaussian-noise", None, 64, 0.2),
        ("gaussian-noise", None, 65, 1),
        ("gaussian-noise", "digits", 32, 1),
        ("a/folder/gaussian-noise", None, 32, 1),
    ],
)
def test_small_images_have_a_fifth_of_the_papers_levels(name: str, data: str | None, side: int, factor: float) -> None:
    images: Any = data or (np.zeros((2, side, side, 3), np.uint8), [0, 1])
    source = open_source(images, preprocessing=Preprocessing())
    suite = load_corruption_suite(fitting_folder(name, suite_folder("gaussian-noise")[1], source))
    assert suite.name == "gaussian-noise"
    levels = suite.corruption("gaussian_noise").parameters["standard_deviation"]
    assert levels == pytest.approx([factor * level for level in PAPER])


def test_a_row_at_chance_says_so_and_levels_have_their_share_of_the_pixel_range() -> None:
    row = {"kind": "noise", "metric": "accuracy", "name": "gaussian_noise", "model": "m", "suite": "s"}
    row |= {"value": 0.6, "ci_high": 0.7, "n": 40}
    table = metrics_table(
        [
            {**row, "severity": severity, "epsilon": level, "timestep": t, "ci_low": low}
            for severity, level, lows in ((1, 0.1, (0.5, 0.4)), (2, 0.2, (0.2, 0.09)), (3, 0.4, (0.1, 0.08)))
            for t, low in enumerate(lows)
        ]
    )
    rows = Marking(10, stated_std("(0.2, 0.25, 0.3)")).marked(table)
    assert rows["share_of_pixel_range"].tolist() == pytest.approx([0.025, 0.025, 0.05, 0.05, 0.1, 0.1])
    assert rows["marks"].fillna("").tolist() == ["", "", "", "at chance", "at chance", "at chance"]
    assert marks_title(rows) == ""
    tuned = Marking(10, tuned=True).marked(table)
    assert tuned["marks"].tolist() == ["tuned on these images"] * 3 + ["at chance; tuned on these images"] * 3
    assert marks_title(tuned) == ", TUNED ON THESE IMAGES"
    assert [entry(one).interval.endswith(" at chance") for _, one in rows.iterrows()] == [False] * 3 + [True] * 3
    (chart,) = noise_charts(rows)
    assert "as a share of the pixel range (mean over the channels): 0.1: 2.5 %" in chart.caption
    assert "AT CHANCE at every t: σ = 0.4." in chart.caption
    (marked,) = charts(tuned, Verdicts())[:1]
    assert marked.title.endswith(", TUNED ON THESE IMAGES")
    lines = list(noise_notes(rows, 10))
    assert lines[0].endswith("0.1: 2.5 %, 0.2: 5 %, 0.4: 10 %")
    assert lines[1:] == [
        "AT CHANCE (10 % for 10 classes) at t = 1: σ = 0.2",
        "AT CHANCE (10 % for 10 classes) at every t: σ = 0.4",
    ]


def test_severities_of_a_corruption_that_are_at_chance_together_are_one_line() -> None:
    row = {"kind": "corruption", "metric": "accuracy", "name": "fog", "model": "m", "suite": "s", "n": 40}
    lows = {1: (0.5, 0.5), 2: (0.08, 0.09), 3: (0.09, 0.08), 4: (0.2, 0.09)}
    rows = [
        {**row, "severity": severity, "timestep": t, "value": 0.6, "ci_low": low, "ci_high": 0.7}
        for severity, both in lows.items()
        for t, low in enumerate(both)
    ]
    assert list(noise_notes(Marking(10).marked(metrics_table(rows)))) == [
        "AT CHANCE at every t: fog, severities 2 and 3",
        "AT CHANCE at t = 1: fog, severity 4",
    ]
