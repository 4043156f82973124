"""The charts of noise on the network's own input: accuracy, and distances between representations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

import pandas as pd

from pcbench.metrics.marks import noise_notes
from pcbench.metrics.representations import (
    CORRELATION_DISTANCE,
    CORRELATION_DISTANCE_TO_START,
    RECONSTRUCTION_ERROR,
    pcoders_of,
)
from pcbench.metrics.shown import level_symbol
from pcbench.names import words
from pcbench.reports.charts import Chart, Line, Panel, band_words, counted, lines, severity_text, texts

_TIMESTEP = "timestep t (number of updates)"
_NOISE = "σ is the noise's standard deviation, in units of the normalised input e_0."
_LEVELS = (
    "The level of normal noise is its standard deviation in units of the normalised input e_0, that of impulse noise "
    "the share of values that are replaced, that of shot and speckle noise the standard deviation at white, as a share "
    "of the range from black to white."
)
_LISTED = 5
"""How many levels of a noise a panel's title lists."""
# Title, y axis and caption.
_REPRESENTATIONS = {
    CORRELATION_DISTANCE: (
        "Correlation distance between representations",
        "correlation distance (1 − r)",
        "Distance between the representations of the clean and of the noisy image, both at timestep t.",
    ),
    CORRELATION_DISTANCE_TO_START: (
        "Correlation distance to the clean image at t = 0",
        "correlation distance (1 − r)",
        "Distance between the representation of the noisy image at timestep t and that of the clean image at t = 0.",
    ),
    RECONSTRUCTION_ERROR: (
        "Reconstruction error",
        "mean squared error",
        "Squared difference between the reconstruction of the noisy image at timestep t and the clean e_0.",
    ),
}


def noise_charts(rows: pd.DataFrame) -> Iterator[Chart]:
    """Return the charts of the rows of one model on one suite of noise on its input."""
    noise = rows[rows["kind"] == "noise"]
    if len(noise):
        yield from _accuracy(rows, noise[noise["metric"] == "accuracy"])
        for metric in _REPRESENTATIONS:
            yield from _representations(noise, metric)


@dataclasses.dataclass(frozen=True)
class _Levels:
    """How the lines of a chart are told apart: by level, or, where noises have different ones, by severity."""

    by: Literal["epsilon", "severity"]
    """The column of the tidy table."""
    title: str
    """What the legend calls it."""
    caption: str
    """What it is."""
    clean: str
    """How the clean image is shown among them."""

    @classmethod
    def of(cls, noise: pd.DataFrame) -> _Levels:
        """Return those of the noises of a suite."""
        symbol = level_symbol(noise["name"])
        caption = _NOISE if symbol == "σ" else _LEVELS
        if len({frozenset(rows["epsilon"]) for _, rows in noise.groupby("name", observed=True)}) == 1:
            return cls("epsilon", symbol, caption, f"{symbol} = 0 is the clean image")
        said = f"The title of a panel gives its levels, that of severity 1 first. {caption}"
        return cls("severity", "severity", said, "the same without noise for comparison")

    def lines(self, rows: pd.DataFrame, scale: float = 100.0) -> tuple[Line, ...]:
        """Return one line for each level."""
        label = severity_text if self.by == "severity" else "{:.3g}".format
        return lines(rows, "timestep", self.by, label, scale)

    def panel_title(self, name: str, noise: pd.DataFrame) -> str:
        """Return the noise's name where there are several, and its levels where the legend does not say them."""
        if noise["name"].nunique() == 1:
            return ""
        if self.by == "epsilon":
            return words(name)
        ordered = noise[noise["name"] == name].sort_values("severity")["epsilon"].drop_duplicates()
        shown = [f"{level:.3g}" for level in ordered]
        listed = ", ".join(shown) if len(shown) <= _LISTED else f"{shown[0]} to {shown[-1]}"
        return f"{words(name)}: {listed}"


def _accuracy(rows: pd.DataFrame, noise: pd.DataFrame) -> Iterator[Chart]:
    if not len(noise):
        return
    model, suite = str(rows["model"].iloc[0]), str(rows["suite"].iloc[0])
    clean = rows[(rows["kind"] == "clean") & (rows["metric"] == "accuracy")].assign(epsilon=0.0, severity=0)
    levels = _Levels.of(noise)
    panels = [
        Panel(levels.panel_title(name, noise), levels.lines(pd.concat([clean, noise[noise["name"] == name]])))
        for name in texts(noise["name"])
    ]
    what = "the noise's standard deviation" if levels.title == "σ" else f"the noise's {levels.title}"
    yield Chart(
        name="accuracy-under-noise",
        suite=suite,
        model=model,
        what="Accuracy",
        where=f"under the noise of {suite} at every timestep",
        caption=f"Top-1 accuracy at every timestep, by {what}; {levels.clean}. {levels.caption} "
        f"{counted(panels).capitalize()}. {band_words('Wilson, over images')}"
        + "".join(f" {note}." for note in noise_notes(rows)),
        x_label=_TIMESTEP,
        y="accuracy",
        x="timestep",
        norm=None,
        legend_title=levels.title,
        colours=levels.by,
        panels=tuple(panels),
    )


def _representations(noise: pd.DataFrame, metric: str) -> Iterator[Chart]:
    pcoders = pcoders_of(metric, noise["metric"])
    of_metric = noise[noise["metric"].isin(list(pcoders))]
    if not len(of_metric):
        return
    model, suite = str(noise["model"].iloc[0]), str(noise["suite"].iloc[0])
    title, y, caption = _REPRESENTATIONS[metric]
    levels = _Levels.of(noise)
    panels: list[Panel] = []
    for name in texts(of_metric["name"]):
        for full, pcoder in pcoders.items():
            part = of_metric[(of_metric["name"] == name) & (of_metric["metric"] == full)]
            said = (levels.panel_title(name, noise), f"PCoder {pcoder}" if pcoder else "")
            panels.append(Panel(", ".join(text for text in said if text), levels.lines(part, scale=1.0)))
    yield Chart(
        name=metric.replace("_", "-"),
        suite=suite,
        model=model,
        what=title,
        where=f"under the noise of {suite} at every timestep",
        caption=f"{caption} {levels.caption} {counted(panels).capitalize()}. "
        f"{band_words('BCa bootstrap over images')} A smaller distance is no better answer by itself.",
        x_label=_TIMESTEP if len(panels) == 1 else "timestep t",
        y=y,
        y_scale="number",
        x="timestep",
        norm=None,
        legend_title=levels.title,
        colours=levels.by,
        panels=tuple(panels),
    )
