"""Oracle: the bytes that a stranger's run leaves in a terminal and in exported files."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path
from xml.etree.ElementTree import parse

import pandas as pd
import pytest
import yaml
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table
from poisoned_run import POISON, poisoned_run

from pcbench.cli.main import main
from pcbench.escaping import latex, markdown, printable
from pcbench.metrics.summary import summarise_folder
from pcbench.reports.export import export_run
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.metrics_table import read_metrics, write_metrics

SHOWN = printable(POISON)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return poisoned_run(tmp_path_factory.mktemp("poisoned") / "run")


@pytest.fixture(scope="module")
def other(run: Run) -> Run:
    return poisoned_run(run.folder.with_name("other"), 1)


def acting(text: str) -> set[str]:
    """Return the characters of a text that act instead of being seen, the ends of lines aside."""
    return {repr(one) for one in text if one != "\n" and unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@pytest.mark.parametrize(
    "verb", ["show", "show --config", "compare", "compare two", "check", "export", "figure", "status"]
)
def test_a_terminal_gets_what_is_seen_alone(
    run: Run, other: Run, tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    folder, second, reference = str(run.folder), str(other.folder), str(tmp_path / "reference.npz")
    words = {
        "show": ["show", folder],
        "show --config": ["show", folder, "--config"],
        "compare": ["compare", folder, "--out", str(tmp_path)],
        "compare two": ["compare", folder, second, "--out", str(tmp_path)],
        "check": ["check", folder, "--against", reference, "--github", "--all-rows"],
        "export": ["export", folder, "--format", "markdown", "--out", str(tmp_path)],
        "figure": ["figure", "digits-c-corruption-error", folder, second, "--out", str(tmp_path / "x.svg")],
        "status": ["status", folder],
    }
    if verb == "check":
        with pytest.raises(SystemExit):
            main(["freeze", second, "--out", reference])
    with pytest.raises(SystemExit) as ended:
        main(words[verb])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    assert acting(said.out + said.err) == set()
    if verb in {"show", "compare two", "figure"}:
        assert SHOWN in said.out
    if verb.startswith("compare"):
        assert acting((tmp_path / "comparison.md").read_text(encoding="utf-8")) == set()


@pytest.mark.usefixtures("two_figures")
def test_an_error_that_names_a_text_of_a_file_is_one_line(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = run.folder / "examples" / "index.json"
    before = index.read_bytes()
    index.write_text(json.dumps(json.loads(before) | {POISON: 1}))
    with pytest.raises(SystemExit):
        main(["report", str(run.folder), "--out", str(tmp_path), "--allow-changed"])
    index.write_bytes(before)
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert acting(said) == set()


def test_tables_for_papers_show_a_name(run: Run, tmp_path: Path) -> None:
    title = f"0 {POISON}"
    for format_name, form in (("latex", latex), ("markdown", markdown)):
        made = [path.read_text(encoding="utf-8") for path in export_run(run, format_name, tmp_path)]
        assert made
        assert all(form(title) in text and not acting(text) for text in made)


def test_the_card_of_a_model_shows_a_name(run: Run, tmp_path: Path) -> None:
    text = export_run(run, "huggingface-card", tmp_path)[0].read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["model-index"][0]["name"] == f"0 {SHOWN}"
    assert f"# Robustness of {markdown(f'0 {POISON}')}\n" in body
    assert acting(text) == set()


NAMES = ["=HYPERLINK(1)", "+1", "-1", "@a", "\tx", "'=1", "''=1", "'quoted", "", "plain"]


def test_cells_of_csv_are_no_formulas_and_read_back_they_are_the_texts(tmp_path: Path) -> None:
    suite = made_suite("made-c", len(NAMES))
    correct = [[True] * len(NAMES)]
    conditions = {
        f"made-c/{name}.parquet": made_table(
            Condition("made-c", kind, name, *more), [0], pd.DataFrame(correct).to_numpy(), image_id=NAMES
        )
        for kind, name, *more in (("clean", "clean"), ("corruption", "fog", 3))
    }
    spec = made_spec([suite], made_data(len(NAMES)), made_settings(timesteps=0), model={"name": "=1+1"})
    made = made_run(tmp_path / "run", spec, conditions)
    metrics = summarise_folder(made.folder / "outcomes", model="=1+1", baselines={})
    assert set(metrics["model"]) == {"=1+1"}
    write_metrics(metrics, made.folder)
    for path in (made.folder / "metrics.csv", *export_run(made, "csv", tmp_path / "out")):
        with path.open(newline="", encoding="utf-8") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row]
        words = [cell for cell in cells if not _is_number(cell)]
        assert [cell for cell in words if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert set(read_metrics(made.folder / "metrics.csv")["model"]) == {"=1+1"}
    exported = pd.read_csv(tmp_path / "out" / "outcomes.csv", keep_default_na=False)["image_id"]
    assert set(exported) == {"'=HYPERLINK(1)", "'+1", "'-1", "'@a", "'\tx", "''=1", "'''=1", "'quoted", "", "plain"}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_junit_is_xml_whatever_a_name_holds(run: Run, other: Run, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["freeze", str(other.folder), "--out", str(tmp_path / "reference.npz")])
    with pytest.raises(SystemExit):
        main(
            ["check", str(run.folder), "--against", str(tmp_path / "reference.npz"), "--junit", str(tmp_path / "j.xml")]
        )
    assert parse(tmp_path / "j.xml").getroot().tag == "testsuites"  # noqa: S314  # made here
    assert acting((tmp_path / "j.xml").read_text(encoding="utf-8")) == set()
