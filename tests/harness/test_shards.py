"""Oracle: the run that one process makes, whose bytes the merged shards have to make."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import forking
import pytest
from made_shards import OF, OPTIONS, all_shards, folder_of, refusal

import pcbench
from pcbench.errors import HeldError, RunError, UsageError
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import write_plan
from pcbench.harness.start import run
from pcbench.results.directory import Run, open_run
from pcbench.results.lock import hold
from pcbench.results.shard import Shard, open_shard

pytestmark = pytest.mark.with_pictures


@pytest.fixture(scope="module")
def options(shared_suites: tuple[Path, Path], quick_shards: None) -> dict[str, Any]:
    del quick_shards
    return {**OPTIONS, "suites": tuple(map(str, shared_suites)), "epsilons": "8/255", "save_adversarials": True}


def test_merged_shards_are_the_run_of_one_process_to_the_byte(whole: Run, shards: Path, tmp_path: Path) -> None:
    merged = pcbench.merge(shards, tmp_path / "run")
    assert merged.key == whole.key
    assert merged.manifest["files"] == whole.manifest["files"]
    assert any(name.startswith("adversarials/") for name in merged.manifest["files"])
    alike = ("command", "options", "kept", "growth", "skipped", "missing", "notes", "tables", "machines", "spec")
    assert {name: merged.manifest[name] for name in alike} == {name: whole.manifest[name] for name in alike}
    assert [each["shard"] for each in merged.manifest["merged"]] == list(range(1, OF + 1))
    assert open_run(merged.folder).key == whole.key
    assert pcbench.merge(shards, tmp_path / "run").found


@pytest.mark.parametrize(("checks", "images", "timesteps"), [(True, 8, 0), (None, 16, 1)], ids=["full", "cheap"])
@pytest.mark.usefixtures("few_rivals")
def test_evidence_and_pictures_are_merged_too(
    checks: bool | None, images: int, timesteps: int, options: dict[str, Any], tmp_path: Path
) -> None:
    changed = {"checks": checks, "images": images, "timesteps": timesteps, "suites": options["suites"][1:]}
    checked = {**options, **changed}
    one = run(**checked, out=tmp_path / "one")
    merged = pcbench.merge(all_shards(checked, tmp_path / "shards", 2), tmp_path / "run")
    assert merged.manifest["files"] == one.manifest["files"]
    assert {"checks.json", "examples/index.json"} <= set(merged.manifest["files"])
    entries = json.loads((merged.folder / "checks.json").read_text(encoding="utf-8"))
    assert {entry["form"] for entry in entries} == {"full" if checks else "cheap"}
    signs = [comparison["sign"] for entry in entries for comparison in entry["comparisons"]]
    assert any("transfer" in sign for sign in signs) == (timesteps > 0)


def test_more_shards_than_units_are_no_harm(options: dict[str, Any], tmp_path: Path) -> None:
    # More shards than units that can be separated: some are empty, and ask for no network.
    many = {**options, "save_adversarials": False, "images": 8}
    of = 12
    folder = all_shards(many, tmp_path / "many", of)
    empty = [number for number in range(1, of + 1) if not open_shard(folder_of(folder, number, of)).parts]
    assert empty
    one = run(**many, out=tmp_path / "one")
    merged = pcbench.merge(folder, tmp_path / "merged")
    assert merged.manifest["files"] == one.manifest["files"]


def test_no_network_and_no_image_is_loaded(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("nothing of this kind is needed")

    for name in ("models.load", "harness.images.open_source", "data.image_source.ImageSource.load"):
        monkeypatch.setattr(f"pcbench.{name}", forbidden)
    monkeypatch.setattr("pcbench.harness.engines.local.Context", forbidden)
    pcbench.merge(shards, tmp_path / "run")


def test_shards_of_a_saved_plan_are_the_same(
    options: dict[str, Any], whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(make_plan(request_from(options)), tmp_path / "plan")
    for number in range(1, 4):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(number))
        shard = run(spec=plan, out=tmp_path / "shards", shard="auto/3", progress=False, workers=1 + (number == 2))
        assert isinstance(shard, Shard)
        assert (shard.number, shard.of) == (number, 3)
        assert shard.manifest["read_from"] == f"SLURM_ARRAY_TASK_ID={number}"
    merged = pcbench.merge(tmp_path / "shards", tmp_path / "run")
    assert merged.manifest["files"] == whole.manifest["files"]
    assert {**merged.manifest["options"], "workers": 1} == whole.manifest["options"]


def test_saved_adversarials_are_planned_and_shared_out_too(options: dict[str, Any], whole: Run, tmp_path: Path) -> None:
    scoring = {name: options[name] for name in ("model", "timesteps", "batch_size", "block_size", "threads", "workers")}
    scoring |= {"adversarials": whole.folder, "progress": False}
    one = run(**scoring, out=tmp_path / "one")
    plan = write_plan(make_plan(request_from(scoring)), tmp_path / "plan")
    for number in (1, 2):
        here = {"adversarials": whole.folder, "workers": 1, "progress": False}
        run(spec=plan, **here, out=tmp_path / "shards", shard=f"{number}/2")
    merged = pcbench.merge(tmp_path / "shards", tmp_path / "run")
    assert merged.manifest["files"] == one.manifest["files"]
    assert merged.manifest["options"] == one.manifest["options"]


def test_one_process_at_a_time_works_on_a_shard(options: dict[str, Any], own: Path) -> None:
    with hold(folder_of(own, 2)), pytest.raises(HeldError, match="a run is under way there"):
        run(**options, out=own, shard="2/4")


def test_a_finished_shard_is_found_by_the_same_command(options: dict[str, Any], shards: Path) -> None:
    made = open_shard(folder_of(shards, 2))
    again = run(**options, out=shards, shard="2/4")
    assert again.found
    assert again.manifest == made.manifest
    with pytest.raises(UsageError, match="merge it with the others"):
        _ = again.metrics


def test_a_shard_is_no_run_and_a_run_no_shard(options: dict[str, Any], shards: Path, own: Path, whole: Run) -> None:
    with pytest.raises(UsageError, match="is not a run of pcbench"):
        open_run(folder_of(shards, 1))
    with pytest.raises(UsageError, match="is a run, not a shard"):
        open_shard(whole.folder)
    with pytest.raises(UsageError, match="exists and is not a run of pcbench"):
        run(**options, out=folder_of(own, 1))
    with pytest.raises(UsageError, match=r"lies inside .*, which pcbench made"):
        run(**options, out=whole.folder, shard="1/4")
    shutil.rmtree(folder_of(own, 1))
    shutil.copytree(whole.folder, folder_of(own, 1))
    with pytest.raises(UsageError, match="exists and is not a shard of pcbench"):
        run(**options, out=own, shard="1/4")


def test_another_run_s_shard_is_not_replaced(options: dict[str, Any], own: Path) -> None:
    with pytest.raises(UsageError, match=r"holds another shard \(settings.seed: 0 -> 1\)"):
        run(**{**options, "seed": 1}, out=own, shard="1/4")


KILLED = """
import os, signal, sys
from pcbench.files import Point, watched
import pcbench.harness.run
from pcbench.harness.start import run
pcbench.harness.run._write_report = lambda *_: None
left = iter(range(int(sys.argv[3])))
def kill(point):
    if sys.argv[1] in str(point) and next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
with watched(kill):
    run(**OPTIONS, out=sys.argv[2], shard="2/4")
"""


def test_a_killed_shard_goes_on(
    options: dict[str, Any], own: Path, whole: Run, forks: forking.Forks, tmp_path: Path
) -> None:
    shutil.rmtree(folder_of(own, 2))
    for point, before in ((".part", "4"), ("before rename shard-002-of-004", "0")):
        command = [sys.executable, "-c", KILLED.replace("OPTIONS", repr(options)), point, str(own), before]
        process = forks.subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors.decode()
        assert "1 of them were stopped" in refusal(own, tmp_path / "run")
    run(**options, out=own, shard="2/4")
    assert pcbench.merge(own, tmp_path / "run").manifest["files"] == whole.manifest["files"]
    assert sorted(path.name for path in own.iterdir()) == [folder_of(own, number).name for number in range(1, 5)]


@pytest.mark.parametrize("allowed", [False, True])
def test_failing_units(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, allowed: bool
) -> None:
    from pcbench.harness.work import scores

    compute = scores.compute

    def failing(unit: Any, inputs: Any, context: Any) -> Any:
        if unit.condition.name == "contrast" and unit.condition.severity in (1, 2) and unit.block.number == 1:
            raise ValueError("this image is cursed")
        return compute(unit, inputs, context)

    some = {**options, "suites": options["suites"][:1], "epsilons": None, "save_adversarials": False}
    monkeypatch.setattr(scores, "compute", failing)
    failed = 0
    for number in (1, 2, 3):
        try:
            shard = run(**some, out=tmp_path / "shards", shard=f"{number}/3", allow_missing=allowed)
            failed += bool(shard.missing)
        except RunError as error:
            assert "this image is cursed" in str(error)  # noqa: PT017 - which of the shards fails is no matter here
            failed += 1
    assert failed == 1
    if not allowed:
        assert "1 of them were stopped" in refusal(tmp_path / "shards", tmp_path / "run")
        return
    found = refusal(tmp_path / "shards", tmp_path / "run", RunError)
    assert found.startswith("2 units of the shards failed: two: contrast 1, images 9 to 16: ValueError: this image")
    one = run(**some, out=tmp_path / "one", allow_missing=True)
    merged = pcbench.merge(tmp_path / "shards", tmp_path / "run", allow_missing=True)
    assert merged.manifest["files"] == one.manifest["files"]
    assert merged.missing == one.missing
    assert merged.manifest["notes"] == one.manifest["notes"]
    # Once they can be computed, the same commands do it, and the merge is whole.
    monkeypatch.setattr(scores, "compute", compute)
    for number in (1, 2, 3):
        run(**some, out=tmp_path / "shards", shard=f"{number}/3")
    mended = pcbench.merge(tmp_path / "shards", tmp_path / "run")
    assert not mended.missing
    assert mended.manifest["files"] == run(**some, out=tmp_path / "clean").manifest["files"]
