"""Oracle: the values of the table that a chart is made of; lightness of colours after CIE 1931, by its formula."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from simulated_runs import EPSILONS, MadeUpBaseline

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.corruption_rows import StatedCorruptions
from pcbench.metrics.summary import summarise
from pcbench.reports.alternatives import alternative
from pcbench.reports.axes import x_axis, y_axis
from pcbench.reports.charts import Chart, Line, Panel, Rank
from pcbench.reports.drawing import draw
from pcbench.reports.figures import charts
from pcbench.reports.style import MM, WIDTHS, line_colours, save, style
from pcbench.results.verdicts import Verdicts

FAMILIES = {name: "noise" if "noise" in name else "blur" if "blur" in name else "digital" for name in THE_FIFTEEN}


@pytest.fixture(scope="module")
def of_run(outcomes: pd.DataFrame) -> dict[str, Chart]:
    stated = {"digits-c": StatedCorruptions(families=FAMILIES)}
    table = summarise(outcomes, model="pdigits", baselines={"digits-c": MadeUpBaseline()}, corruptions=stated)
    return {chart.name: chart for chart in charts(table, Verdicts())}


def luminance(colour: str) -> float:
    levels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(colour: str, paper: str = "#ffffff") -> float:
    dark, light = sorted((luminance(colour), luminance(paper)))
    return (light + 0.05) / (dark + 0.05)


def test_every_measured_budget_has_a_tick_in_the_unit_of_its_norm(of_run: dict[str, Chart]) -> None:
    chart = of_run["robust-accuracy-by-epsilon"]
    axis = x_axis(chart)
    assert [text for _, text in axis.ticks] == ["0", "1", "4", "16"]
    assert chart.x_label == "ε (L∞, in 1/255 of the pixel range)"
    assert [axis.position(epsilon) for epsilon in EPSILONS] == [position for position, _ in axis.ticks] == [0, 1, 3, 5]
    with style():
        drawn = draw(chart).axes[0]
    assert list(drawn.get_xticks()) == [0, 1, 3, 5]
    assert [text.get_text() for text in drawn.get_xticklabels()] == ["0", "1", "4", "16"]
    ones = (1.0,) * 9
    dense = (Line("0", tuple(k / 255 for k in (0, 4, 8, 16, 24, 32, 48, 64, 96)), ones, ones, ones, (9,) * 9),)
    axis = x_axis(dataclasses.replace(chart, panels=(Panel("", dense),)))
    # All nine have their labels: those less than a doubling apart are moved apart a little, and keep their order.
    assert [text for _, text in axis.ticks] == ["0", "4", "8", "16", "24", "32", "48", "64", "96"]
    assert [position for position, _ in axis.ticks] == [0, 1, 2, 3, 3.75, 4.5, 5.25, 6, 6.75]
    many = tuple(
        Line("0", tuple(k / 255 for k in range(41)), (1.0,) * 41, (1.0,) * 41, (1.0,) * 41, (9,) * 41) for _ in "a"
    )
    ticks = x_axis(dataclasses.replace(chart, panels=(Panel("", many),))).ticks
    assert len(ticks) == 41
    assert 6 <= sum(text != "" for _, text in ticks) <= 15
    assert (ticks[0][1], ticks[-1][1]) == ("0", "40")


def test_corruption_errors_are_held_against_their_named_baseline(of_run: dict[str, Chart]) -> None:
    chart = of_run["corruption-error-by-corruption"]
    assert chart.reference == (100.0, "alexnet-made-up")
    assert chart.y_label == "CE, alexnet-made-up = 100 (%)"
    # One corruption with eight times the errors takes an axis of its own, and leaves the others theirs.
    *others, last = chart.panels
    (line,) = last.lines
    far = dataclasses.replace(last, lines=(dataclasses.replace(line, high=(800.0,) * len(line.high)),))
    stretched = dataclasses.replace(chart, panels=(*others, far))
    axes = [y_axis(stretched, panel) for panel in stretched.panels]
    assert [axis.own for axis in axes] == [False] * len(others) + [True]
    assert {axis.high for axis in axes[:-1]} <= {100.0, 125.0, 150.0, 200.0}
    assert (axes[-1].low, axes[-1].high) == (0.0, 800.0)
    assert all(axis.low == 0 and axis.high >= 100 for axis in axes)


def test_shares_are_drawn_from_nothing_to_all_and_changes_around_none(of_run: dict[str, Chart]) -> None:
    for chart in of_run.values():
        for axis in (y_axis(chart, panel) for panel in chart.panels):
            assert (axis.ticks[0][0], axis.ticks[-1][0]) == pytest.approx((axis.low, axis.high))
            if chart.y_scale == "share":
                assert (axis.low, axis.high) == (0, 100)
            if chart.y_scale == "points":
                assert axis.low <= 0 <= axis.high
                assert "0" in [text for _, text in axis.ticks] or "0.0" in [text for _, text in axis.ticks]


def test_the_change_since_t0_comes_first_by_family_and_by_budget(
    of_run: dict[str, Chart], metrics: pd.DataFrame
) -> None:
    assert next(name for name, chart in of_run.items() if chart.suite == "digits-c") == "change-by-family"
    by_family, by_budget = of_run["change-by-family"], of_run["change-by-epsilon"]
    assert [panel.title for panel in by_family.panels] == ["all corruptions", "noise", "blur", "digital"]
    accuracy = metrics[(metrics["kind"] == "corruption") & (metrics["metric"] == "accuracy")]
    means = accuracy.assign(family=accuracy["name"].map(FAMILIES)).groupby(["family", "timestep"])["value"].mean()
    blur = by_family.panels[2].lines[0]
    assert blur.y == pytest.approx([100 * (means["blur", t] - means["blur", 0]) for t in (1, 2)])
    assert all(low <= y <= high for low, y, high in zip(blur.low, blur.y, blur.high, strict=True))
    assert [panel.title for panel in by_budget.panels] == ["FGSM", "BIM", "PGD"]
    assert [line.label for line in by_budget.panels[0].lines] == ["1", "2"]
    assert by_budget.verdict == "not checked"
    assert "(not checked)" in by_budget.title


def test_no_panel_has_more_than_three_bands(of_run: dict[str, Chart]) -> None:
    for chart in of_run.values():
        assert max(len(panel.banded) for panel in chart.panels) <= 3
    assert of_run["accuracy"].panels[0].banded == (0, 3, 5)
    with style():
        drawn = draw(of_run["accuracy"])
    assert len(drawn.axes[0].collections) == 3


def test_a_value_has_one_colour_in_all_figures(of_run: dict[str, Chart]) -> None:
    def of(name: str) -> dict[str, str]:
        chart = of_run[name]
        return dict(
            zip([line.label for line in chart.panels[0].lines], line_colours(chart, chart.panels[0]), strict=True)
        )

    with_clean, without = of("accuracy"), of("accuracy-by-corruption")
    assert without == {label: colour for label, colour in with_clean.items() if label != "clean"}
    assert with_clean["clean"] == "#303030"  # ink: clean images are no severity
    assert of("change-by-epsilon").items() <= of("robust-accuracy-by-epsilon").items()
    palettes = [
        set(of(name).values()) for name in ("accuracy", "robust-accuracy-by-epsilon", "robust-accuracy-by-timestep")
    ]
    coloured = [palette - {"#303030"} for palette in palettes]
    assert not coloured[0] & coloured[1] | coloured[1] & coloured[2] | coloured[0] & coloured[2]


@pytest.mark.parametrize("dark", [False, True])
def test_ordered_colours_have_ordered_lightness_and_are_seen(of_run: dict[str, Chart], dark: bool) -> None:
    base = of_run["robust-accuracy-by-epsilon"]
    empty = base.panels[0].lines[0]
    panel = Panel("", tuple(dataclasses.replace(empty, place=Rank(index / 8, index)) for index in range(9)))
    paper = "#161616" if dark else "#ffffff"
    for variable in ("timestep", "epsilon", "severity", "setting"):
        colours = line_colours(dataclasses.replace(base, colours=variable), panel, dark=dark)
        lightness = [luminance(colour) for colour in colours]
        assert lightness == sorted(lightness, reverse=not dark), variable
        assert min(contrast(colour, paper) for colour in colours) >= (2.0 if dark else 1.9), variable
        # The last one, such as the last timestep, stands out.
        assert contrast(colours[-1], paper) >= 6, variable


def test_captions_and_alternatives_say_what_is_shown_on_how_many_images(of_run: dict[str, Chart]) -> None:
    for chart in of_run.values():
        assert re.search(r"\d+ (to \d+ )?images", chart.caption), chart.name
        assert "95 % interval" in chart.caption, chart.name
        assert chart.caption.endswith("."), chart.name
        line = chart.panels[-1].lines[-1]
        shown = f"{line.y[-1]:+.1f}" if chart.y_scale == "points" else f"{line.y[-1]:.1f}"
        text = alternative(chart)
        assert re.match("Line chart: .* against ", text), chart.name
        assert shown.replace("-", "−") in text or math.isclose(line.y[-1], 0, abs_tol=0.05), chart.name


def test_figures_are_as_wide_as_a_column_or_a_page(of_run: dict[str, Chart]) -> None:
    with style():
        for name in ("change-by-family", "robust-accuracy-by-epsilon"):
            for width in ("column", "page"):
                drawn = draw(of_run[name], width)
                assert drawn.get_figwidth() == pytest.approx(WIDTHS[width] * MM)
                boxes = [axes.get_position() for axes in drawn.axes]
                assert all(0 < box.x0 < box.x1 < 1 and 0 < box.y0 < box.y1 < 1 for box in boxes)


def test_files_embed_their_fonts_and_have_the_width_in_them(of_run: dict[str, Chart], tmp_path: Path) -> None:
    with style():
        drawn = draw(of_run["corruption-error"], "column")
        for kind in ("pdf", "svg", "png"):
            save(drawn, tmp_path / f"one.{kind}", "caption")
    pdf, svg = (tmp_path / "one.pdf").read_bytes(), (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    wide = WIDTHS["column"] * 72 / 25.4  # in points, of which a PDF and an SVG are made
    assert float(re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[0]) == pytest.approx(wide, abs=0.01)
    assert float(re.findall(r'width="([\d.]+)pt"', svg)[0]) == pytest.approx(wide, abs=0.01)
    assert "<text" not in svg  # letters are drawn as shapes, so no font is needed
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width == pytest.approx(WIDTHS["column"] / 25.4 * 300, abs=1)
