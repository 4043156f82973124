"""Draw charts with matplotlib, for papers: at a stated width, with a layout that is computed and not searched for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcbench.reports.axes import Axis, x_axis, y_axis
from pcbench.reports.charts import Chart, Panel
from pcbench.reports.style import MM, WIDTHS, Width, line_colours, marker, show_literally

_BAND = 0.16
_NAMED = 12
"""How many lines a legend names at most."""
_LETTER = 1.15
"""The width of a small letter, in mm."""
_LINE_HEIGHT = 2.9
"""The height of a line of small text, in mm."""
_ROOM = 40.0
"""The height that the names of lines may take beside a panel, in mm."""


@dataclass(frozen=True)
class Layout:
    """Where the panels of a figure are; all in mm."""

    width: float
    columns: int
    rows: int
    panel: float
    """The height of a panel."""
    left: float
    right: float
    top: float
    bottom: float
    gaps: tuple[float, float]
    """Between columns, and between rows."""

    @property
    def height(self) -> float:
        """The height of the figure."""
        return self.top + self.rows * self.panel + (self.rows - 1) * self.gaps[1] + self.bottom

    def box(self, index: int) -> tuple[float, float, float, float]:
        """Return where a panel is: left, bottom, width and height, as shares of the figure."""
        row, column = divmod(index, self.columns)
        wide = (self.width - self.left - self.right - (self.columns - 1) * self.gaps[0]) / self.columns
        x = self.left + column * (wide + self.gaps[0])
        y = self.height - self.top - (row + 1) * self.panel - row * self.gaps[1]
        return x / self.width, y / self.height, wide / self.width, self.panel / self.height


def usual_width(panels: int) -> Width:
    """Return how wide a figure is where nobody says it: several panels take the page."""
    return "column" if panels == 1 else "page"


def draw(chart: Chart, width: Width | None = None) -> Figure:
    """Draw a chart; call it, and `save`, within `style()`.

    Args:
        chart: The chart.
        width: That of a column or of a page; the page where several panels need it, if not given.
    """
    width = width or usual_width(len(chart.panels))
    across = x_axis(chart)
    upright = [y_axis(chart, panel) for panel in chart.panels]
    labelled = _labelled_directly(chart)
    layout = _layout(chart, width, upright, labels=labelled)
    figure = Figure(figsize=(layout.width * MM, layout.height * MM))
    for index, (panel, y) in enumerate(zip(chart.panels, upright, strict=True)):
        axes = figure.add_axes(layout.box(index))
        _draw_lines(axes, chart, panel, across)
        _scale(axes, across, y)
        title = f"{panel.title} (own axis)" if y.own else panel.title
        axes.set_title(title, pad=3)
        lowest = index + layout.columns >= len(chart.panels)
        axes.tick_params(labelbottom=lowest, labelleft=y.own or index % layout.columns == 0)
        if labelled:
            _label_ends(axes, chart, panel, y, layout)
        if chart.reference is not None:
            _draw_reference(axes, chart, across, named=index == 0)
    _label(figure, chart, layout, legend=not labelled)
    show_literally(figure)
    return figure


def _layout(chart: Chart, width: Width, upright: Sequence[Axis], *, labels: bool) -> Layout:
    panels = len(chart.panels)
    most = {"column": 2, "page": 3 if panels <= 6 else 4}[width]
    columns = 2 if panels == 4 else min(panels, most)
    beside = max((len(one.label) for panel in chart.panels for one in panel.lines), default=0) * _LETTER + 1.5
    own = any(y.own for y in upright)
    titled = any(panel.title for panel in chart.panels)
    between = max(8.5 if own else 3.0, beside if labels else 0.0)
    legend = bool(chart.legend_title) and not labels
    return Layout(
        width=WIDTHS[width],
        columns=columns,
        rows=math.ceil(panels / columns),
        panel={1: 52.0, 2: 46.0, 3: 38.0, 4: 27.0}[columns] if width == "page" else {1: 48.0, 2: 30.0}[columns],
        left=13.0,
        right=beside if labels else 2.5,
        top=(5.0 if titled else 2.0) + (5.0 if legend else 0.0) + (3.0 if chart.legend_title and labels else 0.0),
        bottom=9.5,
        gaps=(between, 6.0 if titled else 3.0),
    )


def _draw_lines(axes: Axes, chart: Chart, panel: Panel, across: Axis) -> None:
    banded = panel.banded
    for index, (line, colour) in enumerate(zip(panel.lines, line_colours(chart, panel), strict=True)):
        x = [across.position(value) for value in line.x]
        if index in banded:
            axes.fill_between(x, line.low, line.high, color=colour, alpha=_BAND, linewidth=0)
        dashes = "--" if line.place is None and chart.colours in ("severity", "epsilon") else "-"
        sign, size = marker(chart, line), 2.6 if index in banded else 1.6
        width = 1.2 if index in banded else 0.8
        axes.plot(x, line.y, dashes, color=colour, marker=sign, markersize=size, linewidth=width, clip_on=False)


def _scale(axes: Axes, across: Axis, y: Axis) -> None:
    axes.set_xlim(across.low, across.high)
    axes.set_ylim(y.low, y.high)
    axes.set_xticks([position for position, _ in across.ticks], [text for _, text in across.ticks])
    axes.set_yticks([position for position, _ in y.ticks], [text for _, text in y.ticks])


def _draw_reference(axes: Axes, chart: Chart, across: Axis, *, named: bool) -> None:
    """Draw what all is held against as a line, and name it in the first panel."""
    if chart.reference is None:
        return
    value, name = chart.reference
    axes.axhline(value, color="#606060", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    if named:
        axes.annotate(
            name, (across.low, value), xytext=(2, 1.5), textcoords="offset points", fontsize=6, color="#404040"
        )


def _labelled_directly(chart: Chart) -> bool:
    """Return whether the names of lines stand at their ends: where they lie apart, in a few large panels."""
    if not chart.legend_title or chart.x != "timestep" or len(chart.panels) > 4:
        return False
    return all(len(panel.lines) * _LINE_HEIGHT < _ROOM for panel in chart.panels)


def _label_ends(axes: Axes, chart: Chart, panel: Panel, y: Axis, layout: Layout) -> None:
    """Write the name of each line at its right end; names that would cover each other are moved apart."""
    room = _LINE_HEIGHT / layout.panel * (y.high - y.low)
    colours = line_colours(chart, panel)
    order = sorted(range(len(panel.lines)), key=lambda index: panel.lines[index].y[-1])
    places = _apart([panel.lines[index].y[-1] for index in order], room, y.high)
    for index, place in zip(order, places, strict=True):
        axes.annotate(
            panel.lines[index].label,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=6.5,
            color=colours[index],
            annotation_clip=False,
        )


def _apart(values: Sequence[float], room: float, top: float) -> list[float]:
    """Return ascending values moved so that each is at least `room` above the one before, and none above the top."""
    placed: list[float] = []
    for value in values:
        placed.append(value if not placed else max(value, placed[-1] + room))
    limit = top
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], limit)
        limit = placed[index] - room
    return placed


def _label(figure: Figure, chart: Chart, layout: Layout, *, legend: bool) -> None:
    middle = (layout.left + (layout.width - layout.right)) / 2 / layout.width
    figure.text(middle, 1.0 / layout.height, chart.x_label, ha="center", va="bottom", fontsize=7)
    height = (layout.bottom + (layout.height - layout.top)) / 2 / layout.height
    figure.text(1.0 / layout.width, height, chart.y_label, rotation=90, ha="left", va="center", fontsize=7)
    if not chart.legend_title:
        return
    top = 1 - 1.0 / layout.height
    if not legend:
        figure.text(1 - 1.0 / layout.width, top, chart.legend_title, ha="right", va="top", fontsize=6.5)
        return
    longest = max(chart.panels, key=lambda panel: len(panel.lines))
    handles = [
        Line2D([], [], color=colour, marker=marker(chart, line), markersize=2.6, label=line.label)
        for line, colour in zip(longest.lines, line_colours(chart, longest), strict=True)
    ]
    # The colours are in the order of the values: some of many tell the others.
    handles = handles[:: -(-len(handles) // _NAMED)]
    figure.text(layout.left / layout.width, top, f"{chart.legend_title}:", ha="left", va="top", fontsize=6.5)
    start = (layout.left + (len(chart.legend_title) + 2) * _LETTER) / layout.width
    figure.legend(
        handles=handles,
        ncols=len(handles),
        loc="upper left",
        bbox_to_anchor=(start, 1 - 0.2 / layout.height),
        borderpad=0.2,
        columnspacing=1.0,
        handlelength=1.4,
        handletextpad=0.4,
    )
