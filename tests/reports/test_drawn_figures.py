"""Oracle: the table that charts are made of, and the boxes of texts that matplotlib's own renderer draws."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from pcbench.reports.charts import Chart, Line, Panel, Rank
from pcbench.reports.drawing import draw
from pcbench.reports.figures import charts
from pcbench.reports.layout import TITLE_SIZE, apart
from pcbench.reports.page.drawn import figure_values
from pcbench.reports.style import WIDTHS, Width, line_colours, pattern, style
from pcbench.results.metrics_table import metrics_table
from pcbench.results.verdicts import Verdicts

LAST = 8
EPSILONS = (0.0, 4 / 255, 16 / 255)


def made_charts(timesteps: int = LAST) -> dict[str, Chart]:
    """Return the charts of made-up numbers of two attacks and of three severities."""
    held = {"model": "made", "ci_low": 0.2, "ci_high": 0.7, "n": 50}
    rows: list[dict[str, object]] = []
    for t in range(timesteps + 1):
        for name, (place, epsilon) in itertools.product(("bim", "worst_case"), enumerate(EPSILONS)):
            attack = {"suite": "made-linf", "kind": "attack", "name": name, "norm": "linf", "epsilon": epsilon}
            attack |= {"targeted": False, "attacked_timestep": t, "timestep": t}
            rows.append({**held, **attack, "metric": "robust_accuracy", "value": 0.5 - 0.1 * place})
            if t:
                change = {"metric": "robust_accuracy_minus_t0", "value": 0.01 * t * place, "ci_low": -0.02}
                rows.append({**held, **attack, **change, "ci_high": 0.3})
        corrupted = {**held, "suite": "made-c", "metric": "accuracy", "timestep": t}
        rows.append({**corrupted, "kind": "clean", "name": "clean", "value": 0.7})
        rows += [{**corrupted, "kind": "summary", "severity": s, "value": 0.7 - 0.01 * s} for s in range(1, 6)]
    return {chart.name: chart for chart in charts(metrics_table(rows), Verdicts())}


@pytest.fixture(scope="module")
def made() -> dict[str, Chart]:
    return made_charts()


def written(drawn: Figure) -> list[Text]:
    return [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text().strip()]


def test_where_timesteps_are_many_each_budget_has_a_panel_with_its_band(made: dict[str, Chart]) -> None:
    chart = made["change-at-each-epsilon"]
    assert [panel.title for panel in chart.panels] == ["ε = 0/255", "ε = 4/255", "ε = 16/255"]
    assert [len(panel.lines) for panel in chart.panels] == [1, 1, 1]
    assert all(panel.banded == (0,) for panel in chart.panels)
    assert chart.panels[2].lines[0].y == pytest.approx([2.0 * t for t in range(1, LAST + 1)])
    assert "the worst case of all attacks of made-linf, L∞ (" not in chart.title
    assert "under the worst case of all attacks of made-linf, L∞, at each ε" in chart.title
    assert "(not checked)" in chart.title
    # Of three timesteps each has a band in one panel, so that nothing is repeated.
    assert "change-at-each-epsilon" not in made_charts(timesteps=3)


def test_captions_say_which_lines_have_a_band_where_they_are_drawn(made: dict[str, Chart]) -> None:
    change, robust = made["change-by-epsilon"], made["robust-accuracy-by-epsilon"]
    for chart in (change, robust, made["accuracy"]):
        assert "the first, a middle one and the last have a band" in chart.file_caption
        with style():
            assert len(draw(chart).axes[0].collections) == 3
    assert change.page_caption.endswith("only the chosen one has a band; the table holds all.")
    assert robust.page_caption.endswith("t = 0 and the chosen one have a band; the table holds all.")
    assert "first, a middle" not in change.page_caption + robust.page_caption
    # Of severities the page draws the same bands as a file.
    assert made["accuracy"].page_caption == made["accuracy"].file_caption
    assert made["change-at-each-epsilon"].page_caption == made["change-at-each-epsilon"].caption
    few = made_charts(timesteps=2)["robust-accuracy-by-epsilon"]
    assert few.page_caption == few.file_caption == few.caption


def test_lines_are_told_apart_without_colour(made: dict[str, Chart]) -> None:
    for chart in made.values():
        for panel in chart.panels:
            patterns = [pattern(chart, line) for line in panel.lines]
            assert len(set(patterns)) == len(patterns), chart.name
    of_timestep = {line.label: pattern(made["change-by-epsilon"], line) for line in _lines(made["change-by-epsilon"])}
    robust = made["robust-accuracy-by-epsilon"]
    assert of_timestep.items() <= {line.label: pattern(robust, line) for line in _lines(robust)}.items()
    with style():
        drawn = draw(robust)
    lines = drawn.axes[0].get_lines()
    assert [line.get_marker() for line in lines] == [pattern(robust, line).marker for line in _lines(robust)]
    assert [line.get_marker() for line in drawn.legends[0].get_lines()].count("o") == 1
    on_page = figure_values([(0, robust)])["panels"][0]["runs"][0]["lines"]
    assert [(one["marker"], one["dashes"]) for one in on_page] == [pattern(robust, line) for line in _lines(robust)]


def _lines(chart: Chart) -> tuple[Line, ...]:
    return chart.panels[0].lines


@pytest.mark.parametrize("width", ["column", "page"])
def test_every_drawing_names_model_and_suite_and_no_texts_touch(made: dict[str, Chart], width: Width) -> None:
    for chart in made.values():
        with style():
            drawn = draw(chart, width)
            renderer = FigureCanvasAgg(drawn).get_renderer()
            drawn.draw(renderer)
        texts = written(drawn)
        title = [text.get_text() for text in texts if text.get_fontsize() == TITLE_SIZE]
        assert " ".join(title) == chart.title
        assert {"made", chart.suite} <= set(chart.title.replace(",", "").split()), chart.name
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
        for (one, box), (other, second) in itertools.combinations(boxes, 2):
            assert not box.overlaps(second), (chart.name, width, one, other)
        wide = WIDTHS[width] / 25.4 * drawn.dpi
        assert all(box.x0 >= -1 and box.x1 <= wide + 1 for _, box in boxes), (chart.name, width)
    assert "on clean images" in made["accuracy"].title


def test_names_of_lines_that_end_together_stand_around_their_end(made: dict[str, Chart]) -> None:
    assert apart([1.0, 1.0], 0.5, 0, 9) == [0.75, 1.25]
    assert apart([1.0, 5.0], 0.5, 0, 9) == [1.0, 5.0]
    assert apart([0.0, 0.0, 0.0], 1.0, 0, 9) == [0.0, 1.0, 2.0]
    assert apart([9.0, 9.0], 1.0, 0, 9) == [8.0, 9.0]
    chart = made["accuracy"]  # its six lines end within five points
    with style():
        drawn = draw(chart, "column")
    names = {text.get_text(): text.xy[1] for text in drawn.axes[0].texts}
    ends = {line.label: line.y[-1] for line in _lines(chart)}
    assert sorted(names, key=lambda name: names[name]) == ["5", "4", "3", "2", "1", "clean"]
    assert sum(names.values()) == pytest.approx(sum(ends.values()))  # as many above as below
    # Beside each name stands its line's marker.
    signs = [line.get_marker() for line in drawn.artists if isinstance(line, Line2D)]
    assert signs == [pattern(chart, line).marker for line in sorted(_lines(chart), key=lambda line: line.y[-1])]


def test_of_many_budgets_a_regular_part_has_labels_and_it_is_said(made: dict[str, Chart]) -> None:
    chart = made["robust-accuracy-by-epsilon"]
    budgets = tuple(k / 255 for k in (100, 110, 120, 130, 140, 150, 160, 170, 180, 190))
    ones = (1.0,) * len(budgets)
    dense = Panel("one", (Line("0", budgets, ones, ones, ones, (9,) * len(budgets), place=Rank(0, 0)),))
    many = dataclasses.replace(chart, panels=(dense, dataclasses.replace(dense, title="two")))
    with style():
        axes = draw(many, "column").axes[0]
        said = [text.get_text() for text in draw(many, "column").texts]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["100", "", "120", "", "140", "", "160", "", "180", ""]
    assert f"{many.x_label}, every second labelled" in said
    with style():
        assert many.x_label in [text.get_text() for text in draw(many, "page").texts]


def test_legends_are_read_line_by_line(made: dict[str, Chart]) -> None:
    with style():
        drawn = draw(made["robust-accuracy-by-epsilon"], "column")
        renderer = FigureCanvasAgg(drawn).get_renderer()
        drawn.draw(renderer)
    entries = [(text.get_text(), text.get_window_extent(renderer)) for text in drawn.legends[0].get_texts()]
    read = sorted(entries, key=lambda one: (-round(one[1].y0), one[1].x0))
    assert [text for text, _ in read] == [str(t) for t in range(LAST + 1)]
    assert len(line_colours(made["accuracy"], made["accuracy"].panels[0])) == 6
