"""Units done on this machine: by one worker in this process, or by several other processes.

Another process is started as a new Python, never forked, because PyTorch's threads would not survive that. It
receives the job with its paths, makes its network and images once, and does unit after unit. It ends by itself when
this process ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import torch

from pcbench.errors import PcbenchError, RunError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Job
from pcbench.harness.engines.base import (
    TRIES,
    Engine,
    Failure,
    Listener,
    Read,
    UnitQueue,
    opened,
    perform,
    report_unit,
    told,
)
from pcbench.models.model import Model
from pcbench.results.parts import Part


def make(job: Job, *, workers: int, model: Model | None = None) -> Engine:
    """Return the engine.

    Args:
        job: What is run, and the paths.
        workers: How many work at the same time.
        model: The network, where this process has loaded it already.
    """
    return InProcess(job, model) if workers == 1 else Processes(job, workers)


class InProcess:
    """One worker in this process.

    Args:
        job: What is run, and the paths.
        model: The network, where it is loaded already.
    """

    def __init__(self, job: Job, model: Model | None) -> None:
        self._job, self._model = job, model
        self._context: Context | None = None
        self._threads = torch.get_num_threads()

    def run(self, units: Sequence[Unit], read: Read, listener: Listener) -> None:
        """Do all units, one after the other."""
        if not units:
            return
        torch.set_num_threads(self._job.spec.settings.threads)
        context = self._context = self._context or opened(self._job, self._model)
        context.meter = listener
        schedule = UnitQueue(units)
        unit: Unit | None = None
        while (unit := schedule.next(unit)) is not None:
            listener.begun(unit)
            report_unit(unit, perform(unit, read(unit), context), schedule, listener)

    def close(self) -> None:
        """Give the process its own number of threads back."""
        torch.set_num_threads(self._threads)


@dataclass
class _Worker:
    """A process, the pipe to it, and the unit it works on."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    unit: Unit | None = None
    last: Unit | None = None
    """The unit that it did before."""
    ready: bool = False

    def send(self, message: object) -> None:
        """Send a message to the process."""
        with contextlib.suppress(OSError):  # its end is noticed where its answers are read
            self.pipe.send(message)


@dataclass
class _Round:
    """One call of `Processes.run`."""

    schedule: UnitQueue
    read: Read
    listener: Listener
    tries: dict[str, int] = field(default_factory=dict[str, int])
    again: list[Unit] = field(default_factory=list[Unit])


def worker_environment(device: str, number: int) -> dict[str, str]:
    """Return the environment of a worker: where there are several GPUs and none is named, each worker sees one."""
    found, gpus = dict(os.environ), torch.cuda.device_count() if device == "cuda" else 0
    if gpus > 1:
        visible = found.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = visible if len(visible) == gpus else [str(index) for index in range(gpus)]
        found["CUDA_VISIBLE_DEVICES"] = names[number % gpus]
    return found


class Processes:
    """Several workers, each in its own process.

    Args:
        job: What is run, and the paths.
        workers: How many.
    """

    def __init__(self, job: Job, workers: int) -> None:
        self._job = job
        self._workers = [self._start(number) for number in range(workers)]

    def _start(self, number: int) -> _Worker:
        ours, theirs = Pipe()
        command = [sys.executable, "-c", "from pcbench.harness.engines.local import work; work()", str(theirs.fileno())]
        # In its own session, because Ctrl-C in the terminal is for the main process only.
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own code
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[theirs.fileno()],
            env=worker_environment(self._job.locations.device, number),
        )
        theirs.close()
        worker = _Worker(process, ours)
        worker.send((self._job, list(sys.path)))
        return worker

    def run(self, units: Sequence[Unit], read: Read, listener: Listener) -> None:
        """Do all units, as many at a time as there are workers."""
        state = _Round(UnitQueue(units), read, listener)
        for worker in self._workers:
            self._hand_out(worker, state)
        while any(worker.unit is not None for worker in self._workers):
            busy = {worker.pipe: worker for worker in self._workers if worker.unit is not None}
            for pipe in wait(list(busy)):
                self._take(busy[cast("Connection", pipe)], state)
            for worker in list(self._workers):
                self._hand_out(worker, state)

    def _take(self, worker: _Worker, state: _Round) -> None:
        """Take one message from a worker."""
        try:
            message: Any = worker.pipe.recv()
        except (EOFError, OSError):
            self._replace(worker, state)
            return
        if isinstance(message, Part | Failure):
            unit, worker.unit = worker.unit, None
            if unit is not None:
                report_unit(unit, message, state.schedule, state.listener)
        else:
            self._note(worker, message, state.listener)

    def _note(self, worker: _Worker, message: Any, listener: Listener) -> None:
        """Take a message of a worker that is not a result: ready, refused, or progress."""
        kind, *numbers = message
        if kind == "ready":
            worker.ready = True
        elif kind == "refused":
            raise RunError(f"a worker cannot begin: {numbers[0]}")
        elif kind == "step":
            listener.step(*numbers)
        else:
            listener.wait(*numbers)

    def _hand_out(self, worker: _Worker, state: _Round) -> None:
        if worker.unit is not None:
            return
        others = [other.unit.block for other in self._workers if other.unit is not None]
        unit = state.again.pop() if state.again else state.schedule.next(worker.last, others)
        if unit is None:
            return
        worker.unit = worker.last = unit
        state.tries[unit.path] = state.tries.get(unit.path, 0) + 1
        state.listener.begun(unit)
        worker.send((unit, state.read(unit)))

    def _replace(self, worker: _Worker, state: _Round) -> None:
        """Start another worker in place of one that ended, and try its unit once more."""
        code = worker.process.wait()
        if not worker.ready:
            raise RunError(f"a worker ended before it could begin ({_how(code)}); use one worker to see the reason")
        unit = worker.unit
        worker.pipe.close()
        number = self._workers.index(worker)
        self._workers[number] = self._start(number)
        if unit is None:
            return
        if state.tries[unit.path] < TRIES:
            state.again.append(unit)
            return
        failure = Failure(f"its worker ended {state.tries[unit.path]} times ({_how(code)}); use a smaller batch size")
        report_unit(unit, failure, state.schedule, state.listener)

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.pipe.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


class _Meter:
    """The worker's end of the pipe: sends how far a unit is."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def step(self, work: float, images: int) -> None:
        self._pipe.send(("step", work, images))

    def wait(self, waited: float, elapsed: float) -> None:
        self._pipe.send(("wait", waited, elapsed))


def work() -> None:
    """Run a worker: read a job and then units from the pipe whose number is the first argument, and send parts."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)  # the main process decides when to stop
    pipe = Connection(int(sys.argv[1]))
    tasks: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    job, path = tasks.get()
    sys.path[:] = path
    try:
        torch.set_num_threads(job.spec.settings.threads)
        context = opened(job)
        context.meter = _Meter(pipe)
    except PcbenchError as error:
        pipe.send(("refused", str(error)))
        return
    pipe.send(("ready",))
    while True:
        task: tuple[Unit, Inputs] = tasks.get()
        outcome = perform(*task, context)
        pipe.send(told(outcome) if isinstance(outcome, Failure) else outcome)


def _receive(pipe: Connection, tasks: queue.Queue[Any]) -> None:
    """Take tasks as they come, and end the process when the main process has ended."""
    while True:
        try:
            tasks.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(0)
