"""Run the units of a plan, and make the finished folder from their parts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from pcbench.errors import PcbenchError, RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.completion import Completion, Store
from pcbench.harness.context import Job
from pcbench.harness.engines import local, ray
from pcbench.harness.engines.base import Engine, Failure
from pcbench.harness.keeping import Keeper, PartReader
from pcbench.harness.origin import locations_text, origin, without_places
from pcbench.harness.plan import Plan
from pcbench.harness.progress import RunProgress
from pcbench.harness.recognition import ask, is_recognised, refuse_unreadable
from pcbench.harness.request import RunOptions
from pcbench.harness.told_results import Teller
from pcbench.harness.work.answers import refuse_other_answers
from pcbench.harness.workers import with_workers
from pcbench.results.directory import PAGE, Run
from pcbench.results.environment import machine_kind
from pcbench.results.parts import Part, PartError
from pcbench.results.schema import read_table
from pcbench.results.workspace import RUN, Kind, Workspace, begin, clean_up, settle

if TYPE_CHECKING:
    from pcbench.reports.figures import FigureChoice

logger = logging.getLogger("pcbench")

_SHOWN_FAILURES = 3
_SECONDS_A_SUITE = 8.0
"""How long the tables and the page of a suite take, about: part of the time left."""


class Ending(Protocol):
    """What the work of a plan becomes: a run, or a shard of one."""

    kind: Kind
    """What kind of folder it ends in."""

    def is_same(self, held: Run, plan: Plan) -> bool:
        """Return whether a finished folder of the plan's key holds what the plan would make."""
        ...

    def answers(self, held: Run, plan: Plan) -> pa.Table | None:
        """Return what a network of the user's own answered when a finished folder was made; None if it does not say."""
        ...

    def renewed(self, held: Run, plan: Plan) -> Run:
        """Return a finished folder with what this version of the code makes of it."""
        ...

    def refuse_no_room(self, plan: Plan, final: Path) -> None:
        """Refuse what does not fit the disk, where its size is known before."""
        ...

    def kept(self, workspace: Workspace, unit: Unit, part: Part) -> Part:
        """Return what is to be kept of a part, once the rest of it has its place."""
        ...

    def finish(self, plan: Plan, workspace: Workspace, measured: Completion, store: Store | None = None) -> Run:
        """Make the finished folder of the parts, and give it its name.

        Args:
            plan: What was to be done.
            workspace: Receives the finished folder.
            measured: What only the run itself knows.
            store: Where the parts are, if not in the workspace.
        """
        ...

    def reported(self, finished: Run) -> Run:
        """Make what is made of a finished folder afterwards, if it is missing and asked for."""
        ...


class RunEnding:
    """The work becomes a run; of the figures of its report, `drawn` become files, and with None it has no report.

    What makes tables is imported when they are made: pandas and SciPy take as long to import as a third of PyTorch.
    """

    kind = RUN

    def __init__(self, drawn: FigureChoice | None = "page") -> None:
        self._drawn: FigureChoice | None = drawn

    def is_same(self, held: Run, plan: Plan) -> bool:
        """Return True: the key says all."""
        del held, plan
        return True

    def answers(self, held: Run, plan: Plan) -> pa.Table | None:
        """Return the answers that lie in the run's folder."""
        from pcbench.harness.finish import ANSWERS_FILE

        del plan
        stored = held.folder / ANSWERS_FILE
        return read_table(stored, "answers") if stored.is_file() else None

    def renewed(self, held: Run, plan: Plan) -> Run:
        """Make its tables again where the code that makes them has changed."""
        from pcbench.harness.finish import is_current, remake

        return held if is_current(held, plan) else remake(held, plan)

    def refuse_no_room(self, plan: Plan, final: Path) -> None:
        """Do nothing: a run's size is not known before."""

    def kept(self, workspace: Workspace, unit: Unit, part: Part) -> Part:
        """Return all of it."""
        del workspace, unit
        return part

    def finish(self, plan: Plan, workspace: Workspace, measured: Completion, store: Store | None = None) -> Run:
        """Make its tables."""
        from pcbench.harness.finish import finish

        return finish(plan, workspace, measured, store)

    def reported(self, finished: Run) -> Run:
        """Make its report if it is missing because the process was stopped before it."""
        folder = finished.folder / "report"
        if self._drawn is not None and not (folder / PAGE).is_file():
            with _noted(lambda: f"the run in {finished.folder} is finished and its report is not"):
                _write_report([finished], folder, self._drawn)
        return finished


def _write_report(runs: Sequence[Run], folder: Path, drawn: FigureChoice) -> None:
    from pcbench.reports.report import write_report  # matplotlib is needed at the end alone

    write_report(runs, folder, drawn)


def ending_of(plan: Plan, drawn: FigureChoice | None = "page") -> Ending:
    """Return what the work of a whole plan becomes: a run, with a report if `drawn` is not None, or an extraction."""
    if plan.spec.extraction is None:
        return RunEnding(drawn)
    from pcbench.harness.extraction.ending import ExtractionEnding  # seldom needed

    return ExtractionEnding()


def execute(request: RunOptions, plan: Plan, final: Path, ending: Ending | None = None) -> Run:
    """Run a plan, or return its finished run.

    Args:
        request: How it is run.
        plan: What is run.
        final: The folder of the finished run, whose lock this process holds.
        ending: What it becomes, where that is not what a whole plan does.

    Raises:
        UsageError: The folder holds something else, or unfinished work that cannot be resumed.
        RunError: The run failed; its finished units are kept for the next try.
    """
    ending = ending or ending_of(plan, request["figures"] if request["report"] else None)
    completed = settle(final, ending.kind)
    engine = _Lazy(plan, request)
    try:
        if not request["again"] or completed:
            found = _found(request, plan, final, engine, ending)
            if found is not None:
                return found
        ending.refuse_no_room(plan, final)
        say = logger.warning
        workspace = begin(final, plan.spec, again=request["again"], say=say, kind=ending.kind)
        return _compute(request, plan, workspace, engine, ending)
    finally:
        engine.close()


class _Lazy:
    """An engine that is made when it is first needed.

    Args:
        plan: What is run.
        request: How it is run.
    """

    def __init__(self, plan: Plan, request: RunOptions) -> None:
        self._plan, self._asked = plan, request
        self._made: Engine | None = None

    @cached_property
    def _request(self) -> RunOptions:
        return with_workers(self._asked, self._plan)

    @property
    def several(self) -> bool:
        """Whether several units are under way at a time."""
        return self._request["engine"] == "ray" or self._request["workers"] != 1

    def get(self) -> Engine:
        """Return the engine."""
        if self._made is None:
            job = Job(self._plan.spec, self._plan.locations, self._plan.objects, self._plan.lists)
            units = max(1, len(self._plan.units))
            if self._request["engine"] == "ray":
                self._made = ray.make(job, self._request, units=units)
            else:
                self._made = local.make(job, workers=min(int(self._request["workers"]), units), model=self._plan.model)
        return self._made

    def close(self) -> None:
        """End it, if it was made."""
        if self._made is not None:
            self._made.close()


def _found(request: RunOptions, plan: Plan, final: Path, engine: _Lazy, ending: Ending) -> Run | None:
    """Return the finished run of this plan if this folder holds it."""
    if not (final / ending.kind.manifest).is_file():
        return None
    held = ending.kind.open(final, verify=False)
    if held.key != plan.spec.key() or (held.missing and not request["allow_missing"]):
        return None
    held = ending.kind.open(final)
    if not ending.is_same(held, plan):
        return None
    if plan.question is not None:
        refuse_unreadable(plan)
        before = ending.answers(held, plan)
        if before is not None:
            refuse_other_answers(before, ask(plan.question, engine.get()).table)
    held = ending.renewed(held, plan)
    clean_up(final, ending.kind)
    return dataclasses.replace(ending.reported(held), found=True)


def _compute(request: RunOptions, plan: Plan, workspace: Workspace, engine: _Lazy, ending: Ending) -> Run:
    started, clock = dt.datetime.now(dt.UTC), time.monotonic()
    todo = _left(request, plan, workspace)
    workspace.note_failure(None)
    with _noted(lambda: _kept(plan, workspace)), _told(workspace):
        listener, waited = _do(request, plan, workspace, engine, todo, ending)
        if listener.failures and not request["allow_missing"]:
            raise _failed(plan, workspace, listener.failures)
        measured = Completion(
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - clock, 1),
            waited=waited,
            failures=[(unit, _published(failure, request)) for unit, failure in listener.failures],
            origin=origin(request),
            locations=locations_text(request),
        )
        finished = ending.finish(plan, workspace, measured)
    return ending.reported(finished)


def _published(failure: Failure, request: RunOptions) -> Failure:
    """Return a failure as the manifest names it."""
    return dataclasses.replace(failure, reason=without_places(failure.reason, request))


def _do(
    request: RunOptions, plan: Plan, workspace: Workspace, engine: _Lazy, todo: Sequence[Unit], ending: Ending
) -> tuple[Keeper, float | None]:
    """Do the units that are left; return what was kept, and the share of the time that the network waited."""
    console = None
    if request["progress"]:
        from pcbench.terminal import Terminal  # with Rich, which nothing else in a run needs

        console = Terminal(file=sys.stderr)
    if console is not None and todo:
        for sentence in _upper_bounds(plan):
            console.print(sentence, soft_wrap=True)
    several, finishing = bool(todo) and engine.several, _SECONDS_A_SUITE * len(plan.spec.suites)
    progress = RunProgress(workspace.folder, plan.units, console, several=several, finishing=finishing)
    teller = Teller(request["on_result"], plan, workspace.read_part)
    listener = Keeper(workspace, progress, ending.kept, teller)
    with progress:
        # Also if all units are done, because the parts may be another network's.
        if plan.question is not None and not is_recognised(request, plan, workspace, plan.question, engine.get()):
            todo = plan.units
        left = {unit.path for unit in todo}
        for unit in plan.units:
            if unit.path not in left:
                listener.skip(unit)
        if todo:
            engine.get().run(todo, PartReader(workspace), listener)
    return listener, progress.waited_share


def _upper_bounds(plan: Plan) -> Iterator[str]:
    """Yield a sentence with the largest possible number of images for each suite whose images the network decides."""
    for suite in plan.spec.suites:
        if suite.rule is not None:
            yield f"{suite.name}: at most {suite.images} images: those that are classified correctly at every timestep"


@contextmanager
def _noted(state: Callable[[], str]) -> Generator[None]:
    """Add to the exception that stops the process what is kept."""
    try:
        yield
    except BaseException as stop:
        stop.add_note(state())
        raise


@contextmanager
def _told(workspace: Workspace) -> Generator[None]:
    """Note an error that ends the work in its folder, for those who ask for its state from elsewhere."""
    try:
        yield
    except PcbenchError as error:
        workspace.note_failure(str(error))
        raise


def _kept(plan: Plan, workspace: Workspace) -> str:
    kept = sum(workspace.part_file(unit.path).is_file() for unit in plan.units)
    return f"{kept} of {len(plan.units)} units are kept in {workspace.folder}"


def _left(request: RunOptions, plan: Plan, workspace: Workspace) -> list[Unit]:
    """Return the units whose parts are not there yet; a damaged part is named and computed again."""
    left: list[Unit] = []
    machines: set[str] = set()
    for unit in plan.units:
        if not workspace.part_file(unit.path).is_file():
            left.append(unit)
            continue
        try:
            machines.add(workspace.read_part(unit.path).machine)
        except PartError as error:
            logger.warning("%s; it is computed again", error)
            left.append(unit)
    own = machine_kind(plan.locations.device)
    others = sorted(machines - {own})
    if left and others and not request["mixed_machines"]:
        raise UsageError(
            f"{workspace.folder} was started on another kind of machine ({', '.join(others)}; this is {own}), where "
            "the last bits of numbers differ: continue there, or here with mixed_machines=True, which the results "
            "record"
        )
    return left


def _failed(plan: Plan, workspace: Workspace, failures: Sequence[tuple[Unit, Failure]]) -> RunError:
    """Return the error of a run some of whose units failed, with the first one's own exception as its cause."""
    shown = "; ".join(
        f"{unit.condition_title}, {unit.block.words}: {failure.reason}" for unit, failure in failures[:_SHOWN_FAILURES]
    )
    more = f" (and {len(failures) - _SHOWN_FAILURES} more)" if len(failures) > _SHOWN_FAILURES else ""
    without = "" if plan.spec.extraction is not None else ", allow_missing=True finishes without them"
    error = RunError(
        f"{len(failures)} of {len(plan.units)} units failed: {shown}{more}; the others are kept in {workspace.folder}, "
        f"the same command tries these again{without}"
    )
    error.__cause__ = failures[0][1].error
    if failures[0][1].trace and failures[0][1].error is None:
        error.add_note(failures[0][1].trace)  # from another process: shown with --debug
    return error
