"""Oracle: the folder's own listing at every point at which the writing of a report can stop."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from simulated_runs import write_run

from pcbench.files import TRIAL, Point, watched
from pcbench.reports.page.content import page_content
from pcbench.reports.page.links import write_tables
from pcbench.reports.report import write_report
from pcbench.results.columns import METRICS_COLUMNS
from pcbench.results.directory import foreign_files, open_run


@pytest.mark.usefixtures("two_figures")
def test_nothing_in_a_report_is_foreign_whenever_its_writing_stops(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "pdigits", 0, corruptions=("fog",))
    seen: list[Path] = []

    def look(point: Point) -> None:
        if point.step == "fsync":
            seen.append(point.path)
            assert [name for name in foreign_files(run) if name.startswith("report/")] == []

    with watched(look):
        write_report([run], run.folder / "report")
    written = {path.name for path in seen if not path.name.startswith(TRIAL)}
    tables = {name for name in written if name.endswith((".csv", ".parquet"))}
    assert len(written - tables) == 1 + 2 * 3 + 1  # the list, two figures in three formats, the page
    assert len(tables) > 2 * 10
    (run.folder / "report" / "mine.svg").write_text("mine")
    assert foreign_files(open_run(run.folder)) == ["report/mine.svg"]


def test_the_tables_beside_a_page_are_rows_of_the_run_s_own_table(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, "pdigits", seed, corruptions=("fog",)) for seed, name in enumerate(("a", "b"))]
    for number, of_page in enumerate((runs[:1], runs)):
        folder = tmp_path / f"report-{number}" / "data"
        write_tables(page_content(of_page, tabled=True).tables, folder.parent)
        key = [name for name in METRICS_COLUMNS if name not in ("value", "ci_low", "ci_high", "n")]
        held = {run.key: run.metrics.astype(object).set_index(key) for run in of_page}
        for path in folder.glob("*.parquet"):
            table = pd.read_parquet(path)
            assert list(table.columns) == ["run"] * number + list(METRICS_COLUMNS), path.name
            for of_run, rows in table.groupby("run") if number else [(runs[0].key, table)]:
                theirs = held[str(of_run)].loc[rows.astype(object).set_index(key).index]
                assert list(theirs["value"]) == list(rows["value"]), path.name
            written = (folder / f"{path.stem}.csv").read_text(encoding="utf-8").splitlines()
            assert (written[0].split(","), len(written)) == (list(table.columns), len(table) + 1)
        names = {path.stem for path in folder.glob("*.csv")}
        of_figure = pd.read_parquet(folder / "digits-linf-robust-accuracy-by-epsilon.parquet")
        assert not number or set(of_figure["run"]) == {run.key for run in runs}
        assert {"digits-c-accuracy", "digits-c-change-by-family", "digits-linf-robust-accuracy-by-epsilon"} <= names


def test_an_unfinished_file_of_somebody_else_is_foreign(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "pdigits", 0, corruptions=("fog",))
    (run.folder / "report").mkdir(exist_ok=True)
    (run.folder / "report" / "thesis.md.partial").write_text("mine")
    assert foreign_files(run) == ["report/thesis.md.partial"]
