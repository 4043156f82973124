"""The headline of a run in words, timestep by timestep, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from pcbench.metrics.representations import CORRELATION_DISTANCE_TO_START, pcoders_of
from pcbench.metrics.rows import CHANGE
from pcbench.metrics.shown import own_timestep, shown_deviation, shown_epsilon
from pcbench.norms import epsilon_text
from pcbench.percent import decimal, interval, percent, points, signed
from pcbench.reports.charts import attack_title, texts
from pcbench.reports.corruption_means import shown_mean
from pcbench.results.metrics_table import split_baseline

_distance = partial(decimal, digits=3)
_distance_change = partial(signed, digits=3)


def headline(metrics: pd.DataFrame) -> list[tuple[int, str]]:
    """Return the main results in a table of metrics of one run, a few sentences for each timestep: it and the text."""
    sentences: list[tuple[int, str]] = []
    for suite in texts(metrics["suite"]):
        rows = metrics[metrics["suite"] == suite]
        sentences.extend(_corruption_sentences(suite, rows))
        sentences.extend(_representation_sentences(suite, rows))
        sentences.extend(_attack_sentences(suite, rows[rows["kind"] == "attack"]))
    clean = metrics[metrics["kind"] == "clean"]
    # Suites of the same images have the same clean accuracy: it is shown once.
    once = clean.drop_duplicates(["metric", "timestep", "value", "n"])
    for suite in texts(once["suite"]):
        sentences.extend(_clean_sentences(suite, once[once["suite"] == suite]))
    return sentences


def _clean_sentences(suite: str, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    for timestep, row in _by_timestep(rows, "accuracy").items():
        change = _by_timestep(rows, "accuracy" + CHANGE).get(timestep)
        text = f"{suite}: accuracy on the {row['n']} clean images is {_percent(row)} at t = {timestep}"
        yield (timestep, text + _changed(change, 1))


def _corruption_sentences(suite: str, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    shown = shown_mean(rows)
    if shown is None:
        return
    changes = _by_timestep(rows, shown.metric + CHANGE)
    for timestep, row in _by_timestep(rows, shown.metric).items():
        baseline, note = split_baseline(row["baseline"])
        measure = f" ({baseline} has 100 %)" if baseline else ""
        text = f"{suite}: {shown.title}{note} is {_percent(row)} at t = {timestep}{measure}"
        yield (timestep, text + _changed(changes.get(timestep), -1))


def _representation_sentences(suite: str, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    pcoders = pcoders_of(CORRELATION_DISTANCE_TO_START, rows["metric"])
    deviation = shown_deviation(rows[rows["metric"].isin(list(pcoders))])
    if deviation is None:
        return
    at_deviation = rows[rows["epsilon"] == deviation]
    for metric, pcoder in pcoders.items():
        changes = _by_timestep(at_deviation, metric + CHANGE)
        for timestep, row in _by_timestep(at_deviation, metric).items():
            text = (
                f"{suite}: under noise of σ = {deviation:.3g} the correlation distance of PCoder {pcoder} to its "
                f"representation of the clean image at t = 0 is {_distance(row['value'])} "
                f"{interval(row['ci_low'], row['ci_high'], _distance)} at t = {timestep}"
            )
            yield (timestep, text + _moved(changes.get(timestep)))


def _moved(change: pd.Series | None) -> str:
    """Return how a distance differs from the one at the first timestep, in words that its interval supports."""
    if change is None:
        return "."
    low, high = float(change["ci_low"]), float(change["ci_high"])
    word = "not clearly different from" if low <= 0 <= high else ("nearer than" if high < 0 else "farther than")
    found = f"{_distance_change(float(change['value']))} {interval(low, high, _distance_change)}"
    return f", {word} at t = 0 ({found})."


def _attack_sentences(suite: str, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    own = own_timestep(rows)
    for (name, norm), part in own.groupby(["name", "norm"], sort=False, observed=True):
        epsilon = shown_epsilon(part)
        if epsilon is None or not (part["metric"] == "robust_accuracy").any():
            continue  # a targeted attack leaves none
        at_epsilon = part[part["epsilon"] == epsilon]
        changes = _by_timestep(at_epsilon, "robust_accuracy" + CHANGE)
        for timestep, row in _by_timestep(at_epsilon, "robust_accuracy").items():
            text = (
                f"{suite}: robust accuracy under {attack_title(name)} within ε = {epsilon_text(epsilon, str(norm))} is "
            )
            changed = _changed(changes.get(timestep), 1)
            yield (timestep, f"{text}{_percent(row)} at t = {timestep}{changed}")


def _by_timestep(rows: pd.DataFrame, metric: str) -> dict[int, pd.Series]:
    chosen = rows[(rows["metric"] == metric) & ((rows["kind"] != "summary") | rows["severity"].isna())]
    return {int(row["timestep"]): row for _, row in chosen.iterrows()}


def _percent(row: pd.Series) -> str:
    return f"{percent(row['value'])} % {interval(row['ci_low'], row['ci_high'])}"


def _changed(change: pd.Series | None, better: int) -> str:
    """Return how a number differs from the one at the first timestep, in words that its interval supports."""
    if change is None:
        return "."
    low, high = float(change["ci_low"]), float(change["ci_high"])
    if low == high == 0:
        return ", the same as at t = 0."
    found = f"{points(float(change['value']))} points {interval(low, high, points)}"
    if low <= 0 <= high:
        return f", not clearly different from t = 0 ({found})."
    word = "better" if (low > 0) == (better > 0) else "worse"
    return f", {word} than at t = 0 ({found})."
