"""Oracles: bytes computed by hand, memory that the tests make up, allocations that PyTorch's profiler counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from pcbench.attacks.descent import loss_gradient
from pcbench.harness.fitting_batch import FittingBatch, fitting_batch
from pcbench.harness.memory import BASE_BYTES, USED_SHARE, WorkerMemory, free_memory, worker_memory
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import request_from
from pcbench.models.loading import load
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork

HIDDEN = 1000


class Classifier(nn.Sequential):
    input_size = (3, 32, 32)


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    return Classifier(nn.Flatten(), nn.Linear(3072, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10)).requires_grad_(False)


@pytest.fixture
def plan(classifier: nn.Module, attack_suite: Path) -> Plan:
    given = {"model": classifier, "data": "digits", "suites": [attack_suite], "timesteps": 0, "checks": False}
    return make_plan(request_from({**given, "images": 40, "batch_size": 96}))


def with_free(monkeypatch: pytest.MonkeyPatch, amount: float) -> None:
    def free(_: str) -> int:
        return math.ceil(amount)

    monkeypatch.setattr("pcbench.harness.fitting_batch.free_memory", free)


def found(plan: Plan, memory: WorkerMemory | None, workers: int = 1) -> FittingBatch:
    made = fitting_batch(plan, memory, workers)
    assert made is not None
    return made


def test_the_memory_of_a_small_classifier_is_what_is_computed_by_hand(plan: Plan) -> None:
    memory = worker_memory(plan)
    assert memory is not None
    # At its most, the last product of the backward pass: it reads the hidden layer's gradient, and makes the image's.
    # Both are laid out anew; the image and the logits live. All are in float32, and three tenths are added.
    image, hidden, logits = (4 * numbers for numbers in (3072, HIDDEN, 10))
    assert memory.image == round(1.3 * (image + logits + 2 * (hidden + image)))
    assert memory.network == pytest.approx(4 * (3072 * HIDDEN + HIDDEN + HIDDEN * 10 + 10), abs=16)
    assert memory.process == BASE_BYTES + 40 * 3 * 32 * 32
    assert memory.fills is None


@pytest.mark.parametrize("workers", [1, 3])
def test_the_largest_batch_fits_to_the_byte(workers: int, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = WorkerMemory(process=10_000, network=4_000, image=50, fills=None)
    assert plan.spec.settings.block_size == 576
    for images, smaller in ((192, 96), (96, 48), (48, 24), (3, 1), (1, 0)):
        needed = workers * (14_000 + 50 * images) / USED_SHARE
        with_free(monkeypatch, needed)
        assert found(plan, memory, workers).largest == images
        with_free(monkeypatch, needed - 2 * workers)
        assert found(plan, memory, workers).largest == smaller
    # 384 does not divide the block of 576: units would have to be cut anew.
    with_free(monkeypatch, 1e15)
    assert found(plan, memory, workers).largest == 192
    with_free(monkeypatch, 0)
    assert found(plan, memory, workers).largest == 0


def test_images_alone_fill_no_larger_batch_than_there_are(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(monkeypatch, (14_000 + 50 * 40) / USED_SHARE)
    memory = WorkerMemory(process=10_000, network=4_000, image=50, fills=40)
    assert found(plan, memory).largest == 192


def test_nothing_is_told_of_memory_that_is_not_known(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitting_batch(plan, None, 1) is None
    assert free_memory("mps") is None
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: None)
    assert fitting_batch(plan, WorkerMemory(1, 1, 1, None), 1) is None


def test_a_gpu_holds_the_network_and_its_batch_alone(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {0: 9_000, 1: 5_000}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (free[number], 10**9))
    memory = WorkerMemory(process=10**9, network=1_000, image=50, fills=None)

    def on(device: str, workers: int) -> FittingBatch:
        moved = dataclasses.replace(plan, locations=dataclasses.replace(plan.locations, device=device))
        return found(moved, memory, workers)

    # 80 % of 5,000 and of 9,000 bytes, less the network's 1,000: 60 and 124 images.
    for device, least, largest in (("cuda", 5_000, 48), ("cuda:0", 9_000, 96), ("cuda:1", 5_000, 48)):
        one = on(device, 1)
        assert (one.free_bytes, one.largest, one.other_bytes) == (least, largest, 1_000)
    # Two workers have a GPU each where all are meant; three share one where it is named, and so do two of three.
    assert [on("cuda", workers).sharing for workers in (1, 2, 3, 4)] == [1, 1, 2, 2]
    assert (on("cuda:0", 3).sharing, on("cuda:0", 3).largest) == (3, 24)

    def lost(_: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: all devices are busy or unavailable")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert free_memory("cuda") is None


def allocated(work: Callable[[], object]) -> int:
    """Return the most bytes that are allocated at the same time while something is done, as torch's profiler counts."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        work()
    assert watched.profiler is not None
    events = [one for one in watched.profiler.kineto_results.events() if one.name() == "[memory]"]
    now = most = 0
    for one in sorted(events, key=lambda event: event.start_ns()):
        now += one.nbytes()
        most = max(most, now)
    return most


@pytest.fixture(scope="module")
def wide() -> PredictiveNetwork:
    """A network of as many channels as PyTorch's convolutions lay out beside each other; of fewer, they add some."""
    layers = (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU())
    backbone = nn.Sequential(nn.Conv2d(3, 16, 1), *layers, nn.Flatten(), nn.Linear(32 * 16 * 16, 10))
    each = {"feedforward": 0.4, "feedback": 0.2, "pc": 0.01}
    pcoders = [
        {"module": "2", "predictor": "ConvTranspose2d(16, 3, 3, padding=1)", "hyperparameters": each},
        {
            "module": "4",
            "predictor": "ConvTranspose2d(32, 16, 4, stride=2, padding=1)",
            "hyperparameters": each | {"feedback": 0.0},
        },
    ]
    return predify(backbone, {"name": "wide", "input_size": [3, 32, 32], "gradient_scaling": True, "pcoders": pcoders})


@pytest.mark.parametrize(("timesteps", "attacked"), [(0, True), (1, True), (5, True), (5, False)])
def test_a_pass_allocates_about_what_is_told(
    timesteps: int, attacked: bool, wide: PredictiveNetwork, attack_suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.network.fast.choosing.ROWS", ())  # as on a GPU, where no form is another
    options = {"data": "digits", "suites": [attack_suite if attacked else "digits-c"], "images": 20, "checks": False}
    memory = worker_memory(make_plan(request_from({"model": wide, "timesteps": timesteps, **options})))
    assert memory is not None
    model = load(wide, timesteps=timesteps)

    def one_pass(images: int) -> Callable[[], object]:
        pixels = torch.rand(images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        if attacked:
            return lambda: loss_gradient(model.at(timesteps), pixels, torch.zeros(images, dtype=torch.int64))
        return torch.no_grad()(lambda: model.logits(pixels, timesteps))

    one_pass(4)()
    few, many = (allocated(one_pass(images)) for images in (4, 8))
    assert (many - few) / 4 == pytest.approx(memory.image / 1.3, rel=0.2)


def test_representations_that_are_compared_count_at_every_timestep(network: PredictiveNetwork) -> None:
    def image_bytes(timesteps: int) -> int:
        options = {"model": network, "data": "digits", "suites": ["manifold"], "images": 4, "timesteps": timesteps}
        memory = worker_memory(make_plan(request_from(options)))
        assert memory is not None
        return memory.image

    # Each of two passes holds e_1, e_2, the image that is made of e_1, logits, and a magnitude a PCoder.
    each = 2 * 4 * (4 * 16 * 16 + 6 * 8 * 8 + 3 * 32 * 32 + 10 + 2)
    assert image_bytes(9) - image_bytes(4) == pytest.approx(1.3 * 5 * each, abs=1)
