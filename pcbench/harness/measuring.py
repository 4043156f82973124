"""The speed of this machine: a few units of each kind are done on a few images, for a minute at most."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from statistics import median
from typing import Any

import torch

from pcbench.attacks.adapters.registry import adapter_module
from pcbench.attacks.definitions import AttackSuite
from pcbench.data.image_source import Batch, ImageSource
from pcbench.errors import PcbenchError, UsageError
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Context, Inputs, Job
from pcbench.harness.costs import PASSES_PER_GRADIENT
from pcbench.harness.estimate import Hours, work_name
from pcbench.harness.grids import share_of
from pcbench.harness.plan import Plan
from pcbench.results.parts import Part

SECONDS = 60.0
"""How long is measured at most; a single pass, and the corruption of a batch, are not stopped in the middle."""
_MEASURED = ("growth", "precision", "scores", "representations", "saved", "attacks")
"""Evidence and pictures are made of what these do, and wait for the results of sweeps."""
_SECONDS_A_SAMPLE = 1.0
_LARGE_IMAGE, _FEW = 64, 8
_LONGEST = 4.0
"""How many times longer than in the median a pass of an attack may take."""


@dataclass
class Speeds:
    """Seconds of a pass, by kind of work and by name, as they were measured."""

    seen: dict[tuple[str, ...], list[float]] = field(default_factory=dict[tuple[str, ...], list[float]])
    """Seconds of one forward pass of one image, sample by sample."""
    shares: dict[tuple[str, ...], float] = field(default_factory=dict[tuple[str, ...], float])
    """What a whole sweep left of its most passes."""
    seconds: float = 0.0

    def hours(self, units: Sequence[Unit]) -> Hours:
        """Return how long units take one worker."""
        works: dict[tuple[str, ...], float] = {}
        most, unseen = 0.0, set[str]()
        shown: dict[tuple[str, ...], Unit] = {}
        for unit in units:
            whole, key = unit.passes.most * len(unit.block), speed_key(unit)
            works[key] = works.get(key, 0.0) + whole * self.share(unit)
            most += whole * median(self.rates(unit))
            shown[key] = unit
            if key not in self.seen:
                unseen.add(" ".join(work_name(unit)))
        low, expected, high = self.spread([(work, self.rates(shown[key])) for key, work in works.items()])
        hours = (seconds / 3600 for seconds in (low, expected, high, most))
        return Hours(*hours, seconds=self.seconds, unseen=tuple(sorted(unseen)))

    @staticmethod
    def spread(kinds: Sequence[tuple[float, Sequence[float]]]) -> tuple[float, float, float]:
        """Return the seconds of work: fewest, in the median, and most.

        One kind's slow samples say nothing of another's, so that their deviations are added as squares.

        Args:
            kinds: The work of each kind, and the seconds of a pass that were seen of it.
        """
        expected = sum(work * median(rates) for work, rates in kinds)
        below = math.hypot(*(work * (median(rates) - min(rates)) for work, rates in kinds))
        above = math.hypot(*(work * (max(rates) - median(rates)) for work, rates in kinds))
        return expected - below, expected, expected + above

    def share(self, unit: Unit) -> float:
        """Return the share of a unit's most passes that is expected."""
        return self.shares.get(speed_key(unit), unit.passes.usual)

    def rates(self, unit: Unit) -> list[float]:
        """Return the seconds of a pass that were seen of a unit's kind, else of the same work, else of anything."""
        work = _ALIKE.get(unit.work, unit.work)
        alike = [rate for key, rates in self.seen.items() if key[0] == work for rate in rates]
        every = [rate for rates in self.seen.values() for rate in rates]
        for found in (self.seen.get(speed_key(unit), []), alike, every):
            if found and unit.work == "attacks":
                # All attacks ask the network alone: a sample far above the others met a pause of the machine.
                return [min(rate, _LONGEST * median(alike or found)) for rate in found]
            if found:
                return found
        raise UsageError("nothing could be measured in a minute; plan with fewer images, or without `measure`")


_ALIKE = {"evidence": "attacks", "pictures": "attacks"}


def measure_speed(plan: Plan, seconds: float | None = None, clock: Callable[[], float] = time.perf_counter) -> Speeds:
    """Measure how fast a plan's work is done here.

    Args:
        plan: What is run.
        seconds: How long to measure; a minute where none is given.
        clock: Returns seconds.

    Raises:
        RunError, UsageError: The network or the images cannot be opened, or fail.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.spec.settings.threads)
    try:
        return _Measuring(plan, SECONDS if seconds is None else seconds, clock).speeds()
    finally:
        torch.set_num_threads(threads)


class _EnoughError(PcbenchError):
    """The time of a sample is over."""


class _Sample(Context):
    """A worker's context that reads a few images of each block."""

    def batches(self, unit: Unit, source: ImageSource | None = None) -> Iterator[Batch]:
        """Yield the images of a unit's shortened block, without comparing them with those planned."""
        chosen = self.images(unit) if source is None else source
        yield from self.decoded.batches(chosen, unit.block, self.settings.batch_size, lambda _index, _sha256: None)


class _Measuring:
    def __init__(self, plan: Plan, seconds: float, clock: Callable[[], float]) -> None:
        self._plan, self._clock = plan, clock
        self._context = _Sample(Job(plan.spec, plan.locations, plan.objects, plan.lists), plan.model)
        self._began = clock()
        self._end = self._began + seconds
        self._stop, self._passes = self._end, 0.0
        self._clean: dict[str, Part] = {}
        self._speeds = Speeds()

    def speeds(self) -> Speeds:
        self._import()
        count = self._images()
        network = self._context.model.timestep_model
        # Every answer is made there; the network of the plan is given back as it was.
        vars(network)["logits_of_input"] = self._counted(network.logits_of_input)
        try:
            for left, unit in self._samples():
                now = self._clock()
                if now >= self._end:
                    break
                self._stop = now + (self._end - now) / left
                self._sample(unit, count)
        finally:
            del vars(network)["logits_of_input"]
        self._speeds.seconds = self._clock() - self._began
        return self._speeds

    def _samples(self) -> Iterator[tuple[int, Unit]]:
        """Yield three units of each kind, the costliest kinds first, and how many are still to come."""
        kinds: dict[tuple[str, ...], list[Unit]] = {}
        for unit in self._plan.units:
            if unit.work in _MEASURED:
                kinds.setdefault(speed_key(unit), []).append(unit)
        ordered = sorted(kinds.values(), key=lambda units: -sum(unit.cost for unit in units))
        rounds = [[units[index * (len(units) - 1) // 2] for units in ordered] for index in (1, 2, 0)]
        chosen = [unit for units in rounds for unit in units]
        yield from zip(range(len(chosen), 0, -1), chosen, strict=True)

    def _import(self) -> None:
        """Import what units import when they are first done, which takes seconds."""
        for suite in self._plan.spec.suites:
            definition = self._context.suite(suite.name).definition
            for attack in definition.attacks if isinstance(definition, AttackSuite) else ():
                import_module(adapter_module(attack))
        for work in _MEASURED:
            import_module(f"pcbench.harness.work.{work}")
        self._end += self._clock() - self._began

    def _images(self) -> int:
        """Return how many images a sample has: as many as take about a second, at most a batch."""
        unit = next(one for one in self._plan.units if one.work in ("scores", "saved"))
        settings = self._context.settings
        images = self._context.images(unit).load([0, 0]) / 255
        images = images.to(self._context.model.device)
        with torch.no_grad():
            self._context.model.answer(images, settings.timesteps)  # the first pass prepares
            began = self._clock()
            self._context.model.answer(images, settings.timesteps)
            each = (self._clock() - began) / 2
        most = settings.batch_size if max(images.shape[2:]) <= _LARGE_IMAGE else min(_FEW, settings.batch_size)
        return max(1, min(most, int(_SECONDS_A_SAMPLE / max(each, 1e-6))))

    def _sample(self, unit: Unit, count: int) -> None:
        block = unit.block
        short = dataclasses.replace(unit, block=dataclasses.replace(block, stop=min(block.stop, block.start + count)))
        inputs = self._inputs(short)
        self._passes = 0.0
        most, finished = unit.passes.most * len(short.block), True
        began = self._clock()
        try:
            self._do(short, inputs)
        except _EnoughError:
            finished = False
        passed = self._clock() - began
        # Representations are read past the counter: they make the passes that the plan says.
        done = self._passes if unit.work == "attacks" else most
        if done > 0:
            self._speeds.seen.setdefault(speed_key(unit), []).append(passed / done)
            if finished and unit.work == "attacks" and self._passes <= most:
                self._speeds.shares[speed_key(unit)] = self._passes / most

    def _inputs(self, unit: Unit) -> Inputs:
        """Return the clean part that a suite's rule reads, made once a block."""
        if unit.work != "attacks" or not unit.after:
            return {}
        (path,) = unit.after
        if path not in self._clean:
            clean = next(one for one in self._plan.units if one.path == path)
            self._stop = self._end
            self._clean[path] = self._do(dataclasses.replace(clean, block=unit.block), {})
        return {path: share_of(self._clean[path], unit.setting).table}

    def _do(self, unit: Unit, inputs: Inputs) -> Part:
        context = self._context.at(unit.setting)
        made = import_module(f"pcbench.harness.work.{unit.work}").compute(unit, inputs, context)
        return Part(made.table, "", made.files)

    def _counted(self, answer: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """Return how a network answers, counting its passes, and stopping when the time is over."""

        def counting(inputs: torch.Tensor, timesteps: int, *more: Any, **words: Any) -> torch.Tensor:
            logits = answer(inputs, timesteps, *more, **words)
            self._passes += len(inputs) * (timesteps + 1) * (PASSES_PER_GRADIENT if logits.requires_grad else 1)
            if self._clock() > self._stop:
                raise _EnoughError
            return logits

        return counting


def speed_key(unit: Unit) -> tuple[str, ...]:
    """Return what units have in common whose passes take about as long."""
    return unit.work, unit.condition.suite, unit.condition.kind, unit.condition.name
