"""A worker of the Ray engine: an actor, in a process that Ray starts on some node.

This file goes to the node by its content, because pcbench may be missing there or be another version, which a worker
says in words. So it imports what comes with Python alone, and the rest where it is used.
"""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """What a worker has to find on its node."""

    versions: Mapping[str, str]
    """The versions of Python, pcbench, its code and the libraries that the run uses, by name."""
    machine: str | None
    """The kind of processor that the run's parts come from; None takes any."""
    path: Sequence[str]
    """Where the process that started the run imports from; folders that this node lacks are left out."""
    folder: str
    """The folder in which that process works; this one works there too, where the node has it."""


def here(versions: Mapping[str, str], machine: str | None) -> Place:
    """Return what this process has, for a worker to have it too."""
    return Place(dict(versions), machine, tuple(str(Path(entry).absolute()) for entry in sys.path), str(Path.cwd()))


class Tally:
    """Adds up the progress inside a unit until it is asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = [0.0, 0.0, 0.0, 0.0]

    def step(self, work: float, images: int) -> None:
        """Count work, in passes of one image through one timestep of the network, and images that are done."""
        self._add(work, images, 0.0, 0.0)

    def wait(self, waited: float, elapsed: float) -> None:
        """Count the seconds that the network waited for images, out of those that passed."""
        self._add(0.0, 0, waited, elapsed)

    def _add(self, *numbers: float) -> None:
        with self._lock:
            self._counts = [count + number for count, number in zip(self._counts, numbers, strict=True)]

    def take(self) -> list[float]:
        """Return work, images, seconds waited and seconds passed since this was last asked."""
        with self._lock:
            taken, self._counts = self._counts, [0.0, 0.0, 0.0, 0.0]
        return taken


class Worker:
    """Makes network and images once, and does unit after unit.

    Args:
        place: What the node has to have.
        seconds: How often it tells how far it is.
    """

    def __init__(self, place: Place, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._tally = Tally()
        self._context: Any = None
        # The shipped copy of the user's code, which Ray put among the others, comes after the original.
        here = [entry for entry in place.path if Path(entry).exists()]
        sys.path[:] = [*here, *(entry for entry in sys.path if entry not in here)]
        with contextlib.suppress(OSError):
            os.chdir(place.folder)

    def begin(self, job: Sequence[Any]) -> str | None:
        """Open network and images.

        Args:
            job: A list with Ray's reference to the job, which cannot be read before pcbench is known to be there.

        Returns:
            Why they cannot be opened, and on which node; None where they are.
        """
        reason = missing(self._place.versions)
        if reason is None:
            try:
                self._open(job)
            except Exception as error:  # noqa: BLE001 - the user's code may raise anything, and the driver tells it
                from pcbench.harness.engines.base import reason_of

                reason = reason_of(error)
        return None if reason is None else f"{node()}: {reason}"

    def do(self, unit: Any, inputs: Any, job: Sequence[Any]) -> tuple[Any, list[float]]:
        """Do a unit; return its part or failure, and what was not told yet of the work in it.

        Args:
            unit: The unit.
            inputs: The tables that it comes after.
            job: As for `begin`, for a worker that Ray started again.
        """
        import torch

        from pcbench.harness.engines.base import Failure, perform, told

        context = self._open(job)
        torch.set_num_threads(context.settings.threads)
        outcome = perform(unit, inputs, context)
        if isinstance(outcome, Failure):
            outcome = told(outcome, f" (on {node()})")
        return outcome, self._tally.take()

    def news(self) -> list[float]:
        """Wait a little, and return what was done meanwhile; see `Tally.take`."""
        time.sleep(self._seconds)
        return self._tally.take()

    def _open(self, reference: Sequence[Any]) -> Any:
        """Return the context, made when it is first asked for."""
        if self._context is not None:
            return self._context
        import torch

        from pcbench.errors import UsageError
        from pcbench.harness.engines.base import opened
        from pcbench.harness.engines.ray_cluster import as_found_here
        from pcbench.results.environment import machine_kind

        job = as_found_here(import_module("ray").get(reference[0]))
        kind = machine_kind(job.locations.device)
        if self._place.machine not in (None, kind):
            raise UsageError(
                f"is another kind of machine ({kind}; the run's is {self._place.machine}), where the last bits of "
                "numbers differ: leave it out, or give mixed_machines=True, which the results record"
            )
        torch.set_num_threads(job.spec.settings.threads)
        context = opened(job)
        context.meter = self._tally
        self._context = context
        return context


def node() -> str:
    """Return what messages call the node of this process: its name and the address by which Ray knows it."""
    ray: Any = import_module("ray")
    return f"node {socket.gethostname()} ({ray.util.get_node_ip_address()})"


def missing(versions: Mapping[str, str]) -> str | None:
    """Return which of a run's versions this node does not have, and how to mend it; None where it has them all.

    Args:
        versions: What the driver has, by name, as `RunSpec.versions`.
    """
    found = {name: _version(name) for name in versions}
    others = [
        f"{name.replace('pcbench_code', 'the code of pcbench')} {found[name] or 'is missing'} (not {wanted})"
        for name, wanted in versions.items()
        # Of a library that lies in a folder, the model or the attack that uses it tells.
        if found[name] != wanted and wanted != "unknown" and ", code " not in wanted
    ]
    return f"{', '.join(others)}; install the same versions on every node" if others else None


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    if name in ("pcbench", "pcbench_code"):
        if util.find_spec("pcbench") is None:
            return None
        import pcbench
        from pcbench.results.environment import PARTS_CODE, code_hash

        return pcbench.__version__ if name == "pcbench" else code_hash(PARTS_CODE)
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
