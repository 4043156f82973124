"""Oracles: the standard library's XML parser, GitHub's documented escaping, and the report's own numbers."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from pcbench.comparison.gate import GateReport, check_run, images_for
from pcbench.comparison.gate_output import (
    gate_markdown,
    gate_table,
    github_annotations,
    junit_xml,
    needed_sentence,
    notes,
    shown_rows,
    verdict,
)
from pcbench.comparison.reference import freeze
from pcbench.errors import UsageError
from pcbench.results.directory import Run
from pcbench.terminal import Terminal


@pytest.fixture
def passed(make_run: Callable[..., Run]) -> GateReport:
    return check_run(make_run("again", seed=1), freeze(make_run("reference")), tolerated=0.01)


@pytest.fixture
def failed(make_run: Callable[..., Run]) -> GateReport:
    weaker = make_run("weaker", change=lambda cond, _, chance: chance * (0.4 if cond.name == "fog" else 1))
    return check_run(weaker, freeze(make_run("reference")), tolerated=0.02)


def test_verdict_names_the_worst_row(passed: GateReport, failed: GateReport) -> None:
    assert verdict(passed).startswith("passed: no guarded accuracy dropped by demonstrably more than 1 point (")
    worst = max(failed.rows, key=lambda row: row.drop)
    assert verdict(failed).startswith("failed: 6 guarded accuracies")
    assert f"the most: {worst.row}, {100 * worst.reference:.1f} % to {100 * worst.value:.1f} %" in verdict(failed)


def test_notes_and_the_verdict_tell_the_power_and_the_differences(
    passed: GateReport, failed: GateReport, make_run: Callable[..., Run]
) -> None:
    for size in (240, 120):
        drops = {row.row.pooled: row.detectable for row in passed.rows if row.images == size}
        worst = max(row.detectable for row in passed.rows if row.images == size)
        assert worst >= max(drops.values())
        assert f"{size} images would show a drop of {100 * worst:.3g} points or more with 90 % prob" in verdict(passed)
        assert any(f"{size} images would show a drop of" in note for note in notes(failed))
        assert not any("would show" in note for note in notes(passed))
    text = "\n".join(notes(passed))
    assert "differs from the reference: settings.seed: 0 -> 1" in text
    same = check_run(make_run("same"), freeze(make_run("reference-2")), tolerated=0)
    assert f"all {same.answers:,} answers are the reference's" in notes(same)


def test_too_few_images_are_said_to_show_nothing(passed: GateReport) -> None:
    blind = [dataclasses.replace(row, detectable=float("nan")) for row in passed.rows]
    assert "240 images would show no drop with 90 % probability: take more images" in verdict(
        dataclasses.replace(passed, rows=tuple(blind))
    )
    single = [row if row.row.pooled else dataclasses.replace(row, detectable=float("nan")) for row in passed.rows]
    told = verdict(dataclasses.replace(passed, rows=tuple(single)))
    assert "240 images would show no drop with 90 % probability in every guarded row, and one of" in told


def test_a_wished_drop_names_the_images_that_would_show_it(passed: GateReport) -> None:
    noisy = tuple(dataclasses.replace(row, disagreement=0.1 if row.row.pooled else 0.4) for row in passed.rows)
    report = dataclasses.replace(passed, rows=noisy)
    every, pooled = images_for(report, 0.03), images_for(report, 0.03, pooled=True)
    assert 3 < every / pooled < 4  # n grows as the disagreement, but for what the drop itself adds
    text = needed_sentence(report, 0.03)
    assert text.startswith(f"a drop of 3 points needs {every:,} images to be shown with 90 % probability")
    assert f"({pooled:,} in the rows that sum a suite up); this run has 120 and 240" in text
    with pytest.raises(UsageError, match=r"above the tolerated 1 and at most 100, not 0\.5"):
        images_for(passed, 0.005)


def test_junit_holds_every_row_once(failed: GateReport) -> None:
    root = ElementTree.fromstring(junit_xml(failed))  # noqa: S314 - made here
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    assert suite.get("tests") == str(len(failed.rows)) == str(len(cases))
    assert suite.get("failures") == "6" == str(len(suite.findall("testcase/failure")))
    names = {(case.get("classname"), case.get("name")) for case in cases}
    assert len(names) == len(cases)
    failing = {case.get("name") for case in cases if case.find("failure") is not None}
    assert failing == {f"{what}, t = {t}" for what in ("fog", "mean of 2 corruptions") for t in range(3)}


def test_github_annotations_are_one_escaped_line_each(passed: GateReport, failed: GateReport) -> None:
    (notice,) = github_annotations(passed)
    assert notice.startswith("::notice title=pcbench check::passed: ")
    lines = github_annotations(failed)
    assert len(lines) == 7
    assert all(line.startswith("::error title=pcbench check::") for line in lines)
    assert all("% " not in line and "%25" in line for line in lines)


def test_markdown_holds_failing_rows_and_all_rows_folded(failed: GateReport) -> None:
    text = gate_markdown(failed)
    assert text.startswith("### pcbench check: failed\n")
    head, details = text.split("<details>")
    assert head.count("**failed**") == 6
    assert sum(line.startswith("| ") for line in details.splitlines()) == len(failed.rows) + 1
    width = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert width == {11}


def test_changed_answers_fail_in_every_output(make_run: Callable[..., Run]) -> None:
    weaker = make_run("weaker", change=lambda cond, _, chance: chance * (0.97 if cond.name == "fog" else 1))
    report = check_run(weaker, freeze(make_run("reference")), tolerated=0.05, tolerated_changes=0)
    assert not report.failed
    assert "failed: no guarded accuracy demonstrably dropped" in verdict(report)
    assert f"but {report.changed} of {report.answers:,} answers" in verdict(report)
    assert gate_markdown(report).startswith("### pcbench check: failed")
    assert github_annotations(report)[0].startswith("::error")
    root = ElementTree.fromstring(junit_xml(report))  # noqa: S314 - made here
    assert root.find("testsuite").get("failures") == "1"
    assert root.find("testsuite/testcase/failure").get("type") == "change"


def test_terminal_table_shows_what_fails_and_sums_up_the_last_timestep(failed: GateReport) -> None:
    shown = shown_rows(failed, everything=False)
    assert {(row.row.what, row.row.timestep) for row in shown if not row.failed} == {
        ("clean", 2),
        ("pgd linf exact", 2),
    }
    assert {row for row in failed.rows if row.failed} <= set(shown)
    console = Terminal(file=io.StringIO(), width=160)
    console.print(gate_table(failed, everything=True))
    text = console.file.getvalue()
    assert text.count("failed") == 6
    assert text.count("pgd linf exact") == 3


def test_terminal_table_fits_into_80_columns(failed: GateReport) -> None:
    console = Terminal(file=io.StringIO(), width=80)
    console.print(gate_table(failed, everything=False))
    text = console.file.getvalue()
    # Words may be folded, numbers may not.
    assert max(map(len, text.splitlines())) <= 80
    for row in shown_rows(failed, everything=False):
        assert f"{100 * row.reference:.1f}" in text
        assert f"{100 * row.value:.1f}" in text
