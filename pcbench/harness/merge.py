"""From the shards of a run to the run: the one that a single process would have made, to the byte.

No network and no image is loaded. What is wrong with the shards is found before anything is written; then the parts
are read one condition at a time, so that memory does not grow with the number of shards.
"""

from __future__ import annotations

import dataclasses
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

from pcbench.arguments import listed, path_text, shown
from pcbench.errors import UsageError
from pcbench.files import real_path
from pcbench.harness.completion import Completion
from pcbench.harness.engines.base import Failure
from pcbench.harness.merge_checks import Merged, checked
from pcbench.harness.run import ending_of
from pcbench.harness.shard_folders import find_shards
from pcbench.harness.start import DEFAULT_FOLDER, fitting_place
from pcbench.results.directory import Run
from pcbench.results.lock import hold
from pcbench.results.shard import Shard
from pcbench.results.workspace import begin, clean_up, settle

logger = logging.getLogger("pcbench")

Folder = str | PathLike[str]


def merge(
    shards: Folder | Sequence[Folder],
    out: Folder | None = None,
    *,
    mixed_machines: bool = False,
    allow_missing: bool = False,
    allow_changed: bool = False,
    again: bool = False,
) -> Run:
    """Make the run of all its shards.

    Args:
        shards: Folders of shards, or folders that hold such folders.
        out: The run's folder. Where none is given, results/runs/MODEL-SUITES-KEY.
        mixed_machines: Merge parts that were made on different kinds of CPU or GPU; the results say so.
        allow_missing: Merge although some units of the shards failed; tables say what is missing.
        allow_changed: Merge although files of shards were changed since they were made; a note of the run says so.
        again: Merge again where the run is there already.

    Returns:
        The run.

    Raises:
        UsageError: Shards are missing, under way, given twice, of different runs, or of different machines.
        DataError: A file of a shard was changed or is missing, or a link leads out of its folder.
        RunError: Units of a shard failed, or a part is damaged.
    """
    found = find_shards(_folders(shards))
    merged = checked(found, mixed_machines=mixed_machines, allow_missing=allow_missing, allow_changed=allow_changed)
    folder = DEFAULT_FOLDER / merged.plan.spec.name() if out is None else Path(out)
    final = fitting_place(real_path(folder))
    with hold(final, shlex.join(sys.argv)):
        return _write(merged, final, again=again)


def _folders(shards: Folder | Sequence[Folder]) -> list[Path]:
    value = cast("object", [shards] if isinstance(shards, str | PathLike) else shards)
    given = listed(value)
    if given is None or not all(isinstance(folder, str | PathLike) for folder in given):
        raise UsageError(f"`shards` is a folder or a list of folders (got {shown(value)})")
    return [Path(path_text(cast("PathLike[str]", folder))) for folder in given]


def _write(merged: Merged, final: Path, *, again: bool) -> Run:
    ending, plan = ending_of(merged.plan), merged.plan
    completed = settle(final, ending.kind)
    if (completed or not again) and (final / ending.kind.manifest).is_file():
        held = ending.kind.open(final, verify=False)
        if held.key == plan.spec.key() and not held.missing:
            held = ending.renewed(ending.kind.open(final), plan)
            clean_up(final, ending.kind)
            return dataclasses.replace(ending.reported(held), found=True)
    ending.refuse_no_room(plan, final)
    workspace = begin(final, plan.spec, again=again, say=logger.warning, kind=ending.kind)
    return ending.reported(ending.finish(plan, workspace, _completion(merged), merged))


def _completion(merged: Merged) -> Completion:
    """Return what only the shards know: when and for how long they ran, and by which command."""
    shards = merged.shards
    first = shards[0].manifest
    waits = [(each.manifest["waited_for_images"], float(each.manifest["seconds"])) for each in shards]
    known = [(share, seconds) for share, seconds in waits if share is not None]
    total = sum(seconds for _, seconds in known)
    origin: dict[str, Any] = {name: first.get(name) for name in ("command", "options", "revision")}
    return Completion(
        started=min(str(each.manifest["started"]) for each in shards),
        seconds=round(sum(float(each.manifest["seconds"]) for each in shards), 1),
        waited=sum(share * seconds for share, seconds in known) / total if total else None,
        failures=[(unit, Failure(reason)) for unit, reason in merged.failures],
        origin={**origin, "merged": [_about(each) for each in shards]},
        locations=merged.locations,
        marks=merged.marks,
    )


def _about(shard: Shard) -> Mapping[str, Any]:
    """Return what the manifest of the run says of a shard."""
    kept = ("shard", "of", "started", "seconds", "machine", "machines")
    return {name: shard.manifest.get(name) for name in kept} | {"units": len(shard.parts)}
