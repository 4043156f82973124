"""What is plotted: lines with intervals in panels, taken from the tidy table, before any library draws them.

The figures for papers and the interactive page draw the same charts, and the table behind a figure lists the same
points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import pandas as pd

from pcbench.metrics.corruption import THE_FIFTEEN

LineVariable = Literal["timestep", "epsilon", "severity", "setting", "family", "arm", "none"]
"""What the lines of a chart differ in; all but the last three have an order."""
Scale = Literal["share", "level", "ratio", "points", "number"]
"""What the numbers of an axis are: shares of images (in percent, 0 to 100), the same drawn large where they lie and
without intervals, ratios (in percent, may be above 100),
differences of shares (in percentage points), or numbers of another kind, which are shown as they are."""
BANDS = 3
"""The largest number of bands in one panel: more cover each other."""
_SOME_BANDS = "Of several lines the first, a middle one and the last have a band; the table holds all."


class Rank(NamedTuple):
    """Where a line stands in the order of its variable."""

    share: float
    """From 0, the first, to 1, the last; its colour follows."""
    number: int
    """From 0; its marker and its dashes follow."""


@dataclasses.dataclass(frozen=True)
class Line:
    """Points with intervals, in the unit of the chart's y axis."""

    label: str
    """Its name in the legend."""
    x: tuple[float, ...]
    """The positions of the points: timesteps, ε in [0,1] pixel units, or values of a hyperparameter."""
    y: tuple[float, ...]
    """Their values."""
    low: tuple[float, ...]
    """Lower ends of their 95 % intervals."""
    high: tuple[float, ...]
    """Upper ends."""
    n: tuple[int, ...]
    """Number of images of each point."""
    rows: tuple[int, ...] = ()
    """The labels of the rows of the tidy table that the points are of."""
    place: Rank | None = None
    """Where it stands in the order of its variable; None outside of the order, as clean images are among severities."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """Lines that share axes."""

    title: str
    """Empty for a single panel."""
    lines: tuple[Line, ...]
    """In the order of their variable."""

    @property
    def banded(self) -> tuple[int, ...]:
        """The lines that have a band, by their index: all of a few; else the first, a middle one and the last."""
        count = len(self.lines)
        return tuple(range(count)) if count <= BANDS else (0, count // 2, count - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captioned:
    """What every figure has, whatever is drawn in it."""

    name: str
    """Its name in file names and for `pcbench figure`."""
    suite: str
    """The suite's name."""
    model: str
    """The model's name; those of the runs, where several are side by side."""
    what: str
    """What is shown, the part of the title before the models."""
    where: str
    """Under which conditions, the part of the title after the models."""
    caption: str
    """How it was made: what the points, lines and bands are, wherever it is drawn."""
    verdict: str | None = None
    """Of robust accuracy: the verdict on the attacks' gradients, in words."""

    @property
    def file_caption(self) -> str:
        """How it was made, of the drawing in a file."""
        return self.caption

    @property
    def title(self) -> str:
        """What it shows, in one line."""
        return f"{self._believed} of {self.model} {self.where}"

    @property
    def plain_title(self) -> str:
        """The title without the model, for where that is said elsewhere."""
        return f"{self._believed} {self.where}"

    @property
    def _believed(self) -> str:
        return self.what if self.verdict is None else f"{self.what} ({self.verdict})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chart(Captioned):
    """A figure of lines before it is drawn."""

    x_label: str
    """With its unit."""
    y: str
    """What the y axis is, without its unit."""
    y_scale: Scale = "share"
    """What the numbers of the y axis are."""
    x: Literal["timestep", "epsilon", "value", "share"]
    """What the x axis is; the value is that of a hyperparameter, which its label names, and a share was measured, in
    percent."""
    norm: str | None
    """The norm of ε, where ε is on an axis or in the legend."""
    legend_title: str
    """What the lines differ in; empty where there is one line."""
    colours: LineVariable
    """The variable that the lines differ in."""
    panels: tuple[Panel, ...]
    """From the top left."""
    details_of: str | None = None
    """The name of the chart that shows the mean of this chart's other panels, which is its first panel as well."""
    reference: tuple[float, str] | None = None
    """A value of y that all is held against, drawn as a line, and what it is."""
    note: str = ""
    """What a drawing in a file says below its title, where no caption may stand beside it."""

    @property
    def y_label(self) -> str:
        """What the y axis is, with its unit."""
        return f"{self.y} ({self.unit})" if self.unit else self.y

    @property
    def unit(self) -> str:
        """The unit of y; empty for numbers that are shown as they are."""
        return {"share": "%", "level": "%", "ratio": "%", "points": "points", "number": ""}[self.y_scale]

    @property
    def in_percent(self) -> bool:
        """Whether y is in percent, or a difference of percents."""
        return self.y_scale != "number"

    @property
    def file_caption(self) -> str:
        """How it was made, of the drawing in a file: of many lines also which have a band there."""
        return f"{self.caption} {_SOME_BANDS}" if self._crowded else self.caption

    @property
    def page_caption(self) -> str:
        """How it was made, of the drawing on a page, where the reader chooses which timestep has a band."""
        if not self._crowded or self.colours != "timestep":
            return self.file_caption
        begins = any(one.label == "0" for panel in self.panels for one in panel.lines)
        which = "t = 0 and the chosen one have" if begins else "only the chosen one has"
        return f"{self.caption} Of several timesteps {which} a band; the table holds all."

    @property
    def _crowded(self) -> bool:
        return any(len(panel.lines) > BANDS for panel in self.panels)

    @property
    def rows(self) -> list[int]:
        """The labels of the rows of the tidy table that are shown, each once, panel by panel."""
        return list(dict.fromkeys(row for panel in self.panels for one in panel.lines for row in one.rows))


def joined_verdicts(said: Sequence[tuple[str, str | None]]) -> str | None:
    """Return the verdict on a figure of several runs, from the runs' names and what is said of each."""
    if len({verdict for _, verdict in said}) == 1:
        return said[0][1]
    return "; ".join(f"{label}: {verdict}" for label, verdict in said if verdict is not None)


def line(rows: pd.DataFrame, x: str, label: str, scale: float = 100.0) -> Line:
    """Return rows of the tidy table as one line, sorted by the column on the x axis.

    Args:
        rows: The points.
        x: The column on the x axis.
        label: The line's name in the legend.
        scale: What values are multiplied by: 100 makes percent of ratios.
    """
    ordered = rows.sort_values(x)
    scaled = {name: tuple(float(value) * scale for value in ordered[name]) for name in ("value", "ci_low", "ci_high")}
    return Line(
        label,
        tuple(float(value) for value in ordered[x]),
        scaled["value"],
        scaled["ci_low"],
        scaled["ci_high"],
        tuple(int(value) for value in ordered["n"]),
        tuple(int(row) for row in ordered.index),
    )


def lines(rows: pd.DataFrame, x: str, by: str, label: Callable[[float], str], scale: float = 100.0) -> tuple[Line, ...]:
    """Return one line for each value of a column, in its order; see `line`.

    The value 0 of severities is the clean image, and of levels and budgets the image without a change: outside of the
    order, so that severity 1 looks the same with it and without it.
    """
    rows = rows[list(dict.fromkeys([x, by, "value", "ci_low", "ci_high", "n"]))]  # texts are slow to choose from
    values = sorted(float(value) for value in rows[by].unique())
    ordered = [value for value in values if value > 0] if by != "timestep" else values
    places = places_of(ordered, severities=by == "severity")
    return tuple(
        dataclasses.replace(line(rows[rows[by] == value], x, label(value), scale), place=places.get(value))
        for value in values
    )


def places_of(values: Sequence[float], *, severities: bool = False) -> dict[float, Rank]:
    """Return where each value stands in the order of all; severities are those of five at least."""
    if severities:
        most = max(4, max(values, default=1) - 1)
        return {value: Rank((value - 1) / most, int(value) - 1) for value in values}
    return {value: Rank(index / max(1, len(values) - 1), index) for index, value in enumerate(values)}


def counted(panels: Sequence[Panel]) -> str:
    """Return on how many images the points of a chart are, in words."""
    numbers = sorted({n for panel in panels for one in panel.lines for n in one.n})
    if not numbers:
        return "no images"
    plural = "s" * (numbers[-1] != 1)
    return f"{numbers[0]:,} image{plural}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,} images"


def band_words(kind: str) -> str:
    """Return what the bands of a chart are, as a sentence.

    Args:
        kind: How the intervals were made.
    """
    return f"Bands are 95 % intervals, each for its own point: {kind}."


def severity_text(value: float) -> str:
    """Return what legends call a severity; 0 is the clean image."""
    return f"{int(value)}" if value else "clean"


def in_order(names: Iterable[object]) -> list[str]:
    """Return the distinct names of corruptions, ImageNet-C's fifteen in its paper's order, then the others."""
    fifteen = {name: index for index, name in enumerate(THE_FIFTEEN)}
    return sorted(texts(names), key=lambda name: fifteen.get(name, len(fifteen)))


def texts(values: Iterable[object]) -> list[str]:
    """Return the distinct texts of a column in the order of their first appearance."""
    return [str(value) for value in dict.fromkeys(values)]
