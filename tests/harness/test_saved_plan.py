"""Oracles: the plan that was saved, whose every value has to come back; and the run without a saved plan, whose bytes
the run with one has to make."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pcbench.data.image_source import ImageSource
from pcbench.errors import DataError, RunError, UsageError, WriteError
from pcbench.files import Point, watched
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import open_plan, read_plan, write_plan
from pcbench.harness.start import run
from pcbench.models.facts import ModelFacts

OPTIONS: dict[str, Any] = {
    "model": "pdigits",
    "images": 24,
    "timesteps": 1,
    "batch_size": 4,
    "block_size": 8,
    "threads": 1,
    "epsilons": "8/255",
}
QUIET = {"progress": False, "workers": 1}


@pytest.fixture(scope="module", autouse=True)
def without_report() -> Iterator[None]:
    """Leave out pages and figures: they are made from a finished run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 images in ten classes."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 255, (30, 32, 32, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        place = folder / f"class{number % 10}"
        place.mkdir(exist_ok=True)
        Image.fromarray(image).save(place / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def options(data: Path, shared_suites: tuple[Path, Path]) -> dict[str, Any]:
    return {**OPTIONS, "data": f"imagefolder:{data}", "suites": tuple(map(str, shared_suites))}


@pytest.fixture(scope="module")
def plan(options: dict[str, Any]) -> Plan:
    return make_plan(request_from(options))


@pytest.fixture(scope="module")
def saved(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plan(plan, tmp_path_factory.mktemp("plans") / "saved")


def facts_of(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan.facts, name) for name in ModelFacts.__dataclass_fields__}


def test_a_plan_comes_back_as_it_was(plan: Plan, saved: Path, data: Path) -> None:
    request = request_from({"spec": saved, "data": f"imagefolder:{data}"})
    found = read_plan(saved, request)
    assert found.spec == plan.spec
    assert found.spec.key() == plan.spec.key()
    assert found.units == plan.units
    assert found.images.equals(plan.images)
    assert facts_of(found) == facts_of(plan)
    assert (found.notes, found.question, found.lists, found.used) == (plan.notes, plan.question, plan.lists, plan.used)
    assert found.options == plan.options
    assert found.locations.data == plan.locations.data


def test_no_path_of_this_machine_is_in_it(saved: Path, data: Path, shared_suites: tuple[Path, Path]) -> None:
    places = [str(place).encode() for place in (data, saved.parent, *shared_suites)]
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {
        "plan.json",
        "run_spec.json",
        "units.parquet",
        "images.parquet",
        "pgd.toml",
    }
    assert [path for path in files for place in places if place in path.read_bytes()] == []


def test_a_run_of_a_saved_plan_makes_the_same_bytes_and_hashes_no_image_beforehand(
    options: dict[str, Any], saved: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(**options, out=tmp_path / "plain", **QUIET)
    # The images and the folder of suites lie elsewhere here.
    moved = shutil.copytree(data, tmp_path / "moved")
    elsewhere = shutil.copytree(saved, tmp_path / "elsewhere")
    surveys: list[object] = []
    monkeypatch.setattr(ImageSource, "survey", surveys.append)
    made = run(spec=elsewhere, data=f"imagefolder:{moved}", out=tmp_path / "made", **QUIET)
    assert surveys == []
    assert made.key == plain.key
    assert made.manifest["files"] == plain.manifest["files"]
    again = run(spec=elsewhere, data=f"imagefolder:{moved}", out=tmp_path / "plain", **QUIET)
    assert again.found


@pytest.mark.parametrize(
    ("option", "value", "shown"),
    [
        ("seed", 3, "says 0 (got 3)"),
        ("timesteps", 2, "says 1 (got 2)"),
        ("epsilons", "4/255", "says 0.03137"),
        ("images", 12, "says 24 (got 12)"),
        ("model", "pvgg16", "says pdigits (got pvgg16)"),
        ("suites", ["digits-c"], "says two, small (got digits-c)"),
        ("weights", "other.safetensors", "says none"),
        ("device", "cuda", "says cpu (got cuda)"),
        ("data", "digits", "says imagefolder:<PATH> (got digits)"),
        ("leave_out", "3", "says none (got 3)"),
        ("bracketing", False, "says True (got False)"),
    ],
)
def test_what_contradicts_the_plan_is_refused_by_name(
    saved: Path, data: Path, option: str, value: object, shown: str
) -> None:
    with pytest.raises(UsageError) as refused:
        request_from({"spec": saved, "data": f"imagefolder:{data}", option: value})
    assert str(refused.value).startswith(f"`{option}` contradicts the plan in {saved}")
    assert shown in str(refused.value)


def test_what_agrees_with_the_plan_may_be_given(options: dict[str, Any], saved: Path) -> None:
    given = {**options, "spec": saved, "device": "cpu", "seed": 0, "bracketing": True}
    request = request_from(given)
    assert request["images"] == 24
    assert read_plan(saved, request).locations.device == "cpu"


def test_a_place_that_the_plan_cannot_know_is_asked_for(saved: Path) -> None:
    with pytest.raises(UsageError, match="say where things lie here with `data`"):
        request_from({"spec": saved})


def test_a_flag_with_its_default_counts_where_it_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pcbench.cli.main import main

    other = make_plan(request_from({**OPTIONS, "suites": ("linf",), "seed": 5}))
    folder = write_plan(other, tmp_path / "seeded")
    with pytest.raises(SystemExit):
        main(["run", "--spec", str(folder), "--seed", "0", "--out", str(tmp_path / "run")])
    assert "--seed contradicts the plan" in capsys.readouterr().err


def test_other_labels_are_not_taken_for_the_planned_ones(saved: Path, data: Path, tmp_path: Path) -> None:
    # The bytes of all images are the planned ones; one lies in another class's folder.
    moved = shutil.copytree(data, tmp_path / "moved")
    (moved / "class0" / "00.png").rename(moved / "class1" / "00.png")
    with pytest.raises(RunError, match="other names or labels than when the run was planned"):
        run(spec=saved, data=f"imagefolder:{moved}", out=tmp_path / "run", **QUIET)


def test_other_bytes_are_found_by_the_unit_that_reads_them(plan: Plan, saved: Path, data: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(data, tmp_path / "moved")
    (changed,) = moved.rglob(Path(str(plan.images.column("image_id")[3])).name + "*")
    Image.new("RGB", (32, 32)).save(changed)
    with pytest.raises(RunError, match="were changed since the run was planned"):
        run(spec=saved, data=f"imagefolder:{moved}", out=tmp_path / "run", **QUIET)


def test_other_code_is_refused_by_name(
    saved: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.harness.used_code.code_hash", lambda _: "0123456789abcdef")
    with pytest.raises(UsageError, match=r"made by other versions \(pcbench_code: .* -> 0123456789abcdef\)"):
        run(spec=saved, data=f"imagefolder:{data}", out=tmp_path / "run", **QUIET)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*") if path.name != ".pcbench.json")


def test_every_damage_is_found(saved: Path, tmp_path: Path) -> None:
    for number, name in enumerate(files_of(saved)):
        for kind in ("missing", "empty", "cut", "changed"):
            folder = shutil.copytree(saved, tmp_path / f"{number}-{kind}")
            path = folder / name
            if path.is_dir():
                continue
            content = path.read_bytes()
            if kind == "missing":
                path.unlink()
            elif kind == "changed":
                middle = len(content) // 2
                path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            else:
                path.write_bytes(b"" if kind == "empty" else content[: len(content) // 2])
            with pytest.raises(DataError) as found:
                open_plan(folder)
            assert str(folder) in str(found.value), (name, kind)
            assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"plan_version": 99},
        {"key": "0" * 12},
        {"facts": {}},
        {"question": {"work": "os"}},
        {"files": {"../../secret": "0"}},
        {"options": None},
        {"lists": [1]},
        {"what": 3},
    ],
)
def test_sealed_nonsense_is_refused(saved: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    from pcbench.harness.saved_plan import _sha256

    folder = shutil.copytree(saved, tmp_path / "plan")
    content = json.loads((folder / "plan.json").read_text())
    content = {**content, **wrong}
    del content["sha256"]
    (folder / "plan.json").write_text(json.dumps({**content, "sha256": _sha256(content)}))
    with pytest.raises(DataError):
        open_plan(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", "\xff", '{"options": 3}'])
def test_a_file_that_is_no_plan_is_refused_before_anything_starts(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content, encoding="latin-1")
    (tmp_path / "run_spec.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError):
        request_from({"spec": tmp_path})
    with pytest.raises(DataError):
        open_plan(tmp_path)


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold a saved plan"):
        request_from({"spec": tmp_path / "nothing"})


def test_it_is_written_whole_or_not_at_all(plan: Plan, tmp_path: Path) -> None:
    points: list[Point] = []
    with watched(points.append):
        write_plan(plan, tmp_path / "whole")
    assert len(points) > 20
    for number in range(0, len(points), 7):
        folder = tmp_path / f"stopped-{number}"
        left = iter(range(number))

        def stop(_: Point, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")

        with pytest.raises((WriteError, UsageError)), watched(stop):
            write_plan(plan, folder)
        if folder.exists():
            open_plan(folder)
        assert open_plan(write_plan(plan, folder)).spec == plan.spec


def test_nothing_else_is_replaced(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="does not hold this plan"):
        write_plan(plan, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="was not made by pcbench"):
        write_plan(plan, tmp_path / "other")
    same = write_plan(plan, tmp_path / "plan")
    assert write_plan(plan, tmp_path / "plan") == same
