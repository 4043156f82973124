"""The charts of an attack suite: success rates and robust accuracy, against ε and against the timestep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial

import pandas as pd

from pcbench.metrics.shown import own_timestep
from pcbench.names import attack_title, words
from pcbench.norms import epsilon_label, epsilon_text, norm_symbol
from pcbench.reports.charts import Chart, Panel, band_words, counted, lines, texts
from pcbench.reports.matrices import ROBUST, verdict_on
from pcbench.results.verdicts import Verdicts

_ALONE = "Every timestep is attacked separately unless the attack's name says otherwise."


@dataclasses.dataclass(frozen=True)
class _Quantity:
    name: str
    metric: str
    title: str
    caption: str
    reading: str
    """What can be concluded from it, and what cannot."""


_QUANTITIES = (
    _Quantity(
        "success",
        "attack_success_rate_within",
        "attack success rate",
        "Share of the images classified correctly at t that the attack breaks at ε or a smaller ε of the sweep; "
        "the eligible images therefore differ between timesteps.",
        "So two timesteps are not compared by it; robust accuracy, with the verdict on the gradients, does that "
        "(checked or not stands in its title).",
    ),
    _Quantity(
        "robust-accuracy",
        ROBUST,
        "robust accuracy",
        "Share of all images that are classified correctly at t and stay so at every ε up to the one shown.",
        "A weak attack leaves it high too: the verdict on the gradients is in the title. Overlapping bands do not say "
        "that two timesteps are alike; the paired change does.",
    ),
)


def attack_charts(rows: pd.DataFrame, verdicts: Verdicts) -> Iterator[Chart]:
    """Return the charts of the rows of one model on one attack suite, with the verdicts on its attacks.

    Each timestep is attacked separately, or all at once; an attack on one timestep scored at another is left out.
    """
    own = own_timestep(rows[rows["kind"] == "attack"])
    for quantity in _QUANTITIES:
        chosen = own[own["metric"] == quantity.metric]
        norms = texts(chosen["norm"])
        for norm in norms:
            suffix = f"-{norm}" if len(norms) > 1 else ""
            part = chosen[chosen["norm"] == norm]
            for against in ("epsilon", "timestep"):
                chart = _chart(part, quantity, norm, suffix, against=against)
                if quantity.metric == ROBUST:
                    chart = dataclasses.replace(chart, verdict=verdict_on(part, verdicts))
                yield chart


def _chart(rows: pd.DataFrame, quantity: _Quantity, norm: str, suffix: str, *, against: str) -> Chart:
    model, suite = str(rows["model"].iloc[0]), str(rows["suite"].iloc[0])
    by_epsilon = against == "epsilon"
    panels = tuple(_panels(rows, norm, by_epsilon=by_epsilon))
    return Chart(
        name=f"{quantity.name}-by-{against}{suffix}",
        suite=suite,
        model=model,
        what=quantity.title.capitalize(),
        where=f"under {suite} against {'ε' if by_epsilon else 't'}",
        caption=f"{quantity.caption} {_ALONE} {counted(panels).capitalize()}. "
        f"{band_words('Wilson, over images')} {quantity.reading}",
        x_label=epsilon_label(norm) if by_epsilon else "timestep t (number of updates)",
        y=quantity.title,
        x="epsilon" if by_epsilon else "timestep",
        norm=norm,
        legend_title="timestep t" if by_epsilon else f"ε ({norm_symbol(norm)})",
        colours="timestep" if by_epsilon else "epsilon",
        panels=panels,
    )


def _panels(rows: pd.DataFrame, norm: str, *, by_epsilon: bool) -> Iterator[Panel]:
    for title, part in by_attack(rows):
        if by_epsilon:
            yield Panel(title, lines(part, "epsilon", "timestep", "{:.0f}".format))
        else:
            yield Panel(title, lines(part, "timestep", "epsilon", partial(epsilon_text, norm=norm)))


def by_attack(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield what each attack of some rows is called, as far as it must be said to tell them apart, and its rows."""
    gradients, aims = texts(rows["gradient"].dropna()), texts(rows["targeted"])
    for (name, targeted, gradient), part in rows.groupby(
        ["name", "targeted", "gradient"], dropna=False, sort=False, observed=True
    ):
        title = attack_title(name)
        if len(aims) > 1:
            title += ", targeted" if targeted else ", untargeted"
        if len(gradients) > 1 and gradient in gradients:
            title += f", {words(str(gradient))} gradient"
        yield title, part
