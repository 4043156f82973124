"""How long a run will still take, from what its finished units took and from what the plan says of the others.

The seconds of a pass differ: a corruption is computed before the network sees it, a sweep skips what the plan can only
guess, a gradient is not three answers on every machine. So they are learned for each kind of work by itself, from the
finished units and from the part that is done of those under way. What is not known of a condition is taken from its
neighbours: the same attack at the timestep before, other attacks, and at first the network's plain answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pcbench.harness.blocks import Unit

_Key = tuple[object, ...]

_NETWORK: _Key = ("network",)

_FADING = {"condition": 0.5, "name": 0.6, "family": 0.9, "network": 0.9, "all": 0.95}
"""How much less a unit counts than the next one of its group: the nearest conditions and the present load count."""
_TRUSTED = 5.0
"""How many seconds of a group must be seen until it counts as much as the wider group around it."""
_ENOUGH = 0.1
"""The share of a unit that must be done before its speed is believed."""


@dataclass
class _Speed:
    """Seconds and work of some units, the last ones counting most."""

    seconds: float = 0.0
    work: float = 0.0

    def learn(self, seconds: float, work: float, fading: float) -> None:
        self.seconds = self.seconds * fading + seconds
        self.work = self.work * fading + work


@dataclass
class _UnderWay:
    """A unit that is being done."""

    unit: Unit
    began: float
    work: float = 0.0


class TimeLeft:
    """Learns how fast units are done, and says how long the others will take.

    Args:
        units: All units of the run.
        clock: Returns seconds.
    """

    def __init__(self, units: Sequence[Unit], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[_Key, float] = {}
        self._groups: dict[_Key, tuple[_Key, ...]] = {}
        for unit in units:
            key = next(_groups(unit))
            self._left[key] = self._left.get(key, 0.0) + unit.cost
            self._groups.setdefault(key, tuple(_groups(unit)))
        self._speeds: dict[_Key, _Speed] = {}
        self._under_way: dict[str, _UnderWay] = {}
        self._first: float | None = None
        self._busy = 0.0

    def skip(self, unit: Unit) -> None:
        """Note a unit that an earlier run has done."""
        self._take(unit)

    def begin(self, unit: Unit) -> None:
        """Note that a unit is begun, perhaps again."""
        now = self._clock()
        self._first = now if self._first is None else self._first
        if unit.path not in self._under_way:
            self._take(unit)
        self._under_way[unit.path] = _UnderWay(unit, now)

    def step(self, work: float) -> None:
        """Note work inside the units under way; which of them did it is not known, so it is shared out."""
        for one in self._under_way.values():
            one.work += work / len(self._under_way)

    def end(self, unit: Unit) -> None:
        """Note that a unit is done or has failed."""
        one = self._under_way.pop(unit.path, None)
        if one is None:
            self._take(unit)  # it failed with another, before it was begun
            return
        seconds = self._clock() - one.began
        self._busy += seconds
        for group in _groups(unit):
            self._speeds.setdefault(group, _Speed()).learn(seconds, unit.cost, _FADING[str(group[0])])

    def seconds(self) -> float | None:
        """Return how long the rest will take; None before anything is known."""
        now = self._clock()
        running = list(self._under_way.values())
        speeds = self._speeds_now(running, now)
        if not speeds:
            return None
        total = sum(_rest(one, now, _speed(tuple(_groups(one.unit)), speeds)) for one in running)
        for key, work in self._left.items():
            if work > 0:
                total += work * _speed(self._groups[key], speeds)
        return total / self._workers(running, now)

    def _take(self, unit: Unit) -> None:
        key = next(_groups(unit))
        self._left[key] = max(0.0, self._left[key] - unit.cost)

    def _speeds_now(self, running: Sequence[_UnderWay], now: float) -> dict[_Key, tuple[float, float]]:
        """Return the seconds and the work that were seen of each group, with what is done of the units under way."""
        known = {group: (speed.seconds, speed.work) for group, speed in self._speeds.items()}
        for one in running:
            if one.work >= _ENOUGH * one.unit.cost:
                for group in _groups(one.unit):
                    seconds, work = known.get(group, (0.0, 0.0))
                    fading = _FADING[str(group[0])]
                    known[group] = seconds * fading + now - one.began, work * fading + one.work
        found = {group: (seconds, work) for group, (seconds, work) in known.items() if seconds > 0 and work > 0}
        # No plain answer takes longer than that to a corrupted image, whatever the first ones took.
        plain = [speed for group, speed in found.items() if group[:2] == ("name", "scores") or group == _NETWORK]
        return found | ({_NETWORK: min(plain, key=_seconds_of_work)} if _NETWORK in found else {})

    def _workers(self, running: Sequence[_UnderWay], now: float) -> float:
        """Return how many units were under way at a time, in the mean."""
        passed = now - (now if self._first is None else self._first)
        busy = self._busy + sum(now - one.began for one in running)
        return max(1.0, busy / passed) if passed > 0 else 1.0


def _groups(unit: Unit) -> Iterator[_Key]:
    """Yield the groups that a unit belongs to, the narrowest first."""
    condition = unit.condition
    yield "condition", unit.work, condition.path, unit.detail
    yield "name", unit.work, condition.suite, condition.name, unit.detail
    # Sweeps that search alike leave alike shares.
    yield "family", unit.work, unit.passes.usual
    if unit.work in ("growth", "saved") or (unit.work == "scores" and condition.kind == "clean"):
        yield _NETWORK
    yield ("all",)


def _speed(groups: Sequence[_Key], speeds: Mapping[_Key, tuple[float, float]]) -> float:
    """Return the seconds of a unit of work, from the wide groups to the narrow ones.

    A narrow group counts more the longer it was seen: a few quick units say little of the long ones after them.
    """
    wider: list[_Key] = [("all",)]
    if groups[0][1] in ("attacks", "evidence") and _NETWORK in speeds:
        # Attacks wait for no corruption: until one is seen, they are as fast as the network's plain answers.
        wider = [_NETWORK]
    found = 0.0
    for group in (*wider, *reversed(groups[:3])):
        if group in speeds:
            seconds, work = speeds[group]
            trust = seconds / (seconds + _TRUSTED) if found else 1.0
            found = trust * seconds / work + (1 - trust) * found
    return found


def _seconds_of_work(speed: tuple[float, float]) -> float:
    return speed[0] / speed[1]


def _rest(one: _UnderWay, now: float, speed: float) -> float:
    """Return how long a unit under way will still take: the more of it is done, the more its own speed counts."""
    passed, share = now - one.began, min(1.0, one.work / max(one.unit.cost, 1e-9))
    expected = speed * one.unit.cost
    if share >= _ENOUGH:
        expected = share * (passed / share) + (1 - share) * expected
    return max(expected - passed, (1 - share) * min(passed, expected), 0.0)
