"""Oracle: the files that a verb promises, named on its output, with the numbers of the run's own tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from simulated_runs import write_run

from pcbench.attacks import agreement
from pcbench.attacks.agreement import Agreement
from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.results.directory import Run, open_run

Call = Callable[..., int]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of simulated images."""
    return write_run(tmp_path_factory.mktemp("verbs") / "one", "pdigits", 0, corruptions=THE_FIFTEEN[:3])


@pytest.mark.usefixtures("two_figures")
def test_report_makes_the_page_of_a_run(
    run: Run, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("report", run.folder, "--out", tmp_path / "page") == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'page'}\n"
    assert "Robustness of pdigits" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert list((tmp_path / "page").rglob("*.svg"))


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_figure_draws_one_figure(
    run: Run, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    path = tmp_path / f"figure.{ending}"
    assert call("figure", "digits-c-corruption-error", run.folder, "--out", path) == 0
    assert path.stat().st_size > 1000
    assert "95 %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("format_name", "names"),
    [
        ("csv", {"metrics.csv", "outcomes.csv"}),
        ("parquet", {"metrics.parquet", "outcomes.parquet"}),
        ("json", {"metrics.jsonl", "outcomes.jsonl"}),
        ("robustbench-like", {"robustbench.json"}),
        ("huggingface-card", {"README.md"}),
    ],
)
def test_export_writes_the_files_that_it_names(
    run: Run, call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], format_name: str, names: set[str]
) -> None:
    assert call("export", run.folder, "--format", format_name, "--out", tmp_path) == 0
    assert {Path(line.removeprefix("wrote ")).name for line in capsys.readouterr().out.splitlines()} == names
    assert {path.name for path in tmp_path.iterdir()} == names
    if format_name == "csv":
        written = pd.read_csv(tmp_path / "metrics.csv")
        assert written["value"].tolist() == pytest.approx(run.metrics["value"].tolist(), nan_ok=True)
    if format_name == "robustbench-like":
        clean = run.metrics[(run.metrics["kind"] == "clean") & (run.metrics["metric"] == "accuracy")]
        entries = json.loads((tmp_path / "robustbench.json").read_text(encoding="utf-8"))
        assert {entry["clean_acc"] for entry in entries} == {f"{100 * value:.2f}" for value in clean["value"]}


@pytest.mark.parametrize("format_name", ["latex", "markdown"])
def test_export_writes_a_file_for_each_table(run: Run, call: Call, tmp_path: Path, format_name: str) -> None:
    assert call("export", run.folder, "--format", format_name, "--out", tmp_path) == 0
    assert any("pgd" in path.name or "linf" in path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize(("agrees", "code"), [(True, 0), (False, 1)])
def test_agreement_prints_both_rates_and_ends_with_what_it_found(
    call: Call,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    agrees: bool,
    code: int,
) -> None:
    # The attacks themselves are tested beside their adapters; torchattacks need not be installed here.
    found = Agreement(4 / 255, 8, (0.5, 0.625), ((0.2, 0.8), (0.3, 0.9)), 0, 1, p_value=1.0, agrees=agrees)
    monkeypatch.setattr(agreement, "library_agreement", lambda *_, **__: [found])
    assert call("agreement", "--model", "pdigits", "--images", 8, "--epsilons", "4/255") == code
    printed = capsys.readouterr().out
    assert "50.0" in printed
    assert "62.5" in printed
    assert "4/255" in printed


def test_run_prints_the_accuracies_of_its_metrics(
    call: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
    command = ("run", "--suite", "gaussian-noise", "--model", "pdigits", "--images", 12, "--timesteps", 1)
    assert call(*command, "--out", tmp_path / "out", "--threads", 1) == 0
    printed = capsys.readouterr().out
    metrics = open_run(tmp_path / "out").metrics
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == "accuracy")]
    for timestep, value in zip(clean["timestep"], clean["value"], strict=True):
        line = next(line for line in printed.splitlines() if line.strip("│ ┃").startswith(f"{timestep} "))
        assert f"{100 * value:.1f}" in line


def test_a_format_that_does_not_exist_names_no_folder(run: Run, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("export", run.folder, "--format", "a/b") == 2
    assert "format 'a/b' does not exist" in capsys.readouterr().err
