"""Where the parts of a drawn figure are: computed from the lengths of texts, and not searched for."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from pcbench.escaping import printable
from pcbench.reports.axes import Axis
from pcbench.reports.charts import Chart, Line, Panel
from pcbench.reports.style import WIDTHS, Width

_NAMED = 12
"""How many lines a legend names at most."""
LETTER = 1.25
"""The width of a small letter, in mm."""
_NAME_LETTER = 1.45
"""The width of a letter of a name beside a panel, such as a figure, in mm."""
LINE_HEIGHT = 2.9
"""The height of a line of small text, in mm."""
_MOVED = 2.5
"""How many lines of text a name may stand from the end of its line: farther off it would name another one."""
LEGEND_ROW = 3.6
"""The height of a row of a legend, in mm."""
_HANDLE = 9.5
"""What an entry of a legend takes beside its name, in mm."""
_LONG = 35.0
"""A title of a legend that is wider than this has a row for itself, in mm."""
TITLE_SIZE = 7.5
"""The size of a title's letters, in points; bold ones would need a second font, which costs more than all else."""
_TITLE_LETTER = 1.5
"""The width of a letter of a title, in mm."""
TITLE_LINE = 3.2
"""The height of a line of a title, in mm."""
_TITLE_LINES = 6
"""How many lines a title has at most."""
NOTE_SIZE = 6.0
"""The size of a note's letters, below the title, in points."""
_NOTE_LETTER = 1.2
"""The width of a letter of a note, in mm."""
NOTE_LINE = 2.7
"""The height of a line of a note, in mm."""
_SMALL = 22.0
"""The width of a small panel, in mm."""
_UNBROKEN = "\u00a0"
"""A space at which no line ends."""
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
    title: Sequence[str]
    """The lines of the figure's title."""
    note: Sequence[str] = ()
    """Those of its note, below the title."""

    @property
    def height(self) -> float:
        """The height of the figure."""
        return self.top + self.rows * self.panel + (self.rows - 1) * self.gaps[1] + self.bottom

    @property
    def head(self) -> float:
        """Where what is below the title begins, from the top."""
        return _head(self.title, self.note)

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


def layout_of(chart: Chart, width: Width, upright: Sequence[Axis], *, labels: bool) -> Layout:
    """Return where the panels of a chart are.

    Args:
        chart: The chart.
        width: The figure's.
        upright: The panels' axes of y.
        labels: Whether the names of lines stand at their ends.
    """
    panels = len(chart.panels)
    title = wrapped_title(chart.title, WIDTHS[width])
    note = _wrapped(chart.note, int((WIDTHS[width] - 2.0) / _NOTE_LETTER))
    columns = _columns(chart, width, labels=labels)
    longest = max((len(text) for panel in chart.panels for text, _, _ in line_ends(panel)), default=0)
    beside = longest * _NAME_LETTER + 5.0
    titled = any(panel.title for panel in chart.panels)
    between = max(8.5 if any(y.own for y in upright) else 3.0, beside if labels else 0.0)
    named = 0.0
    if chart.legend_title:
        below = 3.0 * head_named(chart)
        named = below if labels else legend_rows(chart, WIDTHS[width])[0] * LEGEND_ROW + 1.5
    tall = {
        "page": {1: 52.0, 2: 46.0, 3: 38.0, 4: 27.0},
        "column": {1: 48.0 if panels == 1 else 36.0, 2: 30.0, 3: 22.0},
    }
    return Layout(
        width=WIDTHS[width],
        columns=columns,
        rows=math.ceil(panels / columns),
        panel=tall[width][columns],
        left=max(13.0, 6.5 + _NAME_LETTER * max(len(text) for y in upright for _, text in y.ticks)),
        right=beside if labels else 2.5,
        top=_head(title, note) + (5.0 if titled else 1.5) + named,
        bottom=9.5,
        gaps=(between, 6.0 if titled else 3.0),
        title=title,
        note=note,
    )


def _head(title: Sequence[str], note: Sequence[str]) -> float:
    return 1.0 + len(title) * TITLE_LINE + len(note) * NOTE_LINE


def head_named(chart: Chart) -> bool:
    """Return whether names beside lines need a title above them, as numbers do, and names of arms do not."""
    return bool(chart.legend_title) and chart.colours != "arm"


def _columns(chart: Chart, width: Width, *, labels: bool) -> int:
    """Return how many panels are side by side."""
    panels = len(chart.panels)
    small = all(len(panel.lines) == 1 and len(panel.title) * LETTER < _SMALL for panel in chart.panels)
    most = 1 if labels else 3 if panels > 6 and small else 2
    if width == "page":
        most = 3 if panels <= 6 or panels == 9 else 4
    return min(2 if panels == 4 else panels, most)


def wrapped_title(title: str, width: float) -> Sequence[str]:
    """Return the lines of a figure's title, none of which ends within a term such as ``t = 0``.

    Args:
        title: The title.
        width: The figure's, in mm.
    """
    return _wrapped(title, int((width - 2.0) / _TITLE_LETTER))


def _wrapped(text: str, each: int) -> Sequence[str]:
    """Return a text in lines of so many letters at most."""
    kept = re.sub(r"(?<=\w) = (?=\w)|(?<=\d) %", lambda found: found[0].replace(" ", _UNBROKEN), printable(text))
    lines = textwrap.wrap(kept, each, max_lines=_TITLE_LINES, placeholder=" …", break_on_hyphens=False)
    return [line.replace(_UNBROKEN, " ") for line in lines]


def legend_rows(chart: Chart, width: float) -> tuple[int, int]:
    """Return how many rows a legend takes, one of them for its title where that is long, and entries a row."""
    labels = [line.label for line in shown_in_legend(chart)]
    entry = max((len(label) for label in labels), default=0) * LETTER + _HANDLE
    each = max(1, int((width - 14.0 - legend_begins(chart)) / entry))
    return math.ceil(len(labels) / each) + (legend_begins(chart) == 0), each


def legend_begins(chart: Chart) -> float:
    """Return where the entries of a legend begin in mm: behind its title, or below a long one."""
    wide = (len(chart.legend_title) + 3) * LETTER
    return wide if wide < _LONG else 0.0


def shown_in_legend(chart: Chart) -> Sequence[Line]:
    """Return the lines that a legend names: their colours are in the order of the values, so some of many do."""
    longest = max(chart.panels, key=lambda panel: len(panel.lines))
    return longest.lines[:: -(-len(longest.lines) // _NAMED)]


def labelled_directly(chart: Chart, upright: Sequence[Axis]) -> bool:
    """Return whether the names of lines stand at their ends: where they lie apart, in a few large panels."""
    if not chart.legend_title or chart.x != "timestep" or len(chart.panels) > 4:
        return False
    if any(len(panel.lines) * LINE_HEIGHT > _ROOM for panel in chart.panels):
        return False
    for panel, y in zip(chart.panels, upright, strict=True):
        room = LINE_HEIGHT / _ROOM * (y.high - y.low)
        values = sorted(value for _, value, _ in line_ends(panel))
        moved = (abs(place - value) for place, value in zip(apart(values, room, y.low, y.high), values, strict=True))
        if max(moved, default=0.0) > _MOVED * room:
            return False
    return True


def line_ends(panel: Panel) -> list[tuple[str, float, int]]:
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


def apart(values: Sequence[float], room: float, low: float, top: float) -> list[float]:
    """Return the places of names that are as near as can be to where lines end, none upon another.

    Args:
        values: Where the lines end, ascending.
        room: The height of a name.
        low: The lowest place.
        top: The highest place.
    """
    # Without what names above each other need, their places must not fall: groups that would have their mean.
    groups: list[tuple[float, int]] = []
    for index, value in enumerate(values):
        groups.append((value - index * room, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (one, count), (other, more) = groups[-2:]
            groups[-2:] = [((one * count + other * more) / (count + more), count + more)]
    free = [mean for mean, count in groups for _ in range(count)]
    limit = top - (len(values) - 1) * room
    return [max(low, min(place, limit)) + index * room for index, place in enumerate(free)]
