"""Oracle: the list of files before and after: names inside a table lead nowhere out of the folder that is written."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pcbench.errors import DataError
from pcbench.reports.export import export_run
from pcbench.reports.figures import figure_files
from pcbench.reports.report import write_report
from pcbench.results.directory import MANIFEST, Run, open_run
from pcbench.results.metrics_table import write_metrics


def changed(run: Run, folder: Path, column: str, value: str) -> Run:
    """Return a copy of a run whose metrics have this value in every row, as a stranger may publish it."""
    copy = dataclasses.replace(run, folder=shutil.copytree(run.folder, folder))
    metrics = run.metrics
    metrics[column] = pd.Series([value] * len(metrics), dtype=metrics[column].dtype)
    write_metrics(metrics, copy.folder)
    return copy


def below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("column", ["suite", "name", "norm"])
@pytest.mark.parametrize("value", ["../../x", "/etc/x", "..", "a\\..\\x", "con"])
def test_a_name_in_metrics_that_leads_out_is_refused(runs: list[Run], tmp_path: Path, column: str, value: str) -> None:
    run = changed(runs[0], tmp_path / "run", column, value)
    before = below(tmp_path)
    with pytest.raises(DataError, match=f"column {column} ") as refused:
        write_report([run], tmp_path / "deep" / "er" / "report")
    assert "\n" not in str(refused.value)
    with pytest.raises(DataError, match=f"column {column} "):
        export_run(run, "latex", tmp_path / "deep" / "er" / "tables")
    assert {path for path in below(tmp_path) - before if path.is_file()} == set()


def test_the_model_of_a_stranger_names_files_inside_the_folder_alone(runs: list[Run]) -> None:
    several = pd.concat([runs[0].metrics.assign(model=name) for name in ("../../evil", "hf:A/b@c", "HF:a/B@c")])
    names = figure_files(several.reset_index(drop=True))
    assert len({name.partition("/")[0].lower() for name in names}) == 3
    assert not [name for name in names if ".." in name or name.startswith("/")]


def test_a_manifest_with_such_a_suite_is_damaged(runs: list[Run], tmp_path: Path) -> None:
    path = shutil.copytree(runs[0].folder, tmp_path / "run") / MANIFEST
    content = json.loads(path.read_text())
    content["spec"]["suites"][0]["name"] = "../../x"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="damaged"):
        open_run(path.parent)
