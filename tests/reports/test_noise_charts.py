"""Oracle: rows that are written here. Suites of noise with any number of levels, and with noises of different ones."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from pcbench.cli import run_table
from pcbench.metrics.shown import level_symbol, shown_levels
from pcbench.reports.change_charts import change_charts
from pcbench.reports.charts import Chart
from pcbench.reports.drawing import draw
from pcbench.reports.noise_charts import noise_charts
from pcbench.reports.style import line_colours, style
from pcbench.results.verdicts import Verdicts
from pcbench.terminal import Terminal


def rows(noises: dict[str, list[float]]) -> pd.DataFrame:
    """Return accuracies at t = 0 and 1: 0.9 on clean images, less at each level."""
    made = [("clean", "clean", None, None, 0.9)]
    made += [
        ("noise", name, severity, level, 0.9 - severity / 100)
        for name, levels in noises.items()
        for severity, level in enumerate(levels, start=1)
    ]
    table = pd.DataFrame(made, columns=["kind", "name", "severity", "epsilon", "value"]).merge(
        pd.DataFrame({"timestep": [0, 1]}), how="cross"
    )
    return table.astype({"severity": "Int64"}).assign(
        suite="own", model="m", metric="accuracy", ci_low=0.1, ci_high=0.95, n=10
    )


def chart(noises: dict[str, list[float]]) -> Chart:
    (made,) = noise_charts(rows(noises))
    return made


def labels(made: Chart) -> list[list[str]]:
    return [[line.label for line in panel.lines] for panel in made.panels]


@pytest.mark.parametrize("count", [1, 2, 7, 12])
def test_one_noise_has_a_line_for_each_level(count: int) -> None:
    levels = [round(0.1 * (one + 1), 1) for one in range(count)]
    made = chart({"gaussian_noise": levels})
    assert labels(made) == [["0", *(f"{level:.3g}" for level in levels)]]
    assert (made.legend_title, made.colours, [panel.title for panel in made.panels]) == ("σ", "epsilon", [""])
    assert chart({"salt": levels}).legend_title == "level"


def test_noises_of_different_levels_are_told_apart_by_severity() -> None:
    made = chart({"gaussian_noise": [0.25, 2.0], "salt": [0.01, 0.02, 0.05, 0.1, 0.2, 0.4], "shot": [0.1]})
    assert [panel.title for panel in made.panels] == ["gaussian noise: 0.25, 2", "salt: 0.01 to 0.4", "shot: 0.1"]
    assert labels(made) == [["clean", "1", "2"], ["clean", *"123456"], ["clean", "1"]]
    assert made.panels[0].lines[2].y == made.panels[1].lines[2].y == pytest.approx((88, 88))
    assert (made.legend_title, made.colours) == ("severity", "severity")
    alike = chart({"gaussian_noise": [0.25, 0.5], "speckle_noise": [0.25, 0.5]})
    assert (alike.legend_title, labels(alike)) == ("level", [["0", "0.25", "0.5"]] * 2)


def test_a_severity_has_one_colour_in_all_panels() -> None:
    made = chart({"one": [0.1], "three": [0.1, 0.2, 0.3]})
    with style():
        drawn = [[line.get_color() for line in axes.get_lines()] for axes in draw(made).axes]
    assert drawn == [line_colours(made, panel) for panel in made.panels]
    assert drawn[0] == drawn[1][:2]


def test_what_pools_all_levels_is_no_point_of_the_change_by_level() -> None:
    levels = rows({"gaussian_noise": [0.25, 0.5]})
    pooled = levels[levels["severity"] == 1].assign(severity=pd.NA, epsilon=None)
    changes = pd.concat([levels, pooled]).assign(metric="accuracy_minus_t0", norm=None, attacked_timestep=None)
    (made,) = change_charts(changes[changes["timestep"] == 1], Verdicts())
    assert [line.x for line in made.panels[0].lines] == [(0.25, 0.5)]
    with style():
        draw(made)


def test_each_noise_has_its_own_middle_level() -> None:
    assert shown_levels(rows({"a": [0.1, 0.5, 0.2], "b": [9.0, 8.0]})) == {"a": 0.2, "b": 9.0}
    assert [level_symbol(names) for names in (["gaussian_noise"], ["gaussian_noise", "b"])] == ["σ", "level"]


def test_the_terminal_turns_a_table_of_many_levels() -> None:
    def printed(noises: dict[str, list[float]]) -> str:
        told = io.StringIO()
        console = Terminal(file=told, width=80)
        columns = run_table.corruption_columns(rows(noises))
        run_table.print_table(console, "title", columns, "{:.2f}".format)
        return told.getvalue()

    wide = printed({"gaussian_noise": [round(0.1 * one, 1) for one in range(1, 13)]})
    assert "│        σ = 1.2 │  0.78 │  0.78 │" in wide
    assert "t = 1" in wide
    assert "┃ t ┃ clean accuracy ┃ σ = 0.5 ┃" in printed({"gaussian_noise": [0.5]})
    assert "┃ severity 1 ┃ severity 2 ┃" in printed({"a": [0.5, 0.6], "b": [0.1, 0.2]})
