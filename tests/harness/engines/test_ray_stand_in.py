"""Oracles: one worker of the local engine, and a stand-in for Ray that loses what a test says.

Its actors are objects of this process, and each answer is made when it is waited for. What a real cluster does is in
test_ray.py; here is what a cluster does too seldom to wait for it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pcbench.errors import RunError, UsageError
from pcbench.harness.engines import ray as engine
from pcbench.harness.engines import ray_cluster, ray_worker
from pcbench.harness.start import run
from pcbench.results.directory import Run

OPTIONS: dict[str, Any] = {"images": 8, "timesteps": 0, "progress": False, "threads": 1, "batch_size": 4, "workers": 2}
UNITS = 2 * 5 + 1


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class RayTaskError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


NEVER = RayError("it does not answer")
Fate = Callable[[int, str, int], Exception | None]
"""What becomes of the call of an actor's method, by number of the actor, method and number of the call."""


@dataclasses.dataclass(eq=False)
class Reference:
    """An answer to come."""

    make: Callable[[], Any]
    fate: Exception | None = None
    news: bool = False


class StandIn:
    """What the engine uses of Ray.

    Args:
        fate: What becomes of calls.
        nodes: The resources of each node.
    """

    exceptions = SimpleNamespace(
        RayError=RayError, RayActorError=RayActorError, RayTaskError=RayTaskError, OutOfMemoryError=OutOfMemoryError
    )
    util = SimpleNamespace(get_node_ip_address=lambda: "10.0.0.1")

    def __init__(self, fate: Fate = lambda *_: None, nodes: Sequence[dict[str, float]] = ({"CPU": 4.0},)) -> None:
        self.fate, self._nodes = fate, nodes
        self.started: dict[str, Any] = {}
        self.asked: dict[str, Any] = {}
        self.actors: list[Any] = []
        self.ended: list[Any] = []
        self.printed: list[str] = []
        self._private = SimpleNamespace(worker=SimpleNamespace(print_to_stdstream=self.printed.append))
        self.cloudpickle = SimpleNamespace(register_pickle_by_value=lambda _: None)
        self.fault: BaseException | None = None

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # as Ray does
        self.started = options
        if self.fault is not None:
            raise self.fault

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": found} for found in self._nodes]

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.asked = options
        return lambda made: SimpleNamespace(remote=lambda *given: self._actor(made(*given)))

    def _actor(self, held: Any) -> Any:
        number, handle = len(self.actors), SimpleNamespace()
        for name in ("begin", "do", "news"):
            setattr(handle, name, self._method(number, held, name))
        self.actors.append(handle)
        return handle

    def _method(self, number: int, held: Any, name: str) -> Any:
        calls = iter(range(10**6))

        def call(*given: Any) -> Reference:
            fate = self.fate(number, name, next(calls))
            return Reference(lambda: getattr(held, name)(*given), fate, name == "news")

        return SimpleNamespace(remote=call, options=lambda **_: SimpleNamespace(remote=call))

    def put(self, value: Any) -> Reference:
        return Reference(lambda: value)

    def get(self, reference: Reference) -> Any:
        if reference.fate is not None:
            raise reference.fate
        return reference.make()

    def wait(self, references: list[Reference], timeout: float) -> tuple[list[Reference], list[Reference]]:
        assert timeout > 0
        # Losses first, and news last: there is always some.
        there = [one for one in references if one.fate is not NEVER]
        there.sort(key=lambda one: (one.fate is None, one.news))
        if not there:
            time.sleep(0.01)
        return there[:1], []

    def kill(self, actor: Any) -> None:
        self.ended.append(actor)

    def shutdown(self) -> None:
        self.started = {}


Measure = Callable[..., Run]


@pytest.fixture
def measure(shared_suites: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Measure]:
    """Measure pdigits with a stand-in for Ray."""
    threads, folder = torch.get_num_threads(), Path.cwd()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def start(ray: StandIn | None, name: str = "run", **options: object) -> Run:
        if ray is not None:
            monkeypatch.setattr(ray_cluster, "require", lambda _: ray)
            monkeypatch.setitem(sys.modules, "ray", ray)
        given: dict[str, Any] = {**OPTIONS, "block_size": 4, "engine": "local" if ray is None else "ray", **options}
        return run("pdigits", [str(shared_suites[0])], out=tmp_path / name, **given)

    monkeypatch.setattr(ray_worker.time, "sleep", lambda _: None)
    yield start
    torch.set_num_threads(threads)
    os.chdir(folder)


def test_actors_make_the_bytes_of_one_worker_and_all_is_given_back(measure: Measure) -> None:
    before, ray = signal.getsignal(signal.SIGTERM), StandIn()
    one, two = measure(None, "one", workers=1), measure(ray, "two", cpus_per_worker=2)
    assert one.manifest["files"] == two.manifest["files"]
    assert ray.asked["num_cpus"] == 2
    assert ray.asked["num_gpus"] == 0
    assert (ray.asked["max_restarts"], ray.asked["max_task_retries"]) == (-1, 1)
    assert set(map(id, ray.ended)) == set(map(id, ray.actors))
    assert len(ray.actors) == 2
    assert ray.started == {}
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_ray_is_told_when_it_is_started(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    class Noting(StandIn):
        def shutdown(self) -> None:
            self._private.worker.print_to_stdstream("a worker died")
            seen.append({**self.started, "printed": self.printed})

    measure(Noting())
    monkeypatch.setattr(logging.getLogger("pcbench"), "level", logging.DEBUG)
    logging.getLogger("pcbench").manager._clear_cache()  # type: ignore[attr-defined]
    measure(Noting(), "debug", workers=40)
    logging.getLogger("pcbench").manager._clear_cache()  # type: ignore[attr-defined]
    quiet, debug = seen
    assert quiet["address"] == "local"
    assert quiet["include_dashboard"] is False
    assert (quiet["log_to_driver"], quiet["logging_level"], quiet["printed"]) == (False, logging.CRITICAL, [])
    assert (debug["log_to_driver"], debug["logging_level"]) == (True, logging.INFO)
    assert debug["printed"] == ["a worker died"]
    assert (quiet["num_cpus"], debug["num_cpus"]) == (max(2, os.cpu_count() or 1), 40)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (RayActorError("The actor ab is unavailable: end of file.\nmore"), "The actor ab is unavailable: end of file"),
        (OutOfMemoryError("long"), "its node ran out of memory"),
    ],
)
def test_a_unit_whose_worker_is_lost_fails_and_the_worker_begins_again(
    measure: Measure, loss: Exception, words: str
) -> None:
    begun: list[int] = []

    def fate(actor: int, method: str, call: int) -> Exception | None:
        if method == "begin":
            begun.append(actor)
        return loss if (actor, method, call) == (0, "do", 1) else None

    with pytest.raises(RunError) as failed:
        measure(StandIn(fate))
    assert str(failed.value).startswith(f"1 of {UNITS} units failed: ")
    assert f"its worker ended 2 times ({words}); use a smaller batch size" in str(failed.value)
    assert sorted(begun) == [0, 0, 1]


def test_a_unit_whose_worker_is_not_heard_of_is_done_by_another(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_SECONDS_OF_SILENCE", 0.0)
    done: list[str] = []
    report_unit = engine.report_unit
    monkeypatch.setattr(engine, "report_unit", lambda unit, *rest: done.append(unit.path) or report_unit(unit, *rest))
    made = measure(StandIn(lambda actor, method, _: NEVER if (actor, method) == (0, "do") else None))
    assert len(done) == len(set(done)) == UNITS
    assert made.manifest["files"] == measure(None, "local", workers=1).manifest["files"]


def test_a_try_that_reached_no_worker_does_not_count(measure: Measure) -> None:
    loss = RayActorError("RPC error: failed to connect to all addresses")
    measure(StandIn(lambda actor, method, call: loss if (actor, method, call) == (0, "do", 1) else None))
    with pytest.raises(RunError, match="its worker ended 2 times"):
        measure(StandIn(lambda _, method, __: loss if method == "do" else None), "always")


def test_a_worker_that_is_lost_between_two_answers_begins_again(measure: Measure) -> None:
    begun: list[int] = []

    def fate(actor: int, method: str, call: int) -> Exception | None:
        if method == "begin":
            begun.append(actor)
        return RayActorError("gone") if (actor, method, call) == (0, "news", 0) else None

    measure(StandIn(fate), images=4)
    assert sorted(begun) == [0, 0, 1]


def test_a_worker_that_cannot_begin_ends_the_run_with_the_reason(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"^a worker ended before it could begin \(gone\); use engine='local' to see"):
        measure(StandIn(lambda _, method, __: RayActorError("gone.") if method == "begin" else None))
    with pytest.raises(RunError, match=r"^a worker failed: KeyError: 'no such' thing"):
        measure(StandIn(lambda _, method, __: RayTaskError("KeyError:\n'no such' thing") if method == "do" else None))
    here = ray_worker.here
    with monkeypatch.context() as patch:
        patch.setattr(ray_worker, "here", lambda versions, _: here(versions, "abacus"))
        with pytest.raises(RunError, match=r"another kind of machine .*; the run's is abacus.* mixed_machines=True"):
            measure(StandIn())
        patch.setattr(ray_worker, "here", lambda versions, _: here({**versions, "torch": "0.4"}, None))
        with pytest.raises(RunError, match=r"a worker cannot begin on node .* \(10\.0\.0\.1\): torch .* \(not 0\.4\)"):
            measure(StandIn())
    ray = StandIn()
    assert measure(ray, mixed_machines=True).key


def test_a_cluster_without_room_is_told(measure: Measure, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"a worker asks for 1 CPU, 2 GPU, which this machine does not have"):
        measure(StandIn(), gpus_per_worker=2)
    with caplog.at_level(logging.WARNING, "pcbench"):
        measure(StandIn(nodes=({"CPU": 3.0}, {"GPU": 1.0})), cpus_per_worker=2)
    assert caplog.messages == ["Ray has room for 1 of 2 workers (2 CPU each); the others begin when it has"]


def test_a_run_without_workers_says_so_once_in_a_while(
    measure: Measure, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(engine, "_SECONDS_WITHOUT_WORKERS", 0.05)
    began: list[float] = []

    class Late(StandIn):
        def wait(self, references: list[Reference], timeout: float) -> tuple[list[Reference], list[Reference]]:
            began.append(time.monotonic())
            late = [one for one in references if began[-1] > began[0] + 0.4]
            return super().wait(late, timeout)

    with caplog.at_level(logging.WARNING, "pcbench"):
        measure(Late())
    assert caplog.messages
    assert set(caplog.messages) == {"no worker has begun yet; the cluster's nodes: [{'CPU': 4.0}]"}


@pytest.mark.parametrize(
    "fault",
    [
        RuntimeError("Version mismatch: The cluster was started with:\n    Python: 3.12.1\nThis process: 3.11.7"),
        ConnectionError("Could not find any running Ray instance."),
        SystemExit(15),
    ],
)
def test_a_cluster_that_cannot_be_connected_to_is_refused_in_one_line(measure: Measure, fault: BaseException) -> None:
    before, ray = signal.getsignal(signal.SIGTERM), StandIn()
    ray.fault = fault
    with pytest.raises(UsageError) as refused:
        measure(ray, ray_address="auto")
    told = str(refused.value)
    assert told == f"Ray at auto cannot be used: {' '.join(str(fault).split())}"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_failing_unit_tells_its_node_where_files_are_to_blame(
    measure: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pcbench.errors import DataError

    def compute(unit: Any, *_: Any) -> Any:
        raise (DataError("/images/1.png: is gone") if unit.block.number else ValueError("no"))

    monkeypatch.setattr("pcbench.harness.work.scores.compute", compute)
    with pytest.raises(RunError) as failed:
        measure(StandIn(), allow_missing=False)
    assert "ValueError: no;" in str(failed.value)
    assert "/images/1.png: is gone (on node " in str(failed.value)


def test_the_catalogues_suites_are_found_where_a_node_has_them(tmp_path: Path) -> None:
    from pcbench.catalog import suite_folder
    from pcbench.harness.context import Job
    from pcbench.harness.locations import Locations

    suites = (("digits-c", tmp_path / "lib" / "digits-c"), ("mine", tmp_path / "mine"), ("here", tmp_path))
    spec: Any = None
    found = ray_cluster.as_found_here(Job(spec, Locations("pdigits", suites=suites))).locations.suites
    assert dict(found) == {
        "digits-c": suite_folder("digits-c")[1],
        "mine": tmp_path / "mine",
        "here": tmp_path,
    }
