"""Oracle: the folder's own listing at every point at which the writing of a report can stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_runs import write_run

from pcbench.files import TRIAL, Point, watched
from pcbench.reports.report import write_report
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


def test_an_unfinished_file_of_somebody_else_is_foreign(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "pdigits", 0, corruptions=("fog",))
    (run.folder / "report").mkdir(exist_ok=True)
    (run.folder / "report" / "thesis.md.partial").write_text("mine")
    assert foreign_files(run) == ["report/thesis.md.partial"]
