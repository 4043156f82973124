"""The runs of a page against the first of them: paired differences, where the images are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pcbench.comparison.compare import ComparedRow, compare_runs
from pcbench.comparison.sentences import sentences
from pcbench.errors import DataError, UsageError
from pcbench.percent import interval, percent, points
from pcbench.results.directory import Run


def comparisons(runs: Sequence[Run], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return each later run against the first: differences on the same images, or why there are none."""
    return [_comparison(runs, labels, number) for number in range(1, len(runs))]


def _comparison(runs: Sequence[Run], labels: Sequence[str], number: int) -> dict[str, Any]:
    names = labels[0], labels[number]
    rows: list[ComparedRow] = []
    refused = ""
    try:
        rows = compare_runs(runs[0], runs[number], names)
    except (UsageError, DataError) as error:
        refused = str(error)
        for run, name in ((runs[0], names[0]), (runs[number], names[1])):
            refused = refused.replace(str(run.folder), name)
    last = max((row.second.timestep for row in rows), default=0)
    return {
        "run": number,
        "title": f"{names[1]} against {names[0]}",
        "refused": refused,
        "sentences": sentences([row for row in rows if row.second.timestep == last]),
        "rows": [_row(row) for row in rows],
    }


def _row(row: ComparedRow) -> dict[str, Any]:
    believed = "" if row.verdict is None else f" ({row.verdict})"
    at = (
        f"{row.first.timestep}"
        if row.first.timestep == row.second.timestep
        else (f"{row.first.timestep} and {row.second.timestep}")
    )
    return {
        "suite": row.suite,
        "figure": f"{row.figure.name}{believed}",
        "timestep": row.second.timestep,
        "at": at,
        "first": percent(row.first_value),
        "second": percent(row.second_value),
        "value": row.difference,
        "difference": points(row.difference),
        "interval": interval(row.low, row.high, points),
        "p": row.p_holm,
        "p_text": row.p_holm_text,
        "images": row.images,
    }
