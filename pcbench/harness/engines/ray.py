"""Units done on the nodes of a Ray cluster, by one actor a worker.

An actor makes network and images once and does unit after unit. It holds one unit at a time, and the next is handed
out when this process has kept its part, so that never more results wait than there are workers. Ray starts an actor
again whose process or node ended, elsewhere if need be, and has it do its unit once more.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcbench.errors import RunError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Job
from pcbench.harness.engines import ray_worker
from pcbench.harness.engines.base import TRIES, Engine, Failure, Listener, Read, UnitQueue, report_unit
from pcbench.harness.engines.ray_cluster import Cluster, cluster_address, environment, why
from pcbench.harness.request import RunOptions
from pcbench.options import with_places
from pcbench.results.environment import machine_kind
from pcbench.results.parts import Part

logger = logging.getLogger("pcbench")

_SECONDS_OF_SILENCE = 20.0
"""A worker that is not heard of for so long may have no node: another one that is free does its unit as well."""
_UNREACHED = "failed to connect"
"""What Ray says of a call that did not arrive."""
_SECONDS_WITHOUT_WORKERS = 30.0
_MESSAGES_A_SECOND = 50.0
"""How often all workers together tell how far they are, at most."""


def make(job: Job, request: RunOptions, *, units: int) -> Engine:
    """Return the engine.

    Args:
        job: What is run, and the paths.
        request: How it is run.
        units: How many units there are: more workers would have nothing to do.

    Raises:
        UsageError: The cluster cannot be used, or was started for this run and has no place for a worker.
    """
    needs, asked = _needs(job, request), request["workers"]
    address = cluster_address(request["ray_address"])
    cluster = Cluster(address, cpus=_cpus_here(needs["CPU"], asked), model=job.locations.model)
    room, each = cluster.room(needs), ", ".join(f"{amount:g} {name}" for name, amount in needs.items())
    workers = min(_number(asked, room), units)
    if not room and address == "local":
        cluster.close()
        raise UsageError(f"a worker asks for {each}, which this machine does not have; see `gpus_per_worker`")
    if room < workers:
        logger.warning("Ray has room for %d of %d workers (%s each); the others begin when it has", room, workers, each)
    share = _Share(workers, needs, job.locations.device, mixed=request["mixed_machines"])
    return RayActors(_for_other_nodes(job), cluster, share)


def _number(asked: int | str, room: int) -> int:
    """Return the number of workers: where none is stated, as many as the cluster has room for."""
    return asked if isinstance(asked, int) else max(room, 1)


def _cpus_here(each: float, asked: int | str) -> int:
    """Return how many CPUs a cluster of this machine alone says it has: more than there are, where that is asked."""
    return max(math.ceil(each) * _number(asked, 1), os.cpu_count() or 1)


def _for_other_nodes(job: Job) -> Job:
    """Return a job with paths that do not depend on the folder, and with the device as Ray's workers see it.

    Each of them sees its own GPU alone.
    """
    named = with_places(
        RunOptions,
        {"model": job.locations.model, "data": job.locations.data},
        lambda place: str(Path(place).absolute()),
    )
    return dataclasses.replace(
        job, locations=dataclasses.replace(job.locations, device=job.spec.settings.device, **named)
    )


def _needs(job: Job, request: RunOptions) -> dict[str, float]:
    """Return the resources of a worker, by Ray's names: as many CPUs as it has threads, and a GPU where it uses one."""
    cpus, gpus = request["cpus_per_worker"], request["gpus_per_worker"]
    uses_gpu = job.spec.settings.device == "cuda"
    needs = {"CPU": float(cpus or job.spec.settings.threads), "GPU": float(uses_gpu) if gpus is None else gpus}
    return {name: amount for name, amount in needs.items() if amount}


@dataclass(frozen=True)
class _Share:
    """How many workers there are, and what each is given."""

    workers: int
    needs: Mapping[str, float]
    device: str
    """The device of this process, whose kind of processor all must have."""
    mixed: bool
    """Whether any kind will do."""


@dataclass
class _Actor:
    """An actor, and what it was asked that it has not answered yet."""

    handle: Any
    begins: Any = None
    """Ray's reference to the answer whether it can begin."""
    task: Any = None
    """Ray's reference to the outcome of its unit."""
    news: Any = None
    """Ray's reference to how far it is."""
    unit: Unit | None = None
    """Its unit; None where it has none, and where nobody waits for its outcome any more."""
    last: Unit | None = None
    """The unit that it was given last, whose images it holds decoded."""
    ready: bool = False
    heard: float = 0.0
    """When it last answered."""

    def asked(self) -> list[Any]:
        """Return the references to all answers that are to come."""
        return [reference for reference in (self.begins, self.task, self.news) if reference is not None]


@dataclass
class _Work:
    """One call of `RayActors.run`."""

    schedule: UnitQueue
    read: Read
    listener: Listener
    doubled: set[str] = field(default_factory=set[str])
    """Units that were given to a second worker."""
    again: list[Unit] = field(default_factory=list[Unit])
    """Those of them that no worker has now."""


class RayActors:
    """Workers on the nodes of a cluster.

    Args:
        job: What is run, and the paths.
        cluster: The connection.
        share: How many workers, and what each is given.
    """

    def __init__(self, job: Job, cluster: Cluster, share: _Share) -> None:
        self._cluster, self._ray = cluster, cluster.ray
        self._lost: BaseException | None = None
        self._alone_since = time.monotonic()
        self._job: Any = self._ray.put(job)
        self._actors = _start(cluster, job, share)
        for actor in self._actors:
            self._begin(actor)

    def _begin(self, actor: _Actor) -> None:
        actor.ready, actor.begins = False, actor.handle.begin.remote([self._job])

    def run(self, units: Sequence[Unit], read: Read, listener: Listener) -> None:
        """Do all units, as many at a time as there are workers."""
        work = _Work(UnitQueue(units), read, listener)
        while work.schedule:
            for actor in self._actors:
                self._hand_out(actor, work)
            asked = {reference: actor for actor in self._actors for reference in actor.asked()}
            answered, _ = self._ray.wait(list(asked), timeout=1.0)
            for reference in answered:
                self._take(asked[reference], reference, work)
            # Ray gives the first answer in this order: each actor is the first in turn, so that none waits for ever.
            self._actors.append(self._actors.pop(0))
            self._tell_if_alone()
        for actor in self._actors:
            actor.unit = None

    def _hand_out(self, actor: _Actor, work: _Work) -> None:
        if actor.task is not None or not actor.ready:
            return
        others = [other.unit.block for other in self._actors if other.unit is not None]
        given = work.again.pop() if work.again else work.schedule.next(actor.last, others)
        unit = given or self._left_behind(work)
        if unit is None:
            return
        actor.unit, actor.last, actor.heard = unit, unit, time.monotonic()
        work.listener.begun(unit)
        actor.task = actor.handle.do.remote(unit, work.read(unit), [self._job])

    def _left_behind(self, work: _Work) -> Unit | None:
        """Return a unit whose worker is not heard of: its node may be gone, and no other have room for it."""
        since = time.monotonic() - _SECONDS_OF_SILENCE
        for actor in self._actors:
            unit = actor.unit
            if unit is not None and actor.heard < since and unit.path not in work.doubled:
                work.doubled.add(unit.path)
                return unit
        return None

    def _take(self, actor: _Actor, reference: Any, work: _Work) -> None:
        """Take an answer, which is there."""
        try:
            answer: Any = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._note_loss(actor, reference, error, work)
            return
        actor.heard = time.monotonic()
        if reference is actor.news:
            self._count(answer, work.listener)
            self._ask_for_news(actor)
        elif reference is actor.begins:
            actor.begins = None
            if answer is not None:
                raise RunError(f"a worker cannot begin on {answer}")
            actor.ready = True
            if actor.news is None:
                self._ask_for_news(actor)
        else:
            outcome, told = answer
            self._count(told, work.listener)
            self._settle(actor, outcome, work)

    def _ask_for_news(self, actor: _Actor) -> None:
        actor.news = actor.handle.news.options(concurrency_group="meter").remote()

    def _count(self, told: Sequence[float], listener: Listener) -> None:
        done, images, waited, elapsed = told
        if done or images:
            listener.step(done, int(images))
        if elapsed:
            listener.wait(waited, elapsed)

    def _settle(self, actor: _Actor, outcome: Part | Failure, work: _Work) -> None:
        unit, actor.unit, actor.task = actor.unit, None, None
        # Of a unit that two workers did, the first outcome counts.
        if unit is not None and work.schedule.holds(unit):
            report_unit(unit, outcome, work.schedule, work.listener)

    def _note_loss(self, actor: _Actor, reference: Any, error: BaseException, work: _Work) -> None:
        """Note that an actor ended before it answered, as often as Ray had it try."""
        errors = self._ray.exceptions
        if isinstance(error, errors.RayTaskError) and not isinstance(error, errors.RayActorError):
            raise RunError(f"a worker failed: {' '.join(str(error).split())}") from error
        self._lost = error
        if reference is actor.news:
            actor.news = None  # it is asked again when it has begun again
            if actor.begins is None:
                self._begin(actor)
        elif reference is actor.begins:
            raise RunError(f"a worker ended before it could begin ({why(error)}); use engine='local' to see the reason")
        elif actor.unit is not None and _UNREACHED in str(error) and actor.unit.path not in work.doubled:
            # Ray tried again before it knew that the node is gone: that was no try.
            work.doubled.add(actor.unit.path)
            work.again.append(actor.unit)
            actor.unit = actor.task = None
            if actor.begins is None:
                self._begin(actor)
        else:
            reason = f"its worker ended {TRIES} times ({why(error)}); use a smaller batch size"
            self._settle(actor, Failure(reason), work)
            if actor.begins is None:
                self._begin(actor)

    def _tell_if_alone(self) -> None:
        """Say once in a while that no worker is there to wait for: a cluster that grows may bring one."""
        now = time.monotonic()
        if any(actor.ready for actor in self._actors):
            self._alone_since = now
        elif now - self._alone_since > _SECONDS_WITHOUT_WORKERS:
            self._alone_since = now
            last = "" if self._lost is None else f" (the last one was lost: {why(self._lost)})"
            logger.warning("no worker has begun yet%s; the cluster's nodes: %s", last, self._cluster.nodes())

    def close(self) -> None:
        """End all workers, and the connection where it is the run's own."""
        for actor in self._actors:
            self._ray.kill(actor.handle)
        self._cluster.close()


def _start(cluster: Cluster, job: Job, share: _Share) -> list[_Actor]:
    """Ask the cluster for the workers."""
    cluster.ray.cloudpickle.register_pickle_by_value(ray_worker)
    needs = dict(share.needs)
    actor_class: Any = cluster.ray.remote(
        num_cpus=needs.get("CPU", 0),
        num_gpus=needs.get("GPU", 0),
        max_restarts=-1,
        max_task_retries=TRIES - 1,
        concurrency_groups={"meter": 1},
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": environment()},
    )(ray_worker.Worker)
    place = ray_worker.here(job.spec.versions, None if share.mixed else machine_kind(share.device))
    seconds = max(0.5, share.workers / _MESSAGES_A_SECOND)
    return [_Actor(actor_class.remote(place, seconds)) for _ in range(share.workers)]
