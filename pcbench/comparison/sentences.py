"""What a run's results are in words: the same sentences on the page, in the terminal and in `pcbench compare`.

A sentence about a change since t = 0 is made from a comparison, with its p value, and not from an interval alone: of
several timesteps, one interval in twenty leaves out zero by chance. Nothing is called robust without the verdict on the
attack's gradients in the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from pcbench.attacks.worst_case import NAME as WORST_CASE
from pcbench.comparison.compare import ComparedRow, budgets_text, timestep_rows
from pcbench.comparison.scored import FigureKind
from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import DataError
from pcbench.metrics.marks import named_severities
from pcbench.metrics.shown import own_timestep, shown_epsilon
from pcbench.names import attack_title
from pcbench.norms import epsilon_text, norm_symbol
from pcbench.percent import in_percent, interval, percent, points
from pcbench.results.conditions import CORRUPTED, RETRIED
from pcbench.results.corruption_means import shown_mean
from pcbench.results.directory import Run
from pcbench.results.metrics_table import split_baseline
from pcbench.results.verdicts import SUSPICIOUS, Verdicts

CLAIM_LEVEL = 0.05
"""A difference is called one where its p value, corrected by Holm, is at most this."""

_ROUNDING = 0.05
"""Half of the last digit that is printed."""
_ORDER: dict[FigureKind, int] = {"corruption": 0, "noise": 1, "attack": 2, "other_attack": 3, "clean": 4}
WORST_CASE_TITLE = attack_title(WORST_CASE)
"""What the worst case of several attacks is called."""


@dataclass(frozen=True)
class Said:
    """One sentence about one timestep of a run."""

    timestep: int
    """The timestep."""
    suite: str
    """The suite."""
    text: str
    """The sentence."""
    leads: bool
    """Whether it is one of the few that sum the suite up: of several attacks, their worst case."""
    about: FigureKind
    """What it is about."""


def run_sentences(run: Run) -> list[Said]:
    """Return the main results of a run in words, suite by suite and timestep by timestep.

    At the first timestep sentences state values; at each later one, how they differ from the first. Where outcomes are
    damaged in a run that is read on nevertheless, values are stated everywhere.

    Raises:
        DataError: The metrics or the verdicts are damaged.
    """
    metrics, verdicts = run.metrics, verdicts_of(run)
    try:
        rows = timestep_rows(run)
    except DataError:
        rows = []
    compared = {(row.suite, row.second.timestep) for row in rows}
    said = [*_changes(rows), *(one for one in _values(metrics, verdicts) if (one.suite, one.timestep) not in compared)]
    suites = {name: number for number, name in enumerate(dict.fromkeys(metrics["suite"]))}
    return sorted(said, key=lambda one: (suites.get(one.suite, len(suites)), one.timestep))


def leading(sentences: Iterable[Said]) -> list[str]:
    """Return the few sentences that a terminal shows: those that lead, at the last timestep of each suite."""
    chosen = [one for one in sentences if one.leads]
    last = {suite: max(one.timestep for one in chosen if one.suite == suite) for suite in {one.suite for one in chosen}}
    return [one.text for one in chosen if one.timestep == last[one.suite]]


def sentences(rows: Sequence[ComparedRow]) -> list[str]:
    """Return one sentence for each comparison; a mean of normalised errors stands beside the accuracy it is made of."""
    return [sentence(row, rows) for row in rows if row.figure.kind != "normalised"]


def sentence(row: ComparedRow, rows: Sequence[ComparedRow] = ()) -> str:
    """Say in plain words what a comparison found.

    Args:
        row: The comparison.
        rows: All comparisons, among which are those that stand beside it. The change of the plain mean accuracy leads
            and that of the mean normalised error (mCE) stands beside it: small divisors dominate the latter, so that it
            misses losses that the former finds. A row of the latter gives the sentence in which it stands.
    """
    same = [one for one in rows if (one.suite, one.first, one.second) == (row.suite, row.first, row.second)]
    if row.figure.kind == "normalised":
        led = [one for one in same if one.figure.kind in CORRUPTED]
        return sentence(led[0], rows) if led else _sentence(row, [])
    beside = [one for one in same if one.figure.kind == "normalised"] if row.figure.kind in CORRUPTED else []
    return _sentence(row, beside)


def _sentence(row: ComparedRow, beside: Sequence[ComparedRow]) -> str:
    figure = row.figure
    place = f"under {figure.images} ({row.verdict})" if row.verdict is not None else f"on {figure.images}"
    start = (
        f"{row.suite}: {row.second.name} {_found(row)} {row.first.name} {place}: {figure.measure}{budgets_clause(row)}"
    )
    if row.changed == 0:
        same = f"{start} {percent(row.second_value)} %, no image of {row.images} differs"
        return "; ".join([same, *shown_budget_clauses(row)]) + "."
    parts = [f"{start} {change_clause(row)}", f"{row.images} images"]
    if row.corruptions > 1 and figure.kind != "clean":
        parts.append(f"better on {row.wins} of {row.corruptions} corruptions")
    further = [f"{one.figure.name} {change_clause(one)}{_unlike(row, one)}" for one in beside]
    return "; ".join([", ".join(parts), *further, *shown_budget_clauses(row)]) + "."


def _unlike(led: ComparedRow, beside: ComparedRow) -> str:
    """Return why a mean of normalised errors is unsure of a change that the plain mean accuracy finds; or nothing."""
    if led.p_holm > CLAIM_LEVEL or beside.p_holm <= CLAIM_LEVEL:
        return ""
    return " (it divides by the baseline's errors, so the corruptions on which these are few outweigh the others)"


def _found(row: ComparedRow) -> str:
    """Return what a comparison found, between the names of its sides."""
    if row.changed == 0:
        return "is the same as"
    if row.p_holm > CLAIM_LEVEL:
        return "is not clearly different from"
    # An attack that failed shows nothing about the network.
    verb = "looks" if row.verdict is not None and row.verdict.startswith(SUSPICIOUS) else "is"
    amount = "more" if row.difference * row.figure.better > 0 else "less"
    return f"{verb} {amount} {'robust' if row.figure.kind == 'attack' else 'accurate'} than"


def budgets_clause(row: ComparedRow) -> str:
    """Return over which budgets of an attack a figure is the mean, to follow its name; empty for other figures."""
    if not row.figure.budgets:
        return ""
    budgets = budgets_text(row.figure)
    if len(row.figure.budgets) == 1:
        return f" within {budgets},"
    broken = f"; both have 0 % at {row.broken_budgets} of them" if row.broken_budgets else ""
    return f", mean over {budgets} ({len(row.figure.budgets)} values{broken}),"


def change_clause(row: ComparedRow) -> str:
    """Return both values of a comparison, their difference with its interval, and the test."""
    found = f"{points(row.difference)} points, 95 % interval {interval(row.low, row.high, points)}"
    p = row.p_holm_text if row.p_holm_text[0] in "<≤" else f"= {row.p_holm_text}"
    test = f"adjusted p {p} (Holm, {row.comparisons} comparisons)" if row.comparisons > 1 else f"p {p} (one comparison)"
    digits = 1 if _adds_up(row) else 2
    return f"{percent(row.first_value, digits)} % → {percent(row.second_value, digits)} %, {found}, {test}"


def _adds_up(row: ComparedRow) -> bool:
    """Return whether the difference of both values, as they are printed with one digit, is the one that is printed."""
    first, second, found = (
        round(in_percent(value), 1) for value in (row.first_value, row.second_value, row.difference)
    )
    return abs(second - first - found) < _ROUNDING


def shown_budget_clauses(row: ComparedRow) -> Iterator[str]:
    """Yield the accuracies at the budget that summaries show, and why it is that one; see `telling_epsilon`."""
    if row.epsilon is not None and row.at_epsilon is not None:
        first, second = map(percent, row.at_epsilon)
        budget = f"ε = {epsilon_text(row.epsilon, row.figure.norm)}"
        yield f"within {budget} alone, which breaks nearest to half of the images, {first} % → {second} %"


def _changes(rows: Sequence[ComparedRow]) -> Iterator[Said]:
    named = (row for row in rows if row.figure.kind in _ORDER)
    shown = sorted(named, key=lambda row: (_ORDER[row.figure.kind], not is_worst_case(row)))
    worst = {row.suite for row in shown if is_worst_case(row)}
    for row in shown:
        leads = row.figure.kind != "attack" or is_worst_case(row) or row.suite not in worst
        yield Said(row.second.timestep, row.suite, sentence(row, rows), leads, row.figure.kind)


def is_worst_case(row: ComparedRow) -> bool:
    """Return whether a comparison is of the worst case of a suite's attacks."""
    return row.figure.kind == "attack" and row.figure.images.startswith(WORST_CASE_TITLE)


def _values(metrics: pd.DataFrame, verdicts: Verdicts) -> Iterator[Said]:
    """Yield sentences that state values and compare nothing."""
    for suite in dict.fromkeys(str(name) for name in metrics["suite"]):
        rows = metrics[metrics["suite"] == suite]
        yield from _corruption_values(suite, rows)
        yield from _attack_values(suite, rows[rows["kind"] == "attack"], verdicts)
        clean = rows[(rows["kind"] == "clean") & (rows["metric"] == "accuracy")]
        for _, row in clean.iterrows():
            text = f"{suite}: accuracy on clean images is {_value(row)}, at t = {row['timestep']}, {row['n']} images."
            yield Said(int(row["timestep"]), suite, text, leads=True, about="clean")


def _corruption_values(suite: str, rows: pd.DataFrame) -> Iterator[Said]:
    pooled = rows[(rows["kind"] == "summary") & rows["severity"].isna()]
    mean = shown_mean(pooled)
    normalised = {} if mean is None else _by_timestep(pooled[pooled["metric"] == mean.metric])
    corrupted = rows[rows["kind"].isin(CORRUPTED)]
    names = corrupted["name"].nunique()
    what = "noisy images" if (corrupted["kind"] == "noise").any() else "corrupted images"
    named = named_severities(rows)
    what = f"{what} ({named} alone)" if named else what
    for timestep, row in _by_timestep(pooled[pooled["metric"] == "accuracy"]).items():
        measure = f"{'mean accuracy' if names > 1 else 'accuracy'} on {what}"
        text = f"{suite}: {measure} is {_value(row)}, at t = {timestep}, {row['n']} images"
        beside = normalised.get(timestep)
        if mean is not None and beside is not None and isinstance(beside["baseline"], str):
            baseline, note = split_baseline(beside["baseline"])
            text += f"; {mean.title}{note} is {_value(beside)} ({baseline} has 100 %)"
        yield Said(timestep, suite, f"{text}.", leads=True, about="corruption")


def _attack_values(suite: str, rows: pd.DataFrame, verdicts: Verdicts) -> Iterator[Said]:
    own = own_timestep(rows)
    names = {str(name) for name in own["name"]}
    worst = any(attack_title(name).startswith(WORST_CASE_TITLE) for name in names)
    for (name, norm), part in own.groupby(["name", "norm"], sort=False, observed=True):
        epsilon = shown_epsilon(part)
        robust = part[(part["metric"] == "robust_accuracy") & (part["epsilon"] == epsilon)]
        leads = attack_title(name).startswith(WORST_CASE_TITLE) or not (worst or str(name).endswith(RETRIED))
        # A targeted attack leaves none.
        for timestep, row in _by_timestep(robust).items():
            under = f"{attack_title(name)}, {norm_symbol(str(norm))} ({verdicts.words(suite, [timestep])})"
            text = f"{suite}: robust accuracy under {under} within ε = {epsilon_text(float(epsilon or 0), str(norm))}"
            said = f"{text} is {_value(row)}, at t = {timestep}, {row['n']} images."
            yield Said(timestep, suite, said, leads, about="attack")


def _by_timestep(rows: pd.DataFrame) -> dict[int, pd.Series]:
    return {int(row["timestep"]): row for _, row in rows.iterrows()}


def _value(row: pd.Series) -> str:
    return f"{percent(row['value'])} %, 95 % interval {interval(row['ci_low'], row['ci_high'])}"
