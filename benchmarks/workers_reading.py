"""How much faster two workers read photographs than one, and which process could limit more of them.

    python benchmarks/workers_reading.py [--images 512] [--rounds 5]

Reads, decodes, resizes and crops JPEG files (375 x 500 px, made here) to 224 px in blocks of 32, and scores them by a
network of next to no cost: the clean units of a run, with one thread a worker. All workers are started, and have done
a unit, before the first round. Rounds take turn about, and each takes the half of the blocks that the round before did
not take, so that no block is still kept.

`ratio reading_two_workers` is by the clock: it means something on two quiet cores only. The goal is 1.8.

`bound reading_two_workers` is by processor seconds, and holds on a busy machine too: those of the one worker, over
those of the busiest of the three processes of two workers, the main one among them. More than that cannot come out,
whatever the number of cores. What the main process spends is printed as well: it bounds how many workers can help.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from drawn_images import write_photographs
from scaling import Keeper
from torch import nn

from pcbench.harness.context import Job
from pcbench.harness.engines import local
from pcbench.harness.engines.base import Engine
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.results.workspace import begin

BLOCK = 32


def network() -> nn.Module:
    """Return a network of next to no cost; workers make it by this name."""
    torch.manual_seed(0)
    return nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, 2)).eval()


def main() -> None:
    """Do the same units with one worker and with two, in turns, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"load before: {' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder) / "images", options.images)
        measure(Path(folder), options.rounds)


def measure(folder: Path, rounds: int) -> None:
    """Print both ratios of some rounds."""
    plan = make_plan(
        request_from(
            {
                "model": f"{Path(__file__).stem}:network",
                "data": f"imagefolder:{folder / 'images'}",
                "suites": ("imagenet-c",),
                "severities": (3,),
                "resize": 256,
                "crop": 224,
                "timesteps": 0,
                "threads": 1,
                "batch_size": BLOCK,
                "block_size": BLOCK,
                "progress": False,
            }
        )
    )
    units = [unit for unit in plan.units if unit.work == "scores" and unit.condition.kind == "clean"]
    keeper = Keeper(begin(folder / "run", plan.spec, again=False))
    job = Job(plan.spec, plan.locations, plan.objects)
    engines: dict[int, Engine] = {}
    seconds: dict[int, list[float]] = {1: [], 2: []}
    busiest: dict[int, list[float]] = {1: [], 2: []}
    mains: list[float] = []
    try:
        for count in (1, 2):
            start = time.perf_counter()
            engines[count] = local.make(job, workers=count)
            engines[count].run(units[1 : 2 * count : 2], lambda _: {}, keeper)
            print(f"{count} worker(s): started, and a unit each, in {time.perf_counter() - start:.1f} s")
        for number in range(rounds):
            for count, engine in engines.items():
                before, start = _processor_seconds(engine), time.perf_counter()
                engine.run(units[number % 2 :: 2], lambda _: {}, keeper)
                seconds[count].append(time.perf_counter() - start)
                after = _processor_seconds(engine)
                spent = [late - early for early, late in zip(before, after, strict=True)]
                busiest[count].append(max(spent))
                mains += spent[:1] if len(spent) > 1 else []
    finally:
        for engine in engines.values():
            engine.close()
    images = len(units) // 2 * BLOCK
    for count, taken in seconds.items():
        rates = "  ".join(f"{images / each:.0f}" for each in taken)
        used = "  ".join(f"{1000 * each / images:.2f}" for each in busiest[count])
        print(f"{count} worker(s): images a second: {rates}; of the busiest process, ms of processor an image: {used}")
    print(f"the main process of two workers: {1000 * statistics.median(mains) / images:.2f} ms of processor an image")
    print(f"ratio reading_two_workers {_median(seconds):.2f}")
    print(f"bound reading_two_workers {_median(busiest):.2f}")


def _median(found: dict[int, list[float]]) -> float:
    return statistics.median(one / two for one, two in zip(found[1], found[2], strict=True))


def _processor_seconds(engine: Engine) -> list[float]:
    """Return the processor seconds so far of this process, and of each worker that is another one."""
    workers = engine._workers if isinstance(engine, local.Processes) else []  # noqa: SLF001 - nobody else needs them
    return [time.process_time(), *(_of_process(worker.process.pid) for worker in workers)]


def _of_process(number: int) -> float:
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
