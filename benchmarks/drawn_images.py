"""What several benchmarks share: images that cost nothing, and a process's peak memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIDE = 8


class Drawn:
    """Images of 8 x 8 pixels, each drawn from its number when it is asked for.

    Args:
        count: How many.
        classes: How many classes they are spread over.
    """

    name = "drawn"

    def __init__(self, count: int, *, classes: int) -> None:
        self.images = self
        self.labels = np.arange(count) % classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        return np.random.default_rng(place).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def peak_memory() -> float:
    """Return this process's peak memory in MB; on Linux without what it was before this program was its own."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000
    # On macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
