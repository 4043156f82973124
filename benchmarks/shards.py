"""Planning, sharing out and merging a run as large as ImageNet-C: the whole harness, on images that cost nothing.

50,000 images of 8 x 8 pixels, drawn from their numbers, clean and under 15 corruptions of five severities: 76
conditions, at 11 timesteps. The network is a product with fixed numbers, so that an image's answer depends on the image
alone and takes no time; `--uncorrupted` saves the time of the corruptions, too, and turns the pixels by the severity.
All else is real: the plan with its hashes, reading, scoring, the parts, the folders of 200 shards, the merge with all
tables and the report. Each step has a process of its own, whose time and peak memory are printed:

`plan`: all images hashed, all units planned, the plan saved, the units shared out; the goal is less than 10 s. How far
the estimated costs of the shares are apart is printed, too; the goal is 5 %.

`shards`: the work of all shards, by some processes at a time, each of which reads the saved plan once.

`merge`: the run of all shards. Its memory is that of the tables of one run, whatever the number of shards: that of a
merge of a tenth of the shards, on the same images, is printed beside it with `--of 20`.

    python benchmarks/shards.py [--images 50000] [--of 200] [--processes 2] [--uncorrupted] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from drawn_images import SIDE, Drawn, peak_memory
from torch import Tensor, nn

import pcbench
from pcbench.catalog import suite_folder
from pcbench.files import real_path
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import plan_for, write_plan
from pcbench.harness.shard_numbers import ShardNumber
from pcbench.harness.shard_run import execute_shard
from pcbench.harness.shares import shares
from pcbench.harness.work import scores
from pcbench.results.lock import hold

TIMESTEPS, CLASSES = 10, 10
CORRUPTIONS = 15
# Corruptions that are computed for a whole batch at once.
FUNCTIONS = ("brightness", "contrast", "saturate")
STEPS = ("plan", "shards", "merge")


class Stub(nn.Module):
    """Logits (T+1, batch, classes) that are a product of the pixels with fixed numbers."""

    input_size = (3, SIDE, SIDE)
    timesteps = TIMESTEPS

    def __init__(self) -> None:
        super().__init__()
        fixed = torch.Generator().manual_seed(0)
        numbers = torch.randn(3 * SIDE * SIDE, (TIMESTEPS + 1) * CLASSES, generator=fixed)
        self.numbers = nn.Parameter(numbers - numbers.mean(0))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in [0, 1]."""
        found = images.flatten(1) @ self.numbers
        return found.reshape(len(images), TIMESTEPS + 1, CLASSES).transpose(0, 1)


def own_suite(folder: Path) -> Path:
    """Write a suite of 15 corruptions of five severities."""
    home = folder / "corruptions" / "simulated"
    home.mkdir(parents=True, exist_ok=True)
    (home / "suite.toml").write_text('version = 1\ntitle = "Simulated"\nsource = "this benchmark"\n')
    catalogue = suite_folder("imagenet-c-extra")[1]
    places = {"saturate": catalogue, **dict.fromkeys(("brightness", "contrast"), suite_folder("imagenet-c")[1])}
    for number in range(CORRUPTIONS):
        name = FUNCTIONS[number % len(FUNCTIONS)]
        (home / f"{name}_{number:02d}.toml").write_text((places[name] / f"{name}.toml").read_text())
    return home


def turned(images: Tensor, corruption: object, severity: int, **_: object) -> Tensor:
    """Return images whose levels are turned by the severity, in place of corrupted ones."""
    del corruption
    return images + severity  # of 8 bits, so it turns around


def asked(images: int, **options: Any) -> Any:
    """Return the request, in a process that knows the plan or in the one that makes it."""
    return request_from(
        {"model": Stub(), "data": Drawn(images, classes=CLASSES), "progress": False, "threads": 1, **options}
    )


def plan(folder: Path, images: int, of: int) -> None:
    """Plan the run, save the plan, and share the units out."""
    start = time.perf_counter()
    made = make_plan(asked(images, suites=(str(own_suite(folder)),), timesteps=TIMESTEPS))
    planned = time.perf_counter()
    write_plan(made, folder / "plan")
    written = time.perf_counter()
    costs = [sum(unit.cost for unit in share) for share in shares(made.units, of)]
    shared = time.perf_counter()
    conditions = {unit.condition for unit in made.units if unit.work == "scores"}
    print(f"{len(made.units)} units of {images} images, {len(conditions)} conditions, {TIMESTEPS + 1} timesteps")
    print(f"planned in {planned - start:.1f} s, saved in {written - planned:.1f} s, shared in {shared - written:.2f} s")
    print(f"costs of {of} shares: {min(costs):.0f} to {max(costs):.0f}, {max(costs) / min(costs) - 1:.2%} apart")
    print(f"seconds plan {shared - start:.1f}")


def work(folder: Path, images: int, of: int, numbers: range) -> None:
    """Do the work of some shards."""
    start = time.perf_counter()
    request = asked(images, spec=folder / "plan")
    whole = plan_for(request)
    print(f"a job knows its plan after {time.perf_counter() - start:.1f} s", flush=True)
    for number in numbers:
        shard = ShardNumber(of, number)
        final = real_path(folder / f"shards-{of}" / shard.folder)
        with hold(final):
            execute_shard(request, whole, shard, final)


def merge(folder: Path, of: int) -> None:
    """Make the run of all shards."""
    start = time.perf_counter()
    made = pcbench.merge(folder / f"shards-{of}", folder / f"run-{of}")
    rows = len(made.metrics)
    print(f"{len(made.outcome_files())} tables of outcomes, {rows} rows of metrics")
    print(f"seconds merge {time.perf_counter() - start:.1f}")


def step(name: str, options: argparse.Namespace, *more: str) -> subprocess.Popen[bytes]:
    """Start a step in a process of its own."""
    given = ["--images", str(options.images), "--of", str(options.of), "--folder", str(options.folder)]
    given += ["--uncorrupted"] if options.uncorrupted else []
    return subprocess.Popen([sys.executable, __file__, "--step", name, *given, *more])  # noqa: S603 - this file


def all_steps(options: argparse.Namespace) -> None:
    """Do all steps, one after the other."""
    print(f"load before: {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores", flush=True)
    for name in options.only:
        start = time.perf_counter()
        if name == "shards":
            cuts = [round(options.of * number / options.processes) for number in range(options.processes + 1)]
            ranges = [(str(first + 1), str(last + 1)) for first, last in pairwise(cuts)]
            started = [step(name, options, "--numbers", *each) for each in ranges]
        else:
            started = [step(name, options)]
        if any(process.wait() for process in started):
            sys.exit(f"{name} failed")
        print(f"{name}: {time.perf_counter() - start:.0f} s with the imports", flush=True)


def main() -> None:
    """Do all steps, or the one that this process was started for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--of", type=int, default=200, help="shards")
    parser.add_argument("--processes", type=int, default=2, help="that do the work of shards at the same time")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--folder", type=Path, help="where all of it lies and stays; by default a temporary folder")
    parser.add_argument("--uncorrupted", action="store_true", help="make no corruptions")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step == "plan":
        plan(options.folder, options.images, options.of)
    elif options.step == "shards":
        if options.uncorrupted:
            scores.corrupt = turned
        work(options.folder, options.images, options.of, range(*options.numbers))
    elif options.step == "merge":
        merge(options.folder, options.of)
    elif options.folder is not None:
        all_steps(options)
    else:
        with tempfile.TemporaryDirectory() as name:
            options.folder = Path(name)
            all_steps(options)
    if options.step:
        print(f"megabytes {options.step} {peak_memory():.0f}", flush=True)


if __name__ == "__main__":
    main()
