"""What several benchmarks share: images that cost nothing, made photographs, and a process's peak memory."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

SIDE = 8
CLASSES = ("n01440764", "n01443537")


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


def images_like_photographs(batch: int, side: int) -> torch.Tensor:
    """Return (batch, 3, side, side) uint8 images with colour fields at several scales and some grain."""
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(batch, 3, side, side)
    for cells in (4, 12, 40):
        field = torch.rand(batch, 3, cells, cells, generator=generator)
        total += F.interpolate(field, (side, side), mode="bicubic") * (4 / cells) ** 0.5
    total += 0.05 * torch.randn(total.shape, generator=generator)
    low, high = total.amin(dim=(1, 2, 3), keepdim=True), total.amax(dim=(1, 2, 3), keepdim=True)
    return ((total - low) / (high - low) * 255).to(torch.uint8)


def write_photographs(folder: Path, count: int) -> None:
    """Write JPEG files of a photograph's size: smooth colours with fine grain, as no photograph may be shipped.

    Args:
        folder: Receives a folder for each of two classes of ImageNet, with names of its validation images.
        count: How many.
    """
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375))
        grain = generator.integers(-12, 13, (375, 500, 3))
        pixels = np.clip(np.asarray(coarse, dtype=np.int64) + grain, 0, 255).astype(np.uint8)
        path = folder / CLASSES[number % 2] / f"ILSVRC2012_val_{number + 1:08d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def peak_memory() -> float:
    """Return this process's peak memory in MB; on Linux without what it was before this program was its own."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000
    # On macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def tell_peaks(name: str, script: Path, words: Sequence[str], few: int, many: int) -> None:
    """Print how much more memory a script takes for many images than for few.

    Args:
        name: Of the ratio.
        script: It prints its peak memory at last.
        words: What it is called with, before the number of images and an empty folder.
        few: How many images are few.
        many: How many are many.
    """
    peaks: dict[int, float] = {}
    for count in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, str(script), *words, str(count), folder]
            start = time.perf_counter()
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours alone
            peaks[count] = float(answer.stdout.split()[-1])
            print(f"{count} images: {peaks[count]:.0f} MB at most, {time.perf_counter() - start:.0f} s", flush=True)
    print(f"ratio {name} {peaks[many] / peaks[few]:.3f}")
