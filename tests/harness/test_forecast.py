"""Oracles: plans of the subset that was told, seconds that the tests make up, and the time that units really took."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import pcbench
from pcbench.errors import UsageError
from pcbench.harness import measuring
from pcbench.harness.blocks import Unit
from pcbench.harness.budget import FEWEST_IMAGES, fitting_command
from pcbench.harness.measuring import Speeds, measure_speed, speed_key
from pcbench.harness.memory import WorkerMemory
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import RunOptions, request_from
from pcbench.network.network import PredictiveNetwork

CORRUPTED = {"suites": ("digits-c",), "timesteps": 1}
SMALL: dict[str, Any] = {"suites": ("digits-linf",), "timesteps": 1, "images": 20}


@pytest.fixture
def nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a network fail that is asked about images; only their shapes may be followed."""
    unroll = PredictiveNetwork.unroll_input

    def refusing(self: PredictiveNetwork, inputs: Tensor, *more: Any, **words: Any) -> Any:
        assert inputs.device.type == "meta"
        return unroll(self, inputs, *more, **words)

    monkeypatch.setattr(PredictiveNetwork, "unroll_input", refusing)


@pytest.fixture(scope="module")
def whole() -> tuple[RunOptions, Plan]:
    """All digits, corrupted."""
    request = request_from(CORRUPTED)
    return request, make_plan(request)


def made_speeds(plan: Plan, seconds: Callable[[Unit], float]) -> Speeds:
    """Seconds of a pass of each kind, made up."""
    return Speeds({speed_key(unit): [seconds(unit)] for unit in plan.units}, {}, 1.0)


@pytest.mark.usefixtures("nothing_computed")
def test_a_plan_adds_up_its_units_and_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = pcbench.plan("pdigits", ["digits-linf"], timesteps=1, images=20)
    made = make_plan(request_from(SMALL))
    assert found.key == made.spec.key()
    assert (found.units, found.images, found.blocks, found.subset) == (len(made.units), 20, 1, True)
    assert found.forward_passes == sum(unit.passes.forward * len(unit.block) for unit in made.units)
    assert found.gradient_passes == sum(unit.passes.gradients * len(unit.block) for unit in made.units)
    # FGSM over 8 budgets needs the gradient at the clean image alone: at t = 0 and at t = 1, of 20 images.
    fgsm = next(one for one in found.work if one.name == "fgsm")
    assert fgsm.passes.gradients == 20 * (1 + 2)
    assert (found.hours, found.shards, found.command) == (None, None, None)
    assert found.worker_bytes is not None
    assert found.batch is None or found.batch.planned == made.spec.settings.batch_size == 128
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_of_bytes_is_above_what_a_run_takes(tmp_path: Path) -> None:
    found = pcbench.plan(**SMALL)
    run = pcbench.run(**SMALL, out=tmp_path / "run", progress=False)
    taken = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    assert taken < found.disk_bytes < 20_000_000


def test_hours_and_shards_follow_from_the_speed(
    whole: tuple[RunOptions, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(plan: Plan) -> Speeds:
        return made_speeds(plan, lambda _: 0.5)

    monkeypatch.setattr(measuring, "measure_speed", measured)
    found = pcbench.plan(**CORRUPTED, measure=True, hours_per_shard=2)
    assert found.hours is not None
    expected = 0.5 * sum(unit.cost for unit in whole[1].units) / 3600
    assert found.hours.expected == pytest.approx(expected)
    assert found.shards == math.ceil(expected / 2)


def test_deviations_of_kinds_are_added_as_squares() -> None:
    low, expected, high = Speeds.spread([(10, [1.0, 2.0, 5.0]), (10, [3.0, 4.0, 8.0])])
    assert (expected, high) == (60, 60 + math.hypot(30, 40))
    assert low == pytest.approx(60 - math.hypot(10, 10))


@pytest.mark.parametrize("budget", [250.0, 400.0, 550.0])
def test_the_run_that_fits_a_budget_is_the_largest(budget: float, whole: tuple[RunOptions, Plan]) -> None:
    request, plan = whole

    def seconds(unit: Unit) -> float:
        return 0.02 if unit.condition.name == "glass_blur" else 0.01

    command = fitting_command(request, plan, made_speeds(plan, seconds), budget, workers=1)
    assert command.startswith("pcbench run --suite digits-c --images ")
    images = int(shlex.split(command)[5])

    def needed(count: int) -> float:
        units = make_plan(request_from({**CORRUPTED, "images": count})).units
        return sum(unit.cost * seconds(unit) for unit in units)

    assert needed(images) <= budget < needed(images + 1)


def test_a_budget_for_all_images_names_no_number(whole: tuple[RunOptions, Plan]) -> None:
    request, plan = whole
    speeds = made_speeds(plan, lambda _: 1e-6)
    assert fitting_command(request, plan, speeds, 3600, 1) == "pcbench run --suite digits-c --timesteps 1"


def test_a_budget_too_small_is_refused_with_the_one_that_is_needed(whole: tuple[RunOptions, Plan]) -> None:
    request, plan = whole
    speeds = made_speeds(plan, lambda _: 1.0)
    with pytest.raises(
        UsageError, match=rf"^`budget` is too small: {FEWEST_IMAGES} images.* need \d+ h \d+ min"
    ) as error:
        fitting_command(request, plan, speeds, 60, 1)
    hours, minutes = map(int, re.findall(r"need (\d+) h (\d+) min", str(error.value))[0])
    command = fitting_command(request, plan, speeds, hours * 3600 + minutes * 60 + 60, 1)
    assert int(shlex.split(command)[5]) >= FEWEST_IMAGES


def test_a_batch_that_does_not_fit_is_halved(whole: tuple[RunOptions, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    request, plan = whole

    def needed(_: Plan) -> WorkerMemory:
        return WorkerMemory(process=0, network=0, image=1000, fills=None)

    monkeypatch.setattr("pcbench.harness.budget.worker_memory", needed)
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: 50_000)
    command = fitting_command(request, plan, made_speeds(plan, lambda _: 1e-6), 3600, 1)
    assert shlex.split(command)[-2:] == ["--batch-size", "32"]


def test_the_checks_of_a_part_are_not_paid_for() -> None:
    options: dict[str, Any] = {"suites": ("digits-linf",), "timesteps": 0, "images": 120}
    request = request_from({**options, "checks": True})
    plan = make_plan(request)
    assert any(unit.work == "evidence" for unit in plan.units)
    speeds = made_speeds(plan, lambda unit: 1.0 if unit.work == "evidence" else 1e-9)
    # Asked for, they are part of every subset; where they only come with all images, a subset does without.
    with pytest.raises(UsageError, match="too small"):
        fitting_command(request, plan, speeds, 10, 1)
    by_default = request_from(options)
    assert "--images 119" in fitting_command(by_default, plan, speeds, 10, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"budget": "soon"}, "`budget` is a duration"), ({"hours_per_shard": 0}, "`hours_per_shard` is a number"),
     ({"imagse": 3}, "images"), ({"budget": "2h", "spec": "x"}, "saved plan")],
)  # fmt: skip
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pcbench.plan(**options)


def test_a_dry_run_in_python_is_a_plan() -> None:
    with pytest.raises(UsageError, match=r"pcbench\.plan"):
        pcbench.run(dry_run=True)


def test_every_kind_of_work_is_measured(network: PredictiveNetwork) -> None:
    plan = make_plan(request_from({**SMALL, "model": network, "data": "digits", "images": 4}))
    ticks = itertools.count()
    speeds = measure_speed(plan, seconds=100, clock=lambda: 0.01 * next(ticks))
    assert {key[3] for key in speeds.seen} == {"growth", "clean", "bim", "fgsm", "pgd"}
    assert speeds.hours([unit for unit in plan.units if unit.work != "pictures"]).expected > 0


def test_a_measurement_leaves_the_network_as_it_was(network: PredictiveNetwork) -> None:
    plan = make_plan(request_from({**SMALL, "model": network, "data": "digits", "images": 4}))
    before = dict(vars(network))
    measure_speed(plan, seconds=2)
    assert vars(network) == before


def test_a_measurement_ends_in_time(network: PredictiveNetwork) -> None:
    plan = make_plan(request_from({**SMALL, "model": network, "data": "digits", "images": 4}))
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.01
        return now

    speeds = measure_speed(dataclasses.replace(plan), seconds=5, clock=clock)
    assert speeds.seconds < 6
    assert speeds.hours(plan.units).expected > 0


def test_a_pause_of_the_machine_in_one_sample_does_not_count_a_hundredfold() -> None:
    plan = make_plan(request_from({"suites": ("digits-linf",), "timesteps": 0, "images": 8}))
    attacks = [unit for unit in plan.units if unit.work == "attacks"]
    seen = {speed_key(unit): [0.001, 0.001, 0.001] for unit in plan.units}
    calm, paused = Speeds(seen, {}, 1.0), Speeds({**seen, speed_key(attacks[0]): [0.001, 0.5, 0.001]}, {}, 1.0)
    assert max(paused.rates(attacks[0])) == pytest.approx(0.004)
    assert paused.hours(plan.units).expected == pytest.approx(calm.hours(plan.units).expected)
