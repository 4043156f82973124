"""A shard of a run: the work of one share of its units, and the finished folder that keeps their parts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from pcbench import files
from pcbench.errors import RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.completion import Completion, Store
from pcbench.harness.extraction.plan import refuse_no_room
from pcbench.harness.finish import missing_entry
from pcbench.harness.plan import Plan
from pcbench.harness.request import RunOptions
from pcbench.harness.run import execute
from pcbench.harness.saved_plan import write_plan_files
from pcbench.harness.saved_units import units_sha256
from pcbench.harness.shard_numbers import ShardNumber
from pcbench.harness.shares import shares
from pcbench.results.directory import LOCATIONS, Run
from pcbench.results.environment import machine
from pcbench.results.parts import ENDING, Part, PartError, part_machine
from pcbench.results.shard import PARTS, PLAN_FOLDER, Shard
from pcbench.results.workspace import SHARD, Workspace


def execute_shard(request: RunOptions, plan: Plan, shard: ShardNumber, final: Path) -> Run:
    """Do the work of one shard, or return it if it is finished.

    Args:
        request: How it is run.
        plan: The whole run.
        shard: Which share of its units is done.
        final: The folder of the finished shard, whose lock this process holds.

    Raises:
        UsageError, RunError: As `execute`.
    """
    share = shares(plan.units, shard.of)[shard.number - 1]
    # A share without units asks nothing of a network, so none is loaded.
    own = dataclasses.replace(plan, units=share, question=plan.question if share else None)
    return execute(request, own, final, ShardEnding(plan, shard))


@dataclasses.dataclass(frozen=True)
class ShardEnding:
    """The work becomes a shard."""

    whole: Plan
    """The plan of the whole run."""
    shard: ShardNumber
    """Which shard of it."""
    kind = SHARD

    def is_same(self, held: Run, plan: Plan) -> bool:
        """Return whether a finished shard has the number and the units of this one."""
        del plan
        named = isinstance(held, Shard) and (held.number, held.of) == (self.shard.number, self.shard.of)
        return named and held.manifest["units"] == units_sha256(self.whole.units)

    def answers(self, held: Run, plan: Plan) -> pa.Table | None:
        """Return the answers that lie among its parts."""
        if not isinstance(held, Shard) or plan.question is None or plan.question.path not in held.parts:
            return None
        return held.read_part(plan.question.path).table

    def renewed(self, held: Run, plan: Plan) -> Run:
        """Return it as it is: it has no tables."""
        del plan
        return held

    def refuse_no_room(self, plan: Plan, final: Path) -> None:
        """Refuse an extraction's share that does not fit the disk."""
        if plan.spec.extraction is not None:
            refuse_no_room(plan, final, whole=False)

    def kept(self, workspace: Workspace, unit: Unit, part: Part) -> Part:
        """Return all of it."""
        del workspace, unit
        return part

    def finish(self, plan: Plan, workspace: Workspace, measured: Completion, store: Store | None = None) -> Run:
        """Keep the parts, with the plan of the whole run and what is known of the work.

        Raises:
            RunError: A part is damaged or missing, though its unit was done.
        """
        del store
        failed = {unit.path for unit, _ in measured.failures}
        folder = workspace.begin_finishing()
        files.write(folder / LOCATIONS, measured.locations)
        machines: Counter[str] = Counter()
        for unit in plan.units:
            if unit.path not in failed:
                machines[_kept(unit, workspace, folder)] += 1
        if plan.question is not None:
            _kept(plan.question, workspace, folder)
        write_plan_files(self.whole, folder / PLAN_FOLDER)
        content: dict[str, Any] = {
            **measured.origin,
            "shard": self.shard.number,
            "of": self.shard.of,
            "read_from": self.shard.origin or None,
            "units": units_sha256(self.whole.units),
            "started": measured.started,
            "seconds": measured.seconds,
            "waited_for_images": measured.waited,
            "machine": machine(),
            "machines": dict(sorted(machines.items())),
            "missing": [{"unit": unit.path, **missing_entry(unit, failure)} for unit, failure in measured.failures],
        }
        return workspace.finish(content)

    def reported(self, finished: Run) -> Run:
        """Return it as it is: a shard has no report."""
        return finished


def _kept(unit: Unit, workspace: Workspace, folder: Path) -> str:
    """Keep the part of a unit; return the kind of machine that made it."""
    path = workspace.part_file(unit.path)
    try:
        kind = part_machine(path)
    except PartError as error:
        raise RunError(f"{error}; the same command computes it again") from error
    files.copy(path, folder / PARTS / f"{unit.path}{ENDING}")
    return kind
