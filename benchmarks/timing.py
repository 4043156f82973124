"""What the benchmarks of speed share: turns, processors kept busy by others, and lines with ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

BUSY = 2
"""How many processes of one thread compute beside the benchmark where it says `contended`."""


@dataclass(frozen=True)
class Timed:
    """How long one run took."""

    seconds: float
    """By the clock on the wall."""
    processor: float
    """Of all this process's threads."""


def timed(run: Callable[[], object]) -> Timed:
    """Run once."""
    start, processor = time.perf_counter(), time.process_time()
    run()
    return Timed(time.perf_counter() - start, time.process_time() - processor)


def in_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[Timed]]:
    """Run each once, then each again, so that what changes on the machine meets all."""
    found: dict[str, list[Timed]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            found[name].append(timed(run))
    return found


def tell(name: str, slow: list[Timed], fast: list[Timed]) -> float:
    """Print the ratio of each turn's seconds, as median and spread, and the seconds; return the median."""
    ratios = [one.seconds / other.seconds for one, other in zip(slow, fast, strict=True)]
    processor = statistics.median(one.processor / other.processor for one, other in zip(slow, fast, strict=True))
    print(f"ratio {name} {statistics.median(ratios):.2f}")
    print(
        f"    {min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} turns; of processor seconds {processor:.2f}; "
        f"seconds {_median(slow)} against {_median(fast)}",
        flush=True,
    )
    return statistics.median(ratios)


def _median(times: list[Timed]) -> str:
    seconds = statistics.median(one.seconds for one in times)
    return f"{seconds:.2f} ({statistics.median(one.processor for one in times):.2f} of processors)"


@contextmanager
def threads(count: int) -> Generator[None]:
    """Let PyTorch use some threads for one operation."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def contended(processes: int = BUSY) -> Generator[None]:
    """Keep processors busy by processes of one thread each."""
    # They end by themselves where this process is killed.
    spin = f"import os, time\nwhile os.getppid() == {os.getpid()}: sum(range(10**6))"
    busy = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(processes)]  # noqa: S603  # ours alone
    time.sleep(1)
    try:
        yield
    finally:
        for one in busy:
            one.kill()
        for one in busy:
            one.wait()


def largest_difference(found: torch.Tensor, expected: torch.Tensor) -> str:
    """Say how far logits (T+1, batch, classes) differ, and how many decisions."""
    difference = float((found - expected).abs().max() / expected.abs().max())
    flipped = int((found.argmax(-1) != expected.argmax(-1)).sum())
    count = found[..., 0].numel()
    return f"largest difference {difference:.1e} of the largest logit, {flipped} of {count} decisions differ"
