"""A comparison as a table for a terminal, Markdown and CSV, with its sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from pcbench.comparison.compare import ComparedRow
from pcbench.comparison.sentences import CLAIM_LEVEL, sentence, sentences
from pcbench.escaping import markdown
from pcbench.percent import interval, percent, points

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = ("suite", "figure", "first", "second", "first, %", "second, %", "difference [95 %]", "p", "p, Holm")
_P = 5
"""Which of a row's cells after suite and figure holds p."""


def compare_tables(rows: Sequence[ComparedRow]) -> list[str | Table]:
    """Return the tables for a terminal, one for each figure of a suite, each after the line that names it.

    They have Holm's p alone, so that they fit 80 columns; the files have both.
    """
    from rich import box
    from rich.table import Table

    tables: dict[str, Table] = {}
    for row in rows:
        suite, figure, *cells = _cells(row)
        del cells[_P]
        title = f"{suite}: {figure}, on the same images"
        if title not in tables:
            tables[title] = Table(box=box.SIMPLE)
            for heading in (*_HEADINGS[2 : _P + 2], *_HEADINGS[_P + 3 :]):
                tables[title].add_column(heading, justify="left" if heading in _HEADINGS[:4] else "right")
        tables[title].add_row(*cells, style="bold" if row.p_holm <= CLAIM_LEVEL else None)
    return [part for named in tables.items() for part in named]


def telling_rows(rows: Sequence[ComparedRow]) -> list[ComparedRow]:
    """Return the comparisons that a terminal shows: of each figure the last timestep, and those with a clear change."""
    last: dict[tuple[str, str, str], int] = {}
    for row in rows:
        last[_line(row)] = max(row.second.timestep, last.get(_line(row), 0))
    return [row for row in rows if row.p_holm <= CLAIM_LEVEL or row.second.timestep == last[_line(row)]]


def _line(row: ComparedRow) -> tuple[str, str, str]:
    """Return what the comparisons of one network in one figure have in common."""
    return row.suite, row.figure.name, row.second.name.partition("t = ")[0]


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of comparisons as JSON holds them: None where a value does not apply."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.astype(object).to_dict("records")
    ]


def compare_markdown(rows: Sequence[ComparedRow], answer: Sequence[str] = ()) -> str:
    """Return table and sentences as Markdown; of the timesteps of one run the answer first."""
    lines = ["| " + " | ".join(_HEADINGS) + " |", "|" + "|".join(["---"] * 4 + ["---:"] * 5) + "|"]
    lines += ["| " + " | ".join(map(markdown, _cells(row))) + " |" for row in rows]
    said = [f"- {markdown(line)}" for line in (*answer, *sentences(rows))]
    return "\n".join([*lines, "", *said, ""])


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
            "corruptions_better": row.wins if row.figure.kind == "corruption" else None,
            "corruptions": row.corruptions if row.figure.kind == "corruption" else None,
            "comparisons": row.comparisons,
            "images_changed": row.changed,
            "verdict": row.verdict,
            "sentence": sentence(row, rows),
        }
        for row in rows
    ]
    return pd.DataFrame(records)


def _cells(row: ComparedRow) -> list[str]:
    values = [percent(row.first_value), percent(row.second_value), _interval(row), row.p_text, row.p_holm_text]
    figure = row.figure.name if row.verdict is None else f"{row.figure.name} ({row.verdict})"
    return [row.suite, figure, row.first.name, row.second.name, *values]


def _interval(row: ComparedRow) -> str:
    return f"{points(row.difference)} {interval(row.low, row.high, points)}"
