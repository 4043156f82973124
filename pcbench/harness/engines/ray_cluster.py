"""The Ray cluster that a run works on: its address, the connection, its resources, and the user's code that goes there.

Nothing heavy is imported before it is needed: an address is judged before anything else of a run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
import signal
import socket
import tempfile
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcbench.catalog import suite_folder
from pcbench.errors import UnknownNameError, UsageError, first_line
from pcbench.extras import require
from pcbench.source_code import reached, source_path

if TYPE_CHECKING:
    from pcbench.harness.context import Job

logger = logging.getLogger("pcbench")

_VARIABLE = "RAY_ADDRESS"
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(\d{1,5})")
_SECONDS = 10.0
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How HTTP/2 begins, and an empty frame of settings, which the other side answers with its own."""
_SETTINGS = 4
# Numbers of threads in the libraries below PyTorch; Ray's processes have the environment of their node.
_THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Ray reports its use to its makers, and speaks of a future version, where these do not say no.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def cluster_address(given: str | None) -> str:
    """Return the address that is meant: HOST:PORT, auto or local.

    Args:
        given: The option; where there is none, the variable RAY_ADDRESS, which Ray's jobs set, and then ``"local"``.

    Raises:
        UsageError: It has another form.
    """
    address = os.environ.get(_VARIABLE) or "local" if given is None else given
    if address == "auto" and os.environ.get(_VARIABLE):
        address = os.environ[_VARIABLE]
    match = _HOST.fullmatch(address)
    if address in ("auto", "local") or (match is not None and 0 < int(match[2]) < 2**16):
        return address
    remedy = "is HOST:PORT of a cluster's head (its port is 6379 where none is stated), auto or local"
    if address.startswith(("ray://", "http://", "https://")):
        remedy += "; to start a run from outside a cluster, use ray job submit"
    raise UsageError(f"`ray_address` {remedy} (got {address!r})")


def refuse_unreachable(given: str | None) -> None:
    """Refuse a cluster that is not there, before anything else is done; Ray itself would try for minutes.

    Args:
        given: The option `ray_address`.

    Raises:
        MissingExtraError: Ray is not installed.
        UsageError: Nothing answers at the address, or not as Ray does.
    """
    require("ray")
    address = cluster_address(given)
    if address in ("auto", "local"):
        return
    # In a thread, because looking up a name has no limit of its own.
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(_fault(address)), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    reason = found[0] if found else _no_answer()
    if reason is not None:
        raise UsageError(f"no Ray cluster can be reached at {address} ({reason}); start one with: ray start --head")


def _fault(address: str) -> str | None:
    """Return what is wrong with what answers at an address; None where it may be Ray."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS") == "1" or _speaks(connection):
                return None
    except TimeoutError:
        return _no_answer()
    except OSError as error:
        return error.strerror or str(error)
    return "what answers there is not Ray"


def _no_answer() -> str:
    return f"no answer within {_SECONDS:g} s"


def _speaks(connection: socket.socket) -> bool:
    """Return whether the other side speaks HTTP/2, as Ray does: its first frame holds settings."""
    connection.settimeout(_SECONDS)
    connection.sendall(_HELLO)
    answer = b""
    while len(answer) < 4:
        received = connection.recv(4 - len(answer))
        if not received:
            return False
        answer += received
    return answer[3] == _SETTINGS


class Cluster:
    """The connection to a cluster.

    Args:
        address: HOST:PORT, ``"auto"`` for the cluster that this machine is a node of, or ``"local"`` for one that is
            started here and ends with the run.
        cpus: How many one has that is started here.
        model: The model; where it is ``"module:function"``, its code goes to all nodes.

    Raises:
        UsageError: It cannot be connected to, or is of another version of Ray or Python.
    """

    def __init__(self, address: str, *, cpus: int, model: str | None) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        self.ray: Any = require("ray")
        self._owned = not self.ray.is_initialized()
        if not self._owned:
            return  # the user's own script is connected
        debug = logger.isEnabledFor(logging.DEBUG)
        options: dict[str, Any] = {"num_cpus": cpus, "include_dashboard": False} if address == "local" else {}
        with tempfile.TemporaryDirectory() as folder, _own_signals():
            code = ship(model, Path(folder))
            if code:
                options["runtime_env"] = {"py_modules": code}
            try:
                self.ray.init(
                    address=address,
                    log_to_driver=debug,
                    logging_level=logging.INFO if debug else logging.CRITICAL,
                    **options,
                )
            except (SystemExit, RuntimeError, ValueError, OSError, self.ray.exceptions.RayError) as error:
                raise UsageError(f"Ray at {address} cannot be used: {' '.join(str(error).split())}") from error
        if not debug:
            _silence(self.ray)

    def nodes(self) -> list[Mapping[str, float]]:
        """Return the resources of each node that is alive."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def room(self, needs: Mapping[str, float]) -> int:
        """Return how many workers fit on the nodes, were these free.

        Args:
            needs: The resources of one worker, by Ray's names for them.
        """
        return sum(
            min(int(node.get(name, 0.0) // amount) for name, amount in needs.items() if amount) for node in self.nodes()
        )

    def close(self) -> None:
        """End the connection, and the cluster where it was started for this run."""
        if self._owned:
            with _own_signals():
                self.ray.shutdown()


@contextmanager
def _own_signals() -> Generator[None]:
    """Keep this process's answer to SIGTERM: Ray puts its own in place, which ends the process without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _silence(ray: Any) -> None:
    """Print no messages of the cluster: `log_to_driver` leaves those on workers that ended, which pcbench tells."""

    def ignore(*_: object, **__: object) -> None:
        """Do nothing."""

    ray._private.worker.print_to_stdstream = ignore  # noqa: SLF001 - Ray has no option for it


def environment() -> dict[str, str]:
    """Return the variables that a worker's process has from the one that started the run."""
    return {name: os.environ[name] for name in _THREADS if name in os.environ}


def ship(model: str | None, folder: Path) -> list[str]:
    """Copy the user's own modules that a model needs, and nothing else that lies beside them.

    Args:
        model: The model's name; only the code of ``"module:function"`` is copied.
        folder: Receives the copies.

    Returns:
        The modules and packages at the top, for Ray's `py_modules`.
    """
    module, separator, _ = (model or "").rpartition("@")[2].partition(":")
    for name, kind in (reached([module], everywhere=True) if separator else {}).items():
        source = source_path(name) if kind == "own" else None
        if source is not None:
            path = folder.joinpath(*name.split("."))
            path = path / source.name if source.name == "__init__.py" else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read_bytes())
    return [str(path) for path in sorted(folder.glob("*"))]


def as_found_here(job: Job) -> Job:
    """Return a job with the catalogue's suites where this node has them: pcbench may be installed elsewhere on it."""
    suites: list[tuple[str, Path]] = []
    for name, folder in job.locations.suites:
        here = folder
        if not folder.is_dir():
            with contextlib.suppress(UnknownNameError, UsageError):
                here = suite_folder(name)[1]
        suites.append((name, here))
    return dataclasses.replace(job, locations=dataclasses.replace(job.locations, suites=tuple(suites)))


def why(error: BaseException) -> str:
    """Return why Ray lost a worker, in a few words."""
    if type(error).__name__ == "OutOfMemoryError":
        return "its node ran out of memory"
    return first_line(error).rstrip(".")
