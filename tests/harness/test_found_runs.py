"""Oracle: files and their times before and after: what is finished is found, and only what changed is made again."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile
from torch import nn

from pcbench import files
from pcbench.cli.run_table import print_summary
from pcbench.data.stores import FileStore
from pcbench.errors import UsageError
from pcbench.files import Point, watched
from pcbench.harness import finish, joining
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.run import execute
from pcbench.harness.start import run
from pcbench.results.directory import Run, open_run, partial_folder
from pcbench.results.workspace import settle
from pcbench.terminal import Terminal

OPTIONS: dict[str, Any] = {"data": "digits", "images": 8, "timesteps": 0, "checks": False, "progress": False}
OPTIONS |= {"batch_size": 4, "block_size": 4, "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def quickly() -> Iterator[None]:
    """Leave out pages and pictures, and don't wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        patch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
        patch.setattr(files, "_to_disk", lambda _: None)
        yield


Measure = Callable[..., Run]


@pytest.fixture
def measure(attack_suite: Path, tmp_path: Path) -> Measure:
    """Measure pdigits under two attacks on eight digits."""

    def start(name: str = "run", **options: object) -> Run:
        return run("pdigits", str(attack_suite), out=tmp_path / name, **{**OPTIONS, **options})

    return start


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Which files lie in a folder, by what changes when one is written or replaced."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file())
    return {path: (status.st_ino, status.st_mtime_ns) for path, status in found}


def test_a_finished_run_is_found_and_nothing_is_written(measure: Measure, tmp_path: Path) -> None:
    first = measure()
    assert not first.found
    before, points = stamps(tmp_path / "run"), []
    with watched(points.append):
        second = measure()
    assert second.found
    assert (second.key, second.manifest) == (first.key, first.manifest)
    assert stamps(tmp_path / "run") == before
    assert not [point for point in points if (tmp_path / "run") in (point.path, *point.path.parents)]
    for made, words in ((first, "wrote {}"), (second, "found {}, computed on {}")):
        console = Terminal(file=io.StringIO(), width=200)
        print_summary(made, console)
        last = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
        assert last == words.format(made.folder, first.manifest["started"])


def test_who_stops_a_report_learns_that_the_run_is_finished(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pcbench.harness.run._write_report", stop)
    with pytest.raises(KeyboardInterrupt) as stopped:
        measure()
    assert stopped.value.__notes__ == [f"the run in {tmp_path / 'run'} is finished and its report is not"]


def test_a_finished_run_that_was_changed_is_not_taken_for_it(measure: Measure) -> None:
    first = measure()
    path = first.outcome_files()[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match=rf"{path.name} (is missing|was changed) since the run; .*again=True"):
        measure()
    assert measure(again=True).manifest["files"] == first.manifest["files"]


def renamed_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code that makes tables be another, which gives the model another name."""

    def summarise(*args: Any, **options: Any) -> pd.DataFrame:
        return summarise_folder(*args, **{**options, "model": "renamed"})

    summarise_folder = joining.summarise_folder
    monkeypatch.setattr(joining, "summarise_folder", summarise)
    monkeypatch.setattr(finish, "code_hash", lambda _: "another")


def test_tables_are_made_again_where_their_code_changed_and_outcomes_are_not(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure()
    before = stamps(tmp_path / "run")
    renamed_tables(monkeypatch)
    monkeypatch.setattr("pcbench.harness.engines.local.make", lambda *_, **__: pytest.fail("an engine was made"))
    second = measure()
    assert second.found
    assert set(second.metrics["model"]) == {"renamed"}
    after = stamps(tmp_path / "run")
    again = {path.name for path in after if after[path] != before[path]}
    assert again == {"metrics.parquet", "metrics.csv", "manifest.json", ".pcbench.json"}
    changed = {key for key in first.manifest if first.manifest[key] != second.manifest[key]}
    assert changed == {"tables", "files", "manifest_sha256"}
    assert open_run(tmp_path / "run").manifest["tables"]["code"] == "another"
    assert not partial_folder(tmp_path / "run").exists()
    assert measure().manifest == second.manifest  # and only once


class Killed(BaseException):
    """The process was killed here."""


def test_wherever_the_making_of_tables_is_killed_the_run_is_whole_and_the_same_call_goes_on(
    attack_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_from({"model": "pdigits", "suites": (str(attack_suite),), **OPTIONS})
    plan = make_plan(request)
    first = execute(request, plan, tmp_path / "first")
    renamed_tables(monkeypatch)
    total: list[Point] = []
    shutil.copytree(first.folder, tmp_path / "whole" / "run")
    with watched(total.append):
        whole = execute(request, plan, tmp_path / "whole" / "run")
    ends = {number for number, point in enumerate(total) if point.path.name in ("run", "replaced", ".pcbench.json")}
    seen: set[str] = set()
    for number in sorted({*range(0, len(total), 9), *(end for end in ends if total[end].step == "rename")}):
        final = tmp_path / str(number) / "run"
        shutil.copytree(first.folder, final)
        passed: list[Point] = []

        def kill(point: Point, passed: list[Point] = passed, number: int = number) -> None:
            passed.append(point)
            if len(passed) > number:
                raise Killed

        with pytest.raises(Killed), watched(kill):
            execute(request, plan, final)
        settle(final)
        seen |= set(open_run(final).metrics["model"])
        assert open_run(final).outcomes().equals(first.outcomes())
        made = execute(request, plan, final)
        assert made.manifest == whole.manifest, passed[-1]
        assert not partial_folder(final).exists()
        shutil.rmtree(final.parent)
    assert seen == {"pdigits", "renamed"}


def test_work_of_another_kind_of_machine_is_only_gone_on_with_when_asked_and_then_noted(
    measure: Measure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(machine: str) -> None:
        for place in ("pcbench.harness.run", "pcbench.harness.engines.base"):
            monkeypatch.setattr(f"{place}.machine_kind", lambda _: machine)

    def stop(point: Point) -> None:
        if point.path.name == "00001.part" and point.step == "write":
            raise KeyboardInterrupt

    whole = measure("whole")
    on("abacus")
    with pytest.raises(KeyboardInterrupt) as stopped, watched(stop):
        measure()
    assert stopped.value.__notes__ == [f"3 of 7 units are kept in {tmp_path / 'run.partial'}"]
    on("slide rule")
    kept = stamps(tmp_path / "run.partial" / "parts")
    with pytest.raises(UsageError, match=r"another kind of .*\(abacus; this is slide rule\).*mixed_machines=True"):
        measure()
    assert {path: stamp for path, stamp in stamps(tmp_path / "run.partial" / "parts").items() if path in kept} == kept
    made = measure(mixed_machines=True)
    assert made.manifest["machines"] == {"abacus": 3, "slide rule": 4}
    (note,) = (note for note in made.manifest["notes"] if "several kinds of machines" in note)
    assert "3 units on abacus, 4 units on slide rule" in note
    assert made.manifest["files"] == whole.manifest["files"]  # it is one machine, after all
    on("abacus")
    assert measure().found


def test_a_plan_runs_no_network_decodes_no_image_and_hashes_those_of_the_run_alone(
    shared_suites: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    for number in range(30):
        path = tmp_path / "images" / str(number % 10) / f"{number}.{'png' if number % 2 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    read: list[int] = []
    read_file = FileStore.read

    def note(store: FileStore, position: int) -> bytes:
        read.append(position)
        return read_file(store, position)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was run, or an image decoded")

    monkeypatch.setattr(FileStore, "read", note)
    monkeypatch.setattr(nn.Module, "__call__", refuse)
    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    for name in ("pdigits", "pdigits_feedforward"):
        plans = {}
        for images in (4, None):
            read.clear()
            timesteps = None if name.endswith("forward") else 2
            request = request_from(
                {
                    "model": name,
                    "suites": tuple(map(str, shared_suites)),
                    "data": f"imagefolder:{tmp_path / 'images'}",
                    "images": images,
                    "timesteps": timesteps,
                }
            )
            plans[images] = make_plan(request)
            hashed = sorted(set(plans[images].images.column("image_id").to_pylist()))
            assert len(hashed) == (images or 30)
            others = set(read) - {_place(name) for name in hashed}
            assert others <= {0}  # the size of the first one tells the batch
            assert all(read.count(place) == 1 for place in set(read) - {0})
        assert plans[4].spec.key() != plans[None].spec.key()
        assert plans[4].spec.data.former_fingerprint is None
        assert plans[4].spec.data.available == 30


def _place(name: str) -> int:
    """The place of a file among all, which are sorted by class and by name."""
    number = int(Path(name).stem)
    same = sorted(f"{other}.{'png' if other % 2 else 'jpg'}" for other in range(number % 10, 30, 10))
    return 3 * (number % 10) + same.index(Path(name).name)
