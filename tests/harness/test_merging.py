"""Oracle: the run that one process makes, and shards that were damaged, lost or exchanged on purpose."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from made_shards import OPTIONS, folder_of, refusal

import pcbench
from pcbench.cli.main import main
from pcbench.errors import DataError, HeldError, PcbenchError, UsageError
from pcbench.files import Point, file_sha256, watched
from pcbench.harness.start import run
from pcbench.results.directory import Run, changed_notes, open_run
from pcbench.results.integrity import sealed
from pcbench.results.lock import hold
from pcbench.results.parts import read_part, write_part
from pcbench.results.shard import open_shard

pytestmark = pytest.mark.with_pictures  # as the shards that all tests share are made


@pytest.fixture(scope="module")
def options(shared_suites: tuple[Path, Path], quick_shards: None) -> dict[str, Any]:
    del quick_shards
    return {**OPTIONS, "suites": (str(shared_suites[0]),)}


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a shard's manifest, as if it had been written so."""
    path = folder / "shard.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(sealed(manifest)))


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
    assert found == "2 of 4 shards are missing: run them with --shard 1/4 and so on, or in Slurm with --array=1,3"


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
