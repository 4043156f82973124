"""The axes of a chart: one definition for the figures of papers and for the page, where every tick is a measured value.

Positions are linear: who draws a chart puts a point at `Axis.position` and needs to know of no scale.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pcbench.norms import epsilon_scale
from pcbench.percent import decimal
from pcbench.reports.charts import Chart, Panel

_TIMESTEPS = 10
"""How many steps lie between labelled timesteps at most."""
_LABELLED = 14
"""Labels of budgets and levels are at least this part of the axis apart."""
_LEAST = 0.75
"""How far apart two budgets are drawn at least, in doublings, so that each has room for its label."""
_APART = 2.5
"""A panel whose values reach farther than so many times the median panel's has an axis of its own."""
_MARGIN = 0.06
"""The room beyond the first and last value of x, as a share of the axis."""
_STEPS = (1, 2, 2.5, 5, 10)
_ROUGHLY = 5
"""How many steps an axis of y has, about."""


@dataclass(frozen=True)
class Axis:
    """One axis of a panel."""

    low: float
    """The position of its beginning."""
    high: float
    """That of its end."""
    ticks: tuple[tuple[float, str], ...]
    """Positions with their labels, ascending; a label is empty where there is no room for it."""
    positions: Mapping[float, float] = field(default_factory=dict[float, float])
    """Where values are drawn, if not at themselves."""
    own: bool = False
    """Whether the panel has this axis for itself, since its values would press those of all others together."""

    def position(self, value: float) -> float:
        """Return where a value is drawn."""
        return self.positions.get(value, value)


def x_axis(chart: Chart) -> Axis:
    """Return the axis of x that all panels of a chart share.

    Budgets are drawn at their logarithm, dense ones a little apart, and 0 one doubling below the smallest; each has a
    tick, in the unit that the axis' label names. Timesteps are drawn at themselves. Values of a hyperparameter, and
    levels of noise, are drawn at themselves or, where they spread over sizes as 0.001 to 0.1 do, at their logarithm.
    Measured shares are drawn between round ticks: a tick for each would lie upon others.
    """
    values = sorted({x for panel in chart.panels for line in panel.lines for x in line.x})
    if chart.x == "timestep":
        step = next(one for one in (1, 2, 5, 10, 20, 50, 100, 1000) if values[-1] - values[0] <= one * _TIMESTEPS)
        labelled = [value for value in values if (value - values[0]) % step == 0]
        return _axis({}, values, [(value, f"{value:.0f}") for value in labelled])
    if chart.x == "share":
        return _close(values)
    scale = epsilon_scale(chart.norm) if chart.x == "epsilon" else 1.0
    positions = _logarithms(values) if chart.x == "epsilon" or _spread(values) else {}
    texts = [(positions.get(value, value), f"{value * scale:.3g}") for value in values]
    return _axis(positions, values, _thinned(texts))


def _axis(positions: Mapping[float, float], values: Sequence[float], ticks: Sequence[tuple[float, str]]) -> Axis:
    first, last = (positions.get(value, value) for value in (values[0], values[-1]))
    margin = _MARGIN * (last - first) or 0.5
    return Axis(first - margin, last + margin, tuple(ticks), positions)


def _logarithms(values: Sequence[float]) -> dict[float, float]:
    placed = dict.fromkeys((value for value in values if value <= 0), 0.0)
    above = [value for value in values if value > 0]
    for before, value in zip([None, *above], above, strict=False):
        placed[value] = 1.0 if before is None else placed[before] + max(_LEAST, math.log2(value / before))
    return placed


def _spread(values: Sequence[float]) -> bool:
    above = [value for value in values if value > 0]
    return len(above) > 2 and above[-1] > 20 * above[0] and above[len(above) // 2] < above[-1] / 4


def _thinned(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return ticks without the labels for which there is no room; the first and the last keep theirs."""
    room = (ticks[-1][0] - ticks[0][0]) / _LABELLED
    kept: list[tuple[float, str]] = []
    labelled = -math.inf
    for index, (position, text) in enumerate(ticks):
        last = index == len(ticks) - 1
        free = position - labelled >= 0.99 * room and (last or ticks[-1][0] - position >= 0.99 * room)
        kept.append((position, text if free or last else ""))
        labelled = position if free or last else labelled
    return kept


def y_axis(chart: Chart, panel: Panel) -> Axis:
    """Return the axis of y of a panel: all panels have the same, but those whose values would press them together.

    Shares of images are drawn from 0 to 100 %, or as levels near their values, ratios from 0 with their baseline in
    view, differences with 0 in view.
    """
    if chart.y_scale == "share":
        return Axis(0, 100, tuple((float(value), str(value)) for value in range(0, 101, 20)))
    if chart.y_scale == "level":
        return _close([y for one in chart.panels for line in one.lines for y in line.y if math.isfinite(y)])
    if chart.y_scale == "points":  # changes are compared between panels, and lie between -100 and 100
        return _nice(chart, chart.panels, own=False)
    reach = {one.title: _reach(one) for one in chart.panels}
    usual = statistics.median(reach.values())
    apart = {title for title, far in reach.items() if far > _APART * usual and far > abs(_held_against(chart))}
    if panel.title in apart:
        return _nice(chart, [panel], own=True)
    return _nice(chart, [one for one in chart.panels if one.title not in apart], own=False)


def _reach(panel: Panel) -> float:
    return max((abs(end) for one in panel.lines for end in (*one.low, *one.high) if math.isfinite(end)), default=0.0)


def _held_against(chart: Chart) -> float:
    return 0.0 if chart.reference is None else chart.reference[0]


def _nice(chart: Chart, panels: Sequence[Panel], *, own: bool) -> Axis:
    """Return an axis that ends at round numbers, and holds all values, 0, and what they are held against."""
    ends = [end for panel in panels for one in panel.lines for end in (*one.low, *one.high) if math.isfinite(end)]
    return _round(min(0.0, *ends, 0.0), max(_held_against(chart), *ends, 0.0), own=own)


def _close(values: Sequence[float]) -> Axis:
    """Return an axis that ends at round numbers near the values, far from 0 as they may be."""
    low, high = min(values), max(values)
    spare = 0.5 if low == high else 0.0
    return _round(low - spare, high + spare, own=False)


def _round(low: float, high: float, *, own: bool) -> Axis:
    wanted = (high - low) / _ROUGHLY or 1.0
    size = 10 ** math.floor(math.log10(wanted))
    step = next(size * one for one in _STEPS if size * one >= wanted * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9) + (step / size == 2.5))
    ticks = tuple((number * step, decimal(number * step, digits)) for number in range(first, last + 1))
    return Axis(first * step, last * step, ticks, own=own)
