"""Readers of what runs leave: manifests, side files, shards, saved plans, parts."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
from fuzz import mutations
from fuzz.trial import Reader
from simulated_runs import write_run

import pcbench
from pcbench.cli.status import status_command
from pcbench.comparison.gate import check_run
from pcbench.comparison.reference import freeze
from pcbench.harness.configuration import configuration
from pcbench.harness.merge import merge
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_options import with_saved
from pcbench.harness.saved_plan import open_plan, write_plan
from pcbench.reports.export import export_run
from pcbench.reports.page.examples import read_examples
from pcbench.reports.page.page import write_page
from pcbench.reports.page.pictures import embedded
from pcbench.results.directory import Run, foreign_files, open_run
from pcbench.results.integrity import SEAL
from pcbench.results.parts import Part, part_machine, read_part, write_part
from pcbench.results.shard import open_shard
from pcbench.results.verdicts import read_verdicts

FORMER = Path(__file__).resolve().parents[1] / "former"
SMALL: dict[str, Any] = {
    "model": "pdigits",
    "data": "digits",
    "images": 8,
    "timesteps": 1,
    "batch_size": 4,
    "block_size": 4,
    "threads": 1,
    "workers": 1,
    "progress": False,
}


def seal_run(folder: Path, target: Path) -> None:
    """Write a changed file's hash into the manifest that lists it, as a stranger would."""
    changed = [target]
    for name in ("plan.json", "shard.json", "manifest.json"):  # the inner ones first
        for manifest in folder.rglob(name):
            if target == manifest or _with_hashes(manifest, changed):
                _seal(manifest)
                changed.append(manifest)


def _with_hashes(manifest: Path, changed: list[Path]) -> bool:
    """Write the hashes of changed files into a manifest; return whether it lists one of them."""
    content = json.loads(manifest.read_bytes())
    inside = [path for path in changed if path.is_relative_to(manifest.parent) and path.is_file()]
    hashes = {path.relative_to(manifest.parent).as_posix(): path for path in inside}
    for name in hashes.keys() & content["files"].keys():
        content["files"][name] = hashlib.sha256(hashes[name].read_bytes()).hexdigest()
        manifest.write_text(json.dumps(content), encoding="utf-8")
    return bool(hashes.keys() & content["files"].keys())


def _seal(path: Path) -> None:
    """Let the hash that a manifest has of itself agree."""
    try:
        content = json.loads(path.read_bytes())
        for name in {SEAL, "sha256"} & content.keys():
            counted = {key: value for key, value in content.items() if key != name}
            content[name] = hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
            path.write_text(json.dumps(content), encoding="utf-8")
    except (ValueError, AttributeError, RecursionError):
        pass  # what is wrong cannot be sealed


# --- Runs ------------------------------------------------------------------------------------------------------------


def _former_run(folder: Path) -> None:
    shutil.copytree(FORMER / "run", folder)


def _made_run(folder: Path) -> None:
    write_run(folder, "made", 0, images=12)
    for path in sorted((folder / "outcomes").rglob("*.parquet"))[6:]:
        if path.parent.name == "digits-c":
            path.unlink()
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"] = {name: digest for name, digest in manifest["files"].items() if (folder / name).is_file()}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    _seal(folder / "manifest.json")


def _opened(folder: Path) -> Run:
    run = open_run(folder)
    _ = repr(run), run.missing, run.spec.name(), run.spec.key()
    foreign_files(run)
    return run


def _read_manifest(folder: Path) -> None:
    run = _opened(folder)
    configuration(run)
    open_run(folder, allow_changed=True)


def _read_run(folder: Path) -> None:
    run = _opened(folder)
    _ = run.metrics, run.outcomes(), run.representations()
    reference = freeze(run)
    check_run(run, reference, tolerated=0.1)
    for name in ("csv", "huggingface-card", "latex"):
        export_run(run, name, folder / "exported" / name)


def _read_side_files(folder: Path) -> None:
    run = _opened(folder)
    read_verdicts(folder)
    for example in read_examples(folder):
        for picture in example.pictures:
            embedded(folder / "examples", [[picture.file]], 1)  # no room: it is decoded, to be reduced
    write_page([run], folder / "page.html")


# --- Shards, plans, states -------------------------------------------------------------------------------------------


def _suite() -> str:
    return str(FORMER / "corruptions" / "two")


def _shards(folder: Path) -> None:
    for number in (1, 2):
        pcbench.run(**SMALL, suites=_suite(), shard=f"{number}/2", out=folder)


def _read_shards(folder: Path) -> None:
    for path in folder.iterdir():
        _ = repr(open_shard(path))
    status_command(folder)
    with patch("pcbench.harness.run._write_report"):  # figures take seconds, and are drawn from what was read
        merge(folder, folder / "merged")


def _plans(folder: Path) -> None:
    write_plan(make_plan(request_from({**SMALL, "suites": (_suite(),)})), folder)


def _read_plans(folder: Path) -> None:
    from pcbench.harness.request import RunOptions
    from pcbench.options import resolved

    values = {**resolved(RunOptions, {}), "spec": str(folder)}
    with_saved(values, {})
    open_plan(folder)


STATES: dict[str, Any] = {
    "run.partial/progress.json": {"share": 0.5, "sentence": "half", "written": 1.7e9, "seconds_left": 60.0},
    "run.partial/failure.json": {"reason": "the disk was full"},
    "run.holder.json": {
        "host": "here",
        "process": 1,
        "since": "2026-01-01T00:00:00+00:00",
        "command": "x",
        "target": "run",
    },
    "run.partial/.pcbench.json": {"made_by": "pcbench", "again": False},
    "shard-001-of-002.partial/progress.json": {
        "share": 0.5,
        "sentence": "half",
        "written": 1.7e9,
        "seconds_left": 60.0,
    },
    "shard-001-of-002.partial/failure.json": {"reason": "the disk was full"},
}


def _states(folder: Path) -> None:
    for name, content in STATES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def _read_states(folder: Path) -> None:
    from pcbench.results.lock import holder
    from pcbench.results.workspace import read_state

    status_command(folder / "run")
    status_command(folder)
    holder(folder / "run")
    read_state(folder / "run.partial")


# --- Parts -----------------------------------------------------------------------------------------------------------


def _parts(folder: Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    write_part(folder / "a.part", Part(table, "a machine", {"x.bin": b"abc"}), key="k", unit="u")


def _part_wrong(content: bytes, choice: Random) -> bytes:
    """Return a part whose header or table is wrong, with the right checksum."""
    first, header, rest = content.split(b"\n", 2)
    if choice.random() < 0.6:
        header = mutations.json_wrong(header, choice).replace(b"\n", b" ")
    else:
        rest = mutations.changed_bytes(rest, choice)
    body = header + b"\n" + rest
    return b" ".join([*first.split(b" ")[:-1], hashlib.sha256(body).hexdigest().encode()]) + b"\n" + body


def _read_parts(folder: Path) -> None:
    read_part(folder / "a.part", key="k", unit="u", schema=pa.schema([("a", pa.int64()), ("b", pa.string())]))
    part_machine(folder / "a.part")


READERS = [
    Reader("manifests of runs (JSON)", _made_run, "manifest.json", _read_manifest, seal_run, weight=2),
    Reader("tables of a run, sealed", _made_run, "**/*.parquet", _read_run, seal_run, weight=0.2),
    Reader("checks and examples (JSON)", _former_run, "**/[ci]*.json", _read_side_files, seal_run, weight=0.3),
    Reader("a run of a former version", _former_run, "**/*.[jpc]*", _read_run, seal_run, weight=0.15),
    Reader("shards (JSON, parts, plans)", _shards, "**/*", _read_shards, seal_run, weight=0.2),
    Reader("saved plans", _plans, "**/*", _read_plans, seal_run, weight=2),
    Reader("holders, progress, failures", _states, "**/*.json", _read_states, weight=1.5),
    Reader("parts", _parts, "*.part", _read_parts, wrong=_part_wrong, weight=1.5),
]
