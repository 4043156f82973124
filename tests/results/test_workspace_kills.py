"""Oracle: a process that is killed at any single point leaves the old run whole, or the new one; two share none."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pcbench import files
from pcbench.errors import HeldError
from pcbench.files import MARKER, Point, watched
from pcbench.results.directory import Run, open_run, partial_folder
from pcbench.results.lock import hold
from pcbench.results.run_spec import RunSpec
from pcbench.results.workspace import WorkspaceState, begin, clean_up, read_state, settle

Finish = Callable[..., Run]
Other = Callable[..., RunSpec]


class Killed(BaseException):
    """The process was killed at this point."""


@contextmanager
def killed_at(number: int) -> Generator[list[Point]]:
    """Kill the process at the point of this number; yields the points that were passed."""
    passed: list[Point] = []

    def count(point: Point) -> None:
        passed.append(point)
        if len(passed) > number:
            raise Killed

    try:
        with watched(count):
            yield passed
    except Killed:
        pass


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """These processes are killed, the machine is not: what they wrote is seen by the next without a wait."""
    monkeypatch.setattr(files, "_to_disk", lambda _: None)


def whole(final: Path) -> str | None:
    """The key of the run that lies there, every file of it checked; None where there is none."""
    return open_run(final).key if final.exists() else None


def partials(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "run"]


@pytest.mark.parametrize("replacing", [False, True])
def test_wherever_it_is_killed_the_old_run_or_the_new_one_is_whole(
    tmp_path: Path, spec: RunSpec, other: Other, finish: Finish, replacing: bool
) -> None:
    old, new = spec.key() if replacing else None, other(seed=1)
    left: set[str | None] = set()
    # The points are those of a file after another; every second one is enough where a run is replaced.
    number, step = 0, 2 if replacing else 1
    while True:
        final = tmp_path / str(number) / "run"
        if replacing:
            finish(final, spec)
        with killed_at(number) as passed:
            finish(final, new, again=replacing)
        if len(passed) <= number:
            break
        settle(final)
        assert whole(final) in (old, new.key()), passed[-1]
        left.add(whole(final))
        settle(final)
        assert finish(final, new, again=replacing).key == whole(final) == new.key()
        assert partials(final.parent) == []
        number += step
    assert number > 40
    assert left == {old, new.key()}


def test_wherever_discarding_is_killed_the_same_call_goes_on(
    tmp_path: Path, spec: RunSpec, other: Other, finish: Finish
) -> None:
    number = 0
    while True:
        final = tmp_path / str(number) / "run"
        unfinished = begin(final, spec, again=False)
        for name in ("one", "two"):
            files.write(unfinished.folder / "parts" / f"{name}.part", b"made")
        with killed_at(number) as passed:
            begin(final, other(seed=1), again=True)
        if len(passed) <= number:
            break
        settle(final)
        space = begin(final, other(seed=1), again=True)
        assert not list(space.folder.rglob("*.part"))
        assert finish(final, other(seed=1), again=True).key == other(seed=1).key()
        assert partials(final.parent) == []
        number += 1
    assert number > 20


@pytest.fixture
def between(tmp_path: Path, spec: RunSpec, other: Other, finish: Finish) -> Path:
    """The folder of a run that was killed between the two renames: the old one has lost its name, the new has none."""
    final = tmp_path / "run"
    finish(final, spec)

    def kill(point: Point) -> None:
        if point.moment == "after" and point.step == "rename" and point.path.name == "replaced":
            raise Killed

    with pytest.raises(Killed), watched(kill):
        finish(final, other(seed=1), again=True)
    assert not final.exists()
    assert open_run(final.with_name("run.partial") / "replaced").key == spec.key()
    return final


def test_killed_between_the_renames_a_whole_new_run_gets_its_name(between: Path, other: Other) -> None:
    settle(between)
    assert whole(between) == other(seed=1).key()
    assert partials(between.parent) == []


@pytest.mark.parametrize("damage", ["manifest.json", "fog-3.parquet", "run_spec.json", "spec", "all"])
def test_killed_between_the_renames_the_old_run_comes_back_where_the_new_one_is_not_whole(
    between: Path, spec: RunSpec, damage: str
) -> None:
    partial = partial_folder(between)
    if damage == "all":
        files.remove_folder(partial / "finished")
    elif damage == "spec":
        manifest = partial / "finished" / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"seed": 1', '"seed": 8'))
    else:
        (path,) = (path for path in partial.rglob(damage) if "replaced" not in path.parts)
        path.write_bytes(path.read_bytes()[:-9])
    settle(between)
    assert whole(between) == spec.key()


def test_a_folder_that_says_it_is_published_or_discarded_is_removed(tmp_path: Path, spec: RunSpec) -> None:
    for word in ("published", "discarded"):
        space = begin(tmp_path / "run", spec, again=True)
        marker = json.loads((space.folder / MARKER).read_text())
        (space.folder / MARKER).write_text(json.dumps({**marker, word: True}))
        assert read_state(space.folder) == WorkspaceState(again=True, **{word: True})
        settle(tmp_path / "run")
        assert not space.folder.exists()
    settle(tmp_path / "run")  # nothing there


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "3", '{"made_by": "pcbench"}', '{"made_by": "x", "what": "unfinished run"}', "\0"]
)
def test_a_damaged_marker_is_none(tmp_path: Path, spec: RunSpec, text: str) -> None:
    space = begin(tmp_path / "run", spec, again=False)
    (space.folder / MARKER).write_text(text)
    assert read_state(space.folder) is None
    settle(tmp_path / "run")
    assert (space.folder / "run_spec.json").is_file()


def test_sweeping_leaves_work_that_is_going_to_replace_the_run_and_parts_of_one_that_lacks_some(
    tmp_path: Path, spec: RunSpec, finish: Finish
) -> None:
    for name, again, missing, swept in (
        ("a", False, [], True),
        ("b", True, [], False),
        ("c", False, [{"condition": "fog", "images": "images 1 to 4", "reason": "lost"}], False),
    ):
        finish(tmp_path / name, spec, missing=missing)
        begin(tmp_path / name, spec, again=again)
        clean_up(tmp_path / name)
        assert partial_folder(tmp_path / name).exists() is not swept


def test_of_two_threads_one_gets_in(tmp_path: Path, spec: RunSpec, other: Other, finish: Finish) -> None:
    told: list[object] = []
    begun, done = threading.Event(), threading.Event()

    def first() -> None:
        with hold(tmp_path / "run"):
            begun.set()
            done.wait(20)
            told.append(finish(tmp_path / "run", spec).key)

    thread = threading.Thread(target=first)
    thread.start()
    begun.wait(20)
    with pytest.raises(HeldError, match="a run is under way there"), hold(tmp_path / "run"):
        begin(tmp_path / "run", other(seed=1), again=True)
    done.set()
    thread.join()
    assert told == [spec.key()] == [whole(tmp_path / "run")]


RACE = """
import pathlib, sys, time
from pcbench import files
from pcbench.errors import HeldError
from pcbench.results.lock import hold
from pcbench.results.run_spec import RunSpec
from pcbench.results.workspace import begin

final, spec = pathlib.Path(sys.argv[1]), RunSpec.model_validate_json(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(100):
    try:
        with hold(final):
            space = begin(final, spec, again=True)
            for number in range(20):
                files.write(space.begin_finishing() / "outcomes" / f"{number}.parquet", spec.key() * number)
            assert space.finish({}).key == spec.key()
        break
    except HeldError as held:
        assert "process" in str(held)
        time.sleep(0.01)
else:
    sys.exit(3)
"""


def test_two_processes_that_want_the_same_folder_do_it_one_after_the_other(
    tmp_path: Path, spec: RunSpec, other: Other
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path / "run"), made.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for made in (spec, other(seed=1))
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ended = [process.communicate("go\n", timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert whole(tmp_path / "run") in (spec.key(), other(seed=1).key())
    assert partials(tmp_path) == []
