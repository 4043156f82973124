"""A comparison as sentences, a table for a terminal, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pcbench.comparison.compare import ComparedRow, budgets_text
from pcbench.escaping import markdown
from pcbench.norms import epsilon_text
from pcbench.percent import interval, percent, points

if TYPE_CHECKING:
    from rich.table import Table

_LEVEL = 0.05
_HEADINGS = ("suite", "figure", "first", "second", "first x 100", "second x 100", "difference [95 %]", "p", "p, Holm")


def sentences(rows: Sequence[ComparedRow]) -> list[str]:
    """Return one plain sentence for each comparison."""
    return [sentence(row) for row in rows]


def sentence(row: ComparedRow) -> str:
    """Say in plain words what a comparison found; values are printed times 100."""
    figures = (
        f"{row.figure.name}{_over(row)} {percent(row.first_value)} → {percent(row.second_value)}, "
        f"difference {_interval(row)}, p = {_p(row.p_holm)} corrected by Holm, {row.images} images{_at(row)}"
    )
    where = (
        f" on {row.wins} of {row.corruptions} corruptions" if row.corruptions > 1 and row.figure.of_robustness else ""
    )
    if row.p_holm > _LEVEL:
        return f"{row.suite}: {row.second.name} and {row.first.name} do not demonstrably differ; {figures}"
    better = row.difference * row.figure.better > 0
    if row.figure.of_robustness:
        word = "more robust" if better else "less robust"
        if where and not better:
            where = f", better on {row.wins} of {row.corruptions} corruptions"
    else:
        word = "more accurate" if better else "less accurate"
    return f"{row.suite}: {row.second.name} is {word} than {row.first.name}{where}; {figures}"


def _over(row: ComparedRow) -> str:
    """Say which budgets an attack's figure is about."""
    if not row.figure.budgets:
        return ""
    budgets = budgets_text(row.figure)
    return f" at {budgets}:" if len(row.figure.budgets) == 1 else f", mean over {budgets}:"


def _at(row: ComparedRow) -> str:
    """Say what the accuracies are at the budget that summaries show."""
    if row.epsilon is None or row.at_epsilon is None:
        return ""
    first, second = map(percent, row.at_epsilon)
    return f"; at ε = {epsilon_text(row.epsilon, row.figure.norm)} {first} → {second}"


def compare_table(rows: Sequence[ComparedRow]) -> Table:
    """Return the table for a terminal."""
    from rich.table import Table

    table = Table(title="paired comparisons on the same images")
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in _HEADINGS[:4] else "right")
    for row in rows:
        table.add_row(*_cells(row), style="bold" if row.p_holm <= _LEVEL else None)
    return table


def compare_markdown(rows: Sequence[ComparedRow]) -> str:
    """Return table and sentences as Markdown."""
    lines = ["| " + " | ".join(_HEADINGS) + " |", "|" + "|".join(["---"] * 4 + ["---:"] * 5) + "|"]
    lines += ["| " + " | ".join(map(markdown, _cells(row))) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {markdown(line)}" for line in sentences(rows)), ""])


def as_frame(rows: Sequence[ComparedRow]) -> pd.DataFrame:
    """Return the comparisons as a table, values as shares and ratios, one comparison a row."""
    records: list[dict[str, Any]] = [
        {
            "suite": row.suite,
            "figure": row.figure.name,
            "first": row.first.name,
            "second": row.second.name,
            "first_timestep": row.first.timestep,
            "second_timestep": row.second.timestep,
            "n": row.images,
            "first_value": row.first_value,
            "second_value": row.second_value,
            "difference": row.difference,
            "ci_low": row.low,
            "ci_high": row.high,
            "test": row.test,
            "p": row.p,
            "p_holm": row.p_holm,
            "corruptions_better": row.wins,
            "corruptions": row.corruptions,
            "sentence": sentence(row),
        }
        for row in rows
    ]
    return pd.DataFrame(records)


def _cells(row: ComparedRow) -> list[str]:
    values = [percent(row.first_value), percent(row.second_value), _interval(row), _p(row.p), _p(row.p_holm)]
    return [row.suite, row.figure.name, row.first.name, row.second.name, *values]


def _interval(row: ComparedRow) -> str:
    return f"{points(row.difference)} {interval(row.low, row.high, points)}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
