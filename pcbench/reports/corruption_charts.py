"""The charts of a corruption suite: accuracy and corruption error against the timestep."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from pcbench.reports.charts import Chart, Panel, in_order, line, lines, split_baseline, words

_BAND = "Bands are 95 % intervals: "
_BOOTSTRAP = "BCa bootstrap over images, all conditions of an image together."
_TIMESTEP = "timestep t (number of updates)"

_MEANS = {
    "mean_corruption_error": ("mCE", "corruption_error"),
    "mean_normalised_error": ("mean normalised error", "corruption_error"),
    "mean_unnormalised_error": ("mean error, not normalised", "unnormalised_error"),
}
"""The means of corruption errors, the best known first, each with the figure of one corruption it averages."""


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
    for metric, (title, single_metric) in _MEANS.items():
        mean = rows[rows["metric"] == metric]
        if len(mean):
            each = rows[(rows["metric"] == single_metric) & (rows["kind"] == "corruption")]
            yield _errors(model, suite, title, mean, each, by_corruption=False)
            yield _errors(model, suite, title, mean, each, by_corruption=True)
            return


def _severity(value: float) -> str:
    return f"{int(value)}" if value else "clean"


def _accuracy(model: str, suite: str, clean: pd.DataFrame, pooled: pd.DataFrame) -> Chart:
    together = pd.concat([clean.assign(severity=0), pooled])
    return Chart(
        name="accuracy",
        suite=suite,
        model=model,
        title=f"Accuracy of {model} at every timestep, mean over the corruptions of {suite}",
        caption=f"Top-1 accuracy at every timestep, by severity, averaged over all corruptions of {suite}; the same "
        f"images everywhere. {_BAND}{_BOOTSTRAP}",
        x_label=_TIMESTEP,
        y_label="accuracy (%)",
        x="timestep",
        norm=None,
        legend_title="severity",
        colours="severity",
        panels=(Panel("", lines(together, "timestep", "severity", _severity)),),
    )


def _accuracy_by_corruption(model: str, suite: str, pooled: pd.DataFrame, single: pd.DataFrame) -> Chart:
    panels = [Panel("mean", lines(pooled, "timestep", "severity", _severity))] if len(pooled) else []
    panels += [
        Panel(words(name), lines(single[single["name"] == name], "timestep", "severity", _severity))
        for name in in_order(single["name"])
    ]
    return Chart(
        name="accuracy-by-corruption",
        suite=suite,
        model=model,
        title=f"Accuracy of {model} under each corruption of {suite}",
        caption=f"Top-1 accuracy at every timestep under each corruption, by severity, and the mean over them. {_BAND}"
        "Wilson's over images; for the mean, BCa bootstrap over images.",
        x_label="timestep t",
        y_label="accuracy (%)",
        x="timestep",
        norm=None,
        legend_title="severity",
        colours="severity",
        panels=tuple(panels),
    )


def _errors(
    model: str, suite: str, title: str, mean: pd.DataFrame, each: pd.DataFrame, *, by_corruption: bool
) -> Chart:
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
        suite=suite,
        model=model,
        title=f"{'Corruption errors' if by_corruption else title}{note} of {model} on {suite} at every timestep",
        caption=f"Errors summed over all severities of each corruption of {suite}, in {unit}; {title} is their "
        f"mean. Lower is more robust. {_BAND}{_BOOTSTRAP}",
        x_label="timestep t" if by_corruption else _TIMESTEP,
        y_label=f"{'error' if by_corruption else title} (%)",
        x="timestep",
        norm=None,
        legend_title="",
        colours="none",
        panels=tuple(panels),
    )
