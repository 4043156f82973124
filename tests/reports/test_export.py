"""Oracle: the run's own tables, read back from every format by pandas; the hub's own reader for the model card."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import ModelCard

from pcbench.comparison.answer import answers
from pcbench.errors import DefinitionError, UnknownNameError, UsageError, WriteError
from pcbench.files import Point, watched
from pcbench.reports.export import export_run
from pcbench.reports.figures import charts
from pcbench.reports.matrices import matrices
from pcbench.reports.paper_tables import as_latex, as_markdown, write_paper_tables
from pcbench.results.directory import Run
from pcbench.results.metrics_table import read_metrics
from pcbench.results.verdicts import Verdicts


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_metrics_read_back_are_the_runs(runs: list[Run], tmp_path: Path, format_name: str) -> None:
    paths = export_run(runs[0], format_name, tmp_path)
    back = read_metrics(paths[0])
    pd.testing.assert_frame_equal(back, read_metrics(runs[0].folder / "metrics.csv"))


@pytest.mark.parametrize("format_name", ["csv", "parquet", "json"])
def test_outcomes_read_back_are_the_runs(runs: list[Run], tmp_path: Path, format_name: str) -> None:
    path = export_run(runs[0], format_name, tmp_path)[1]
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": lambda file: pd.read_json(file, lines=True)}
    back = readers[format_name](path)
    ours = runs[0].outcomes()
    assert list(back.columns) == list(ours.columns)
    assert len(back) == len(ours)
    for column in ("image_id", "timestep", "correct", "epsilon", "success_within"):
        left, right = back[column].astype(object), ours[column].astype(object)
        assert (left.isna() == right.isna()).all()
        if column == "image_id":
            assert (left == right).all()
        else:
            assert left.dropna().astype(float).to_numpy() == pytest.approx(right.dropna().astype(float).to_numpy())


def test_robustbench_entries_say_what_they_are(runs: list[Run], tmp_path: Path) -> None:
    entries = json.loads(export_run(runs[0], "robustbench-like", tmp_path)[0].read_text(encoding="utf-8"))
    metrics = runs[0].metrics
    mce = metrics.query("metric == 'mean_corruption_error' and timestep == 2")["value"].iloc[0]
    corruptions = [entry for entry in entries if entry["threat_model"] == "corruptions"]
    assert corruptions[2]["corruptions_mce"] == f"{100 * mce:.2f}"
    assert corruptions[2]["mce_baseline"] == "alexnet-made-up"
    pgd = [entry for entry in entries if entry.get("attack") == "pgd" and entry["eps"] == "4/255"]
    assert [entry["number_forward_passes"] for entry in pgd] == [1, 2, 3]
    # The leaderboard's own word is for AutoAttack alone.
    assert not any(entry["autoattack_acc"] for entry in entries)


def test_robustbench_entries_have_every_key_of_its_files(runs: list[Run], tmp_path: Path) -> None:
    """Oracle: a file of the leaderboard, cifar10/Linf/Bartoldson2024Adversarial_WRN-94-16.json, and `ModelInfo`."""
    theirs = {
        *("link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue", "architecture"),
        *("eps", "clean_acc", "reported", "autoattack_acc", "footnote", "unreliable"),
        *("corruptions_acc", "corruptions_acc_3d", "corruptions_mce", "corruptions_mce_3d"),
    }
    path = tmp_path / "paper.toml"
    path.write_text('[publication]\nname = "A title"\nadditional_data = false\nfootnote = "with more data"\n')
    (written,) = export_run(runs[0], "robustbench-like", tmp_path / "with", publication=path)
    told = json.loads(written.read_text(encoding="utf-8"))
    assert all(theirs <= entry.keys() for entry in told)
    assert {(entry["name"], entry["additional_data"], entry["venue"]) for entry in told} == {("A title", False, None)}
    assert all(entry["footnote"].endswith("of a predictive network; with more data") for entry in told)
    alone = json.loads(export_run(runs[0], "robustbench-like", tmp_path)[0].read_text(encoding="utf-8"))
    assert all(entry["name"] is None and entry["reported"] is None for entry in alone)
    path.write_text('[publication]\nautors = "me"\n')
    with pytest.raises(DefinitionError, match=r"unknown key 'publication.autors'; did you mean 'authors'\?"):
        export_run(runs[0], "robustbench-like", tmp_path, publication=path)
    with pytest.raises(UsageError, match="`publication` is for the format robustbench-like, not csv"):
        export_run(runs[0], "csv", tmp_path, publication=path)


def test_the_model_card_is_read_by_the_hubs_own_reader(runs: list[Run], tmp_path: Path) -> None:
    path = export_run(runs[0], "huggingface-card", tmp_path)[0]
    results = ModelCard.load(path).data.eval_results
    by_name = {result.metric_name: result.metric_value for result in results}
    metrics = runs[0].metrics
    mce = metrics.query("metric == 'mean_corruption_error' and timestep == 1")["value"].iloc[0]
    name = "mean over corruptions: mean_corruption_error at t = 1, of alexnet-made-up"
    assert by_name[name] == pytest.approx(mce, abs=1e-6)
    assert "| gaussian noise |" in path.read_text(encoding="utf-8")


def test_unknown_formats_and_folders_are_refused(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="parquet"):
        export_run(runs[0], "parqet", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        export_run(runs[0], "csv", tmp_path / "file")


@pytest.mark.parametrize("format_name", ["csv", "markdown"])
def test_a_full_disk_in_the_middle_is_a_run_that_failed(runs: list[Run], tmp_path: Path, format_name: str) -> None:
    def full(point: Point) -> None:
        if point.step == "fsync" and point.path.suffix in {".csv", ".md"}:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(WriteError, match="No space left on device; free some space on this disk") as raised,
        watched(full),
    ):
        export_run(runs[0], format_name, tmp_path)
    assert raised.value.exit_code == 1
    assert not [path for path in tmp_path.iterdir() if path.suffix in {".csv", ".md"}]


def test_paper_tables_hold_the_numbers_of_the_table(runs: list[Run], tmp_path: Path) -> None:
    metrics = runs[0].metrics
    row = metrics.query("name == 'fog' and metric == 'corruption_error' and timestep == 1").iloc[0]
    value, low, high = (f"{100 * row[column]:.1f}" for column in ("value", "ci_low", "ci_high"))
    errors = matrices(metrics[metrics["suite"] == "digits-c"], "pdigits", Verdicts())[0]
    markdown = next(line for line in as_markdown(errors).splitlines() if line.startswith("| fog"))
    assert markdown.split(" | ")[2] == f"{value} [{low}, {high}]"
    latex = next(line for line in as_latex(errors).splitlines() if line.startswith("fog"))
    assert latex.split(" & ")[2] == rf"{value} {{\scriptsize [{low}, {high}]}}"
    written = write_paper_tables(runs[0], tmp_path, "latex")
    assert {path.suffix for path in written} == {".tex"}
    assert len(written) == 5
    (answer, _) = answers(runs[0])
    assert answer.row is not None
    cells = next(line for line in written[0].read_text(encoding="utf-8").splitlines() if line.startswith("digits-c"))
    values = [f"{100 * value:.1f}" for value in (answer.row.first_value, answer.row.second_value)]
    assert cells.split(" & ")[2:5] == ["yes", values[0], f"{values[1]} (t = 2)"]


def test_latex_is_escaped(metrics: pd.DataFrame) -> None:
    errors = matrices(metrics[metrics["suite"] == "digits-c"], r"a_b & 50% {\x}", Verdicts())[0]
    assert r"a\_b \& 50\% \{\textbackslash{}x\}" in as_latex(errors)


def test_an_attack_on_all_timesteps_is_drawn_and_one_scored_elsewhere_is_not(metrics: pd.DataFrame) -> None:
    attacks = metrics[metrics["kind"] == "attack"].copy()
    together = attacks[attacks["name"] == "pgd"].assign(name="pgd_all", attacked_timestep=pd.NA)
    elsewhere = attacks[attacks["name"] == "pgd"].assign(name="pgd_first", attacked_timestep=99)
    made = {chart.name: chart for chart in charts(pd.concat([attacks, together, elsewhere]), Verdicts())}
    titles = [panel.title for panel in made["success-by-epsilon"].panels]
    assert titles == ["FGSM", "BIM", "PGD", "pgd all"]
