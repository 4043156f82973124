"""Oracle: the promise of a finished run's folder: read back as it was written, and whatever was changed is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.files import MARKER
from pcbench.results.columns import OUTCOMES_COLUMNS
from pcbench.results.directory import Run, foreign_files, list_report, open_run, partial_folder
from pcbench.results.run_spec import RunSpec
from pcbench.results.schema import OUTCOMES, read_outcomes
from pcbench.results.workspace import begin

Finish = Callable[..., Run]


def test_a_run_is_read_back_as_written(tmp_path: Path, finish: Finish, spec: RunSpec) -> None:
    run = finish(tmp_path / "run", notes=["α"])
    found = open_run(tmp_path / "run")
    assert (found.spec, found.key, found.manifest) == (spec, spec.key(), run.manifest)
    assert found.manifest["notes"] == ["α"]
    assert not found.found
    assert found.missing == []
    table = found.outcomes("fog-only")
    assert table["image_id"].tolist() == ["a", "b"]
    assert table["severity"].tolist() == [3, 3]
    assert table["queries"].isna().tolist() == [False, True]
    assert found.representations().empty
    assert not partial_folder(tmp_path / "run").exists()


def test_a_word_that_opening_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"option 'verfy' does not exist; did you mean 'verify'\?"):
        open_run(tmp_path, verfy=False)  # pyright: ignore[reportCallIssue]


def test_an_unfinished_run_is_never_taken_for_a_whole_one(tmp_path: Path, spec: RunSpec) -> None:
    begin(tmp_path / "run", spec, again=False)
    for name in ("run", "run.partial"):
        with pytest.raises(UsageError, match="an unfinished run: start it again"):
            open_run(tmp_path / name)
    with pytest.raises(UsageError, match="not a run of pcbench"):
        open_run(tmp_path)


@pytest.mark.parametrize("how", ["cut", "flipped", "grown", "removed", "a folder"])
def test_a_changed_or_missing_file_is_named(tmp_path: Path, finish: Finish, how: str) -> None:
    path = finish(tmp_path / "run").outcome_files()[0]
    content = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how != "removed":
        flipped = content[:99] + bytes([content[99] ^ 1]) + content[100:]
        path.write_bytes({"cut": content[:-1], "flipped": flipped, "grown": content + b"\0"}[how])
    with pytest.raises(DataError, match=r"fog-3\.parquet (is missing|was changed) since the run; .*again=True"):
        open_run(tmp_path / "run")
    assert open_run(tmp_path / "run", verify=False).key  # who asks for the description alone gets it


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"manifest_version": 2, "spec": 3, "files": {}}', "\0"])
def test_a_damaged_manifest_is_named(tmp_path: Path, finish: Finish, text: str) -> None:
    finish(tmp_path / "run")
    (tmp_path / "run" / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json: damaged"):
        open_run(tmp_path / "run")


def test_a_run_of_a_version_to_come_is_refused(tmp_path: Path, finish: Finish) -> None:
    finish(tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "manifest_version": 99}))
    with pytest.raises(DataError, match="a run of version 99, this pcbench reads 2"):
        open_run(tmp_path / "run")


def test_files_that_the_run_did_not_make_are_found_in_its_report_too(tmp_path: Path, finish: Finish) -> None:
    run = finish(tmp_path / "run")
    for name in ("report/index.html", "notes.txt", "outcomes/mine.csv"):
        (run.folder / name).parent.mkdir(exist_ok=True)
        (run.folder / name).write_text("mine")
    assert (run.folder / MARKER).is_file()
    assert sorted(foreign_files(open_run(run.folder))) == ["notes.txt", "outcomes/mine.csv"]
    report = run.folder / "report"
    report.mkdir(exist_ok=True)
    for name in ("index.html", "accuracy.svg", "accuracy.pdf", "accuracy.png", "mine.png", "notes.txt"):
        (report / name).write_text("")
    found = foreign_files(open_run(run.folder))
    assert [name for name in found if name.startswith("report/")] == ["report/mine.png", "report/notes.txt"]


def test_a_report_that_was_killed_while_it_was_written_holds_nothing_foreign(tmp_path: Path, finish: Finish) -> None:
    run = finish(tmp_path / "run")
    report = run.folder / "report"
    list_report(report, ["index.html", "accuracy.svg", "accuracy.pdf"])
    for name in ("accuracy.svg", "accuracy.pdf.partial", ".report.json.partial", "mine.svg", "mine.png.partial"):
        (report / name).write_text("")
    assert foreign_files(open_run(run.folder)) == ["report/mine.png.partial", "report/mine.svg"]
    # A later pcbench draws other figures; those that are there stay its own.
    list_report(report, ["index.html", "success.svg"])
    assert foreign_files(open_run(run.folder)) == ["report/mine.png.partial", "report/mine.svg"]
    # A list that somebody damaged knows nothing.
    (report / ".report.json").write_text("{")
    assert "report/accuracy.svg" in foreign_files(open_run(run.folder))


def test_outcomes_of_version_2_are_read_under_todays_names(tmp_path: Path, outcomes: pa.Table) -> None:
    path = tmp_path / "x.parquet"
    newer = [name for name, column in OUTCOMES_COLUMNS.items() if column.since > 2 and column.former_name is None]
    former = outcomes.drop_columns(newer)
    former = former.rename_columns(["audited" if name == "spot_checked" else name for name in former.column_names])
    pq.write_table(former.replace_schema_metadata({"pcbench_outcomes_version": "2"}), path)
    whole = read_outcomes(path)
    assert whole.schema == OUTCOMES
    assert whole.column("margin").null_count == whole.num_rows
    assert whole.column("spot_checked").equals(outcomes.column("spot_checked"))
    some = read_outcomes(path, ["spot_checked", "margin", "image_id"])
    assert some.column_names == ["image_id", "margin", "spot_checked"]
    assert some.column("image_id").to_pylist() == outcomes.column("image_id").to_pylist()
    # The names of today under the version of then are nobody's file.
    pq.write_table(outcomes.replace_schema_metadata({"pcbench_outcomes_version": "2"}), path)
    with pytest.raises(DataError, match="not those of outcomes version 2"):
        read_outcomes(path)


def test_outcomes_of_another_version_or_shape_are_refused(tmp_path: Path, outcomes: pa.Table) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(outcomes.replace_schema_metadata({"pcbench_outcomes_version": "0"}), path)
    with pytest.raises(DataError, match="version 0"):
        read_outcomes(path)
    pq.write_table(outcomes.drop_columns(["queries"]), path)
    with pytest.raises(DataError, match="columns"):
        read_outcomes(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="cannot be read"):
        read_outcomes(path)


@pytest.mark.parametrize("folder", [".", "", "/"])
def test_a_folder_without_a_name_of_its_own_is_no_run(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="is not a run of pcbench"):
        open_run(Path(folder))


def test_a_run_is_opened_from_inside(finish: Finish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = finish(tmp_path / "run")
    monkeypatch.chdir(made.folder)
    assert open_run(Path()).key == made.key
    assert partial_folder(Path()) == partial_folder(made.folder)
