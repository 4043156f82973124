"""Damaged folders of runs and shards: the same call ends with the same bytes, or refuses in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import logging
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from fuzz import mutations
from fuzz.saved import FORMER, SMALL
from fuzz.trial import fault_of

from pcbench import files
from pcbench.errors import PcbenchError
from pcbench.files import Point, watched
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import RunOptions, request_from
from pcbench.harness.run import execute
from pcbench.harness.shard_numbers import read_shard
from pcbench.harness.shard_run import execute_shard
from pcbench.results.directory import Run

_STATES: dict[str, tuple[str, int] | None] = {
    "stopped after eight parts": (".part", 8),
    "stopped before the last rename": (".json", -1),
    "finished": None,
}


@dataclasses.dataclass(frozen=True)
class Work:
    """A run or a shard that is made again and again."""

    name: str
    make: Callable[[Path], Run]
    manifest: str

    def stop(self, folder: Path, state: str) -> None:
        """Leave it in a state."""
        suffix, number = _STATES[state] or ("", 0)
        if not suffix:
            self.make(folder)
            return
        suffix, number = (suffix, number) if number > 0 else (self.manifest, 1)
        count = itertools.count(1)

        def look(point: Point) -> None:
            done = (point.moment, point.step) == ("after", "rename") and point.path.name.endswith(suffix)
            if done and next(count) == number:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt), watched(look):
            self.make(folder)


def _works() -> list[Work]:
    options: dict[str, Any] = {**SMALL, "suites": (str(FORMER / "attacks" / "small"),), "save_adversarials": True}
    request: RunOptions = request_from(options)
    plan: Plan = make_plan(request)
    return [
        Work("run", lambda folder: execute(request, plan, folder), "manifest.json"),
        Work("shard", lambda folder: execute_shard(request, plan, read_shard("1/2"), folder), "shard.json"),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files that hold numbers: tables, parts, images."""
    kinds = (".parquet", ".csv", ".part", ".safetensors", ".npz")
    found = sorted(path for path in folder.rglob("*") if path.suffix in kinds)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def damage(folder: Path, choice: Random) -> Path:
    """Change, replace, empty or remove one file in a folder; return it."""
    target = choice.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = target.read_bytes()
    match choice.choice(["bytes", "bytes", "bytes", "random", "empty", "remove"]):
        case "bytes":
            target.write_bytes(mutations.changed_bytes(content, choice))
        case "random":
            target.write_bytes(choice.randbytes(choice.choice([1, 100, len(content)])))
        case "empty":
            target.write_bytes(b"")
        case _:
            target.unlink()
    return target


def try_damage(place: Path, count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Damage so many folders, and make each run or shard again.

    Returns:
        How many ended in equal bytes and in a refusal; and what else happened.
    """
    logging.disable(logging.WARNING)  # what is computed again is told
    ended: Counter[str] = Counter()
    faults: list[str] = []
    with (
        patch("pcbench.harness.run._write_report"),
        patch("pcbench.harness.work.pictures._pictures", lambda *_: iter(())),
        patch.object(files, "_to_disk"),
    ):
        works = _works()
        whole = {work.name: contents(work.make(place / "whole" / work.name).folder) for work in works}
        cases = list(itertools.product(works, _STATES))
        for work, state in cases:
            work.stop(place / f"{work.name} {state}" / "it", state)
        for number in range(count):
            work, state = cases[number % len(cases)]
            choice = Random(f"{seed} {number}")  # noqa: S311 - not for secrets
            folder = place / "damaged"
            shutil.copytree(place / f"{work.name} {state}", folder)
            target = damage(folder, choice)
            fault = _fault(partial(work.make, folder / "it"), target, whole[work.name])
            ended[fault if fault in ("equal bytes", "refusal") else "escape"] += 1
            if fault not in ("equal bytes", "refusal"):
                faults.append(f"number {number}, {work.name} {state}, {target.relative_to(folder)}: {fault}")
            shutil.rmtree(folder)
    logging.disable(logging.NOTSET)
    return ended, faults


def _fault(make: Callable[[], Run], target: Path, whole: dict[str, bytes]) -> str:
    try:
        made = make()
    except PcbenchError as error:
        fault = fault_of(str(error), target)
        return "refusal" if fault is None else f"message {fault}: {error}"
    except Exception as error:  # noqa: BLE001 - what escapes is what is looked for
        return f"{type(error).__name__}: {error}"
    found = contents(made.folder)
    differing = sorted(name for name in whole.keys() | found.keys() if whole.get(name) != found.get(name))
    return "equal bytes" if not differing else f"other bytes in {differing[0]}"
