"""Oracles: the table of changes that is published of a small study, read by itself, and that study's file; the boxes
of texts that matplotlib's own renderer draws."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from small_studies import PUBLISHED_RESNET

from pcbench.reports.axes import x_axis
from pcbench.reports.charts import Chart, Panel
from pcbench.reports.drawing import draw
from pcbench.reports.layout import wrapped_title
from pcbench.reports.page import study_figures
from pcbench.reports.style import Pattern, line_colours, pattern, style
from pcbench.studies.arms import ARMS
from pcbench.studies.figures import blur_charts_of, change_charts_of, decisive_charts
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
def rising(study: StudyFile, frames: dict[str, pd.DataFrame]) -> Chart:
    """Return the published figure of noise where nothing falls, so that t = 0 is at the bottom of the axis."""
    changes = frames["changes"].copy()
    for name, raised in (("change", 0.05), ("ci_low", 0.04), ("ci_high", 0.06)):
        changes[name] = changes["timestep"] * raised + 0.2 * (changes["arm"] == "input-blur")
    (chart,) = decisive_charts(study, {**frames, "changes": changes})
    return chart


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
    assert on_page["attack"].caption.endswith("Attacked, and drawn, at t = 0 and 2 alone, each arm and t by itself.")
    for name in ("noise", "representations"):
        assert on_page[name].panels[0].lines[0].x == (0.0, 1.0, 2.0)
        assert "Attacked" not in on_page[name].caption


@pytest.mark.parametrize("turned", [1.0, -1.0, -0.001])
def test_no_texts_of_a_published_figure_touch_and_each_lies_within_it(rising: Chart, turned: float) -> None:
    def at(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(turned * value for value in values)

    (panel,) = rising.panels
    lines = tuple(
        dataclasses.replace(one, y=at(one.y), low=at(one.high if turned < 0 else one.low), high=at(one.high))
        for one in panel.lines
    )
    with style():
        drawn = draw(dataclasses.replace(rising, panels=(dataclasses.replace(panel, lines=lines),)))
        renderer = FigureCanvasAgg(drawn).get_renderer()
        drawn.draw(renderer)
    shown = [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [(text.get_text(), text.get_window_extent(renderer)) for text in shown]
    assert [text for text, _ in texts].count("t = 0") == 1
    for (one, box), (other, second) in itertools.combinations(texts, 2):
        assert not box.overlaps(second), (one, other)
    (named,) = (box for text, box in texts if text == "t = 0")
    panel_box = drawn.axes[0].get_window_extent(renderer)
    assert panel_box.y0 <= named.y0 < named.y1 <= panel_box.y1
    assert all(box.x0 >= 0 and box.x1 <= drawn.bbox.x1 for _, box in texts)
    assert "arm" not in [text for text, _ in texts]  # names of lines need no title


def test_a_published_figure_says_what_it_was_measured_with(rising: Chart, on_page: dict[str, Chart]) -> None:
    counted = CHANGES[CHANGES["question"] == "noise"].groupby("arm")["training_seeds"].max()
    assert dict(counted[["network", "input-blur"]]) == {"network": 2, "input-blur": 1}
    assert rising.title.startswith("Change against the network's t = 0: accuracy of presnet20_cifar10 ")
    assert rising.note == "32 images; training seeds: 2 (network), 1 (input-blur). Bands: 95 % intervals."
    with style():
        said = [text.get_text() for text in draw(rising).texts]
    assert rising.note in " ".join(said)
    others = "2 (network), 1 (no-feedback, random-predictors, input-blur)"
    assert f"32 images; training seeds: {others}. Bands" in on_page["noise"].caption
    assert on_page["noise"].note == ""  # a page has the caption


def test_no_title_breaks_within_a_term() -> None:
    for width in range(20, 90):
        lines = wrapped_title("Change since t = 0 in 95 % of cases", width)
        assert " ".join(lines) == "Change since t = 0 in 95 % of cases"
        assert sum("t = 0" in line for line in lines) == sum("95 %" in line for line in lines) == 1


def test_every_arm_looks_the_same_in_all_studies_and_like_no_other(rising: Chart) -> None:
    (panel,) = rising.panels
    drawn = [dataclasses.replace(panel.lines[0], label=arm) for arm in ARMS]

    def looks(labels: Sequence[str], *, dark: bool) -> dict[str, tuple[str, Pattern]]:
        lines = tuple(one for one in drawn if one.label in labels)
        colours = line_colours(rising, Panel("", lines), dark=dark)
        return {one.label: (colour, pattern(rising, one)) for one, colour in zip(lines, colours, strict=True)}

    for dark in (False, True):
        every = looks(list(ARMS), dark=dark)
        assert len({colour for colour, _ in every.values()}) == len(ARMS)
        assert len({sign for _, sign in every.values()}) == len(ARMS)  # in grey
        some = ["network", "input-blur", "smoothed"]
        assert looks(some, dark=dark) == {arm: every[arm] for arm in some}
    beside = dataclasses.replace(panel.lines[0], label="blurs of 0.3 to 0.8 px")
    assert line_colours(rising, Panel("", (beside,)))[0] not in {colour for colour, _ in every.values()}


def test_a_page_draws_the_marker_of_every_arm(rising: Chart) -> None:
    script = (Path(study_figures.__file__).parent / "plots.js").read_text(encoding="utf-8")
    outlines = set(re.findall(r'^    "?([^\s":]+)"?: "M', script, re.MULTILINE))
    (panel,) = rising.panels
    markers = {pattern(rising, dataclasses.replace(panel.lines[0], label=arm)).marker for arm in ARMS}
    assert markers <= outlines | {"o"}


def test_measured_shares_have_round_ticks_that_hold_all_of_them(
    study: StudyFile, frames: dict[str, pd.DataFrame]
) -> None:
    blur = pd.read_csv(PUBLISHED_RESNET / "blur.csv")
    (chart,) = blur_charts_of(study, {**frames, "blur": blur})
    axis = x_axis(chart)
    places = [place for place, _ in axis.ticks]
    steps = {round(second - first, 9) for first, second in itertools.pairwise(places)}
    assert len(steps) == 1
    assert [float(text) for _, text in axis.ticks] == pytest.approx(places)
    of_arms = 100 * blur[blur["width"].isna()].groupby("point")["clean_accuracy"].mean()
    assert places[0] == axis.low <= of_arms.min()
    assert of_arms.max() <= axis.high == places[-1]
    assert "training seeds: 2 (network, feedforward), 1 (" in chart.caption
