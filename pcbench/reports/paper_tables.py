"""Tables for papers and pull requests: LaTeX (booktabs) and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pcbench.comparison.answer import Answer, answers
from pcbench.comparison.verdicts import verdicts_of
from pcbench.escaping import latex, markdown
from pcbench.files import write
from pcbench.percent import interval, percent, points
from pcbench.reports.charts import texts
from pcbench.reports.matrices import Entry, Matrix, matrices
from pcbench.results.directory import Run

TableFormat = Literal["latex", "markdown"]

_ENDINGS: dict[TableFormat, str] = {"latex": ".tex", "markdown": ".md"}

_HEADINGS = ["suite", "measure", "better?", "t = 0 (%)", "last t (%)", "change (points)", "p, Holm", "images"]


def write_paper_tables(run: Run, folder: Path, format_name: TableFormat) -> list[Path]:
    """Write the table of what timesteps do, `headline`, and every table with a column for each timestep.

    Args:
        run: A finished run.
        folder: Where the files go; it is made if it does not exist.
        format_name: LaTeX needs the package booktabs.

    Returns:
        The files.

    Raises:
        WriteError: A file cannot be written.
    """
    found, model = answers(run), str(run.spec.model["name"])
    text = headline_latex(found, model) if format_name == "latex" else headline_markdown(found, model)
    made = [write(folder / f"headline{_ENDINGS[format_name]}", text)] if text else []
    metrics, verdicts = run.metrics, verdicts_of(run)
    for suite in texts(metrics["suite"]):
        rows = metrics[metrics["suite"] == suite]
        for matrix in matrices(rows, str(rows["model"].iloc[0]), verdicts):
            text = as_latex(matrix) if format_name == "latex" else as_markdown(matrix)
            made.append(write(folder / f"{matrix.name}{_ENDINGS[format_name]}", text))
    return made


def headline_markdown(found: Sequence[Answer], model: str) -> str:
    """Return the answers of a run as a table in Markdown; empty where nothing was compared."""
    rows = list(_headline_rows(found))
    if not rows:
        return ""
    lines = [_HEADINGS, ["---"] * 3 + ["---:"] * 5, *([markdown(cell) for cell in row] for row in rows)]
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{markdown(_headline(model))} Square brackets: 95 % intervals.\n\n{table}\n"


def headline_latex(found: Sequence[Answer], model: str) -> str:
    """Return the answers of a run as a table environment in LaTeX; empty where nothing was compared."""
    rows = list(_headline_rows(found))
    if not rows:
        return ""
    body = [" & ".join(map(latex, row)) + r" \\" for row in rows]
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(_headline(model))} Square brackets: 95\,\% intervals.}}",
        r"\label{tab:headline}",
        r"\begin{tabular}{lllrrrrr}",
        r"\toprule",
        " & ".join(map(latex, _HEADINGS)) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _headline(model: str) -> str:
    return (
        f"What timesteps do to {model}: is the last one, fixed beforehand, better than t = 0 on the same images? "
        "Paired changes; p is corrected for all timesteps that were compared."
    )


def _headline_rows(found: Sequence[Answer]) -> Iterator[list[str]]:
    for answer in found:
        row = answer.row
        if row is None:
            continue
        believed = "" if row.verdict is None else f" under {row.figure.images} ({row.verdict})"
        yield [
            row.suite,
            f"{row.figure.measure}{believed}",
            answer.decision,
            percent(row.first_value),
            f"{percent(row.second_value)} ({row.second.name})",
            f"{points(row.difference)} {interval(row.low, row.high, points)}",
            row.p_holm_text,
            str(row.images),
        ]


def as_markdown(matrix: Matrix) -> str:
    """Return a table in Markdown, its title as a line above it."""
    body = [*matrix.rows, *([] if matrix.mean is None else [matrix.mean])]
    lines = [
        [matrix.first, *(f"t = {t}" for t in matrix.timesteps)],
        *([row.name, *(cell.text for cell in row.cells)] for row in body),
    ]
    head, *rows = ("| " + " | ".join(map(markdown, line)) + " |" for line in lines)
    rule = "| " + " | ".join(["---", *("---:" for _ in matrix.timesteps)]) + " |"
    table = "\n".join([head, rule, *rows])
    return f"{markdown(matrix.title)}. Square brackets: 95 % intervals.\n\n{table}\n"


def as_latex(matrix: Matrix) -> str:
    """Return a table environment in LaTeX, with booktabs' rules and the title as caption."""
    head = " & ".join([latex(matrix.first), *(f"$t={t}$" for t in matrix.timesteps)])
    body = [_latex_row(row.name, row.cells) for row in matrix.rows]
    mean = [] if matrix.mean is None else [r"\midrule", _latex_row(matrix.mean.name, matrix.mean.cells)]
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex(matrix.title)}. Square brackets: 95\,\% intervals.}}",
        rf"\label{{tab:{matrix.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(matrix.timesteps)}}}",
        r"\toprule",
        head + r" \\",
        r"\midrule",
        *body,
        *mean,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(name: str, cells: tuple[Entry, ...]) -> str:
    entries = (rf"{cell.number} {{\scriptsize {cell.interval}}}" for cell in cells)
    return " & ".join([latex(name), *entries]) + r" \\"
