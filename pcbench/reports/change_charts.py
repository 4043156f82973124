"""The charts that answer what timesteps do: the paired change since t = 0, by family, level and budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pandas as pd

from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.metrics.change_rows import ACCURACY_CHANGE, FAMILY
from pcbench.metrics.rows import CHANGE
from pcbench.metrics.shown import level_symbol, own_timestep
from pcbench.names import attack_title, words
from pcbench.norms import epsilon_label, epsilon_text, norm_symbol
from pcbench.reports.attack_charts import by_attack
from pcbench.reports.charts import BANDS, Chart, Line, Panel, band_words, counted, in_order, line, places_of, texts
from pcbench.reports.matrices import ROBUST, verdict_on
from pcbench.results.verdicts import Verdicts

_FAMILIES = ("noise", "blur", "weather", "digital", "extra")
_PAIRED = (
    "Change since t = 0 in percentage points, on the same images: above 0, timestep t answers more of them rightly."
)
_CLAIM = (
    "A band that leaves out 0 at one of several t is no finding by itself; the answer of the run is corrected for "
    "their number (Holm)."
)
_BELIEVED = " A gain is one only where the attacks' gradients can be trusted."
_NO_CHANGE = (0.0, "no change")
CHANGE_BY = "change-by-"
"""What the names of charts begin with that have budgets, levels or families in one view."""
AT_EACH = "change-at-each-"
"""What the names of charts begin with that have a panel for each budget or level."""
_PANELS = 12
"""How many panels such a chart has at most."""


def change_charts(rows: pd.DataFrame, verdicts: Verdicts) -> Iterator[Chart]:
    """Return the charts of changes of one model on one suite; none for tables of former versions, which lack them."""
    changes = rows[rows["metric"] == ACCURACY_CHANGE]
    of_levels = changes[(changes["kind"] == "noise") & changes["epsilon"].notna()]  # the others pool all levels
    if not of_levels.empty:
        yield from _by_level(of_levels)
    elif (changes["kind"] == "corruption").any():
        yield from _by_family(changes)
    yield from _by_epsilon(rows, verdicts)


def _by_family(changes: pd.DataFrame) -> Iterator[Chart]:
    everything = changes[(changes["kind"] == "summary") & changes["severity"].isna()]
    of_families = changes[changes["kind"] == FAMILY]
    names = [name for name in _FAMILIES if name in set(of_families["name"])] or in_order(of_families["name"])
    single = changes[(changes["kind"] == "corruption") & changes["severity"].isna()]
    panels = [Panel("all corruptions", (line(everything, "timestep", "all"),))]
    panels += [
        Panel(words(name), (line(of_families[of_families["name"] == name], "timestep", name),)) for name in names
    ]
    if not names and single["name"].nunique() > 1:
        panels += [_single(single, name) for name in in_order(single["name"])]
    shown = [Panel("" if len(panels) == 1 else panel.title, panel.lines) for panel in panels]
    yield _chart(
        changes,
        name=f"{CHANGE_BY}family",
        where="under the corruptions of {suite}, by family",
        caption=f"{_PAIRED} Each panel pools all severities of its corruptions; {counted(shown)}. "
        f"{band_words('BCa bootstrap over images')} {_CLAIM}",
        x_label="timestep t",
        x="timestep",
        colours="family",
        panels=tuple(shown),
    )


def _single(rows: pd.DataFrame, name: str) -> Panel:
    return Panel(words(name), (line(rows[rows["name"] == name], "timestep", name),))


def _by_level(changes: pd.DataFrame) -> Iterator[Chart]:
    names = texts(changes["name"])
    if len(names) == 1:
        yield from _at_each(
            changes,
            level_symbol(names),
            "{:.3g}".format,
            name="level",
            where="under the noise of {suite}, at each of its levels",
            caption="Each panel is one level of the noise, in units of the normalised input",
        )
    panels = [
        Panel("" if len(names) == 1 else words(name), _timesteps(changes[changes["name"] == name])) for name in names
    ]
    symbol = level_symbol(names)
    yield _chart(
        changes,
        name=f"{CHANGE_BY}level",
        where="under the noise of {suite}, by its level",
        caption=f"{_PAIRED} {symbol} is the noise's level, in units of the normalised input; {counted(panels)}. "
        f"{band_words('Bonett and Price')} {_CLAIM}",
        x_label=f"{symbol} of the noise",
        x="value",
        legend_title="timestep t",
        colours="timestep",
        panels=tuple(panels),
    )


def _by_epsilon(rows: pd.DataFrame, verdicts: Verdicts) -> Iterator[Chart]:
    changes = rows[(rows["metric"] == ROBUST + CHANGE) & rows["epsilon"].notna()]
    robust = own_timestep(rows[rows["metric"] == ROBUST])
    norms = texts(changes["norm"])
    for norm in norms:
        suffix = f"-{norm}" if len(norms) > 1 else ""
        part = changes[changes["norm"] == norm]
        yield from _under_worst_case(part, norm, suffix, verdict_on(robust, verdicts))
        panels = [Panel(title, _timesteps(of_attack)) for title, of_attack in by_attack(part)]
        yield _chart(
            part,
            name=f"{CHANGE_BY}epsilon{suffix}",
            measure="robust accuracy",
            where="under {suite}, by ε",
            caption=f"{_PAIRED} An image counts at t where it is right within ε, each timestep attacked by itself; "
            f"{counted(panels)}. {band_words('Bonett and Price')} {_CLAIM}{_BELIEVED}",
            verdict=verdict_on(robust, verdicts),
            x_label=epsilon_label(norm),
            x="epsilon",
            norm=norm,
            legend_title="timestep t",
            colours="timestep",
            panels=tuple(panels),
        )


def _under_worst_case(changes: pd.DataFrame, norm: str, suffix: str, verdict: str) -> Iterator[Chart]:
    """Yield the chart of the attack that the answer is about: the worst case of all, or the only one."""
    attacks = list(by_attack(changes))
    worst = [one for one in attacks if one[0].startswith(attack_title(WORST_CASE))] or attacks
    if len(worst) == 1:
        title, part = worst[0]
        under = title if title != attack_title(WORST_CASE) else "the worst case of all attacks"
        yield from _at_each(
            part,
            "ε",
            partial(epsilon_text, norm=norm),
            name=f"epsilon{suffix}",
            measure="robust accuracy",
            where=f"under {under} of {{suite}}, {norm_symbol(norm)}, at each ε",
            caption="Each panel is one ε. An image counts at t where it is right within ε, each timestep attacked by "
            "itself",
            reading=_BELIEVED,
            verdict=verdict,
            norm=norm,
        )


def _at_each(
    changes: pd.DataFrame,
    symbol: str,
    text: Callable[[float], str],
    *,
    name: str,
    caption: str,
    reading: str = "",
    **fields: Any,
) -> Iterator[Chart]:
    """Yield the chart with a panel for each budget or level, where the timesteps are too many for bands in one panel.

    Args:
        changes: The rows of one attack or noise.
        symbol: What its budgets or levels are called.
        text: How one is written.
        name: The name of the chart, after `AT_EACH`.
        caption: What a panel is.
        reading: What can be concluded besides.
        fields: Further fields of the chart.
    """
    values = sorted(float(value) for value in changes["epsilon"].unique())
    if changes["timestep"].nunique() <= BANDS or len(values) > _PANELS:
        return
    panels = tuple(
        Panel(f"{symbol} = {text(value)}", (line(changes[changes["epsilon"] == value], "timestep", text(value)),))
        for value in values
    )
    yield _chart(
        changes,
        name=f"{AT_EACH}{name}",
        caption=f"{_PAIRED} {caption}; {counted(panels)}. {band_words('Bonett and Price')} {_CLAIM}{reading}",
        x_label="timestep t",
        x="timestep",
        colours="none",
        panels=panels,
        **fields,
    )


def _chart(
    rows: pd.DataFrame,
    *,
    where: str,
    measure: str = "accuracy",
    norm: str | None = None,
    legend_title: str = "",
    **fields: Any,
) -> Chart:
    """Return a chart of a change in points, of one model on one suite, whose name stands for `{suite}` in `where`."""
    suite = str(rows["suite"].iloc[0])
    return Chart(
        suite=suite,
        model=str(rows["model"].iloc[0]),
        what=f"Change of {measure} since t = 0",
        where=where.replace("{suite}", suite),
        y=f"change of {measure}",
        y_scale="points",
        norm=norm,
        legend_title=legend_title,
        reference=_NO_CHANGE,
        **fields,
    )


def _timesteps(changes: pd.DataFrame) -> tuple[Line, ...]:
    """Return a line for each timestep after 0, in the colour that it has in all figures."""
    timesteps = sorted({int(t) for t in changes["timestep"]})
    places = places_of([0.0, *(float(t) for t in timesteps)])
    return tuple(
        dataclasses.replace(line(changes[changes["timestep"] == t], "epsilon", str(t)), place=places[float(t)])
        for t in timesteps
    )
