"""Every sentence with the word "robust" that a run's results are told in carries the verdict on the gradients.

Oracle: the three forms of a verdict, written out here, looked for in each sentence of all that is printed and written.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from simulated_runs import write_run

import pcbench
from pcbench.cli.main import main
from pcbench.cli.run_table import print_summary
from pcbench.comparison.answer import answers
from pcbench.comparison.compare import compare_runs, compare_timesteps
from pcbench.comparison.compare_output import as_frame, compare_markdown, compare_tables
from pcbench.comparison.gate import check_run
from pcbench.comparison.gate_output import gate_markdown, gate_table, github_annotations, junit_xml, notes, verdict
from pcbench.comparison.reference import freeze
from pcbench.comparison.sentences import run_sentences, sentences
from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.reports.export import export_run
from pcbench.reports.figures import charts, write_figure
from pcbench.reports.page.page import write_page
from pcbench.results.directory import Run, open_run
from pcbench.results.verdicts import Verdicts
from pcbench.terminal import Terminal

VERDICT = re.compile(r"\bchecked\b|\bnot checked\b|\bgradients suspicious: \S")
WORD = re.compile(r"\brobust(?:er)?\b|\brobust[ _]acc", re.IGNORECASE)
NAMES = {
    "robust_accuracy": "the name of a metric in tables and metadata",
    "robust_acc": "RobustBench's own key; the verdict stands beside it under `gradients`",
    "robust-accuracy": "the name of a file, in labels of LaTeX and of figures",
}
"""Where the word is part of a name that programs read, and why it may stand without a verdict."""
BLOCKS = {"span", "a", "code", "b", "i", "em", "strong", "sub", "sup", "output"}
"""Elements that do not end a sentence."""


class Seen(HTMLParser):
    """The visible text of a page, one piece for each block."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = [""]
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"script", "style"}
        self.pieces += [] if tag in BLOCKS else [""]
        self.pieces += [text for name, text in attrs if name in {"alt", "title"} and text]
        self.pieces += [""] if tag not in BLOCKS else []

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"}
        self.pieces += [] if tag in BLOCKS else [""]

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces[-1] += data


def split(text: str) -> Iterator[str]:
    """Yield the sentences of a text: its lines, cut where a point is followed by a capital letter."""
    for line in text.splitlines():
        yield from re.split(r"\.\s+(?=[A-Z])", line)


def unbelieved(text: str) -> list[str]:
    """Return the sentences with the word that lack a verdict."""
    found: list[str] = []
    for said in split(text):
        rest = said
        for name in NAMES:
            rest = rest.replace(name, "")
        if WORD.search(rest) and not VERDICT.search(said):
            found.append(said)
    return found


def printed(*shown: object) -> str:
    console = Terminal(record=True, width=1000)
    for one in shown:
        console.print(one)
    return console.export_text()


def summary(run: Run) -> str:
    console = Terminal(record=True, width=1000)
    print_summary(run, console)
    return console.export_text()


def page(runs: list[Run], folder: Path) -> str:
    write_page(runs, folder / "page.html")
    seen = Seen()
    told, _, _ = (folder / "page.html").read_text(encoding="utf-8").partition('<dl class="words">')
    seen.feed(told)  # after it stand the meanings of words, which are said of no network
    return "\n".join(" ".join(piece.split()) for piece in seen.pieces)


def texts(run: Run, other: Run, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield all that the results of a run are told in, each with its name."""
    yield "run and show", summary(run)
    rows = [*compare_timesteps(run), *compare_runs(run, other, ("one", "other"))]
    yield "compare", printed(*compare_tables(rows), *sentences(rows))
    yield (
        "comparison.csv",
        "\n".join(f"{row.figure} {row.verdict}\n{row.sentence}" for row in as_frame(rows).itertuples()),
    )
    yield "comparison.md", compare_markdown(rows)
    for form in ("huggingface-card", "markdown", "latex", "robustbench-like"):
        for path in export_run(run, form, folder / form):
            yield path.name, path.read_text(encoding="utf-8")
    named = [chart for chart in charts(run.metrics, Verdicts()) if "robust" in chart.name]
    yield "figure of one", write_figure(named[1].name, [run], folder / "figure.svg")


def texts_of_two(run: Run, other: Run, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what tells two runs in one verdict, each text with its name; it takes seconds, so one case is enough."""
    yield "page of two", page([run, other], folder)
    report = check_run(other, freeze(run), tolerated=0.0)
    yield "check", printed(gate_table(report, everything=True), *notes(report), verdict(report))
    yield "check's files", "\n".join([gate_markdown(report), junit_xml(report), *github_annotations(report)])
    (chart, *_) = [chart for chart in charts(run.metrics, Verdicts()) if "robust" in chart.name]
    yield "figure of two", write_figure(chart.name, [run, other], folder / "figure.svg")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("made")
    few = {"corruptions": THE_FIFTEEN[:3]}  # the others are told in the same words
    return write_run(folder / "made", "pdigits", 0, **few), write_run(folder / "other", "second", 1, **few)


@pytest.fixture(scope="module", params=["checked", "suspicious", "not checked"])
def runs(
    request: pytest.FixtureRequest, made: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Run, Run]:
    """A run whose checks found nothing, or a sign at the last timestep, or that has none; and another run."""
    run, other = made
    run = open_run(shutil.copytree(run.folder, tmp_path_factory.mktemp("runs") / "run"))
    path = run.folder / "checks.json"
    entries = json.loads(path.read_text(encoding="utf-8"))
    for entry in entries:
        sign = request.param == "suspicious" and entry["timestep"] == 2
        entry |= {"verdict": "suspicious" if sign else "consistent", "reasons": ["the gradient is zero"] * sign}
    path.write_text(json.dumps(entries), encoding="utf-8")
    if request.param == "not checked":
        path.unlink()
    return request.param, run, other


def form_of(case: str) -> str:
    """Return the words of a verdict."""
    return {"suspicious": "gradients suspicious: at t = 2, the gradient is zero"}.get(case, f"({case})")


def test_robust_is_never_said_without_the_verdict(runs: tuple[str, Run, Run], tmp_path: Path) -> None:
    case, run, other = runs
    told = [*texts(run, other, tmp_path), *(texts_of_two(run, other, tmp_path) if case == "suspicious" else ())]
    for name, text in told:
        assert not unbelieved(text), name
        if name in {"run and show", "compare", "comparison.md", "page of two", "figure of one"}:
            assert form_of(case) in text, name


def test_the_search_finds_a_word_without_a_verdict() -> None:
    assert unbelieved("t = 8 is more robust than t = 0 under PGD: 32.0 % to 48.0 %.")
    assert unbelieved("The attack was checked. The network is Robust")
    assert unbelieved("Robust accuracy, in %")
    assert not unbelieved("more robust (not checked): robust accuracy 48.0 %")
    assert not unbelieved("| robust_accuracy | 0.5 |")


def test_page_terminal_and_compare_say_the_same(
    runs: tuple[str, Run, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, run, _ = runs
    shown = [one for one in run_sentences(run) if one.timestep == 2]
    compared = set(sentences(compare_timesteps(run)))
    assert {one.text for one in shown} <= compared
    assert {one.text for one in run_sentences(run) if one.timestep > 0} == compared
    on_page, terminal = page([run], tmp_path), summary(run)
    assert all(one.text in on_page for one in shown)
    assert not unbelieved(on_page)
    assert form_of(case) in on_page
    # Every suite is told by what happens to its changed and to its clean images; of the former the answer tells.
    assert [one.suite for one in shown if one.leads].count("digits-c") == 2
    assert all(f"- {one.text}" in terminal for one in shown if one.leads and one.about == "clean")
    found = [one.text for one in answers(run)]
    assert len(found) == 2
    monkeypatch.setenv("COLUMNS", "4000")
    with pytest.raises(SystemExit):
        main(["compare", str(run.folder), "--allow-changed"])
    told = capsys.readouterr().out
    assert all(f"- {text}" in terminal and text in on_page and f"- {text}" in told for text in found)
    assert [text for text in found for text in unbelieved(text)] == []


def test_the_readme_says_it_as_well() -> None:
    """The numbers of the run with default settings may differ by images that are nearly undecided, as CPUs do."""
    folder = os.environ.get("PCBENCH_DEFAULT_RUN")
    if not folder:
        pytest.skip("PCBENCH_DEFAULT_RUN is not set: no run with default settings here (.ci/run makes one)")
    run = open_run(folder)
    lines = (Path(pcbench.__file__).parent.parent / "README.md").read_text(encoding="utf-8").splitlines()
    readme = " ".join(" ".join(line.removeprefix(">") for line in lines).split())
    number = r"([+−]?\d+(?:\.\d+)?)"
    for said in (one.text for one in answers(run)):
        words = re.split(number, said)[::2]
        found = re.search(number.join(map(re.escape, words)), readme)
        assert found is not None, said
        here, there = (
            [float(one.replace("−", "-")) for one in re.split(number, text)[1::2]] for text in (said, found[0])
        )
        assert there == pytest.approx(here, abs=0.6)


def test_a_run_without_its_outcomes_still_states_values(runs: tuple[str, Run, Run], tmp_path: Path) -> None:
    _, run, _ = runs
    folder = Path(shutil.copytree(run.folder, tmp_path / "bare"))
    shutil.rmtree(folder / "outcomes")
    said = run_sentences(dataclasses.replace(run, folder=folder))
    assert {one.timestep for one in said} == {0, 1, 2}
    assert all(" than " not in one.text for one in said)
    assert not [text for one in said for text in unbelieved(one.text)]
