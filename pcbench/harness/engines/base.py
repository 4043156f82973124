"""The interface of every engine: it receives units, and reports the result of each."""

from __future__ import annotations

import itertools
import traceback
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from pcbench.errors import DataError, PcbenchError, RunError, named
from pcbench.harness.blocks import Block, Unit
from pcbench.harness.context import Context, Inputs, Job, Made, Meter
from pcbench.models.draws import Drawing
from pcbench.models.model import Model
from pcbench.network.seeding import seeded
from pcbench.results.environment import machine_kind
from pcbench.results.parts import Part
from pcbench.results.run_spec import EXTRACTION

TRIES = 2
"""How many times a unit is tried whose worker was killed: the first time, another program may be the cause."""

Read = Callable[[Unit], Inputs]
"""Returns the tables of the parts that a unit comes after."""


@dataclass(frozen=True)
class Failure:
    """Why a unit failed."""

    reason: str
    """In one line."""
    trace: str = ""
    """The traceback, for `--debug`."""
    error: Exception | None = None
    """The exception, if it was raised in this process."""


class Listener(Meter, Protocol):
    """Receives what an engine reports; it is called from one thread only."""

    def begun(self, unit: Unit) -> None:
        """Note that work on a unit has started."""
        ...

    def done(self, unit: Unit, part: Part) -> None:
        """Keep what a unit made."""
        ...

    def failed(self, unit: Unit, failure: Failure) -> None:
        """Note that a unit cannot be done."""
        ...


class Engine(Protocol):
    """A loop over units."""

    def run(self, units: Sequence[Unit], read: Read, listener: Listener) -> None:
        """Do all units, each after its inputs; a unit that fails does not stop the others."""
        ...

    def close(self) -> None:
        """End the engine's workers."""
        ...


class UnitQueue:
    """Gives the next unit whose inputs exist.

    Args:
        units: The units to do; inputs that are not made by them exist already.
    """

    def __init__(self, units: Sequence[Unit]) -> None:
        self._open = {unit.path for unit in units}
        self._ready: deque[Unit] = deque()
        self._waiting: list[Unit] = list(units)
        self._release()

    def __bool__(self) -> bool:
        """Whether a unit is neither done nor failed."""
        return bool(self._open)

    def holds(self, unit: Unit) -> bool:
        """Return whether a unit is neither done nor failed."""
        return unit.path in self._open

    def next(self, last: Unit | None = None, others: Collection[Block] = ()) -> Unit | None:
        """Return a unit that can be done now, or None.

        Args:
            last: What the worker did before: a unit on the same images is given first, since it holds these decoded.
            others: The blocks that other workers are at; their units are left to them while there are different ones.
        """
        if not self._ready:
            return None
        same = (unit for unit in self._ready if last is not None and unit.block == last.block)
        free = (unit for unit in self._ready if unit.block not in others)
        unit = next(itertools.chain(same, free, self._ready))
        self._ready.remove(unit)
        return unit

    def done(self, unit: Unit) -> None:
        """Note that a unit is done."""
        self._open.discard(unit.path)
        self._release()

    def failed(self, unit: Unit) -> list[Unit]:
        """Note that a unit failed; return the units that can't be done without it."""
        lost: list[Unit] = []
        names = {unit.path}
        for waiting in list(self._waiting):
            if names.intersection(waiting.after):
                names.add(waiting.path)
                lost.append(waiting)
                self._waiting.remove(waiting)
        self._open -= names
        return lost

    def _release(self) -> None:
        still: list[Unit] = []
        for unit in self._waiting:
            (still if self._open.intersection(unit.after) else self._ready).append(unit)
        self._waiting = still


def opened(job: Job, model: Model | None = None) -> Context:
    """Return a context whose network and images are open, so that what cannot be opened is said before any unit."""
    context = Context(job, model)
    for name in (suite.name for suite in job.spec.suites) if job.spec.extraction is None else (EXTRACTION,):
        context.suite(name)
    return context


def report_unit(unit: Unit, outcome: Part | Failure, schedule: UnitQueue, listener: Listener) -> None:
    """Report the result of a unit, and the failure of those that need it."""
    if isinstance(outcome, Part):
        listener.done(unit, outcome)
        schedule.done(unit)
        return
    listener.failed(unit, outcome)
    for lost in schedule.failed(unit):
        listener.failed(lost, Failure(f"comes after {unit.title}, which failed"))


def perform(unit: Unit, inputs: Inputs, context: Context) -> Part | Failure:
    """Do one unit; any exception becomes this unit's failure, with the user's exception as its cause."""
    try:
        # What draws where nobody says what the draws depend on: inner states of a random network, noise that a network
        # of the user's own adds to its gradient alone.
        (first,) = Drawing(context.settings.seed, [unit.path_alone], "unit", repeated=True).seeds(1)
        with seeded(first, context.model.device):
            made: Made = import_module(f"pcbench.harness.work.{unit.work}").compute(
                unit, inputs, context.at(unit.setting)
            )
    except SystemExit as error:  # of the user's code; it would end the worker without a word
        ended = RunError(f"the code that is run ends the program ({named(error)}); let it raise an exception instead")
        return Failure(reason_of(ended), traceback.format_exc(), ended)
    except Exception as error:  # noqa: BLE001 - the user's network may raise anything; the other units continue
        return Failure(reason_of(error), traceback.format_exc(), error)
    return Part(made.table, machine_kind(context.locations.device), made.files)


def told(failure: Failure, where: str = "") -> Failure:
    """Return a failure as another process is told of it.

    The user's own exceptions may not exist there; that the data is at fault is kept, since a run ends otherwise then.

    Args:
        failure: What failed in this process.
        where: What is added to the reason of data that cannot be read.
    """
    if not isinstance(failure.error, DataError):
        return Failure(failure.reason, failure.trace)
    error = type(failure.error)(failure.reason + where)
    error.add_note(failure.trace)
    return Failure(str(error), failure.trace, error)


def reason_of(error: Exception) -> str:
    """Return the reason in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PcbenchError) and text else named(error)
