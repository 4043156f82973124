"""What the work of an extraction becomes: a folder with one array a layer."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pcbench import files
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.completion import Completion, Store
from pcbench.harness.extraction.plan import refuse_no_room
from pcbench.harness.plan import Plan
from pcbench.percent import decimal
from pcbench.results.directory import LOCATIONS, Run
from pcbench.results.environment import machine
from pcbench.results.extraction import ARRAYS, HDF5, IDS, ArrayFiles, array_file, array_shape, write_hdf5, written
from pcbench.results.parts import Part, PartError
from pcbench.results.schema import read_table, write_table
from pcbench.results.workspace import ARRAYS_FOLDER, EXTRACTED, Workspace

_ANSWERS = "answers.parquet"


class ExtractionEnding:
    """The work becomes an extraction."""

    kind = EXTRACTED

    def is_same(self, held: Run, plan: Plan) -> bool:
        """Return True: the key says all."""
        del held, plan
        return True

    def answers(self, held: Run, plan: Plan) -> pa.Table | None:
        """Return the answers by which a network of the user's own is recognised."""
        del plan
        stored = held.folder / _ANSWERS
        return read_table(stored, "answers") if stored.is_file() else None

    def renewed(self, held: Run, plan: Plan) -> Run:
        """Return it as it is: nothing in it is made of other files."""
        del plan
        return held

    def refuse_no_room(self, plan: Plan, final: Path) -> None:
        """Refuse what does not fit the disk."""
        refuse_no_room(plan, final)

    def kept(self, workspace: Workspace, unit: Unit, part: Part) -> Part:
        """Write a unit's rows into the arrays; what is left of its part says that they are there."""
        if unit.work == "extraction" and part.files:
            _arrays(workspace).write(unit.block.start, part.files)
            return dataclasses.replace(part, files={})
        return part

    def finish(self, plan: Plan, workspace: Workspace, measured: Completion, store: Store | None = None) -> Run:
        """Check the arrays, and give them their place.

        Raises:
            RunError: A part or the rows of a unit are damaged or missing.
        """
        machines: dict[str, int] = {}
        not_finite: dict[str, int] = {}
        lost: list[str] = []
        for unit in plan.units:
            part = self._part(unit, workspace, store or workspace)
            changed = _changed(unit, part, workspace)
            if changed is not None:
                files.remove(workspace.part_file(unit.path))
                lost.append(f"{changed}: {unit.block.words}")
            machines[part.machine] = machines.get(part.machine, 0) + 1
            for row in part.table.to_pylist():
                not_finite[row["array"]] = not_finite.get(row["array"], 0) + row["not_finite"]
        if lost:
            # All of them at once, so that one more try is enough.
            more = f" (and of {len(lost) - 1} more units)" if len(lost) > 1 else ""
            raise RunError(f"{lost[0]}{more} were changed or lost; the same command computes them again")
        folder = workspace.begin_finishing()
        files.write(folder / LOCATIONS, measured.locations)
        ids = _write_images(plan, folder)
        if plan.question is not None:
            write_table((store or workspace).read_part(plan.question.path).table, folder / _ANSWERS, "answers")
        self._write_arrays(plan, workspace, folder, ids)
        content = {
            **measured.origin,
            "started": measured.started,
            "seconds": measured.seconds,
            "waited_for_images": measured.waited,
            "machine": machine(),
            "machines": machines,
            "arrays": _described(plan),
            "missing": [],
            "notes": [*measured.marks, *plan.notes, *_notes(plan, machines, not_finite)],
        }
        return workspace.finish(content)

    def _part(self, unit: Unit, workspace: Workspace, store: Store) -> Part:
        """Return the part of a unit whose rows are in the arrays; those of a shard are written first."""
        try:
            part = store.read_part(unit.path)
        except PartError as error:
            raise RunError(f"{error}; the same command computes it again") from error
        self.kept(workspace, unit, part)
        return part

    def _write_arrays(self, plan: Plan, workspace: Workspace, folder: Path, ids: Sequence[str]) -> None:
        extraction, arrays = written(plan.spec), _arrays(workspace)
        if extraction.format == "hdf5":
            write_hdf5(arrays, folder / HDF5, tuple(ids), extraction)
            return
        for array in extraction.arrays:
            files.copy(arrays.path(array.name), folder / ARRAYS / array_file(array.name))

    def reported(self, finished: Run) -> Run:
        """Return it as it is: an extraction has no report."""
        return finished


def _changed(unit: Unit, part: Part, workspace: Workspace) -> Path | None:
    """Return the first array whose rows of a unit are not those that were computed."""
    arrays, block = _arrays(workspace), unit.block
    for row in part.table.to_pylist():
        if not arrays.holds(row["array"], block.start, block.stop, row["sha256"]):
            return arrays.path(row["array"])
    return None


def _arrays(workspace: Workspace) -> ArrayFiles:
    return ArrayFiles(workspace.folder / ARRAYS_FOLDER, workspace.spec)


def _write_images(plan: Plan, folder: Path) -> list[str]:
    write_table(plan.images, folder / "images.parquet", "images")
    ids = [str(name) for name in plan.images.column("image_id").to_pylist()]
    files.write(folder / IDS, json.dumps(ids, ensure_ascii=False, indent=0) + "\n")
    return ids


def _described(plan: Plan) -> list[dict[str, Any]]:
    extraction = written(plan.spec)
    return [
        {
            "name": array.name,
            "module": array.module,
            "file": HDF5 if extraction.format == "hdf5" else f"{ARRAYS}/{array_file(array.name)}",
            "shape": array_shape(plan.spec, array),
            "axes": ["image", "timestep", *_axes(array.shape, array.computed)],
            "projected": array.projected,
        }
        for array in extraction.arrays
    ]


def _axes(shape: tuple[int, ...], computed: tuple[int, ...]) -> list[str]:
    if shape == computed and len(shape) == 3:
        return ["channel", "height", "width"]
    return ["value"] if len(shape) == 1 else [f"axis {number}" for number in range(len(shape))]


def _notes(plan: Plan, machines: dict[str, int], not_finite: dict[str, int]) -> list[str]:
    """Return what a reader of the arrays must know."""
    extraction, notes = written(plan.spec), list[str]()
    for name, count in not_finite.items():
        if count:
            array = next(one for one in extraction.arrays if one.name == name)
            whole = math.prod(array_shape(plan.spec, array))
            share = decimal(100 * count / whole, 2)
            notes.append(f"{name}: {share} % of its values are not finite numbers: the network diverges")
    if len(machines) > 1:
        notes.append(f"computed on several kinds of machines ({', '.join(machines)}): the last bits may differ")
    if plan.facts.unreadable is not None:
        notes.append(f"the source of {plan.facts.unreadable} could not be read: it cannot be recognised again")
    return notes
