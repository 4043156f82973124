"""How many workers a run on this machine has where the user names no number."""

from __future__ import annotations

import logging
import os

import torch

from pcbench.cores import usable_cores
from pcbench.errors import UsageError
from pcbench.harness.memory import USED_SHARE, WorkerMemory, available_memory, worker_memory
from pcbench.harness.plan import Plan
from pcbench.harness.request import RunOptions
from pcbench.percent import decimal

logger = logging.getLogger("pcbench")

_CAN_SHARE_PIPES = os.name != "nt"
_FEW_CORES = 2
_WORTH_A_START = 100_000
"""From how much work on, in passes of one image, two of two cores pay: a worker's start takes several seconds, about as
long as `pdigits` takes for half of these passes."""


def with_workers(request: RunOptions, plan: Plan) -> RunOptions:
    """Return a request with a number of workers: as asked for, or as many as fit; Ray knows its own cluster's room.

    Raises:
        UsageError: Several are asked for where this system has one.
    """
    if request["workers"] not in ("auto", 1) and request["engine"] == "local" and not _CAN_SHARE_PIPES:
        raise UsageError("several workers inherit pipes, which Windows does not allow; give workers=1")
    if request["workers"] != "auto" or request["engine"] == "ray":
        return request
    return {**request, "workers": fitting_workers(plan)}


def fitting_workers(plan: Plan, memory: WorkerMemory | None = None) -> int:
    """Return how many workers fit, and say so where an object of Python leaves room unused.

    One a GPU; else as many as cores by threads and the memory allow, and no more than there are units.

    Args:
        plan: What is run.
        memory: A worker's, where it is known already.
    """
    device = torch.device(plan.locations.device)
    if device.type == "cuda":
        room = max(1, torch.cuda.device_count()) if ":" not in plan.locations.device else 1
    else:
        cores = usable_cores()
        room = cores // plan.spec.settings.threads if device.type == "cpu" else 1
        if cores <= _FEW_CORES and sum(unit.cost for unit in plan.units) < _WORTH_A_START:
            room = 1
    room = max(1, min(room, len(plan.units))) if _CAN_SHARE_PIPES else 1
    if room > 1 and (objects := plan.objects.what) is not None:
        logger.info("one worker: %s; with %s there would be %d", *objects, room)
        return 1
    if room > 1 and device.type == "cpu":
        room = _fitting_memory(plan, room, memory or worker_memory(plan))
    return room


def _fitting_memory(plan: Plan, room: int, memory: WorkerMemory | None) -> int:
    there = available_memory()
    if memory is None or there is None:
        return room
    needed = memory.whole(plan.spec.settings.batch_size)
    fitting = max(1, int(USED_SHARE * there) // needed)
    if fitting < room:
        logger.info("%d workers of %d: each needs %s GB of memory", fitting, room, decimal(needed / 1e9, 1))
    return min(fitting, room)
