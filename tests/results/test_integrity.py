"""Oracle: a run's folder that was changed by hand, file by file; what was changed is named in every verb that reads."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_runs import begin_made_run, made_data, made_settings, made_spec, made_suite, made_table

from pcbench.cli.main import main
from pcbench.comparison.scores import read_scores
from pcbench.errors import DataError, UsageError
from pcbench.metrics.summary import summarise_folder
from pcbench.results.conditions import Condition
from pcbench.results.directory import MANIFEST, Run, open_run
from pcbench.results.metrics_table import write_metrics


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("whole") / "run"
    spec = made_spec([made_suite("made-c", 20)], made_data(20), made_settings(timesteps=1))
    correct = np.random.default_rng(0).random((2, 20)) < 0.7
    fog = made_table(Condition("made-c", "corruption", "fog", 3), [0, 1], correct)
    clean = made_table(Condition("made-c", "clean", "clean"), [0, 1], correct | True)
    workspace = begin_made_run(folder, spec, {"made-c/fog-3.parquet": fog, "made-c/clean.parquet": clean})
    write_metrics(summarise_folder(workspace.finished / "outcomes", model="made", baselines={}), workspace.finished)
    return workspace.finish({"notes": ["a note"]})


@pytest.fixture
def run(whole: Run, tmp_path: Path) -> Run:
    return dataclasses.replace(whole, folder=shutil.copytree(whole.folder, tmp_path / "run"))


def cut(folder: Path) -> None:
    path = folder / "metrics.csv"
    path.write_bytes(path.read_bytes()[:-5])


def remove(folder: Path) -> None:
    (folder / "outcomes/made-c/fog-3.parquet").unlink()


def drop_a_note(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "notes": []}))


def change_the_seed(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))


def add(folder: Path) -> None:
    shutil.copy(folder / "outcomes/made-c/fog-3.parquet", folder / "outcomes/made-c/fog-4.parquet")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cut, "metrics.csv was changed"),
        (remove, "outcomes/made-c/fog-3.parquet is missing"),
        (add, "outcomes/made-c/fog-4.parquet was added"),
        (drop_a_note, "manifest.json was changed"),
        (change_the_seed, "manifest.json was changed"),
    ],
)
def test_what_was_changed_is_named_and_allowing_it_marks_the_run(
    run: Run, change: Callable[[Path], None], says: str
) -> None:
    assert open_run(run.folder).manifest.get("notes", []) == open_run(run.folder, allow_changed=True).manifest["notes"]
    change(run.folder)
    with pytest.raises(DataError) as refused:
        open_run(run.folder)
    assert says in str(refused.value)
    assert "allow_changed=True" in str(refused.value)
    assert open_run(run.folder, allow_changed=True).manifest["notes"][-1].startswith(f"CHANGED since the run: {says}")


@pytest.mark.parametrize("verb", ["report", "compare", "export", "show", "figure"])
def test_every_verb_refuses_a_changed_run_and_says_so_where_it_is_allowed(
    run: Run, verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    cut(run.folder)
    more = {"compare": [], "show": []}.get(verb, ["--out", str(tmp_path / ("f.svg" if verb == "figure" else "out"))])
    words = [verb, *(["made-c-accuracy"] if verb == "figure" else []), str(run.folder), *more]
    with pytest.raises(SystemExit) as ended:
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert "metrics.csv was changed since the run" in line
    assert "--allow-changed" in line
    if verb == "figure":
        return
    with pytest.raises(SystemExit) as ended:
        main([*words, "--allow-changed"])
    assert ended.value.code == 0
    written = [path.read_text(errors="replace") for path in (tmp_path / "out").glob("*") if path.is_file()]
    said = capsys.readouterr().out + "".join(written)
    assert "CHANGED since the run: metrics.csv was changed" in said


def test_links_that_lead_out_are_not_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "x.parquet").write_text("of somebody")
    (run.folder / "inner").symlink_to(run.folder / "outcomes")
    (tmp_path / "link").symlink_to(run.folder)
    assert open_run(tmp_path / "link").key == run.key
    for name in ("outcomes/other", "report", "notes.txt"):
        link = run.folder / name
        link.symlink_to(tmp_path / "secret")
        for allowed in (False, True):
            with pytest.raises(DataError, match="leads out of the run's folder"):
                open_run(run.folder, allow_changed=allowed)
        link.unlink()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "outcomes/../../secret"])
def test_a_manifest_names_files_of_its_own_folder_alone(run: Run, name: str) -> None:
    path = run.folder / MANIFEST
    path.write_text(path.read_text().replace('"metrics.csv"', f'"{name}"'))
    with pytest.raises(DataError, match="not a file of the run"):
        open_run(run.folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("how", ["pipe", "loop"])
@pytest.mark.parametrize("allowed", [False, True])
def test_what_is_neither_a_file_nor_a_folder_is_refused_before_it_is_read(run: Run, how: str, allowed: bool) -> None:
    path = run.folder / "metrics.parquet"
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)  # reading it would wait without end
    else:
        path.symlink_to(path.name)
    with pytest.raises(DataError, match=r"metrics\.parquet: is neither a file nor a folder"):
        open_run(run.folder, allow_changed=allowed)


def test_a_manifest_that_names_what_no_disk_can_hold_is_one_line(run: Run) -> None:
    path = run.folder / MANIFEST
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "files": {**content["files"], "a" * 5000: "0" * 64}}))
    with pytest.raises(DataError, match="cannot be read"):
        open_run(run.folder)


def test_a_run_with_a_name_that_no_disk_can_hold_is_none() -> None:
    with pytest.raises(UsageError, match="is not a run of pcbench"):
        open_run("a" * 5000)


def test_outcomes_of_a_suite_that_the_manifest_does_not_name_are_refused(run: Run) -> None:
    with pytest.raises(DataError, match="does not name the suite made-c"):
        read_scores(dataclasses.replace(run, spec=run.spec.model_copy(update={"suites": ()})))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "null",
        "[]",
        "3",
        "{}",
        "[" * 100_000,
        '{"manifest_version": 2}',
        '{"manifest_version": {}}',
        '{"manifest_version": 2, "spec": null, "files": {}, "key": "0123456789ab"}',
        '{"manifest_version": 2, "spec": {}, "files": [], "key": "0123456789ab"}',
        '{"manifest_version": 2, "spec": {}, "files": {}}',
        "\ufeff{}",
    ],
)
def test_a_manifest_that_is_something_else_is_one_line(run: Run, content: str) -> None:
    (run.folder / MANIFEST).write_text(content)
    for allowed in (False, True):
        with pytest.raises(DataError) as refused:
            open_run(run.folder, allow_changed=allowed)
        assert "\n" not in str(refused.value)
        assert MANIFEST in str(refused.value) or "of version" in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("notes", 3), ("notes", [3]), ("kept", []), ("missing", [3]), ("missing", [{"a": "b"}]),
     ("seconds", "x"), ("started", 3), ("key", "../x"),
     ("files", {"metrics.csv": 3}), ("machines", {"x": "y"}), ("options", [])],
)  # fmt: skip
def test_a_field_of_another_type_is_named(run: Run, field: str, value: object) -> None:
    path = run.folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(DataError, match=field):
        open_run(run.folder)
