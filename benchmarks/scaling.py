"""What a run's machinery costs: several workers, Ray, the harness beside the network, and memory over many images.

Four parts, each a ratio; `--only` picks some of them, and all four take less than six minutes.

`attack_units_two_workers`: attack units a second of two workers with one thread each, over those of one worker with
one thread in this process; the median of five pairs of rounds, taken turn about. The same units are done each time (PGD
on pdigits at every timestep, many blocks), and their parts are written. All workers are started, and have done a unit,
before the first round: how long that took is printed apart. The goal is 1.7 on a machine that does nothing else.

`ray_unit`: the time that a unit takes on one worker of the Ray engine, over that on one worker of the local engine in
another process, for small units (corruptions of eight images at t = 0, with one thread), whose parts are written; the
median of pairs of rounds, taken turn about, in one run of this script. What Ray adds to a unit is printed in
milliseconds, and so is what another process adds to this one. It is left out where Ray is not installed. No goal is
set: units of real runs take seconds.

`harness_share`: the share of the unit phase of a corruption run of presnet20_cifar10, at the default block size, that
is neither the network nor making images. The unit phase is the time inside the engine's `run`, once network and images
are open: one worker in this process, real parts, real progress file. From it is taken, in the main thread only, what
passes inside the network (a `Model`'s logits, `PredictiveNetwork.unroll`), inside reading and corrupting
(`ImageSource.load`, `corrupt`), inside the attack that is shown as a picture, and waiting for the look-ahead thread,
which counts as reading. What is left is the harness: checking answers, making columns, tables and parts, writing,
progress. While the other thread makes images, the two share the interpreter, so that a busy machine shows more than a
quiet one. The goal is less than 0.03. It needs real images and weights (`PCBENCH_TEST_DATA`) and is left out without
them.

`driver_memory`: the peak memory of a process that runs 50,000 images, over that of one that runs 1,000, at the end of
the unit phase: plan, one worker, all parts written. The images are 8 px wide and made when they are asked for, the
network is a mean; each run has a process of its own. The goal is at most 1.10.

    python benchmarks/scaling.py [--only workers ray harness memory] [--rounds 5] [--images 50000]
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from drawn_images import Drawn, peak_memory, tell_peaks
from torch import Tensor, nn

from pcbench.catalog import suite_folder
from pcbench.data.image_source import ImageSource
from pcbench.extras import is_installed
from pcbench.harness import run as harness
from pcbench.harness.blocks import Unit
from pcbench.harness.context import Job, SilentMeter
from pcbench.harness.engines import local, ray
from pcbench.harness.engines.base import Engine, Failure
from pcbench.harness.plan import make_plan
from pcbench.harness.progress import RunProgress
from pcbench.harness.request import request_from
from pcbench.harness.start import run
from pcbench.harness.work import pictures, scores
from pcbench.models.model import Model
from pcbench.network.network import PredictiveNetwork
from pcbench.results.parts import Part
from pcbench.results.workspace import Workspace, begin

PARTS = ("workers", "ray", "harness", "memory")
STOPPED = "the unit phase is over"

PGD = """
title = "PGD, 10 steps"
library = "foolbox"
attack = "LinfProjectedGradientDescentAttack"
norm = "linf"
epsilons = ["8/255", "16/255", "32/255"]
steps = 10
relative_step_size = 0.25
random_start = true
source = "this benchmark"
"""


def own_suite(folder: Path, corruptions: Sequence[str]) -> Path:
    """Write a suite of some of the catalogue's corruptions, or of one attack where none is named."""
    kind = "corruptions" if corruptions else "attacks"
    home = folder / kind / "benchmark"
    home.mkdir(parents=True)
    heading = 'version = "1"\nname = "benchmark"\n' if kind == "attacks" else "version = 1\n"
    (home / "suite.toml").write_text(f'{heading}title = "Benchmark"\nsource = "this benchmark"\n')
    if not corruptions:
        (home / "pgd.toml").write_text(PGD)
    catalogue = suite_folder("cifar-10-c")[1]
    for name in corruptions:
        (home / f"{name}.toml").write_text((catalogue / f"{name}.toml").read_text())
    return home


class Keeper(SilentMeter):
    """Keeps parts as a run does.

    Args:
        workspace: Receives them.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def begun(self, unit: Unit) -> None:
        """Do nothing."""

    def done(self, unit: Unit, part: Part) -> None:
        """Write a part."""
        self._workspace.write_part(unit.path, part)

    def failed(self, unit: Unit, failure: Failure) -> None:
        """Stop: a round that lacks a unit cannot be compared."""
        raise SystemExit(f"{unit.title}: {failure.reason}")


def workers(folder: Path, rounds: int) -> None:
    """Print how much faster two workers attack than one."""
    attacks = own_suite(folder, ())
    options: dict[str, Any] = {"threads": 1, "batch_size": 24, "block_size": 24, "timesteps": 2, "progress": False}
    request = request_from({"suites": (str(attacks),), **options})
    plan = make_plan(request)
    units = [unit for unit in plan.units if unit.work == "attacks"]
    keeper = Keeper(begin(folder / "run", plan.spec, again=False))
    job = Job(plan.spec, plan.locations, plan.objects)
    engines: dict[int, Engine] = {}
    try:
        for count in (1, 2):
            start = time.perf_counter()
            engines[count] = local.make(job, workers=count)
            engines[count].run(units[:count], lambda _: {}, keeper)
            print(f"{count} worker(s): started, and a unit each, in {time.perf_counter() - start:.1f} s")
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(rounds):
            for count, engine in engines.items():
                start = time.perf_counter()
                engine.run(units, lambda _: {}, keeper)
                seconds[count].append(time.perf_counter() - start)
    finally:
        for engine in engines.values():
            engine.close()
    for count, taken in seconds.items():
        rates = "  ".join(f"{len(units) / each:.1f}" for each in taken)
        print(f"{count} worker(s): {len(units)} units a round, units a second: {rates}")
    ratio = statistics.median(one / two for one, two in zip(seconds[1], seconds[2], strict=True))
    print(f"ratio attack_units_two_workers {ratio:.2f}")


def ray_unit(folder: Path, rounds: int) -> None:
    """Print how much longer a small unit takes on a worker of Ray than on one of the local engine."""
    if not is_installed("ray"):
        print("ray_unit is left out: the extra ray is not installed")
        return
    suite = own_suite(folder, ("contrast", "gaussian_noise"))
    options: dict[str, Any] = {"threads": 1, "batch_size": 8, "block_size": 8, "timesteps": 0, "progress": False}
    request = request_from({"suites": (str(suite),), "images": 64, "engine": "ray", "ray_address": "local", **options})
    plan = make_plan(request)
    units = [unit for unit in plan.units if unit.work == "scores"]
    keeper = Keeper(begin(folder / "run", plan.spec, again=False))
    job = Job(plan.spec, plan.locations, plan.objects)
    makers: dict[str, Callable[[], Engine]] = {
        "this process": lambda: local.make(job, workers=1),
        "another process": lambda: local.Processes(job, 1),
        "Ray": lambda: ray.make(job, request, units=len(units)),
    }
    engines: dict[str, Engine] = {}
    try:
        for name, make in makers.items():
            start = time.perf_counter()
            engines[name] = make()
            engines[name].run(units, lambda _: {}, keeper)
            print(f"{name}: started, and {len(units)} units, in {time.perf_counter() - start:.1f} s")
        seconds: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(rounds):
            for name, engine in engines.items():
                start = time.perf_counter()
                engine.run(units, lambda _: {}, keeper)
                seconds[name].append((time.perf_counter() - start) / len(units))
    finally:
        for engine in engines.values():
            engine.close()
    for name, taken in seconds.items():
        print(f"{name}: milliseconds a unit: {'  '.join(f'{1000 * each:.2f}' for each in taken)}")
    inside, process, on_ray = (statistics.median(taken) for taken in seconds.values())
    print(
        f"another process adds {1000 * (process - inside):.2f} ms a unit; Ray {1000 * (on_ray - process):.2f} ms more"
    )
    ratio = statistics.median(one / two for one, two in zip(seconds["Ray"], seconds["another process"], strict=True))
    print(f"ratio ray_unit {ratio:.2f}")


class Clock:
    """Where the main thread's time goes; what is called inside something that is counted counts to the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False

    def counted(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time in the main thread is counted."""

        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if self._inside or threading.current_thread() is not threading.main_thread():
                return function(*arguments, **named)
            with self.running(what):
                return function(*arguments, **named)

        return call

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Count the time while this lasts."""
        self._inside, start = True, time.perf_counter()
        try:
            yield
        finally:
            self._inside = False
            self.seconds[what] += time.perf_counter() - start


COUNTED = (
    ("opening", local, "opened"),
    ("network", Model, "logits"),
    ("network", Model, "logits_of_input"),
    ("network", PredictiveNetwork, "unroll"),
    ("images", ImageSource, "load"),
    ("images", scores, "corrupt"),
    ("images", pictures, "corrupt"),
    ("attack", pictures, "sweep"),
)


@contextmanager
def clocked(clock: Clock) -> Iterator[None]:
    """Count the time of the unit phase of a run, and of what is not the harness in it."""
    kept = [(owner, name, getattr(owner, name)) for _, owner, name in COUNTED]
    kept += [(RunProgress, "wait", RunProgress.wait), (local.InProcess, "run", local.InProcess.run)]
    do_units, note_wait = local.InProcess.run, RunProgress.wait

    def phase(*arguments: Any) -> None:
        start = time.perf_counter()
        do_units(*arguments)
        clock.seconds["all"] += time.perf_counter() - start

    def wait(progress: RunProgress, waited: float, elapsed: float) -> None:
        clock.seconds["waiting"] += waited
        note_wait(progress, waited, elapsed)

    for what, owner, name in COUNTED:
        setattr(owner, name, clock.counted(what, getattr(owner, name)))
    local.InProcess.run, RunProgress.wait = phase, wait  # type: ignore[method-assign]
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


@contextmanager
def stopped_after_units() -> Iterator[None]:
    """Stop a run when its units are done: tables and report are not part of what is measured."""
    finish = harness.finish

    def stop(*_: object) -> None:
        raise KeyboardInterrupt(STOPPED)

    harness.finish = stop  # type: ignore[assignment]
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args != (STOPPED,):
            raise
    finally:
        harness.finish = finish


def harness_share(folder: Path, images: int) -> None:
    """Print which share of a corruption run is neither the network nor making images."""
    shared = os.environ.get("PCBENCH_TEST_DATA")
    if not shared:
        print("harness_share is left out: it needs PCBENCH_TEST_DATA")
        return
    suite = own_suite(folder, ("gaussian_noise", "contrast"))
    clock = Clock()
    with clocked(clock), stopped_after_units():
        run(
            "presnet20_cifar10",
            [str(suite)],
            out=folder / "run",
            data=f"parquet:{shared}/cifar10/test.parquet",
            backbone_weights=f"{shared}/weights/resnet20.cifar10.safetensors",
            random_predictors=0,
            images=images,
            timesteps=4,
            progress=False,
        )
    seconds = dict(clock.seconds)
    opening = seconds.pop("opening", 0.0)
    whole = seconds.pop("all") - opening
    left = whole - sum(seconds.values())
    told = "  ".join(f"{what} {each:.2f} s" for what, each in sorted(seconds.items()))
    print(f"{images} images: opened in {opening:.1f} s, then unit phase {whole:.1f} s: {told}  harness {left:.2f} s")
    print(f"ratio harness_share {left / whole:.4f}")


class Mean(nn.Module):
    """Two classes: dark and light."""

    input_size = (3, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (batch, 2)."""
        mean = images.flatten(1).mean(dim=1)
        return torch.stack([self.threshold - mean, mean - self.threshold], dim=1)


def run_made(folder: Path, images: int) -> None:
    """Do the units of made-up images, and print the peak memory."""
    suite = own_suite(folder, ("contrast",))
    with stopped_after_units():
        run(Mean(), [str(suite)], data=Drawn(images, classes=2), out=folder / "run", timesteps=0, progress=False)
    print(peak_memory())


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=5, help="of the comparison of workers and of engines")
    parser.add_argument("--images", type=int, default=50_000, help="of the run whose memory is measured")
    parser.add_argument("--scored-images", type=int, default=1024, help="of the run whose share is measured")
    parser.add_argument("--run-made", nargs=2, metavar=("IMAGES", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_made:
        run_made(Path(options.run_made[1]), int(options.run_made[0]))
        return
    print(f"load before: {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        if "workers" in options.only:
            workers(Path(name) / "workers", options.rounds)
        if "ray" in options.only:
            ray_unit(Path(name) / "ray", options.rounds)
        if "harness" in options.only:
            harness_share(Path(name) / "harness", options.scored_images)
    if "memory" in options.only:
        tell_peaks("driver_memory", Path(__file__), ["--run-made"], 1000, options.images)


if __name__ == "__main__":
    main()
