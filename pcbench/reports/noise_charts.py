"""The charts of noise on the network's own input: accuracy, and distances between representations."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pcbench.metrics.representations import (
    CORRELATION_DISTANCE,
    CORRELATION_DISTANCE_TO_START,
    RECONSTRUCTION_ERROR,
    pcoders_of,
)
from pcbench.names import words
from pcbench.reports.charts import Chart, Panel, lines, texts

_TIMESTEP = "timestep t (number of updates)"
_NOISE = "σ is the noise's standard deviation, in units of the normalised input e_0."
_BOOTSTRAP = "Bands are 95 % intervals: BCa bootstrap over images."
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


def _accuracy(rows: pd.DataFrame, noise: pd.DataFrame) -> Iterator[Chart]:
    if not len(noise):
        return
    model, suite = str(rows["model"].iloc[0]), str(rows["suite"].iloc[0])
    clean = rows[(rows["kind"] == "clean") & (rows["metric"] == "accuracy")].assign(epsilon=0.0)
    panels = [
        Panel(_title(name, noise), lines(_with(clean, noise, name), "timestep", "epsilon", "{:.3g}".format))
        for name in texts(noise["name"])
    ]
    yield Chart(
        name="accuracy-under-noise",
        suite=suite,
        model=model,
        what="Accuracy",
        where="under noise at every timestep",
        caption=f"Top-1 accuracy at every timestep, by the noise's standard deviation; σ = 0 is the clean image. "
        f"{_NOISE} Bands are Wilson's 95 % intervals over images.",
        x_label=_TIMESTEP,
        y="accuracy",
        x="timestep",
        norm=None,
        legend_title="σ",
        colours="epsilon",
        panels=tuple(panels),
    )


def _with(clean: pd.DataFrame, noise: pd.DataFrame, name: str) -> pd.DataFrame:
    return pd.concat([clean, noise[noise["name"] == name]])


def _representations(noise: pd.DataFrame, metric: str) -> Iterator[Chart]:
    pcoders = pcoders_of(metric, noise["metric"])
    of_metric = noise[noise["metric"].isin(list(pcoders))]
    if not len(of_metric):
        return
    model, suite = str(noise["model"].iloc[0]), str(noise["suite"].iloc[0])
    title, y, caption = _REPRESENTATIONS[metric]
    panels: list[Panel] = []
    for name in texts(of_metric["name"]):
        for full, pcoder in pcoders.items():
            part = of_metric[(of_metric["name"] == name) & (of_metric["metric"] == full)]
            said = ", ".join(text for text in (_title(name, noise), f"PCoder {pcoder}" if pcoder else "") if text)
            panels.append(Panel(said, lines(part, "timestep", "epsilon", "{:.3g}".format, scale=1.0)))
    yield Chart(
        name=metric.replace("_", "-"),
        suite=suite,
        model=model,
        what=title,
        where="under noise at every timestep",
        caption=f"{caption} {_NOISE} {_BOOTSTRAP}",
        x_label=_TIMESTEP if len(panels) == 1 else "timestep t",
        y=y,
        y_scale="number",
        x="timestep",
        norm=None,
        legend_title="σ",
        colours="epsilon",
        panels=tuple(panels),
    )


def _title(name: str, noise: pd.DataFrame) -> str:
    """Return the noise's name, where there are several."""
    return words(name) if noise["name"].nunique() > 1 else ""
