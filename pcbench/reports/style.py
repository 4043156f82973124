"""The one style of all figures: sizes for a paper's column, ordered colours for ordered variables, stable files."""

from __future__ import annotations

import functools
import io
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from pcbench.escaping import printable
from pcbench.files import write
from pcbench.reports.charts import Chart, Line, LineVariable, Panel

Width = Literal["column", "page"]
WIDTHS: dict[Width, float] = {"column": 85.0, "page": 175.0}
"""How wide figures are, in mm: a column of a paper with two, and its page."""
MM = 1 / 25.4
"""A millimetre in the inches of matplotlib."""
FIGURE_FORMATS = ("svg", "pdf", "png")

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "lines.linewidth": 1.1,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    # Ids in an SVG are random unless they are salted.
    "svg.hashsalt": "pcbench",
    # Names are no formulas: `$x_1$` is shown as it is.
    "text.parse_math": False,
}

# The dates of making, and the versions of libraries, would make the files of equal figures differ.
_METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}

_CAPTION = {"svg": "Description", "pdf": "Subject", "png": "Description"}

# Ordered maps whose lightness runs one way, so that they stay ordered in grey and for colour-blind readers. The ends
# that are as pale as paper, or on a dark page as dark as that, are left out. The last value, such as the last timestep,
# stands out most.
_MAPS: dict[LineVariable, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "timestep": ("viridis", (0.68, 0.0), (0.4, 1.0)),
    "epsilon": ("RdPu", (0.5, 1.0), (0.75, 0.25)),
    "severity": ("YlOrBr", (0.5, 1.0), (0.75, 0.2)),
    "setting": ("cividis", (0.72, 0.0), (0.45, 1.0)),
}

_SIGNS = ("o", "s", "^", "D", "v", "P", "<", "X", "*", ">")
"""Markers, by matplotlib's names; lines that follow each other in an order take the next one."""
_DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 1.5), (1.5, 1.2), (5.0, 1.2, 1.2, 1.2))
"""Dashes and the room between them, in points; the first is a whole line."""
_APART: tuple[float, ...] = (8.0, 2.0)
"""Dashes of a line outside of the order, such as that of clean images."""

# Okabe and Ito's colours (Color Universal Design, 2008), which colour-blind readers tell apart; in grey the markers do.
_FAMILIES = {
    "noise": ("#0072b2", "o"),
    "blur": ("#d55e00", "s"),
    "weather": ("#009e73", "^"),
    "digital": ("#cc79a7", "D"),
    "extra": ("#e69f00", "v"),
}
COLOURS_APART = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of what has no order, by Okabe and Ito."""
_ARMS: dict[str, tuple[str, str, tuple[float, ...]]] = {
    "network": ("", "o", ()),
    "feedforward": ("#6655cc", "s", (1.5, 1.2)),
    "no-feedback": ("#0072b2", "^", (5.0, 1.5)),
    "no-error": ("#009e73", "D", (1.5, 1.2)),
    "random-predictors": ("#cc79a7", "v", (5.0, 1.2, 1.2, 1.2)),
    "input-blur": ("#d55e00", "X", (8.0, 1.5)),
    "misplaced-feedback": ("#e69f00", "P", (5.0, 1.5)),
    "smoothed": ("#56b4e9", "*", (5.0, 1.2, 1.2, 1.2)),
    "paper": ("#885577", "p", (8.0, 1.5)),
    "tuned-clean": ("#bb3333", "<", (1.5, 1.2)),
    "tuned-noise": ("#44aa99", "<", (5.0, 1.5)),
    "denoising": ("#bb0099", ">", (8.0, 1.2, 1.2, 1.2)),
    "longer": ("#0088ff", "d", (1.5, 1.2)),
    "deeper": ("#999933", "h", (5.0, 1.5)),
}
"""The colour, marker and dashes of each arm of a study, the same in all studies; the network's is the darkest colour.

What primary questions are decided against has Okabe and Ito's colours; the others differ from these, and from each
other, for colour-blind readers as well (by lightness and hue as Machado et al. 2009 simulate it), but less.
"""
_INK = ("#303030", "#e8e8e8")
"""The colour of a line that stands outside of an order, such as clean images, on light and on dark."""
_BESIDE_ARMS = "#8c8c8c"
"""The colour of a line that is no arm, such as the curve of blurs."""


def line_colours(chart: Chart, panel: Panel, *, dark: bool = False) -> list[str]:
    """Return a colour for each line of a panel, as hexadecimal: equal values have equal colours in all figures.

    Args:
        chart: The chart.
        panel: One of its panels.
        dark: Whether they are for a dark background.
    """
    return [_colour(chart.colours, one, dark=dark) for one in panel.lines]


def _colour(variable: LineVariable, line: Line, *, dark: bool) -> str:
    if variable == "family":
        return _FAMILIES[line.label][0] if line.label in _FAMILIES else _INK[dark]
    if variable == "arm":
        return _ARMS.get(line.label, (_BESIDE_ARMS,))[0] or _INK[dark]
    if variable not in _MAPS or line.place is None:
        return _INK[dark]
    return _in_order(variable, line.place.share, dark=dark)


@functools.cache  # a map of colours is slow to make
def _in_order(variable: LineVariable, place: float, *, dark: bool) -> str:
    name, on_light, on_dark = _MAPS[variable]
    first, last = on_dark if dark else on_light
    return to_hex(mpl.colormaps[name](first + (last - first) * place))


class Pattern(NamedTuple):
    """What tells a line from others without colour."""

    marker: str
    """That of its points, by matplotlib's name."""
    dashes: tuple[float, ...]
    """Dashes and the room between them, in points; empty for a whole line."""


def pattern(chart: Chart, line: Line) -> Pattern:
    """Return the marker and the dashes of a line: equal values have equal ones in all figures."""
    if chart.colours == "family":
        return Pattern(_FAMILIES[line.label][1] if line.label in _FAMILIES else "o", ())
    if chart.colours == "arm" and line.label in _ARMS:
        return Pattern(*_ARMS[line.label][1:])
    if line.place is None:
        return Pattern("o", _APART if chart.colours in ("severity", "epsilon", "arm") else ())
    return Pattern(_SIGNS[line.place.number % len(_SIGNS)], _DASHES[line.place.number % len(_DASHES)])


class ShownFigure(Figure):
    """A figure that a notebook shows by itself: matplotlib's own is shown only once pyplot has been imported."""

    def _repr_svg_(self) -> str:
        """Return it as SVG, in the style in which it was drawn."""
        buffer = io.StringIO()
        with style():
            self.savefig(buffer, format="svg", metadata=_METADATA["svg"])
        return buffer.getvalue()


@contextmanager
def style() -> Generator[None]:
    """Draw in the project's style, independent of the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def show_literally(figure: Figure) -> None:
    """Show the texts of a figure as they are, without characters that act."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))


def save(figure: Figure, path: Path, caption: str) -> None:
    """Write a figure, in the format given by the file's ending; the same figure gives the same bytes.

    The file gets its name only when it is complete; its metadata holds the caption.

    Raises:
        WriteError: It cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    metadata = _METADATA[kind] | {_CAPTION[kind]: printable(caption)}
    write(path, lambda unfinished: figure.savefig(unfinished, format=kind, metadata=metadata))
