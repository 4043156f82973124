"""A check's result as words, a table, Markdown, JUnit XML and GitHub annotations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from pcbench.comparison.gate import CheckedRow, GateReport, images_for
from pcbench.escaping import markdown, printable
from pcbench.percent import in_points, percent, short_percent, short_points

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = ("suite", "what", "t", "n", "was %", "now %", "drop", "at least", "found from", "verdict")
# GitHub shows ten annotations of a step.
_ANNOTATIONS = 9


def verdict(report: GateReport) -> str:
    """Return the result in one sentence; that nothing was found says which drops would have been."""
    condition = f"{in_points(report.tolerated)} (α = {report.alpha:g} over all {len(report.rows)} rows)"
    change = "changed" if report.side == "change" else "dropped"
    if report.passed:
        return f"passed: no guarded accuracy {change} by demonstrably more than {condition}; {'; '.join(_seen(report))}"
    if not report.failed:
        return f"failed: no guarded accuracy demonstrably {change} by more than is tolerated, but {_changes(report)}"
    worst = max(report.failed, key=lambda row: abs(row.drop))
    return (
        f"failed: {len(report.failed)} guarded accuracies {change} by demonstrably more than {condition}; "
        f"the most: {worst.row}, {percent(worst.reference)} % to {percent(worst.value)} %"
    )


def notes(report: GateReport) -> list[str]:
    """Return notes on the result: how many answers changed, what differs; where it failed, which drops are found."""
    found = [] if report.passed else _seen(report)
    differences = [f"differs from the reference: {difference}" for difference in report.differences]
    return [*report.marks, _changes(report), *found, *differences]


def needed_sentence(report: GateReport, drop: float) -> str:
    """Return how many images would show a drop, in one sentence.

    Args:
        report: What a check found.
        drop: The wished drop, a share of the images.

    Raises:
        UsageError: The test cannot show this drop with any number of images.
    """
    every, pooled = images_for(report, drop), images_for(report, drop, pooled=True)
    sizes = " and ".join(str(size) for size in sorted({row.images for row in report.rows}))
    fewer = "" if pooled == every else f" ({pooled:,} in the rows that sum a suite up)"
    return (
        f"a drop of {in_points(drop)} needs {every:,} images to be shown with {percent(report.power, 0)} % "
        f"probability in every guarded row{fewer}; this run has {sizes}"
    )


def _changes(report: GateReport) -> str:
    if report.changed == 0:
        return f"all {report.answers:,} answers are the reference's"
    share = f"{short_percent(report.changed / report.answers)} %"
    allowed = "" if report.tolerated_changes is None else f"; tolerated: {short_percent(report.tolerated_changes)} %"
    return f"{report.changed:,} of {report.answers:,} answers ({share}) differ from the reference's{allowed}"


def _seen(report: GateReport) -> list[str]:
    """Return, for each number of images, the drop that these would show."""
    return [_seen_by(report, size) for size in sorted({row.images for row in report.rows})]


def _seen_by(report: GateReport, images: int) -> str:
    rows = [row for row in report.rows if row.images == images]
    worst, pooled = (_largest_drop(some) for some in (rows, [row for row in rows if row.row.pooled]))
    probability = f"with {percent(report.power, 0)} % probability"
    if pooled is None:
        return f"{images} images would show no drop {probability}: take more images"
    if worst is None:
        every = "no drop"
    else:
        every = f"a drop of {in_points(worst)} or more"
        if short_points(pooled) == short_points(worst):
            return f"{images} images would show {every} {probability}"
    summed = f"of {in_points(pooled)} or more in those that sum a suite up"
    return f"{images} images would show {every} {probability} in every guarded row, and one {summed}"


def _largest_drop(rows: list[CheckedRow]) -> float | None:
    """Return the drop that is found in every one of some rows; None where no drop is found in one of them."""
    drops = [row.detectable for row in rows]
    return None if any(map(math.isnan, drops)) else max(drops, default=None)


def shown_rows(report: GateReport, *, everything: bool) -> list[CheckedRow]:
    """Return the rows of a table: all of them, or those that fail and the pooled ones of the last timestep."""
    if everything:
        return list(report.rows)
    last = max(row.row.timestep for row in report.rows)
    return [row for row in report.rows if row.failed or (row.row.pooled and row.row.timestep == last)]


def gate_table(report: GateReport, *, everything: bool) -> Table:
    """Return the table for a terminal, at most 80 columns wide."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = shown_rows(report, everything=everything)
    part = "" if len(rows) == len(report.rows) else f"; {len(rows)} of {len(report.rows)} rows, see --all-rows"
    table = Table(
        title=f"run {report.run} against reference {report.reference}",
        caption=Text(
            f"in % of the images{part}\nleast: lower bound of the drop; finds: a drop found with "
            f"{percent(report.power, 0)} % probability"
        ),
        box=box.SIMPLE_HEAD,
    )
    table.add_column("guarded accuracy", overflow="fold")
    for heading in ("t", "was", "now", "drop", "least", "finds", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        suite, what, timestep, _, *numbers = _cells(row)
        table.add_row(f"{suite}: {what}", timestep, *numbers, style="bold red" if row.failed else None)
    return table


def gate_markdown(report: GateReport) -> str:
    """Return the result for a pull request."""
    lines = [f"### pcbench check: {'passed' if report.passed else 'failed'}"]
    lines += ["", markdown(_capital(verdict(report))) + ".", ""]
    lines += [f"- {markdown(_capital(note))}" for note in notes(report)]
    lines += ["", *_markdown_table(shown_rows(report, everything=False)), ""]
    lines += [f"<details><summary>All {len(report.rows)} guarded rows</summary>", ""]
    lines += [*_markdown_table(list(report.rows)), "", "</details>", ""]
    return "\n".join(lines)


def junit_xml(report: GateReport) -> str:
    """Return the result as JUnit XML, one test case per guarded row."""
    root = Element("testsuites", name="pcbench check")
    asked = report.tolerated_changes is not None
    suite = SubElement(root, "testsuite", name="pcbench check", tests=str(len(report.rows) + asked))
    suite.set("failures", str(len(report.failed) + report.changed_too_much))
    suite.set("errors", "0")
    properties = SubElement(suite, "properties")
    for name, value in (("run", report.run), ("reference", report.reference), ("verdict", verdict(report))):
        SubElement(properties, "property", name=name, value=printable(value))
    for note in notes(report):
        SubElement(properties, "property", name="note", value=printable(note))
    for row in report.rows:
        case = SubElement(suite, "testcase", classname=printable(f"pcbench.{row.row.suite}"))
        case.set("name", printable(f"{row.row.what}, t = {row.row.timestep}"))
        if row.failed:
            SubElement(case, "failure", message=printable(_sentence(row, report)), type="regression")
        SubElement(case, "system-out").text = printable(_sentence(row, report))
    if asked:
        case = SubElement(suite, "testcase", classname="pcbench", name="answers repeat")
        if report.changed_too_much:
            SubElement(case, "failure", message=_changes(report), type="change")
    indent(root)
    return tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def github_annotations(report: GateReport) -> list[str]:
    """Return workflow commands, one a line, that mark a failing step; only a notice where the check passes."""
    lines = [_command("notice" if report.passed else "error", verdict(report))]
    failed = sorted(report.failed, key=lambda row: -abs(row.drop))
    lines += [_command("error", _sentence(row, report)) for row in failed[:_ANNOTATIONS]]
    return lines


def _command(level: str, message: str) -> str:
    escaped = printable(message).replace("%", "%25")
    return f"::{level} title=pcbench check::{escaped}"


def _sentence(row: CheckedRow, report: GateReport) -> str:
    bound = f"at least {short_points(row.lower)}" if row.drop >= 0 else f"at most {short_points(row.upper)}"
    return (
        f"{row.row}: {percent(row.reference)} % to {percent(row.value)} % of {row.images} images, a drop of "
        f"{in_points(row.drop)} ({bound}); tolerated {short_points(report.tolerated)}"
    )


def _markdown_table(rows: list[CheckedRow]) -> Iterator[str]:
    yield "| " + " | ".join(_HEADINGS) + " |"
    yield "|" + "|".join("---" if name in ("suite", "what", "verdict") else "---:" for name in _HEADINGS) + "|"
    for row in rows:
        cells = map(markdown, _cells(row))
        yield "| " + " | ".join(f"**{cell}**" if row.failed else cell for cell in cells) + " |"


def _cells(row: CheckedRow) -> list[str]:
    detectable = "none" if math.isnan(row.detectable) else short_points(row.detectable)
    return [
        row.row.suite,
        row.row.what,
        str(row.row.timestep),
        str(row.images),
        percent(row.reference),
        percent(row.value),
        short_points(row.drop),
        short_points(row.lower),
        detectable,
        "failed" if row.failed else "ok",
    ]


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
