"""A run as a notebook shows it: its answer, and a short table with small curves over the timesteps."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from pcbench.comparison.answer import answers
from pcbench.comparison.compare import ComparedRow, timestep_rows
from pcbench.comparison.sentences import leading, run_sentences
from pcbench.errors import PcbenchError
from pcbench.escaping import printable
from pcbench.percent import interval, percent, points
from pcbench.results.directory import Run

_WIDE, _HIGH, _EDGE = 96.0, 22.0, 3.0
"""A curve's box and the room around the line, in CSS pixels."""
_MOST_ROWS = 24
_HEADINGS = ("suite", "figure", "t = 0, %", "last t, %", "difference [95 %]", "over t")


def run_html(run: Run) -> str:
    """Return a run as HTML with inline SVG, for a notebook: names in it are escaped, and nothing is loaded.

    A damaged run says so in one line.
    """
    suites = ", ".join(suite.name for suite in run.spec.suites)
    parts = [f"<b>{_text(str(run.spec.model['name']))}</b> on {_text(suites)}, key <code>{_text(run.key)}</code>"]
    try:
        parts += _found(run)
    except PcbenchError as error:
        parts.append(_text(str(error)))
    parts.append(f"<code>{_text(str(run.folder))}</code>")
    return f"<div>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


def _found(run: Run) -> Iterator[str]:
    labels = run.spec.settings.grid.labels
    if labels:
        yield _text(f"{len(labels)} settings of hyperparameters, each a run in `setting_runs`: {', '.join(labels)}")
        return
    yield from (_text(answer.text) for answer in answers(run))
    figures: dict[tuple[str, str], list[ComparedRow]] = {}
    for row in timestep_rows(run):
        figures.setdefault((row.suite, row.figure.name), []).append(row)
    if figures:
        yield _table(list(figures.values()))
    else:
        yield from map(_text, leading(run_sentences(run)))


def _table(figures: Sequence[Sequence[ComparedRow]]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADINGS)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(rows))}</tr>" for rows in figures[:_MOST_ROWS])
    left = len(figures) - _MOST_ROWS
    more = f"<div>{left} more figures: <code>pcbench.compare(run).frame</code></div>" if left > 0 else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cells(rows: Sequence[ComparedRow]) -> Iterator[str]:
    last = rows[-1]
    believed = "" if last.verdict is None else f" ({last.verdict})"
    yield _text(last.suite)
    yield _text(f"{last.figure.name}{believed}")
    yield _text(percent(last.first_value))
    yield _text(percent(last.second_value))
    yield _text(f"{points(last.difference)} {interval(last.low, last.high, points)}")
    yield _curve([(last.first.timestep, last.first_value), *((row.second.timestep, row.second_value) for row in rows)])


def _curve(values: Sequence[tuple[int, float]]) -> str:
    """Return a line over the timesteps as SVG, from its lowest to its highest value; its title says the values."""
    (first, last), ys = (values[0][0], values[-1][0]), [value for _, value in values]
    low, high = min(ys), max(ys)
    wide, tall = _WIDE - 2 * _EDGE, _HIGH - 2 * _EDGE
    across = [_EDGE + wide * (t - first) / max(last - first, 1) for t, _ in values]
    down = [_EDGE + tall * ((high - y) / (high - low) if high > low else 0.5) for y in ys]
    told = ", ".join(f"t = {t}: {percent(y)} %" for t, y in values)
    return (
        f'<svg role="img" width="{_WIDE:.0f}" height="{_HIGH:.0f}"><title>{_text(told)}</title>'
        f'<polyline fill="none" stroke="currentColor" stroke-width="1.5" '
        f'points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))}"/>'
        f'<circle cx="{across[-1]:.1f}" cy="{down[-1]:.1f}" r="2" fill="currentColor"/></svg>'
    )


def _text(text: str) -> str:
    return html.escape(printable(text))
