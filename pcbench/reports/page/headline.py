"""The headline of a run in words, timestep by timestep, with intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd

from pcbench.metrics.representations import CORRELATION_DISTANCE_TO_START
from pcbench.metrics.rows import CHANGE
from pcbench.metrics.shown import own_timestep, shown_epsilon
from pcbench.norms import epsilon_text
from pcbench.reports.charts import attack_title, split_baseline, texts

_MEANS = {
    "mean_corruption_error": "mCE",
    "mean_normalised_error": "mean normalised error",
    "mean_unnormalised_error": "mean error under corruption",
}


@dataclasses.dataclass(frozen=True)
class Sentence:
    """One sentence about one timestep."""

    timestep: int
    """Which."""
    text: str
    """The sentence."""


def headline(metrics: pd.DataFrame) -> list[Sentence]:
    """Return the main results in a table of metrics of one run, a few sentences for each timestep."""
    sentences: list[Sentence] = []
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


def _clean_sentences(suite: str, rows: pd.DataFrame) -> Iterator[Sentence]:
    for timestep, row in _by_timestep(rows, "accuracy").items():
        change = _by_timestep(rows, "accuracy" + CHANGE).get(timestep)
        text = f"{suite}: accuracy on the {row['n']} clean images is {_percent(row)} at t = {timestep}"
        yield Sentence(timestep, text + _changed(change, 1))


def _corruption_sentences(suite: str, rows: pd.DataFrame) -> Iterator[Sentence]:
    metric = next((metric for metric in _MEANS if (rows["metric"] == metric).any()), None)
    if metric is None:
        return
    changes = _by_timestep(rows, metric + CHANGE)
    for timestep, row in _by_timestep(rows, metric).items():
        baseline, note = split_baseline(row["baseline"])
        measure = f" ({baseline} has 100 %)" if baseline else ""
        text = f"{suite}: {_MEANS[metric]}{note} is {_percent(row)} at t = {timestep}{measure}"
        yield Sentence(timestep, text + _changed(changes.get(timestep), -1))


def _representation_sentences(suite: str, rows: pd.DataFrame) -> Iterator[Sentence]:
    of_suite = rows[rows["metric"].str.fullmatch(rf"{CORRELATION_DISTANCE_TO_START}_pcoder\d+")]
    if not len(of_suite):
        return
    deviations = sorted(float(value) for value in of_suite["epsilon"].unique())
    deviation = deviations[len(deviations) // 2]
    at_deviation = rows[rows["epsilon"] == deviation]
    for metric in texts(of_suite["metric"]):
        changes = _by_timestep(at_deviation, metric + CHANGE)
        for timestep, row in _by_timestep(at_deviation, metric).items():
            text = (
                f"{suite}: under noise of σ = {deviation:.3g} the correlation distance of PCoder "
                f"{metric.rpartition('pcoder')[2]} to its representation of the clean image at t = 0 is "
                f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}] at t = {timestep}"
            )
            yield Sentence(timestep, text + _moved(changes.get(timestep)))


def _moved(change: pd.Series | None) -> str:
    """Return how a distance differs from the one at the first timestep, in words that its interval supports."""
    if change is None:
        return "."
    low, high = float(change["ci_low"]), float(change["ci_high"])
    word = "not clearly different from" if low <= 0 <= high else ("nearer than" if high < 0 else "farther than")
    interval = f"{float(change['value']):+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")
    return f", {word} at t = 0 ({interval})."


def _attack_sentences(suite: str, rows: pd.DataFrame) -> Iterator[Sentence]:
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
            yield Sentence(timestep, f"{text}{_percent(row)} at t = {timestep}{changed}")


def _by_timestep(rows: pd.DataFrame, metric: str) -> dict[int, pd.Series]:
    chosen = rows[(rows["metric"] == metric) & ((rows["kind"] != "summary") | rows["severity"].isna())]
    return {int(row["timestep"]): row for _, row in chosen.iterrows()}


def _percent(row: pd.Series) -> str:
    return f"{100 * row['value']:.1f} % [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"


def _changed(change: pd.Series | None, better: int) -> str:
    """Return how a number differs from the one at the first timestep, in words that its interval supports."""
    if change is None:
        return "."
    low, high = 100 * float(change["ci_low"]), 100 * float(change["ci_high"])
    if low == high == 0:
        return ", the same as at t = 0."
    interval = f"{100 * float(change['value']):+.1f} points [{low:+.1f}, {high:+.1f}]".replace("-", "−")
    if low <= 0 <= high:
        return f", not clearly different from t = 0 ({interval})."
    word = "better" if (low > 0) == (better > 0) else "worse"
    return f", {word} than at t = 0 ({interval})."
