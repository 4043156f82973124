"""The headline of a run in words, timestep by timestep, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from pcbench.comparison.sentences import run_sentences
from pcbench.metrics.representations import CORRELATION_DISTANCE_TO_START, pcoders_of
from pcbench.metrics.rows import CHANGE
from pcbench.metrics.shown import level_symbol, shown_levels
from pcbench.names import words
from pcbench.percent import decimal, interval, signed
from pcbench.reports.charts import texts
from pcbench.reports.matrices import Entry, entry
from pcbench.reports.settings_charts import BySetting
from pcbench.results.directory import Run

_LISTED = 6
"""How many settings of hyperparameters a sentence lists."""
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


def settings_headline(shown: BySetting) -> list[tuple[int, str]]:
    """Return the numbers of a run with several settings of hyperparameters, a few sentences for each timestep."""
    found: list[tuple[int, str]] = []
    for suite in shown.suites:
        for quantity in shown.quantities(suite):
            if not quantity.in_percent:
                continue
            of_settings = [(text, _rows_by_timestep(rows)) for text, rows in shown.rows_of(quantity)]
            for timestep in sorted({t for _, rows in of_settings for t in rows}):
                each = [(text, entry(rows[timestep])) for text, rows in of_settings if timestep in rows]
                believed = f" ({shown.verdict(suite, [timestep])})" if quantity.robust else ""
                what = quantity.title if quantity.title in ("", quantity.y) else f"{quantity.title}, {quantity.y}"
                found.append((timestep, f"{suite}, {what}{believed} at t = {timestep}: {_listed(shown, each)}."))
    return found


def _listed(shown: BySetting, each: Sequence[tuple[str, Entry]]) -> str:
    """Return the numbers of some settings in words: all of a few, the ends of many."""
    if len(each) <= _LISTED:
        return "; ".join(f"{number.number} % {number.interval} at {shown.in_words(text)}" for text, number in each)
    low, high = (choose(each, key=lambda one: one[1].value) for choose in (min, max))
    (lowest, least), (highest, most) = low, high
    if least.value == most.value:
        return f"{least.number} % {least.interval} at each of {len(each)} settings"
    return (
        f"from {least.number} % {least.interval} at {shown.in_words(lowest)} to {most.number} % {most.interval} at "
        f"{shown.in_words(highest)}, of {len(each)} settings"
    )


def _rows_by_timestep(rows: pd.DataFrame) -> dict[int, pd.Series]:
    return {int(row["timestep"]): row for _, row in rows.iterrows()}


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
