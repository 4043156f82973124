"""Draw charts with matplotlib, for papers: at a stated width, with a layout that is computed and not searched for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcbench.reports.axes import Axis, x_axis, y_axis
from pcbench.reports.charts import Chart, Line, Panel
from pcbench.reports.layout import (
    LEGEND_ROW,
    LETTER,
    LINE_HEIGHT,
    NOTE_LINE,
    NOTE_SIZE,
    TITLE_LINE,
    TITLE_SIZE,
    Layout,
    apart,
    head_named,
    labelled_directly,
    layout_of,
    legend_begins,
    legend_rows,
    line_ends,
    shown_in_legend,
    usual_width,
)
from pcbench.reports.style import MM, ShownFigure, Width, line_colours, pattern, show_literally

_BAND = 0.16
_CLOSE = 0.1
"""A part of an axis in which a line lies close to another."""
_SIGN = 2.2
"""The middle of the marker beside a name, from the panel, in mm."""
_NAME = 4.0
"""Where that name begins."""
_ORDINALS = {2: "second", 3: "third"}


def draw(chart: Chart, width: Width | None = None) -> Figure:
    """Draw a chart; call it, and `save`, within `style()`.

    Args:
        chart: The chart.
        width: That of a column or of a page; the page where several panels need it, if not given.
    """
    width = width or usual_width(len(chart.panels))
    across = x_axis(chart)
    upright = [y_axis(chart, panel) for panel in chart.panels]
    labelled = labelled_directly(chart, upright)
    layout = layout_of(chart, width, upright, labels=labelled)
    figure = ShownFigure(figsize=(layout.width * MM, layout.height * MM))
    for index, (panel, y) in enumerate(zip(chart.panels, upright, strict=True)):
        axes = figure.add_axes(layout.box(index))
        _draw_lines(axes, chart, panel, across)
        _scale(axes, across, y, layout)
        title = f"{panel.title} (own axis)" if y.own else panel.title
        axes.set_title(title, pad=3)
        lowest = index + layout.columns >= len(chart.panels)
        row = upright[index - index % layout.columns : index + 1]
        axes.tick_params(labelbottom=lowest, labelleft=len(row) == 1 or any(one.own for one in row))
        if labelled:
            _label_ends(figure, axes, chart, panel, y, layout)
        if chart.reference is not None:
            _draw_reference(axes, chart, panel, (across, y), layout if index == 0 else None)
    _label(figure, chart, layout, across, legend=not labelled)
    show_literally(figure)
    return figure


def _draw_lines(axes: Axes, chart: Chart, panel: Panel, across: Axis) -> None:
    banded = panel.banded
    for index, (line, colour) in enumerate(zip(panel.lines, line_colours(chart, panel), strict=True)):
        x = [across.position(value) for value in line.x]
        if index in banded:
            axes.fill_between(x, line.low, line.high, color=colour, alpha=_BAND, linewidth=0)
        size, width = (2.8, 1.2) if index in banded else (2.2, 0.8)
        axes.plot(x, line.y, color=colour, markersize=size, linewidth=width, clip_on=False, **_marks(chart, line))


def _marks(chart: Chart, line: Line) -> dict[str, Any]:
    """Return what tells a line from others without colour, as matplotlib calls it."""
    sign, dashes = pattern(chart, line)
    return {"marker": sign, "linestyle": (0, dashes) if dashes else "-", "markeredgewidth": 0.4}


def _scale(axes: Axes, across: Axis, y: Axis, layout: Layout) -> None:
    """Set the scales; in a narrow panel every second or third label of x is drawn, and all ticks."""
    axes.set_xlim(across.low, across.high)
    axes.set_ylim(y.low, y.high)
    step = _labelled(across, layout)
    texts = [text if index % step == 0 else "" for index, (_, text) in enumerate(across.ticks)]
    axes.set_xticks([position for position, _ in across.ticks], texts)
    axes.set_yticks([position for position, _ in y.ticks], [text for _, text in y.ticks])


def _labelled(across: Axis, layout: Layout) -> int:
    """Return of how many ticks of x one has its label, so that no two labels touch."""
    scale = layout.wide / (across.high - across.low)

    def fits(step: int) -> bool:
        ticks = [(position * scale, len(text) * LETTER + 0.5) for position, text in across.ticks[::step] if text]
        return all(other - one >= (wide + w) / 2 for (one, wide), (other, w) in itertools.pairwise(ticks))

    return next(step for step in itertools.count(1) if fits(step))


def _draw_reference(axes: Axes, chart: Chart, panel: Panel, scales: tuple[Axis, Axis], named: Layout | None) -> None:
    """Draw what all is held against as a line, and name it if lines are far from it at a side.

    The name stands within the panel: below the line it would otherwise lie upon the axis' labels.
    """
    if chart.reference is None:
        return
    (across, y), (value, name) = scales, chart.reference
    axes.axhline(value, color="#606060", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    starts, ends = ([one.y[place] - value for one in panel.lines] for place in (0, -1))
    right = min(map(abs, ends)) > min(map(abs, starts))
    room = (y.high - y.low) * (0.0 if named is None else LINE_HEIGHT / named.panel)
    if named is not None and min(map(abs, ends if right else starts)) > max(room, _CLOSE * (y.high - y.low)):
        above = value - y.low < room or (sum(ends if right else starts) <= 0 and y.high - value >= room)
        axes.annotate(
            name,
            (across.high if right else across.low, value),
            xytext=(-2 if right else 2, 1.5 if above else -1.5),
            textcoords="offset points",
            ha="right" if right else "left",
            va="bottom" if above else "top",
            fontsize=6,
            color="#404040",
        )


def _label_ends(figure: Figure, axes: Axes, chart: Chart, panel: Panel, y: Axis, layout: Layout) -> None:
    """Write the name of each line beside its right end, with its marker; names that would touch are moved apart."""
    room = LINE_HEIGHT / layout.panel * (y.high - y.low)
    colours = line_colours(chart, panel)
    ends = sorted(line_ends(panel), key=lambda end: end[1])
    places = apart([value for _, value, _ in ends], room, y.low, y.high)
    for (text, _, index), place in zip(ends, places, strict=True):
        marks = _marks(chart, panel.lines[index])
        sign = Line2D([1 + _SIGN / layout.wide], [place], color=colours[index], markersize=2.6, **marks)
        sign.set_transform(axes.get_yaxis_transform())
        figure.add_artist(sign)
        axes.annotate(
            text,
            (1 + _NAME / layout.wide, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=6.5,
            color=colours[index],
            annotation_clip=False,
        )


def _label(figure: Figure, chart: Chart, layout: Layout, across: Axis, *, legend: bool) -> None:
    middle = (layout.left + (layout.width - layout.right)) / 2 / layout.width
    step = _labelled(across, layout)
    some = "" if step == 1 else f", every {_ORDINALS.get(step, f'{step}th')} labelled"
    figure.text(middle, 1.0 / layout.height, f"{chart.x_label}{some}", ha="center", va="bottom", fontsize=7)
    height = (layout.bottom + (layout.height - layout.top)) / 2 / layout.height
    figure.text(1.0 / layout.width, height, chart.y_label, rotation=90, ha="left", va="center", fontsize=7)
    write_title(figure, layout.title, layout.height)
    for index, text in enumerate(layout.note):
        top = 1 - (layout.head - (len(layout.note) - index) * NOTE_LINE) / layout.height
        figure.text(0.01, top, text, ha="left", va="top", fontsize=NOTE_SIZE, color="#404040")
    if chart.legend_title and legend:
        _draw_legend(figure, chart, layout)
    elif head_named(chart):
        top = 1 - layout.head / layout.height
        figure.text(1 - 1.0 / layout.width, top, chart.legend_title, ha="right", va="top", fontsize=6.5)


def write_title(figure: Figure, lines: Sequence[str], height: float) -> None:
    """Write the title of a figure at its top left.

    Args:
        figure: The figure.
        lines: The title, line by line.
        height: The figure's, in mm.
    """
    for index, text in enumerate(lines):
        top = 1 - (1.0 + index * TITLE_LINE) / height
        figure.text(0.01, top, text, ha="left", va="top", fontsize=TITLE_SIZE)


def _draw_legend(figure: Figure, chart: Chart, layout: Layout) -> None:
    """Draw a legend whose entries are read line by line."""
    shown, begins = shown_in_legend(chart), legend_begins(chart)
    handles = [
        Line2D([], [], color=colour, markersize=2.6, label=line.label, **_marks(chart, line))
        for line, colour in zip(shown, line_colours(chart, Panel("", tuple(shown))), strict=True)
    ]
    above = 1 - (layout.head + 0.6) / layout.height
    figure.text(layout.left / layout.width, above, f"{chart.legend_title}:", ha="left", va="top", fontsize=6.5)
    below = layout.head - 0.2 + (0.0 if begins else LEGEND_ROW)
    _, each = legend_rows(chart, layout.width)
    figure.legend(
        handles=[one for column in range(each) for one in handles[column::each]],  # it is filled column by column
        ncols=min(each, len(handles)),
        loc="upper left",
        bbox_to_anchor=((layout.left + begins - 1.0) / layout.width, 1 - below / layout.height),
        borderpad=0.2,
        columnspacing=1.0,
        handlelength=2.6,
        handletextpad=0.4,
        labelspacing=0.3,
    )
