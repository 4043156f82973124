"""Oracle: a run that nothing happened to: whatever is damaged, full or gone, its tables come out, or one line."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pcbench import files
from pcbench.errors import PcbenchError, UsageError, WriteError
from pcbench.files import Point, watched
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import RunOptions, request_from
from pcbench.harness.run import execute
from pcbench.harness.start import run
from pcbench.results.directory import Run, open_run, partial_folder

MUTATIONS = 12
OPTIONS: dict[str, Any] = {"data": "digits", "images": 8, "timesteps": 0, "checks": False, "progress": False}
OPTIONS |= {"batch_size": 4, "block_size": 4, "threads": 1, "save_adversarials": True}


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """Leave out pages and pictures, and don't wait for the disk: no machine fails here, only processes do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        patch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
        patch.setattr(files, "_to_disk", lambda _: None)
        yield


@pytest.fixture(scope="module")
def request_of(shared_suites: tuple[Path, Path]) -> Callable[..., RunOptions]:
    """A request for two attacks on eight digits, in blocks of four: 7 units."""

    def make(**options: Any) -> RunOptions:
        return request_from({"model": "pdigits", "suites": (str(shared_suites[1]),), **OPTIONS, **options})

    return make


@pytest.fixture(scope="module")
def plan(request_of: Callable[..., RunOptions]) -> Plan:
    return make_plan(request_of())


Measure = Callable[..., Run]


@pytest.fixture(scope="module")
def measure(request_of: Callable[..., RunOptions], plan: Plan) -> Measure:
    """Do what is planned, in a folder."""

    def start(folder: Path, **options: object) -> Run:
        return execute(request_of(**options), plan, folder)

    return start


@pytest.fixture(scope="module")
def whole(measure: Measure, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return measure(tmp_path_factory.mktemp("whole") / "run")


def stop(measure: Measure, folder: Path, met: Callable[[Point], bool], **options: object) -> Path:
    """Stop a run at the first point that meets a condition; return its unfinished folder."""

    def look(point: Point) -> None:
        if met(point):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watched(look):
        measure(folder, **options)
    return partial_folder(folder)


def after(suffix: str, number: int = 1) -> Callable[[Point], bool]:
    """Meet the moment after so many files of a kind have got their names."""
    count = itertools.count(1)
    return lambda point: (
        (point.moment, point.step) == ("after", "rename") and point.path.name.endswith(suffix) and next(count) == number
    )


def parts_of(folder: Path) -> list[Path]:
    return sorted((folder / "parts").rglob("*.part"))


@pytest.fixture(scope="module")
def halfway(measure: Measure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unfinished folder of a run that was stopped after five units."""
    return stop(measure, tmp_path_factory.mktemp("halfway") / "run", after(".part", 5))


@pytest.fixture(scope="module")
def unnamed(measure: Measure, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unfinished folder of a run that was stopped when the finished folder only lacked its name."""
    return stop(measure, tmp_path_factory.mktemp("unnamed") / "run", after("manifest.json"))


def same(made: Run, whole: Run) -> bool:
    """Return whether a run is the other in every file, and in all that its manifest says except its times."""
    times = ("started", "seconds", "waited_for_images", "manifest_sha256")
    one, other = ({key: run.manifest[key] for key in run.manifest if key not in times} for run in (made, whole))
    return one == other and open_run(made.folder).key == whole.key


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def noise(content: bytes) -> bytes:
    return random.Random(0).randbytes(len(content))  # noqa: S311 - not for secrets


@pytest.mark.parametrize("damage", [cut, noise, lambda _: b""])
def test_a_damaged_part_is_named_and_computed_anew(
    measure: Measure,
    whole: Run,
    halfway: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
) -> None:
    shutil.copytree(halfway, tmp_path / "run.partial")
    damaged = parts_of(tmp_path / "run.partial")[1::2]
    for path in damaged:
        path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING, "pcbench"):
        assert same(measure(tmp_path / "run"), whole)
    assert len(caplog.messages) == len(damaged)
    for path, line in zip(damaged, sorted(caplog.messages), strict=True):
        assert line.startswith(f"{path}: is ")
        assert line.endswith("; it is computed again")


def test_parts_of_another_seed_or_place_are_named_and_computed_anew(
    request_of: Callable[..., RunOptions],
    measure: Measure,
    whole: Run,
    halfway: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seed = request_of(seed=1)
    other = stop(lambda folder: execute(seed, make_plan(seed), folder), tmp_path / "other", after(".part", 3))
    shutil.copytree(halfway, tmp_path / "run.partial")
    copied = [tmp_path / "run.partial" / path.relative_to(other) for path in parts_of(other)]
    for path in copied:
        shutil.copy(other / path.relative_to(tmp_path / "run.partial"), path)
    kept = [path for path in parts_of(tmp_path / "run.partial") if path not in copied]
    shutil.copy(kept[0], kept[1])
    with caplog.at_level(logging.WARNING, "pcbench"):
        assert same(measure(tmp_path / "run"), whole)
    assert sum("is a part of another run" in line for line in caplog.messages) == len(copied) == 3
    assert sum("is the part of another unit" in line for line in caplog.messages) == 1


def mutate(folder: Path, choice: random.Random) -> str:
    """Cut, flip, delete or add bytes in one file of a folder; return what was done."""
    path = choice.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = path.read_bytes()
    how, place = choice.choice(["cut", "flip", "delete", "insert", "remove"]), choice.randrange(max(len(content), 1))
    some = choice.randbytes(choice.choice([1, 1, 8]))
    made = {
        "cut": content[:place],
        "flip": content[:place] + bytes(byte ^ 1 << choice.randrange(8) for byte in content[place : place + 1]),
        "delete": content[:place] + content[place + len(some) :],
        "insert": content[:place] + some + content[place:],
    }
    path.unlink()
    if how != "remove":
        path.write_bytes(made[how] + (content[place + 1 :] if how == "flip" else b""))
    return f"{how} at {place} in {path.relative_to(folder)}"


def outcome(measured: Callable[[], Run]) -> tuple[Run | None, str]:
    """Return a run, or what is said instead."""
    try:
        return measured(), ""
    except PcbenchError as error:
        return None, str(error)


def test_random_bytes_in_any_file_lead_to_the_same_numbers_or_one_line(
    measure: Measure, whole: Run, halfway: Path, unnamed: Path, tmp_path: Path
) -> None:
    choice = random.Random(7)  # noqa: S311 - not for secrets
    refused = 0
    for number in range(MUTATIONS):
        folder = tmp_path / str(number)
        shutil.copytree(unnamed if number % 2 else halfway, folder / "run.partial")
        done = mutate(folder / "run.partial", choice)
        made, told = outcome(lambda run=folder / "run": measure(run))
        if made is None:
            refused += 1
            assert str(folder / "run.partial") in told, done
            assert "\n" not in told, done
            assert not (folder / "run").exists(), done
        else:
            assert same(made, whole), done
            assert not partial_folder(folder / "run").exists(), done
        shutil.rmtree(folder)
    assert refused < MUTATIONS / 4


UNITS = 7
"""How many parts a whole run makes."""

FULL = [
    ("run_spec.json", "write"),
    (".pcbench.json", "rename"),
    ("00001.part", "write"),
    ("fgsm-t0.parquet", "fsync"),
    ("metrics.csv", "write"),
    ("manifest.json", "rename"),
]


@pytest.mark.parametrize(("name", "step"), FULL)
def test_a_full_disk_is_one_line_and_the_same_call_goes_on(
    measure: Measure, whole: Run, tmp_path: Path, name: str, step: str
) -> None:
    def fill(point: Point) -> None:
        if (point.moment, point.step) == ("before", step) and point.path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(WriteError) as failed, watched(fill):
        measure(tmp_path / "run")
    assert failed.value.exit_code == 1
    assert f"{name}: cannot be written (No space left on device; free some space on this disk)" in str(failed.value)
    assert isinstance(failed.value.__cause__, OSError)
    assert not (tmp_path / "run").exists()
    kept = parts_of(tmp_path / "run.partial")
    assert len(kept) == {"00001.part": 3}.get(name, UNITS if (name, step) in FULL[3:] else 0)
    seen: set[Path] = set()
    with watched(lambda point: seen.add(point.path) if point.step == "write" else None):
        assert same(measure(tmp_path / "run"), whole)
    assert not seen.intersection(kept)


def test_a_disk_that_has_no_room_for_the_progress_spoils_no_unit(
    measure: Measure, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.harness.progress._SECONDS_BETWEEN_FILES", -1.0)
    tried: list[Point] = []

    def fill(point: Point) -> None:
        if point.step == "write" and point.path.name == "progress.json":
            tried.append(point)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with watched(fill):
        assert same(measure(tmp_path / "run"), whole)
    assert len(tried) > 10


@pytest.mark.parametrize(("name", "number"), [(".part", 3), (".part", UNITS), ("metrics.csv", 1)])
def test_an_unfinished_folder_that_vanishes_is_one_line_and_the_same_call_goes_on(
    measure: Measure, whole: Run, tmp_path: Path, name: str, number: int
) -> None:
    met = after(name, number)

    def vanish(point: Point) -> None:
        if met(point):
            shutil.rmtree(tmp_path / "run.partial")

    with pytest.raises(WriteError, match=r"\.partial: was removed .*; the same command starts again"), watched(vanish):
        measure(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    assert same(measure(tmp_path / "run"), whole)


def test_inputs_of_a_unit_that_vanish_are_one_line(request_of: Callable[..., RunOptions], tmp_path: Path) -> None:
    request = request_of(checks=None)  # the cheap checks read what the attacks have made
    met = after(".part", UNITS)

    def vanish(point: Point) -> None:
        if met(point):
            shutil.rmtree(tmp_path / "run.partial")

    with pytest.raises(WriteError, match=r"\.partial: was removed .*; the same command starts again"), watched(vanish):
        execute(request, make_plan(request), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def begin(out: Path, shared_suites: tuple[Path, Path]) -> Run:
    """Start a run by the door."""
    return run("pdigits", [str(shared_suites[0])], out=out, **{**OPTIONS, "save_adversarials": False})


@pytest.mark.parametrize("there", [False, True])
def test_what_is_written_through_a_link_lands_where_it_leads(
    shared_suites: tuple[Path, Path], tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    made = begin(tmp_path / "link", shared_suites)
    assert made.folder == (tmp_path / "disk" / "run").resolve()
    assert (tmp_path / "link").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["run"]
    assert begin(tmp_path / "link", shared_suites).found


def test_a_place_that_cannot_be_is_wrong_use_and_leaves_nothing(
    shared_suites: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("dear")
    (tmp_path / "here").symlink_to(tmp_path / "there")
    (tmp_path / "there").symlink_to(tmp_path / "here")
    before = sorted(tmp_path.iterdir())
    for out in ("file/run", "file", "here", "here/run", "x" * 300, "x" * 250, f"{'x' * 300}/run"):
        with pytest.raises(UsageError) as refused:
            begin(tmp_path / out, shared_suites)
        assert "\n" not in str(refused.value)
        assert "`out`" in str(refused.value)
        assert refused.value.exit_code == 2
        assert sorted(tmp_path.iterdir()) == before, out


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_wrong_use(
    shared_suites: tuple[Path, Path], tmp_path: Path, code: int
) -> None:
    for inside in ("parent", "run.partial"):

        def forbid(point: Point, inside: str = inside) -> None:
            if point.moment == "before" and inside in (point.path.name, point.path.parent.name):
                raise OSError(code, os.strerror(code))

        with pytest.raises(UsageError, match=r"cannot be written .*`out`"), watched(forbid):
            begin(tmp_path / "parent" / "run", shared_suites)
        assert not (tmp_path / "parent" / "run").exists()
