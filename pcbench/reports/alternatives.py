"""What a figure shows in words, with its numbers: for readers who do not see it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pcbench.norms import epsilon_text
from pcbench.percent import decimal, interval, signed
from pcbench.reports.charts import Chart, Line, Panel

_MOST = 24
"""How many lines are told with both their ends; of more, each panel's last one is told."""


def alternative(chart: Chart) -> str:
    """Return the text alternative of a chart: what it shows, and the ends of its lines with their intervals."""
    drawn = [(panel, panel.lines[index]) for panel in chart.panels for index in panel.banded]
    if len(drawn) > _MOST:
        drawn = [(panel, panel.lines[-1]) for panel in chart.panels]
    said = " ".join(_line(chart, panel, one) for panel, one in drawn)
    held = "" if chart.reference is None else f" A line at {chart.reference[0]:g} marks {chart.reference[1]}."
    return f"Line chart: {chart.plain_title}. {chart.y_label} against {chart.x_label}.{held} {said}"


def _line(chart: Chart, panel: Panel, one: Line) -> str:
    names = [panel.title, f"{chart.legend_title} {one.label}" if chart.legend_title else ""]
    name = ", ".join(text for text in names if text) or chart.y
    ends = " to ".join(_ends(chart, one))
    return f"{name}: {ends}."


def _ends(chart: Chart, one: Line) -> Iterator[str]:
    """Yield the first and the last point of a line, each with its interval."""
    form = partial(signed if chart.y_scale == "points" else decimal, digits=1 if chart.in_percent else 3)
    for index in dict.fromkeys((0, len(one.y) - 1)):
        band = interval(one.low[index], one.high[index], form)
        yield f"{form(one.y[index])} {band} at {_place(chart, one.x[index])}"


def _place(chart: Chart, x: float) -> str:
    if chart.x == "timestep":
        return f"t = {x:.0f}"
    return f"ε = {epsilon_text(x, chart.norm)}" if chart.x == "epsilon" else f"{chart.x_label} = {x:.4g}"
