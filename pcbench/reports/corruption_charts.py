"""The charts of a corruption suite: accuracy and corruption error against the timestep."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pcbench.names import words
from pcbench.reports.charts import Chart, Panel, band_words, counted, in_order, line, lines, severity_text
from pcbench.results.corruption_means import CorruptionMean, shown_mean
from pcbench.results.metrics_table import split_baseline

_BOOTSTRAP = "BCa bootstrap over images, all conditions of an image together"
_WILSON = "Wilson, over images; of the mean, BCa bootstrap over images"
_PAIRED = (
    "Overlapping bands do not say that two timesteps are alike: the images are the same, so the paired change decides."
)
_TIMESTEP = "timestep t (number of updates)"


def corruption_charts(rows: pd.DataFrame) -> Iterator[Chart]:
    """Return the charts of the rows of one model on one corruption suite."""
    model, suite = str(rows["model"].iloc[0]), str(rows["suite"].iloc[0])
    accuracy = rows[rows["metric"] == "accuracy"]
    pooled = accuracy[(accuracy["kind"] == "summary") & accuracy["severity"].notna()]
    single = accuracy[accuracy["kind"] == "corruption"]
    if (rows["kind"] == "noise").any():
        return  # drawn by the noise's standard deviation elsewhere
    if len(pooled):
        yield _accuracy(model, suite, accuracy[accuracy["kind"] == "clean"], pooled)
    if len(single):
        yield _accuracy_by_corruption(model, suite, pooled, single)
    shown = shown_mean(rows)
    if shown is not None:
        mean = rows[rows["metric"] == shown.metric]
        each = rows[(rows["metric"] == shown.each) & (rows["kind"] == "corruption")]
        yield _errors(shown, mean, each, by_corruption=False)
        yield _errors(shown, mean, each, by_corruption=True)


def _accuracy(model: str, suite: str, clean: pd.DataFrame, pooled: pd.DataFrame) -> Chart:
    together = pd.concat([clean.assign(severity=0), pooled])
    panels = (Panel("", lines(together, "timestep", "severity", severity_text)),)
    first = "on clean images and " if len(clean) else ""
    bands = f"{_BOOTSTRAP}{'; of clean images, Wilson' if len(clean) else ''}"
    return Chart(
        name="accuracy",
        suite=suite,
        model=model,
        what="Accuracy",
        where=f"{first}under the corruptions of {suite} (mean over them), at every timestep",
        caption=f"Top-1 accuracy at every timestep, {first}by severity, averaged over all corruptions of {suite}; the "
        f"same {counted(panels)} everywhere. {band_words(bands)} {_PAIRED}",
        x_label=_TIMESTEP,
        y="accuracy",
        x="timestep",
        norm=None,
        legend_title="severity",
        colours="severity",
        panels=panels,
    )


def _accuracy_by_corruption(model: str, suite: str, pooled: pd.DataFrame, single: pd.DataFrame) -> Chart:
    panels = [Panel("mean", lines(pooled, "timestep", "severity", severity_text))] if len(pooled) else []
    panels += [
        Panel(words(name), lines(single[single["name"] == name], "timestep", "severity", severity_text))
        for name in in_order(single["name"])
    ]
    return Chart(
        name="accuracy-by-corruption",
        details_of="accuracy",
        suite=suite,
        model=model,
        what="Accuracy",
        where=f"under each corruption of {suite}",
        caption=f"Top-1 accuracy at every timestep under each corruption, by severity, and the mean over them; "
        f"{counted(panels)}. {band_words(_WILSON)} {_PAIRED}",
        x_label="timestep t",
        y="accuracy",
        x="timestep",
        norm=None,
        legend_title="severity",
        colours="severity",
        panels=tuple(panels),
    )


def _errors(shown: CorruptionMean, mean: pd.DataFrame, each: pd.DataFrame, *, by_corruption: bool) -> Chart:
    suite, title = str(mean["suite"].iloc[0]), shown.title
    baseline, note = split_baseline(mean["baseline"].iloc[0])
    unit = f"% of the errors of {baseline}" if baseline else "%"
    panels = [Panel(title if by_corruption else "", (line(mean, "timestep", title),))]
    if by_corruption:
        panels += [
            Panel(words(name), (line(each[each["name"] == name], "timestep", words(name)),))
            for name in in_order(each["name"])
        ]
    return Chart(
        name="corruption-error-by-corruption" if by_corruption else "corruption-error",
        details_of="corruption-error" if by_corruption else None,
        suite=suite,
        model=str(mean["model"].iloc[0]),
        what=f"{'Corruption errors' if by_corruption else title}{note}",
        where=f"on {suite} at every timestep",
        caption=f"Errors {'summed' if baseline else 'averaged'} over all severities of each corruption of {suite}, in "
        f"{unit}; {title} is their mean. {counted(panels).capitalize()}. Lower is better{_held(baseline)}. "
        f"{band_words(_BOOTSTRAP)} {_PAIRED}",
        x_label="timestep t" if by_corruption else _TIMESTEP,
        y=f"{'CE' if by_corruption else title}, {baseline} = 100" if baseline else "error" if by_corruption else title,
        y_scale="ratio",
        x="timestep",
        norm=None,
        legend_title="",
        colours="none",
        panels=tuple(panels),
        reference=(100.0, baseline) if baseline else None,
    )


def _held(baseline: str) -> str:
    return f": below 100 are fewer errors than {baseline} makes; where it makes few, CE is unsure" if baseline else ""
