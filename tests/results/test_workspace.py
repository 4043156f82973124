"""Oracle: what lies on the disk, before and after: nothing that is not ours is touched, a run is whole or absent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pcbench.errors import DataError, UsageError
from pcbench.files import MARKER
from pcbench.results.directory import Run, open_run
from pcbench.results.parts import Part, PartError
from pcbench.results.run_spec import RunSpec
from pcbench.results.workspace import Workspace, begin, settle

Finish = Callable[..., Run]
Other = Callable[..., RunSpec]
Contents = Callable[[Path], dict[str, bytes | None]]


def with_parts(final: Path, spec: RunSpec, table: pa.Table, *, again: bool = False) -> Workspace:
    """Begin a run and compute two units of it."""
    space = begin(final, spec, again=again)
    for unit in ("scores/one/00000", "scores/two/00000"):
        space.write_part(unit, Part(table, "machine"))
    return space


def refused(final: Path, spec: RunSpec, *, again: bool = False) -> str:
    with pytest.raises(UsageError) as error:
        begin(final, spec, again=again)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_stopped_run_of_the_same_key_goes_on(tmp_path: Path, spec: RunSpec, outcomes: pa.Table) -> None:
    first = with_parts(tmp_path / "run", spec, outcomes)
    renamed = spec.model_copy(update={"data": spec.data.model_copy(update={"name": "elsewhere"})})
    second = begin(tmp_path / "run", renamed, again=False)
    assert second.read_part("scores/one/00000").table.equals(outcomes)
    assert first.part_file("scores/one/00000") == second.part_file("scores/one/00000")
    with pytest.raises(PartError, match="of another run"):
        dataclasses.replace(second, spec=spec.model_copy(update={"model": {}})).read_part("scores/one/00000")


def test_unfinished_work_of_other_settings_is_refused_with_both_values_and_kept(
    tmp_path: Path, spec: RunSpec, other: Other, outcomes: pa.Table, contents: Contents
) -> None:
    with_parts(tmp_path / "run", spec, outcomes)
    before = contents(tmp_path)
    told = refused(tmp_path / "run", other(seed=1, threads=2, epsilons=None))
    assert str(tmp_path / "run.partial") in told
    for difference in ("seed: 0 -> 1", "threads: 1 -> 2", "epsilons: [0.25, 0.5] -> nothing"):
        assert f"settings.{difference}" in told
    assert "`out`" in told
    assert "again=True to discard its 2 finished units" in told
    assert contents(tmp_path) == before


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version": 1}', '{"version": 1, "suites": 3}', "\0"])
def test_unfinished_work_whose_description_is_damaged_is_refused_and_kept(
    tmp_path: Path, spec: RunSpec, outcomes: pa.Table, contents: Contents, text: str | None
) -> None:
    description = with_parts(tmp_path / "run", spec, outcomes).folder / "run_spec.json"
    description.unlink()
    if text is not None:
        description.write_text(text)
    before = contents(tmp_path)
    assert "its description cannot be read" in refused(tmp_path / "run", spec)
    assert contents(tmp_path) == before
    begin(tmp_path / "run", spec, again=True)
    assert not list(tmp_path.rglob("*.part"))


def test_again_says_what_it_discards_before_it_does(
    tmp_path: Path, spec: RunSpec, other: Other, outcomes: pa.Table
) -> None:
    space = with_parts(tmp_path / "run", spec, outcomes)
    told: list[tuple[str, int]] = []

    def say(words: str) -> None:
        told.append((words, len(list(space.folder.rglob("*.part")))))

    begin(tmp_path / "run", other(seed=1), again=True, say=say)
    ((words, parts),) = told
    assert words.startswith("discarding 2 finished units of other settings (settings.seed: 0 -> 1) in ")
    assert str(space.folder) in words
    assert parts == 2
    assert not list(space.folder.rglob("*.part"))
    begin(tmp_path / "run", other(seed=1), again=True, say=say)  # the same command goes on
    assert len(told) == 1


def test_work_begun_without_again_is_discarded_once_and_then_gone_on_with(
    tmp_path: Path, spec: RunSpec, outcomes: pa.Table
) -> None:
    told: list[str] = []
    with_parts(tmp_path / "run", spec, outcomes)
    begin(tmp_path / "run", spec, again=True, say=told.append)
    assert told == [f"discarding 2 finished units in {tmp_path / 'run.partial'}"]
    with_parts(tmp_path / "run", spec, outcomes, again=True)
    for again in (True, False):
        space = begin(tmp_path / "run", spec, again=again, say=told.append)
        assert len(list(space.folder.rglob("*.part"))) == 2
    assert len(told) == 1


@pytest.mark.parametrize("again", [False, True])
def test_somebody_elses_folder_beside_ours_is_never_touched(
    tmp_path: Path, spec: RunSpec, contents: Contents, again: bool
) -> None:
    (tmp_path / "thesis.partial").mkdir()
    (tmp_path / "thesis.partial" / "chapter.txt").write_text("dear")
    before = contents(tmp_path)
    told = refused(tmp_path / "thesis", spec, again=again)
    assert "thesis.partial exists and was not made by pcbench" in told
    assert "`out`" in told
    settle(tmp_path / "thesis")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("kind", ["a file", "a link"])
def test_a_file_or_link_of_that_name_is_never_touched(tmp_path: Path, spec: RunSpec, again: bool, kind: str) -> None:
    (tmp_path / "there").mkdir()
    partial = tmp_path / "thesis.partial"
    partial.write_text("dear") if kind == "a file" else partial.symlink_to(tmp_path / "there")
    assert "was not made by pcbench" in refused(tmp_path / "thesis", spec, again=again)
    assert partial.is_symlink() or partial.read_text() == "dear"
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_is_not_a_run_is_never_replaced(
    tmp_path: Path, spec: RunSpec, contents: Contents, again: bool
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("dear")
    (tmp_path / "file").write_text("dear")
    before = contents(tmp_path)
    for name in ("thesis", "file"):
        assert f"{name} exists and is not a run of pcbench; give another" in refused(tmp_path / name, spec, again=again)
    assert contents(tmp_path) == before


def test_an_empty_folder_is_accepted(tmp_path: Path, spec: RunSpec, finish: Finish) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run.partial").mkdir()
    assert finish(tmp_path / "run", spec).folder == tmp_path / "run"


def test_again_replaces_a_run_of_ours_and_without_it_none(
    tmp_path: Path, spec: RunSpec, other: Other, finish: Finish
) -> None:
    finish(tmp_path / "run", spec)
    told = refused(tmp_path / "run", other(seed=1))
    assert "holds another run (settings.seed: 0 -> 1)" in told
    assert "again=True to replace it" in told
    assert finish(tmp_path / "run", other(seed=1), again=True).key == open_run(tmp_path / "run").key


@pytest.mark.parametrize("text", ["{}", "a song list", None])
def test_again_refuses_a_folder_without_our_marker_by_name(
    tmp_path: Path, spec: RunSpec, finish: Finish, contents: Contents, text: str | None
) -> None:
    finish(tmp_path / "run", spec)
    (tmp_path / "run" / MARKER).unlink()
    if text is not None:
        (tmp_path / "run" / "manifest.json").write_text(text)
    before = contents(tmp_path)
    assert f"does not carry pcbench's marker ({MARKER})" in refused(tmp_path / "run", spec, again=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("again", [False, True])
def test_a_run_in_which_somebody_keeps_notes_is_not_replaced(
    tmp_path: Path, spec: RunSpec, finish: Finish, contents: Contents, again: bool
) -> None:
    finish(tmp_path / "run", spec)
    (tmp_path / "run" / "notes.txt").write_text("dear")
    before = contents(tmp_path)
    told = refused(tmp_path / "run", spec, again=again)  # without --again, missing units and tables are made again
    assert "run holds notes.txt, which pcbench did not make; move it away, or give another folder with `out`" in told
    assert contents(tmp_path) == before


@pytest.mark.parametrize("held", ["nothing", "a run"])
def test_what_somebody_put_there_while_the_run_was_under_way_is_not_replaced(
    tmp_path: Path, spec: RunSpec, finish: Finish, contents: Contents, held: str
) -> None:
    final = tmp_path / "run"
    if held == "a run":
        finish(final, spec)
    space = begin(final, spec, again=True)
    space.begin_finishing()
    final.mkdir(exist_ok=True)
    (final / "chapter.txt").write_text("dear")
    before = contents(final)
    with pytest.raises(UsageError, match=r"exists and is not a run of pcbench|holds chapter\.txt, which"):
        space.finish({})
    assert contents(final) == before
    (final / "chapter.txt").unlink()
    assert space.finish({}).folder == final


def test_a_damaged_run_of_ours_may_be_replaced(tmp_path: Path, spec: RunSpec, finish: Finish) -> None:
    finish(tmp_path / "run", spec)
    (tmp_path / "run" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        begin(tmp_path / "run", spec, again=False)
    assert finish(tmp_path / "run", spec, again=True).key == spec.key()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, spec: RunSpec) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(tmp_path / "file" / "run", spec)
    assert "choose a shorter name" in refused(tmp_path / ("x" * 250), spec)  # .partial does not fit
