"""Draw charts with matplotlib, for papers: at a stated width, with a layout that is computed and not searched for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcbench.reports.axes import Axis, x_axis, y_axis
from pcbench.reports.charts import Chart, Line, Panel
from pcbench.reports.style import MM, WIDTHS, Width, line_colours, marker, show_literally

_BAND = 0.16
_NAMED = 12
"""How many lines a legend names at most."""
_LETTER = 1.25
"""The width of a small letter, in mm."""
_LINE_HEIGHT = 2.9
"""The height of a line of small text, in mm."""
_MOVED = 2.5
"""How many lines of text a name may stand from the end of its line: farther off it would name another one."""
_LEGEND_ROW = 3.6
"""The height of a row of a legend, in mm."""
_HANDLE = 7.5
"""What an entry of a legend takes beside its name, in mm."""
_LONG = 35.0
"""A title of a legend that is wider than this has a row for itself, in mm."""
_CLOSE = 0.1
"""A part of an axis in which a line lies close to another."""
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

    @property
    def wide(self) -> float:
        """The width of a panel."""
        return (self.width - self.left - self.right - (self.columns - 1) * self.gaps[0]) / self.columns

    def box(self, index: int) -> tuple[float, float, float, float]:
        """Return where a panel is: left, bottom, width and height, as shares of the figure."""
        row, column = divmod(index, self.columns)
        x = self.left + column * (self.wide + self.gaps[0])
        y = self.height - self.top - (row + 1) * self.panel - row * self.gaps[1]
        return x / self.width, y / self.height, self.wide / self.width, self.panel / self.height


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
    labelled = _labelled_directly(chart, upright)
    layout = _layout(chart, width, upright, labels=labelled)
    figure = Figure(figsize=(layout.width * MM, layout.height * MM))
    for index, (panel, y) in enumerate(zip(chart.panels, upright, strict=True)):
        axes = figure.add_axes(layout.box(index))
        _draw_lines(axes, chart, panel, across)
        _scale(axes, across, y, layout)
        title = f"{panel.title} (own axis)" if y.own else panel.title
        axes.set_title(title, pad=3)
        lowest = index + layout.columns >= len(chart.panels)
        axes.tick_params(labelbottom=lowest, labelleft=y.own or index % layout.columns == 0)
        if labelled:
            _label_ends(axes, chart, panel, y, layout)
        if chart.reference is not None:
            _draw_reference(axes, chart, panel, (across, y), named=index == 0)
    _label(figure, chart, layout, legend=not labelled)
    show_literally(figure)
    return figure


def _layout(chart: Chart, width: Width, upright: Sequence[Axis], *, labels: bool) -> Layout:
    panels = len(chart.panels)
    most = {"column": 1 if labels else 2, "page": 3 if panels <= 6 else 4}[width]
    columns = min(2 if panels == 4 else panels, most)
    beside = max((len(text) for panel in chart.panels for text, _, _ in _ends(panel)), default=0) * _LETTER + 2.6
    titled = any(panel.title for panel in chart.panels)
    between = max(8.5 if any(y.own for y in upright) else 3.0, beside if labels else 0.0)
    named = 3.0 if labels else _legend_rows(chart, WIDTHS[width])[0] * _LEGEND_ROW + 1.0
    tall = {"page": {1: 52.0, 2: 46.0, 3: 38.0, 4: 27.0}, "column": {1: 48.0 if panels == 1 else 36.0, 2: 30.0}}
    return Layout(
        width=WIDTHS[width],
        columns=columns,
        rows=math.ceil(panels / columns),
        panel=tall[width][columns],
        left=13.0,
        right=beside if labels else 2.5,
        top=(5.0 if titled else 2.0) + (named if chart.legend_title else 0.0),
        bottom=9.5,
        gaps=(between, 6.0 if titled else 3.0),
    )


def _legend_rows(chart: Chart, width: float) -> tuple[int, int]:
    """Return how many rows a legend takes, one of them for its title where that is long, and entries a row."""
    labels = [line.label for line in _shown_in_legend(chart)]
    entry = max((len(label) for label in labels), default=0) * _LETTER + _HANDLE
    each = max(1, int((width - 14.0 - _beginning(chart)) / entry))
    return math.ceil(len(labels) / each) + (_beginning(chart) == 0), each


def _beginning(chart: Chart) -> float:
    """Return where the entries of a legend begin in mm: behind its title, or below a long one."""
    wide = (len(chart.legend_title) + 3) * _LETTER
    return wide if wide < _LONG else 0.0


def _shown_in_legend(chart: Chart) -> Sequence[Line]:
    """Return the lines that a legend names: their colours are in the order of the values, so some of many do."""
    longest = max(chart.panels, key=lambda panel: len(panel.lines))
    return longest.lines[:: -(-len(longest.lines) // _NAMED)]


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


def _scale(axes: Axes, across: Axis, y: Axis, layout: Layout) -> None:
    """Set the scales; in a narrow panel labels of x for which there is no room are left out, their ticks are not."""
    axes.set_xlim(across.low, across.high)
    texts: list[str] = []
    free = across.low
    for position, text in across.ticks:
        half = (len(text) * _LETTER / 2 + 0.25) / layout.wide * (across.high - across.low)
        last = position == across.ticks[-1][0]
        texts.append(text if text and (last or position - half >= free) else "")
        free = position + half if texts[-1] else free
    axes.set_ylim(y.low, y.high)
    axes.set_xticks([position for position, _ in across.ticks], texts)
    axes.set_yticks([position for position, _ in y.ticks], [text for _, text in y.ticks])


def _draw_reference(axes: Axes, chart: Chart, panel: Panel, scales: tuple[Axis, Axis], *, named: bool) -> None:
    """Draw what all is held against as a line, and name it in the first panel if lines are far from it at a side."""
    if chart.reference is None:
        return
    (across, y), (value, name) = scales, chart.reference
    axes.axhline(value, color="#606060", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    starts, ends = ([one.y[place] - value for one in panel.lines] for place in (0, -1))
    right = min(map(abs, ends)) > min(map(abs, starts))
    if named and min(map(abs, ends if right else starts)) > _CLOSE * (y.high - y.low):
        above = sum(ends if right else starts) <= 0
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


def _labelled_directly(chart: Chart, upright: Sequence[Axis]) -> bool:
    """Return whether the names of lines stand at their ends: where they lie apart, in a few large panels."""
    if not chart.legend_title or chart.x != "timestep" or len(chart.panels) > 4:
        return False
    if any(len(panel.lines) * _LINE_HEIGHT > _ROOM for panel in chart.panels):
        return False
    for panel, y in zip(chart.panels, upright, strict=True):
        room = _LINE_HEIGHT / _ROOM * (y.high - y.low)
        values = sorted(value for _, value, _ in _ends(panel))
        moved = (abs(place - value) for place, value in zip(_apart(values, room, y.high), values, strict=True))
        if max(moved, default=0.0) > _MOVED * room:
            return False
    return True


def _label_ends(axes: Axes, chart: Chart, panel: Panel, y: Axis, layout: Layout) -> None:
    """Write the name of each line at its right end; names that would cover each other are moved apart."""
    room = _LINE_HEIGHT / layout.panel * (y.high - y.low)
    colours = line_colours(chart, panel)
    ends = sorted(_ends(panel), key=lambda end: end[1])
    places = _apart([value for _, value, _ in ends], room, y.high)
    for (text, _, index), place in zip(ends, places, strict=True):
        axes.annotate(
            text,
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=6.5,
            color=colours[index],
            annotation_clip=False,
        )


def _ends(panel: Panel) -> list[tuple[str, float, int]]:
    """Return the names of lines, where they end, and the index of one of them: lines that are the same share a name."""
    alike: dict[tuple[float, ...], list[int]] = {}
    for index, line in enumerate(panel.lines):
        alike.setdefault(line.y, []).append(index)
    names = {
        indices[-1]: [panel.lines[index].label for index in (indices[0], *indices[-1:][: len(indices) - 1])]
        for indices in alike.values()
    }
    return [(_joined(labels), panel.lines[index].y[-1], index) for index, labels in names.items()]


def _joined(labels: Sequence[str]) -> str:
    """Return the first and the last of some names as one: 32 … 96/255."""
    unit = labels[-1].rpartition("/")[1:]
    ending = "".join(unit) if unit[0] else ""
    return " … ".join([*(label.removesuffix(ending) for label in labels[:-1]), labels[-1]])


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
    if not legend:
        top = 1 - 1.0 / layout.height
        figure.text(1 - 1.0 / layout.width, top, chart.legend_title, ha="right", va="top", fontsize=6.5)
        return
    shown, begins = _shown_in_legend(chart), _beginning(chart)
    handles = [
        Line2D([], [], color=colour, marker=marker(chart, line), markersize=2.6, label=line.label)
        for line, colour in zip(shown, line_colours(chart, Panel("", tuple(shown))), strict=True)
    ]
    above = 1 - 1.0 / layout.height
    figure.text(layout.left / layout.width, above, f"{chart.legend_title}:", ha="left", va="top", fontsize=6.5)
    below = 0.2 if begins else 0.2 + _LEGEND_ROW
    figure.legend(
        handles=handles,
        ncols=_legend_rows(chart, layout.width)[1],
        loc="upper left",
        bbox_to_anchor=((layout.left + begins - 1.0) / layout.width, 1 - below / layout.height),
        borderpad=0.2,
        columnspacing=1.0,
        handlelength=1.4,
        handletextpad=0.4,
        labelspacing=0.3,
    )
