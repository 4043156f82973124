"""The headline of a run in words, timestep by timestep, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import pandas as pd

from pcbench.comparison.sentences import run_sentences
from pcbench.metrics.representations import CORRELATION_DISTANCE_TO_START, pcoders_of
from pcbench.metrics.rows import CHANGE
from pcbench.metrics.shown import level_symbol, shown_levels
from pcbench.names import words
from pcbench.percent import decimal, interval, signed
from pcbench.reports.charts import texts
from pcbench.results.directory import Run

_distance = partial(decimal, digits=3)
_distance_change = partial(signed, digits=3)


def headline(run: Run) -> list[tuple[int, str]]:
    """Return the main results of a run, a few sentences for each timestep: it and the text.

    Raises:
        DataError: A table of the run, or its verdicts, are damaged.
    """
    metrics = run.metrics
    found = [(said.timestep, said.text) for said in run_sentences(run)]
    for suite in texts(metrics["suite"]):
        found.extend(_representation_sentences(suite, metrics[metrics["suite"] == suite]))
    return found


def _representation_sentences(suite: str, rows: pd.DataFrame) -> Iterator[tuple[int, str]]:
    pcoders = pcoders_of(CORRELATION_DISTANCE_TO_START, rows["metric"])
    levels = shown_levels(rows[rows["metric"].isin(list(pcoders))])
    for name, level in levels.items():
        noise = f"{words(name) if len(levels) > 1 else 'noise'} of {level_symbol([name])} = {level:.3g}"
        at_level = rows[(rows["name"] == name) & (rows["epsilon"] == level)]
        yield from _sentences_under(f"{suite}: under {noise} the", at_level, pcoders)


def _sentences_under(
    beginning: str, rows: pd.DataFrame, pcoders: Mapping[str, int | None]
) -> Iterator[tuple[int, str]]:
    for metric, pcoder in pcoders.items():
        changes = _by_timestep(rows, metric + CHANGE)
        for timestep, row in _by_timestep(rows, metric).items():
            text = (
                f"{beginning} correlation distance of PCoder {pcoder} to its "
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


def _by_timestep(rows: pd.DataFrame, metric: str) -> dict[int, pd.Series]:
    chosen = rows[(rows["metric"] == metric) & ((rows["kind"] != "summary") | rows["severity"].isna())]
    return {int(row["timestep"]): row for _, row in chosen.iterrows()}
