"""The figures of a page as plain values for its script: positions, ticks, names and colours of lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pcbench.norms import epsilon_text
from pcbench.percent import decimal
from pcbench.reports.axes import Axis, x_axis, y_axis
from pcbench.reports.charts import Chart, Line, Panel
from pcbench.reports.style import COLOURS_APART, line_colours, pattern

RUN_COLOURS = COLOURS_APART
"""The colours of runs in one plot."""
_MOST_DIGITS = 17
"""Significant digits that tell every number from all others."""


def figure_values(of_runs: Sequence[tuple[int, Chart]]) -> dict[str, Any]:
    """Return a figure of one run, or of several on the same axes.

    Args:
        of_runs: The runs' numbers on the page, and the same chart of each.
    """
    _, chart = of_runs[0]
    digits = 1 if chart.in_percent else 3
    titles = list(dict.fromkeys(panel.title for _, one in of_runs for panel in one.panels))
    joined = {title: _joined(title, [one for _, one in of_runs]) for title in titles}
    together = dataclasses.replace(chart, panels=tuple(joined.values()))
    x = x_axis(together)
    return {
        "title": chart.plain_title,
        "x": chart.x,
        "x_name": {"timestep": "t", "epsilon": "ε"}.get(chart.x, chart.x_label),
        "legend": chart.legend_title,
        "order": chart.colours,
        "digits": digits,
        "unit": f" {chart.unit}" if chart.unit else "",
        "signed": chart.y_scale == "points",
        "plain": chart.y_scale == "level",
        "reference": chart.reference,
        "x_axis": {"label": chart.x_label, "low": x.low, "high": x.high, "ticks": x.ticks},
        "panels": [
            {
                "title": title,
                "y_axis": _y_values(together, joined[title]),
                "runs": [
                    {"run": number, "lines": _lines(one, panel, x, digits)}
                    for number, one in of_runs
                    for panel in one.panels
                    if panel.title == title
                ],
            }
            for title in titles
        ],
    }


def _joined(title: str, charts: Sequence[Chart]) -> Panel:
    """Return the panel of a title with the lines of all runs."""
    panels = (panel for chart in charts for panel in chart.panels if panel.title == title)
    return Panel(title, tuple(line for panel in panels for line in panel.lines))


def _y_values(chart: Chart, panel: Panel) -> dict[str, Any]:
    axis = y_axis(chart, panel)
    return {"label": chart.y_label, "low": axis.low, "high": axis.high, "ticks": axis.ticks, "own": axis.own}


def _lines(chart: Chart, panel: Panel, axis: Axis, digits: int) -> list[dict[str, Any]]:
    light, dark = (line_colours(chart, panel, dark=on_dark) for on_dark in (False, True))
    return [
        {
            **_points(chart, line, axis, digits),
            "colour": {"light": light[index], "dark": dark[index]},
            "banded": index in panel.banded,
            **pattern(chart, line)._asdict(),
        }
        for index, line in enumerate(panel.lines)
    ]


def _points(chart: Chart, line: Line, axis: Axis, digits: int) -> dict[str, Any]:
    return {
        "label": line.label,
        "p": [short(axis.position(x), 4) for x in line.x],
        "x": [_x_text(chart, x) for x in line.x],
        **{name: [short(value, digits) for value in getattr(line, name)] for name in ("y", "low", "high")},
        "n": line.n[0] if len(set(line.n)) == 1 else list(line.n),
    }


def _x_text(chart: Chart, x: float) -> str:
    return epsilon_text(x, chart.norm) if chart.x == "epsilon" else f"{x:.4g}"


def short(value: float, digits: int) -> float:
    """Return the shortest number that is printed as a given one is, and lies no farther off than a drawing shows."""
    if value != value:  # noqa: PLR0124  # not defined
        return value
    shown = decimal(value, digits)
    for kept in range(7, _MOST_DIGITS):
        found = float(f"{value:.{kept}g}")
        if decimal(found, digits) == shown:
            return found
    return value
