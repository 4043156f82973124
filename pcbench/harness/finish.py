"""Making the finished folder of a run from its parts, and its tables again where the code that makes them changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from pcbench import files
from pcbench.catalog import identity
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.errors import DataError, RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.completion import Completion, Store
from pcbench.harness.divisors import divisors_of
from pcbench.harness.engines.base import Failure
from pcbench.harness.finish_settings import make_each, remake_each
from pcbench.harness.joining import (
    Definitions,
    split_retried,
    write_evidence,
    write_numbers,
    write_pictures,
    write_worst_cases,
)
from pcbench.harness.mismatch import mismatch
from pcbench.harness.plan import Plan
from pcbench.harness.skipping import count_skipped
from pcbench.harness.suites import read_definition
from pcbench.harness.transferred import TRANSFERRED, judged_at
from pcbench.harness.work.attacks import ADVERSARIALS
from pcbench.harness.work.growth import growth_of
from pcbench.harness.work.precision import changed_decisions
from pcbench.metrics.draw_rows import draw_notes
from pcbench.metrics.lost_gradients import lost_gradient_warnings
from pcbench.metrics.marks import TUNED_ON, Marking, stated_std
from pcbench.results.conditions import RETRIED, Condition
from pcbench.results.directory import LOCATIONS, Run, incomplete_suites
from pcbench.results.divisor import DIVISORS, divisors_json
from pcbench.results.environment import METRICS_CODE, code_hash, machine
from pcbench.results.parts import Part, PartError, from_parquet
from pcbench.results.saved_suite import FOLDER as ADVERSARIALS_FOLDER
from pcbench.results.schema import joined, write_table
from pcbench.results.workspace import Workspace, begin

ANSWERS_FILE = "answers.parquet"
"""The file by which a network of the user's own is recognised."""
_MADE_AGAIN = ("metrics.parquet", "metrics.csv", "checks.json", "manifest.json")


def finish(plan: Plan, workspace: Workspace, measured: Completion, store: Store | None = None) -> Run:
    """Make the finished folder from all parts, and give it its name.

    Args:
        plan: What was to be done.
        workspace: Receives the finished folder.
        measured: What only the run itself knows.
        store: Where the parts are, if not in the workspace.

    Raises:
        RunError: A part is damaged or missing, though its unit was done.
        DataError: Nothing is left to make a table of.
    """
    folder = workspace.begin_finishing()
    files.write(folder / LOCATIONS, measured.locations)
    if not plan.spec.settings.grid.swept:
        return workspace.finish(_made(plan, folder, measured, store or workspace))
    if plan.question is not None:
        answers = _Parts(plan, store or workspace, set()).answers(plan.question)
        write_table(answers, folder / ANSWERS_FILE, "answers")
    content = make_each(plan, folder, measured, store or workspace, _made)
    lost = [missing_entry(unit, failure) for unit, failure in _in_order(plan, measured.failures)]
    return workspace.finish({**_of_work(measured), **content, "tables": tables_identity(plan), "missing": lost})


def _of_work(measured: Completion) -> dict[str, Any]:
    """Return what a manifest says of the work."""
    return {
        **measured.origin,
        "started": measured.started,
        "seconds": measured.seconds,
        "waited_for_images": measured.waited,
        "machine": machine(),
    }


def _in_order(plan: Plan, failures: Sequence[tuple[Unit, Failure]]) -> list[tuple[Unit, Failure]]:
    """Return failures in the order of the plan, not in theirs: workers and shards fail in another order."""
    order = {unit.path: number for number, unit in enumerate(plan.units)}
    return sorted(failures, key=lambda failed: order[failed[0].path])


def _made(plan: Plan, folder: Path, measured: Completion, store: Store) -> dict[str, Any]:
    """Make the files of a run from its parts; return what its manifest says."""
    parts = _Parts(plan, store, {unit.path for unit, _ in measured.failures})
    attacks = list(_write_conditions(parts, folder))
    lost = [missing_entry(unit, failure) for unit, failure in _in_order(plan, measured.failures)]
    write_worst_cases(folder, attacks, incomplete_suites(lost))
    growth = growth_of([part.table for _, part in parts.of("growth")])
    rounded = changed_decisions([part.table for _, part in parts.of("precision")], plan.spec.settings.precision)
    pictures = [part.table for _, part in parts.of("pictures")]
    write_pictures(folder, joined(pictures, "pictures"))
    if plan.question is not None:
        write_table(parts.answers(plan.question), folder / ANSWERS_FILE, "answers")
    write_table(plan.images, folder / "images.parquet", "images")
    metrics, tables = _write_numbers(plan, folder, lost)
    skipped = count_skipped(folder / "outcomes") if attacks and plan.spec.settings.bracketing else None
    sentences = [None if one is None else one.sentence for one in (growth, skipped)]
    return {
        **_of_work(measured),
        "machines": parts.machines,
        "classes": plan.facts.classes,
        **tables,
        "kept": parts.kept(),
        "growth": None if growth is None else dataclasses.asdict(growth),
        "skipped": None if skipped is None else dataclasses.asdict(skipped),
        "missing": lost,
        "notes": [
            *measured.marks,
            *(sentence for sentence in (rounded, *sentences) if sentence is not None),
            *lost_gradient_warnings(metrics),
            *draw_notes(metrics, plan.spec.settings.stochastic),
            *_notes(plan, parts, lost),
        ],
    }


def _write_numbers(
    plan: Plan, folder: Path, missing: Sequence[Mapping[str, Any]]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Write verdicts and metrics; return the metrics, and what the manifest says of how they were made."""
    divisors = divisors_of(plan.spec, plan.locations, plan.images)
    metrics = write_numbers(folder, plan.spec, definitions_of(plan), divisors, missing, marking_of(plan))
    return metrics, {"tables": tables_identity(plan), DIVISORS: divisors_json(divisors)}


def marking_of(plan: Plan) -> Marking:
    """Return what the marks of a run's numbers depend on."""
    tuned = any(note.startswith(TUNED_ON.upper()) for note in plan.notes)
    chosen, severities = plan.spec.settings.severities, dict[str, tuple[int, ...]]()
    for name, suite in definitions_of(plan).items() if chosen is not None else ():
        each = suite.corruptions if isinstance(suite, CorruptionSuite) else ()
        if any(corruption.measured(chosen) != corruption.measured(None) for corruption in each):
            severities[name] = tuple(sorted({one for corruption in each for one in corruption.measured(chosen)}))
    return Marking(plan.facts.classes, stated_std(plan.spec.model.get("std")), tuned, severities)


def definitions_of(plan: Plan) -> Definitions:
    """Return the suites of a run by name; of saved adversarial images no table needs more than their outcomes."""
    if plan.spec.data.name == ADVERSARIALS_FOLDER:
        return {}
    given = plan.objects.suites
    return {
        suite.name: given.get(suite.name) or read_definition(suite.kind, plan.locations.suite(suite.name))
        for suite in plan.spec.suites
    }


def tables_identity(plan: Plan) -> dict[str, Any]:
    """Return what the tables of a run depend on besides its parts: the code that makes them, and baselines."""
    divisors = divisors_json(divisors_of(plan.spec, plan.locations, plan.images))
    made = {"code": code_hash(METRICS_CODE), "baselines": {name: identity(found) for name, found in divisors.items()}}
    return {**made, "tuned": True} if marking_of(plan).tuned else made


def is_current(found: Run, plan: Plan) -> bool:
    """Return whether a finished run's tables are what this code would make of its outcomes."""
    return found.manifest.get("tables") == tables_identity(plan)


def remake(found: Run, plan: Plan) -> Run:
    """Make the tables of a finished run again, from what its parts left in it."""
    workspace = begin(found.folder, plan.spec, again=False)
    folder = workspace.begin_finishing()
    if (found.folder / LOCATIONS).is_file():
        files.copy(found.folder / LOCATIONS, folder / LOCATIONS)
    if not plan.spec.settings.grid.swept:
        return workspace.finish(_made_again(found, plan, folder))
    if (found.folder / ANSWERS_FILE).is_file():
        files.copy(found.folder / ANSWERS_FILE, folder / ANSWERS_FILE)
    content = remake_each(found, plan, folder, _made_again)
    return workspace.finish({**_kept(found), **content, "tables": tables_identity(plan)})


def _made_again(found: Run, plan: Plan, folder: Path) -> dict[str, Any]:
    """Make the tables of a run again in another folder; return what its manifest says."""
    for name in found.manifest["files"]:
        if name not in _MADE_AGAIN:
            files.copy(found.folder / name, folder / name)
    _, tables = _write_numbers(plan, folder, found.missing)
    return {**_kept(found), **tables}


def _kept(found: Run) -> dict[str, Any]:
    own = ("manifest_version", "key", "spec", "files", "tables")
    return {key: value for key, value in found.manifest.items() if key not in own}


class _Parts:
    """The parts of a run, complete against its plan.

    Args:
        plan: What was to be done.
        store: Where the parts lie.
        failed: Paths of the units that have none.
    """

    def __init__(self, plan: Plan, store: Store, failed: set[str]) -> None:
        self._units = [unit for unit in plan.units if unit.path not in failed]
        self._store = store
        self._plan = plan
        self._kept: dict[str, int] = {}
        self.machines: dict[str, int] = {}
        self.mismatches: dict[str, None] = {}

    def of(self, *works: str) -> Iterator[tuple[Unit, Part]]:
        """Yield the parts of some kinds of work, in the order of the plan.

        Raises:
            RunError: One is damaged or missing.
        """
        for unit in self._units:
            if unit.work in works:
                part = self._read(unit)
                self.machines[part.machine] = self.machines.get(part.machine, 0) + 1
                yield unit, part

    def _read(self, unit: Unit) -> Part:
        try:
            return self._store.read_part(unit.path)
        except PartError as error:
            raise RunError(f"{error}; the same command computes it again") from error

    def answers(self, question: Unit) -> pa.Table:
        """Return the answers by which a network of the user's own is recognised."""
        return self._read(question).table

    def grouped(self, *works: str) -> Iterator[tuple[Condition, list[tuple[Unit, Part]]]]:
        """Yield the parts condition by condition, so that one condition is held at a time."""
        held: list[tuple[Unit, Part]] = []
        for unit, part in self.of(*works):
            if held and held[0][0].condition != unit.condition:
                yield held[0][0].condition, held
                held = []
            held.append((unit, part))
        if held:
            yield held[0][0].condition, held

    def note_kept(self, condition: Condition, table: pa.Table) -> None:
        """Count the images of a suite whose rule chose among them."""
        rules = {suite.name for suite in self._plan.spec.suites if suite.rule is not None}
        if condition.kind == "clean" and condition.suite in rules:
            self._kept[condition.suite] = len(table.column("image_id").unique())

    def note_mismatch(self, condition: Condition, table: pa.Table) -> None:
        """Note a warning where labels and network look as if they did not belong together, once for all suites."""
        warning = mismatch(table, self._plan.facts) if condition.kind == "clean" else None
        if warning is not None:
            self.mismatches[warning] = None

    def kept(self) -> Mapping[str, int]:
        """Return how many images each such suite kept.

        Raises:
            DataError: None.
        """
        for name, count in self._kept.items():
            if not count:
                images = next(suite.images for suite in self._plan.spec.suites if suite.name == name)
                model = self._plan.facts.name
                raise DataError(f"{name}: {model} is right at every timestep on none of {images} images")
        return self._kept


_FOLDERS = {"scores": "outcomes", "attacks": "outcomes", "saved": "outcomes", "representations": "representations"}


def _write_conditions(parts: _Parts, folder: Path) -> Iterator[Condition]:
    """Write the tables of all conditions, each joined from its blocks; yield the attacks."""
    evidence: dict[str, list[pa.Table]] = {}
    transferred: dict[str, list[pa.Table]] = {}
    for condition, held in parts.grouped(*_FOLDERS):
        what = _FOLDERS[held[0][0].work]
        table = joined([part.table for _, part in held], what)
        parts.note_kept(condition, table)
        parts.note_mismatch(condition, table)
        table, second = split_retried(table) if condition.kind == "attack" else (table, None)
        write_table(table, folder / what / f"{condition.path}.parquet", what)
        for unit, part in held:
            if ADVERSARIALS in part.files:
                number = f"-{unit.block.number:05d}" if unit.block.of > 1 else ""
                name = f"{condition.path}{number}.safetensors"
                files.write(folder / ADVERSARIALS_FOLDER / name, part.files[ADVERSARIALS])
            if TRANSFERRED in part.files:
                found = from_parquet(part.files[TRANSFERRED], unit.path)
                transferred.setdefault(condition.suite, []).append(found)
        if condition.kind == "attack":
            yield condition
        if second is not None:
            retried = dataclasses.replace(condition, name=condition.name + RETRIED)
            write_table(second, folder / what / f"{retried.path}.parquet", what)
            yield retried
    for unit, part in parts.of("evidence"):
        evidence.setdefault(unit.condition.suite, []).append(part.table)
    for suite, tables in evidence.items():
        rows = joined(tables, "evidence")
        rows = joined([rows, judged_at(rows, transferred.get(suite, []))], "evidence")
        write_evidence(folder, suite, rows)


def missing_entry(unit: Unit, failure: Failure) -> dict[str, Any]:
    """Return what a manifest says of a unit that could not be done."""
    return {
        "work": unit.work,
        "suite": unit.condition.suite,
        "condition": unit.condition_title,
        "images": unit.block.words,
        "reason": failure.reason,
    }


def _notes(plan: Plan, parts: _Parts, missing: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what a reader of the numbers must know."""
    yield from parts.mismatches
    yield from plan.notes
    if len(parts.machines) > 1:
        shares = ", ".join(f"{count} units on {kind}" for kind, count in sorted(parts.machines.items()))
        yield f"computed on several kinds of machines ({shares}): the last bits of numbers may differ between them"
    if plan.facts.unreadable is not None:
        yield f"the source of {plan.facts.unreadable} could not be read: this run cannot be recognised again"
    if missing:
        what = ", ".join(dict.fromkeys(str(entry["condition"]) for entry in missing))
        yield f"MISSING: {len(missing)} units could not be computed ({what}); the numbers are of what is left"
