"""Oracle: a clock that the tests turn, and the seconds that they have each unit take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import Passes
from pcbench.harness.time_left import TimeLeft
from pcbench.results.conditions import Condition

Seconds = Callable[[Unit], float]


def scores(name: str, images: int = 10) -> Unit:
    kind = "clean" if name == "clean" else "corruption"
    severity = None if name == "clean" else 1
    return Unit("scores", Condition("c", kind, name, severity=severity), Block(0, 1, 0, images, ""), Passes(9))


def attack(name: str, timestep: int, usual: float = 0.25, gradients: int = 80) -> Unit:
    condition = Condition("a", "attack", name, norm="linf", targeted=False, attacked_timestep=timestep)
    return Unit("attacks", condition, Block(0, 1, 0, 10, ""), Passes(0, gradients * (timestep + 1), usual))


class Run:
    """Units that take the seconds that a test says; every tenth of a unit tells of its work."""

    def __init__(self, units: Sequence[Unit], seconds: Seconds) -> None:
        self.now, self.units, self.seconds = 0.0, list(units), seconds
        self.left = TimeLeft(units, clock=lambda: self.now)

    def estimates(self) -> list[tuple[float, float | None, float]]:
        """Return when, the estimate, and the truth, ten times a unit."""
        whole, found = sum(map(self.seconds, self.units)), list[tuple[float, float | None, float]]()
        for unit in self.units:
            self.left.begin(unit)
            for _ in range(10):
                self.now += self.seconds(unit) / 10
                self.left.step(unit.cost / 10)
                found.append((self.now, self.left.seconds(), whole - self.now))
            self.left.end(unit)
        return found


def test_units_of_equal_speed_are_told_to_the_second() -> None:
    run = Run([scores("clean"), scores("fog"), attack("pgd", 0)], lambda unit: unit.cost / 100)
    for _, told, truth in run.estimates()[1:]:
        assert told == pytest.approx(truth, abs=0.01)
    assert run.left.seconds() == pytest.approx(0)


def test_corruptions_that_take_long_do_not_make_attacks_look_long() -> None:
    slow = [scores(f"blur{index}") for index in range(5)]
    units = [scores("clean"), *slow, *(attack("pgd", timestep) for timestep in range(9))]
    run = Run(units, lambda unit: unit.cost / 100 * (20 if unit in slow else 1))
    assert all(told is not None and truth / 1.3 < told < truth * 1.3 for _, told, truth in run.estimates()[60:-1])


def test_what_a_sweep_leaves_is_learned_from_the_timesteps_before() -> None:
    # The plan says that a quarter is left; of these sweeps all is.
    units = [scores("clean"), *(attack(name, timestep) for name in ("bim", "pgd") for timestep in range(9))]
    run = Run(units, lambda unit: unit.cost / 100 * (4 if unit.work == "attacks" else 1))
    found = [(told, truth) for _, told, truth in run.estimates()]
    assert all(told is not None and truth / 1.1 < told < truth * 1.1 for told, truth in found[20:-1])


def test_a_machine_that_becomes_slower_is_noticed() -> None:
    units = [scores("clean"), *(scores(f"c{index}") for index in range(60))]
    run = Run(units, lambda unit: 1.0 if units.index(unit) < 20 else 3.0)
    told, truth = run.estimates()[400][1:]
    assert told is not None
    assert truth / 1.3 < told < truth * 1.3


def test_units_of_an_earlier_run_take_no_time() -> None:
    units = [scores("clean"), scores("fog"), scores("snow")]
    run = Run(units, lambda _: 4.0)
    run.left.skip(units[0])
    run.left.begin(units[1])
    run.now = 4.0
    run.left.end(units[1])
    assert run.left.seconds() == pytest.approx(4)


def test_two_workers_share_what_is_left() -> None:
    units = [scores(f"c{index}") for index in range(8)]
    run = Run(units, lambda _: 10.0)
    for first, second in ((0, 1), (2, 3)):
        run.left.begin(units[first])
        run.left.begin(units[second])
        run.now += 10
        run.left.end(units[first])
        run.left.end(units[second])
    assert run.left.seconds() == pytest.approx(20)


def test_nothing_is_told_before_anything_is_known() -> None:
    run = Run([scores("clean")], lambda _: 1.0)
    assert run.left.seconds() is None
    run.left.begin(run.units[0])
    assert run.left.seconds() is None
