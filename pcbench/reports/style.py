"""The one style of all figures: sizes for a paper's column, ordered colours for ordered variables, stable files."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from pcbench.escaping import printable
from pcbench.files import write
from pcbench.reports.charts import OrderedVariable

PAGE_WIDTH = 7.0
COLUMN_WIDTH = 3.6
FIGURE_FORMATS = ("svg", "pdf", "png")

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "lines.linewidth": 1.3,
    "lines.markersize": 3,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "savefig.dpi": 200,
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

# Perceptually uniform maps that stay ordered for the colour-blind and in grey. The end that is as pale as paper, or on
# a dark page as dark as that, is left out.
_MAPS: dict[OrderedVariable, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "timestep": ("viridis", (0.0, 0.85), (0.3, 1.0)),
    "epsilon": ("plasma", (0.0, 0.85), (0.3, 1.0)),
    "severity": ("cividis", (0.88, 0.0), (1.0, 0.45)),
    "setting": ("inferno", (0.08, 0.8), (0.35, 0.95)),
    "none": ("viridis", (0.2, 0.2), (0.7, 0.7)),
}


def colours(order: OrderedVariable, count: int, *, dark: bool = False) -> list[str]:
    """Return colours for the ordered values of a variable, as hexadecimal.

    Args:
        order: The variable.
        count: How many values it has.
        dark: Whether they are for a dark background.
    """
    name, on_light, on_dark = _MAPS[order]
    first, last = on_dark if dark else on_light
    scale = mpl.colormaps[name]
    steps = [first + (last - first) * index / max(count - 1, 1) for index in range(count)]
    return [to_hex(scale(step)) for step in steps]


@contextmanager
def style() -> Generator[None]:
    """Draw in the project's style, independent of the user's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def fix_layout(figure: Figure) -> None:
    """Compute a figure's layout once, not for every format; its texts are shown literally."""
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
    figure.draw_without_rendering()
    figure.set_layout_engine(None)


def save(figure: Figure, path: Path, caption: str) -> None:
    """Write a figure, in the format given by the file's ending; the same figure gives the same bytes.

    The file gets its name only when it is complete; its metadata holds the caption.

    Raises:
        WriteError: It cannot be written.
    """
    kind = path.suffix.removeprefix(".")
    metadata = _METADATA[kind] | {_CAPTION[kind]: printable(caption)}
    write(path, lambda unfinished: figure.savefig(unfinished, format=kind, metadata=metadata))
