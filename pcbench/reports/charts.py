"""What is plotted: lines with intervals in panels, taken from the tidy table, before any library draws them.

The figures for papers and the interactive page draw the same charts, and the table behind a figure lists the same
points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import pandas as pd

from pcbench.metrics.corruption import THE_FIFTEEN

OrderedVariable = Literal["timestep", "epsilon", "severity", "setting", "none"]
Scale = Literal["share", "ratio", "number"]
"""What the numbers of an axis are: shares of images (in percent, 0 to 100), ratios (in percent, may be above 100), or
numbers of another kind, which are shown as they are."""


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


@dataclasses.dataclass(frozen=True)
class Panel:
    """Lines that share axes."""

    title: str
    """Empty for a single panel."""
    lines: tuple[Line, ...]
    """In the order of their variable."""


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
    """How it was made: what the points, lines and bands are."""
    verdict: str | None = None
    """Of robust accuracy: the verdict on the attacks' gradients, in words."""

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
    x: Literal["timestep", "epsilon", "value"]
    """What the x axis is; the value is that of a hyperparameter, which its label names."""
    norm: str | None
    """The norm of ε, where ε is on an axis or in the legend."""
    legend_title: str
    """What the lines differ in; empty where there is one line."""
    colours: OrderedVariable
    """The variable the lines are ordered by."""
    panels: tuple[Panel, ...]
    """From the top left."""
    details_of: str | None = None
    """The name of the chart that shows the mean of this chart's other panels, which is its first panel as well."""

    @property
    def y_label(self) -> str:
        """What the y axis is, with its unit."""
        return f"{self.y} (%)" if self.in_percent else self.y

    @property
    def in_percent(self) -> bool:
        """Whether y is in percent."""
        return self.y_scale != "number"

    def table(self) -> pd.DataFrame:
        """Return all points as a table: panel, line, x, value, ends of the interval, images."""
        rows = [
            {"panel": panel.title, "line": line.label, "x": x, "value": y, "ci_low": low, "ci_high": high, "n": n}
            for panel in self.panels
            for line in panel.lines
            for x, y, low, high, n in zip(line.x, line.y, line.low, line.high, line.n, strict=True)
        ]
        return pd.DataFrame(rows, columns=["panel", "line", "x", "value", "ci_low", "ci_high", "n"])


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
    )


def lines(rows: pd.DataFrame, x: str, by: str, label: Callable[[float], str], scale: float = 100.0) -> tuple[Line, ...]:
    """Return one line for each value of a column, in its order; see `line`."""
    values = sorted(float(value) for value in rows[by].unique())
    return tuple(line(rows[rows[by] == value], x, label(value), scale) for value in values)


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
