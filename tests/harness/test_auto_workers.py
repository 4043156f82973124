"""Oracles: numbers of cores, GPUs and bytes that the tests make up; and the memory that a real process took."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import forking
import pytest
import torch
from torch import nn

from pcbench.errors import UsageError
from pcbench.harness import workers
from pcbench.harness.blocks import default_threads
from pcbench.harness.engines.local import worker_environment
from pcbench.harness.memory import WorkerMemory, available_memory, worker_memory
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import request_from


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(request_from({"images": 20, "threads": 2}))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make up a machine."""

    def made(cores: int, memory: float | None = 1e12, needed: int | None = 10**9) -> None:
        def worker_memory(_: Plan) -> WorkerMemory | None:
            return None if needed is None else WorkerMemory(process=needed, network=0, image=0, fills=None)

        monkeypatch.setattr(workers, "usable_cores", lambda: cores)
        monkeypatch.setattr(workers, "available_memory", lambda: None if memory is None else int(memory))
        monkeypatch.setattr(workers, "worker_memory", worker_memory)

    return made


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 8), (400, 115)])
def test_cores_by_threads_are_used_and_no_more_than_there_are_units(
    cores: int, expected: int, plan: Plan, machine: Any
) -> None:
    machine(cores)
    assert workers.fitting_workers(plan) == expected


@pytest.mark.parametrize(("images", "expected"), [(None, 2), (20, 1)], ids=["the default run", "a short one"])
def test_two_cores_are_shared_by_two_workers_where_these_pay_for_their_start(
    images: int | None, expected: int, machine: Any
) -> None:
    machine(2)
    plan = make_plan(request_from({"suites": ["digits-c"], "images": images, "timesteps": 2 if images else None}))
    assert plan.spec.settings.threads == 1
    assert workers.fitting_workers(plan) == expected


def test_threads_follow_from_what_is_in_the_key() -> None:
    def threads(**options: Any) -> int:
        return make_plan(
            request_from({"suites": ["digits-c"], "images": 4, "timesteps": 1, **options})
        ).spec.settings.threads

    assert [threads(), threads(workers=7), threads(threads=3)] == [1, 1, 3]
    assert threads(model=nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), data="digits", timesteps=0) == 2
    kinds = (64, "cpu"), (65, "cpu"), (64, "cuda")
    assert [default_threads(side, device, shared=True) for side, device in kinds] == [1, 2, 2]


@pytest.mark.parametrize(
    ("memory", "needed", "expected"), [(4e9, 10**9, 3), (5e8, 10**9, 1), (None, 1, 8), (1, None, 8)]
)
def test_memory_limits_them(memory: float | None, needed: int | None, expected: int, plan: Plan, machine: Any) -> None:
    machine(16, memory, needed)
    assert workers.fitting_workers(plan) == expected


def test_one_a_gpu(plan: Plan, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)

    def on(device: str) -> Plan:
        return dataclasses.replace(plan, locations=dataclasses.replace(plan.locations, device=device))

    assert [workers.fitting_workers(on(device)) for device in ("cuda", "cuda:1", "mps")] == [3, 1, 1]


def test_each_worker_sees_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [worker_environment("cuda", number)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["0", "1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-7")
    assert [worker_environment("cuda", number)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["4", "GPU-7", "4"]
    assert (
        worker_environment("cuda:1", 0)["CUDA_VISIBLE_DEVICES"]
        == worker_environment("cpu", 0)["CUDA_VISIBLE_DEVICES"]
        == "4,GPU-7"
    )


def test_an_object_of_python_stays_here_and_the_remedy_is_told(machine: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Images:
        images, labels = torch.zeros(4, 32, 32, 3, dtype=torch.uint8).numpy(), [0, 1, 2, 3]

    own = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    machine(16)
    with caplog.at_level(logging.INFO, logger="pcbench"):
        plan = make_plan(request_from({"model": own, "data": Images(), "suites": ["digits-c"], "timesteps": 0}))
        assert workers.fitting_workers(plan) == 1
    assert 'one worker: the model is an object of Python; with model="module:function" there would be 8' in caplog.text


def test_a_number_is_kept_and_anything_else_refused() -> None:
    assert request_from({})["workers"] == "auto"
    assert request_from({"workers": "auto"}) == request_from({})
    assert request_from({"workers": 3})["workers"] == 3
    for wrong in (0, "many", 2.5, 5000):
        with pytest.raises(UsageError, match=r"^`workers` is 'auto' or a whole number from 1 to 1024 \(got "):
            request_from({"workers": wrong})


def test_the_number_of_workers_is_not_in_the_key(plan: Plan) -> None:
    assert make_plan(request_from({"images": 20, "threads": 2, "workers": 7})).spec.key() == plan.spec.key()


def test_few_images_fill_no_batch_except_with_their_budgets() -> None:
    def memory(**options: Any) -> int:
        plan = make_plan(request_from({"timesteps": 1, "images": 3, "threads": 2, **options}))
        found = worker_memory(plan)
        assert found is not None
        return found.whole(plan.spec.settings.batch_size)

    assert memory(suites=["digits-c"]) == memory(suites=["digits-c"], batch_size=3)
    linf = {"suites": ["digits-linf"], "checks": False}
    assert memory(**linf) > memory(**linf, batch_size=3) > 0


def test_a_network_that_looks_at_values_has_no_known_memory(plan: Plan) -> None:
    class Looking(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :10] * (1 if float(images.sum()) > 0 else 2)

    assert plan.model is None
    own = make_plan(request_from({"model": Looking(), "data": "digits", "suites": ["digits-c"], "timesteps": 0}))
    assert worker_memory(own) is None


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_the_memory_of_a_run_is_about_what_was_told(
    plan: Plan, attack_suite: Path, forks: forking.Forks, tmp_path: Path
) -> None:
    code = (
        "import pathlib, pcbench, pcbench.harness.run; pcbench.harness.run._write_report = lambda *_: None; "
        f"pcbench.run(suites=[{str(attack_suite)!r}], images=8, timesteps=1, checks=False, "
        f"out={str(tmp_path / 'run')!r}, progress=False); print(pathlib.Path('/proc/self/status').read_text())"
    )
    pipe = subprocess.PIPE
    process = forks.subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)
    status, errors = process.communicate()
    assert process.returncode == 0, errors
    memory = worker_memory(plan)
    assert memory is not None
    told = memory.whole(plan.spec.settings.batch_size)
    # Not of `getrusage`: a program begins with the peak of the one that starts it. The fork has what was imported.
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    assert told / 2 < int(peak) * 1024 < told * 1.5


def test_this_machine_has_memory() -> None:
    found = available_memory()
    assert found is None or found > 10**7
