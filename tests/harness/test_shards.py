"""Oracle: the run that one process makes, whose bytes the merged shards have to make."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forking
import pyarrow as pa
import pytest

import pcbench
from pcbench.cli.main import main
from pcbench.errors import DataError, HeldError, PcbenchError, RunError, UsageError
from pcbench.files import Point, file_sha256, watched
from pcbench.harness.engines import local
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import write_plan
from pcbench.harness.start import run
from pcbench.results.directory import Run, changed_notes, open_run
from pcbench.results.integrity import sealed
from pcbench.results.lock import hold
from pcbench.results.parts import read_part, write_part
from pcbench.results.shard import Shard, open_shard

pytestmark = pytest.mark.with_pictures

OPTIONS: dict[str, Any] = {
    "model": "pdigits",
    "data": "digits",
    "images": 16,
    "timesteps": 1,
    "batch_size": 4,
    "block_size": 8,
    "threads": 1,
    "workers": 1,
    "epsilons": "8/255",
    "save_adversarials": True,
    "checks": False,
    "progress": False,
}
OF = 4


@pytest.fixture(scope="module", autouse=True)
def without_report(forks: forking.Forks) -> Iterator[None]:
    """Leave out pages and figures: they are made from a finished run. Workers are forks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "subprocess", forks.subprocess)
        patch.setattr("pcbench.harness.run.write_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def options(shared_suites: tuple[Path, Path]) -> dict[str, Any]:
    return {**OPTIONS, "suites": tuple(map(str, shared_suites))}


@pytest.fixture(scope="module")
def whole(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(**options, out=tmp_path_factory.mktemp("whole") / "run")


def all_shards(options: dict[str, Any], folder: Path, of: int = OF) -> Path:
    for number in range(1, of + 1):
        run(**options, out=folder, shard=f"{number}/{of}")
    return folder


@pytest.fixture(scope="module")
def shards(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return all_shards(options, tmp_path_factory.mktemp("shards"))


@pytest.fixture
def own(shards: Path, tmp_path: Path) -> Path:
    """A copy of the shards, to be changed."""
    return shutil.copytree(shards, tmp_path / "own")


def folder_of(shards: Path, number: int, of: int = OF) -> Path:
    return shards / f"shard-{number:03d}-of-{of:03d}"


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a shard's manifest, as if it had been written so."""
    path = folder / "shard.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(sealed(manifest)))


def refusal(shards: object, out: Path, error: type[PcbenchError] = UsageError, **options: Any) -> str:
    with pytest.raises(error) as refused:
        pcbench.merge(shards, out, **options)  # type: ignore[arg-type]
    assert not out.exists()
    assert "\n" not in str(refused.value)
    return str(refused.value)


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
        shard = run(spec=plan, out=tmp_path / "shards", shard="auto/3", progress=False, workers=1 + number % 2)
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


def test_single_folders_may_be_given(whole: Run, shards: Path, tmp_path: Path) -> None:
    folders = [folder_of(shards, number) for number in (3, 1, 4, 2)]
    moved = shutil.copytree(folders[0], tmp_path / "renamed")
    merged = pcbench.merge([moved, *map(str, folders[1:])], tmp_path / "run")
    assert merged.manifest["files"] == whole.manifest["files"]


def test_nothing_is_not_merged(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert refusal([], tmp_path / "run") == "name the folders of the shards: pcbench merge DIR --out RUN"
    assert "holds no shards" in refusal(tmp_path / "empty", tmp_path / "run")
    assert "is not a folder" in refusal(tmp_path / "nowhere", tmp_path / "run")


def test_a_shard_that_is_given_twice_is_refused(own: Path, tmp_path: Path) -> None:
    assert "is given twice; name it once" in refusal([own, folder_of(own, 2)], tmp_path / "run")
    copy = shutil.copytree(folder_of(own, 2), tmp_path / "copy")
    assert f"shard 2 of 4 is given twice, in {copy}" in refusal([own, copy], tmp_path / "run")


def test_missing_shards_are_named_as_slurm_takes_them(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder_of(own, 1))
    shutil.rmtree(folder_of(own, 3))
    found = refusal(own, tmp_path / "run")
    assert found == "2 of 4 shards are missing: run them with --array=1,3"


def test_a_list_for_slurm_is_short() -> None:
    from pcbench.harness.shard_folders import array_list

    assert array_list([24, 3, 22, 17, 23]) == "--array=3,17,22-24"
    assert array_list([1, 2]) == "--array=1,2"
    assert array_list(range(1, 41)) == "--array=1-40"


def test_a_folder_that_is_being_written_is_refused(own: Path, tmp_path: Path) -> None:
    with hold(folder_of(own, 2)):
        found = refusal(own, tmp_path / "run")
    assert found.startswith(f"{folder_of(own, 2)} is being written (process {os.getpid()} on host ")
    # Also one that is only begun, and has no folder yet.
    shutil.rmtree(folder_of(own, 2))
    with hold(folder_of(own, 2)):
        assert "is being written" in refusal(own, tmp_path / "run")


def test_shards_of_other_runs_are_refused_field_by_field(options: dict[str, Any], own: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder_of(own, 4))
    run(**{**options, "seed": 7, "bracketing": False}, out=own, shard="4/4")
    found = refusal(own, tmp_path / "run")
    assert "are of different runs (settings.seed: 0 -> 7; settings.bracketing: True -> False)" in found


def test_shards_of_two_versions_are_refused(own: Path, tmp_path: Path) -> None:
    def other_code(manifest: dict[str, Any]) -> None:
        manifest["spec"]["versions"]["pcbench_code"] = "0123456789abcdef"
        manifest["key"] = "0123456789ab"

    def other_units(manifest: dict[str, Any]) -> None:
        manifest["units"] = "0" * 64

    rewritten(folder_of(own, 3), other_code)
    assert "-> 0123456789abcdef" in refusal(own, tmp_path / "run")
    again = shutil.copytree(own, tmp_path / "again")
    shutil.rmtree(folder_of(again, 3))
    rewritten(folder_of(again, 4), other_units)
    assert "were planned by different versions of pcbench" in refusal(again, tmp_path / "run")


def test_other_machines_need_a_word_and_are_noted(own: Path, whole: Run, tmp_path: Path) -> None:
    folder = folder_of(own, 2)
    shard = open_shard(folder)
    for path in shard.parts:
        file = folder / "parts" / f"{path}.part"
        part = read_part(file, key=shard.key, unit=path)
        write_part(file, type(part)(part.table, "another kind", part.files), key=shard.key, unit=path)
    hashes = {name: file_sha256(folder / name) for name in shard.manifest["files"]}
    rewritten(folder, lambda manifest: manifest.update(machines={"another kind": len(shard.parts)}, files=hashes))
    found = refusal(own, tmp_path / "run")
    assert "different kinds of machines (another kind: shard 2, " in found
    merged = pcbench.merge(own, tmp_path / "run", mixed_machines=True)
    assert merged.manifest["machines"]["another kind"] == len(shard.parts)
    assert any("computed on several kinds of machines" in note for note in merged.manifest["notes"])
    assert merged.manifest["files"] == whole.manifest["files"]


def test_overlapping_shards_may_agree(options: dict[str, Any], own: Path, whole: Run, tmp_path: Path) -> None:
    # One shard of four is lost; those of three that have its units take its place.
    shutil.rmtree(folder_of(own, 4))
    for number in (2, 3):
        run(**options, out=own, shard=f"{number}/3")
    merged = pcbench.merge(own, tmp_path / "run")
    assert merged.manifest["files"] == whole.manifest["files"]


def test_overlapping_shards_that_disagree_are_refused(options: dict[str, Any], own: Path, tmp_path: Path) -> None:
    run(**options, out=own, shard="1/1")
    folder = folder_of(own, 3)
    shard = open_shard(folder)
    path = next(path for path in shard.parts if path.startswith("scores/"))
    part = read_part(folder / "parts" / f"{path}.part", key=shard.key, unit=path)
    changed = type(part)(part.table.slice(1), part.machine, part.files)
    write_part(folder / "parts" / f"{path}.part", changed, key=shard.key, unit=path)
    rewritten(folder, lambda manifest: manifest["files"].update({f"parts/{path}.part": "0" * 64}))
    assert f"both hold {path}, and disagree" in refusal(own, tmp_path / "run")


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_part_is_named_with_its_shard(own: Path, tmp_path: Path, damage: str) -> None:
    folder = folder_of(own, 2)
    path = next((folder / "parts" / "scores").rglob("*.part"))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    found = refusal(own, tmp_path / "run", DataError)
    assert "run shard 2 of 4 again with again=True" in found


def test_a_changed_part_is_named_and_allowing_it_marks_the_run(own: Path, whole: Run, tmp_path: Path) -> None:
    # The part is whole in itself, so that only the shard's manifest knows that it is another one.
    folder = folder_of(own, 3)
    shard = open_shard(folder)
    path = next(path for path in shard.parts if path.startswith("scores/"))
    file = folder / "parts" / f"{path}.part"
    part = read_part(file, key=shard.key, unit=path)
    wrong = part.table.set_column(
        part.table.schema.get_field_index("correct"), "correct", pa.array([False] * len(part.table))
    )
    write_part(file, type(part)(wrong, part.machine, part.files), key=shard.key, unit=path)
    said = f"parts/{path}.part was changed"
    found = refusal(own, tmp_path / "run", DataError)
    assert f"shard-003-of-004: {said} since the run" in found
    assert "run shard 3 of 4 again with again=True, or merge all the same with allow_changed=True" in found
    with pytest.raises(SystemExit):
        main(["merge", str(own), "--out", str(tmp_path / "run"), "--allow-changed"])
    merged = open_run(tmp_path / "run")
    assert changed_notes(merged) == [f"CHANGED since the run: {said} in shard 3 of 4; these numbers are not the run's"]
    assert merged.manifest["files"]["metrics.csv"] != whole.manifest["files"]["metrics.csv"]


@pytest.mark.parametrize("name", ["plan/plan.json", "plan/run_spec.json"])
def test_a_changed_plan_of_a_shard_is_named(own: Path, tmp_path: Path, name: str) -> None:
    path = folder_of(own, 1) / name
    path.write_text(path.read_text() + "\n")
    assert f"shard-001-of-004: {name} was changed" in refusal(own, tmp_path / "run", DataError)
    merged = pcbench.merge(own, tmp_path / "run", allow_changed=True)
    assert changed_notes(merged)


@pytest.mark.parametrize("name", ["shard.json", "locations.toml", "parts/scores", "more"])
def test_links_out_of_a_shard_are_not_followed(own: Path, tmp_path: Path, name: str) -> None:
    path = folder_of(own, 2) / name
    if path.exists():
        path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for allowed in (False, True):
        found = refusal(own, tmp_path / "run", DataError, allow_changed=allowed)
        assert f"{path}: is a link that leads out" in found


def test_a_shard_without_parts_that_it_lists_not_is_refused(own: Path, tmp_path: Path) -> None:
    rewritten(folder_of(own, 2), lambda manifest: manifest["files"].popitem())
    rewritten(
        folder_of(own, 2),
        lambda manifest: manifest.update(files={n: d for n, d in manifest["files"].items() if "scores" not in n}),
    )
    assert "not all parts of its units are there" in refusal(own, tmp_path / "run", DataError)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"manifest_version": 2}', "\xff"])
def test_a_damaged_manifest_is_refused(own: Path, tmp_path: Path, content: str) -> None:
    (folder_of(own, 2) / "shard.json").write_text(content, encoding="latin-1")
    assert "damaged" in refusal(own, tmp_path / "run", DataError)


@pytest.mark.parametrize("value", [None, "three", [], {"a": "b"}])
@pytest.mark.parametrize("field", ["shard", "of", "machines", "missing", "units", "files"])
def test_a_manifest_of_nonsense_is_refused(own: Path, tmp_path: Path, field: str, value: object) -> None:
    if field == "missing" and not value:
        return  # this is what it may be
    rewritten(folder_of(own, 2), lambda manifest: manifest.update({field: value}))
    with pytest.raises(PcbenchError):
        pcbench.merge(own, tmp_path / "run")


def test_a_merge_that_is_stopped_is_repeated(own: Path, whole: Run, tmp_path: Path) -> None:
    points: list[Point] = []
    with watched(points.append):
        pcbench.merge(own, tmp_path / "counted")
    for number in range(5, len(points), len(points) // 6):
        folder = tmp_path / f"stopped-{number}" / "run"
        left = iter(range(number))

        def stop(_: Point, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), watched(stop):
            pcbench.merge(own, folder)
        assert pcbench.merge(own, folder).manifest["files"] == whole.manifest["files"]
        assert sorted(path.name for path in folder.parent.iterdir()) == ["run"]


def test_a_merge_into_a_run_that_is_under_way_is_refused(own: Path, tmp_path: Path) -> None:
    with hold(tmp_path / "run"), pytest.raises(HeldError):
        pcbench.merge(own, tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(UsageError, match="is not a run of pcbench"):
        pcbench.merge(own, tmp_path / "mine")


KILLED = """
import os, signal, sys
from pcbench.files import Point, watched
import pcbench.harness.run
from pcbench.harness.start import run
pcbench.harness.run.write_report = lambda *_: None
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
        if unit.condition.name == "contrast" and unit.condition.severity in (2, 4) and unit.block.number == 1:
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
    assert found.startswith("2 units of the shards failed: two: contrast 2, images 9 to 16: ValueError: this image")
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
