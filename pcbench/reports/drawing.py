"""Draw charts with matplotlib, for papers."""

from __future__ import annotations

import math
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from pcbench.norms import epsilon_scale
from pcbench.reports.charts import Chart, Line
from pcbench.reports.style import COLUMN_WIDTH, PAGE_WIDTH, colours, fix_layout

_COLUMNS = 4
_TICKS = 8
_BAND = 0.14
_NAMED = 12
"""How many settings of hyperparameters a legend names at most."""


def draw(chart: Chart) -> Figure:
    """Draw a chart; call it, and `save`, within `style()`."""
    panels = len(chart.panels)
    columns = 2 if panels == 4 else min(panels, 3 if panels <= 6 else _COLUMNS)
    rows = math.ceil(panels / columns)
    small = columns == _COLUMNS
    size = (COLUMN_WIDTH + 0.9, 2.9) if panels == 1 else (PAGE_WIDTH, 0.5 + rows * (1.45 if small else 2.3))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    flat = cast("list[Axes]", list(grid.flat))
    for axes, panel in zip(flat, chart.panels, strict=False):
        _draw_lines(axes, chart, panel.lines, _palette(chart))
        axes.set_title(panel.title, pad=3)
    _scales(flat[0], chart)
    _empty_the_rest(flat, panels, columns)
    _label(figure, chart)
    fix_layout(figure)
    return figure


def _palette(chart: Chart) -> list[str]:
    """Return the colours of the panel with the most lines; the first lines of all panels have the same colours."""
    return colours(chart.colours, max(len(panel.lines) for panel in chart.panels))


def _draw_lines(axes: Axes, chart: Chart, drawn: tuple[Line, ...], palette: list[str]) -> None:
    for line, colour in zip(drawn, palette, strict=False):
        x = [_x(chart, value) for value in line.x]
        axes.fill_between(x, line.low, line.high, color=colour, alpha=_alpha(chart, len(drawn)), linewidth=0)
        axes.plot(x, line.y, color=colour, marker="o", markersize=2.4, label=line.label, clip_on=False)


def _alpha(chart: Chart, lines: int) -> float:
    """Return how dense bands are: those of many settings of hyperparameters lie upon each other."""
    many = chart.colours == "setting" or chart.x == "value"
    return min(_BAND, 0.5 / lines) if many else _BAND


def _x(chart: Chart, value: float) -> float:
    return value * epsilon_scale(chart.norm) if chart.x == "epsilon" else value


def _scales(axes: Axes, chart: Chart) -> None:
    """Set the scales that all panels share."""
    values = sorted({_x(chart, x) for panel in chart.panels for line in panel.lines for x in line.x})
    if chart.x == "epsilon":
        # Budgets double from step to step and start at 0: a logarithmic scale of base 2 that is linear near 0.
        smallest = min((value for value in values if value > 0), default=1.0)
        axes.set_xscale("symlog", base=2, linthresh=smallest, linscale=1.0)
        axes.set_xlim(min(values), max(values))
        shown = values if len(values) <= _TICKS else [value for value in values if value in _doubled(values)]
        axes.xaxis.set_major_locator(FixedLocator(shown))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    elif chart.x == "value":
        _scale_values(axes, values)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True, steps=[1, 2, 5, 10]))
        axes.margins(x=0.03)
    if chart.y_scale == "share":
        low = min(low for panel in chart.panels for line in panel.lines for low in line.low)
        high = max(high for panel in chart.panels for line in panel.lines for high in line.high)
        axes.set_ylim(0 if low < 40 else None, 100 if high > 60 else None)


def _scale_values(axes: Axes, values: list[float]) -> None:
    """Set the scale of a hyperparameter: logarithmic where its values spread over sizes, as 0.001, 0.01, 0.1 do."""
    above = [value for value in values if value > 0]
    if above and above[-1] > 20 * above[0] and above[len(above) // 2] < above[-1] / 4:
        axes.set_xscale("symlog", base=10, linthresh=above[0], linscale=0.5)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(FixedLocator(values[:: -(-len(values) // _TICKS)]))
    elif len(values) <= _TICKS:
        axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.margins(x=0.03)


def _doubled(values: list[float]) -> set[float]:
    """Return zero and the values that are about twice the one kept before."""
    kept: list[float] = []
    for value in values:
        if not kept or value == 0 or kept[-1] == 0 or value >= 1.9 * kept[-1]:
            kept.append(value)
    return set(kept)


def _empty_the_rest(flat: list[Axes], panels: int, columns: int) -> None:
    for index in range(panels, len(flat)):
        flat[index].set_visible(False)
        flat[index - columns].tick_params(labelbottom=True)


def _label(figure: Figure, chart: Chart) -> None:
    figure.supxlabel(chart.x_label, fontsize=8)
    figure.supylabel(chart.y_label, fontsize=8)
    longest = max(chart.panels, key=lambda panel: len(panel.lines)).lines
    if chart.legend_title:
        handles = [
            Line2D([], [], color=colour, marker="o", markersize=2.4, label=line.label)
            for line, colour in zip(longest, _palette(chart), strict=True)
        ]
        if chart.colours == "setting":
            # The colours are in the order of the values: some of many tell the others.
            handles = handles[:: -(-len(handles) // _NAMED)]
        figure.legend(handles=handles, title=chart.legend_title, loc="outside right center")
