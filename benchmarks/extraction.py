"""What extraction costs beside the unrolling itself: 1,000 pictures, 5 timesteps, 5 layers of a ResNet-18.

    uv run python benchmarks/extraction.py [--size 64] [--images 1000] [--batch 32] [--threads 2] [--repeats 3]

Bare unrolling takes pictures that lie in memory and throws every value away; extraction reads files of a flat folder
without labels, and writes representations of five PCoders. The two are timed in turns, and the median of the ratios
is the last line. Peak memory is that of extractions in processes of their own, of a tenth of the pictures and of all.
Weights are random, from a seed: time does not depend on them.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import resnet18

import pcbench
from pcbench.network.network import PredictiveNetwork

TIMESTEPS = 4
PCODERS = ("relu", "layer1", "layer2", "layer3", "layer4")


def main() -> None:
    """Time both in turns, measure memory, and print the figures."""
    options = _options()
    if options.measured is not None:
        _measure_memory(options, options.measured)
        return
    torch.set_num_threads(options.threads)
    network = make_network(options.size)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder = Path(scratch) / "pictures"
        images = _pictures(folder, options.images, options.size)
        ratios: list[tuple[float, float]] = []
        for number in range(options.repeats):
            bare = _seconds(lambda: _unroll(network, images, options.batch))
            out = Path(scratch) / f"extraction-{number}"
            extracted = _seconds(lambda out=out: _extract(network, folder, out, options))
            ratios.append((extracted[0] / bare[0], extracted[1] / bare[1]))
            for what, now, then in zip(("seconds", "CPU seconds"), bare, extracted, strict=True):
                print(f"{what}: bare {now:.1f}, extraction {then:.1f}, ratio {then / now:.3f}", flush=True)
            size = sum(path.stat().st_size for path in out.rglob("*.npy"))
            shutil.rmtree(out)
        print(f"written: {size / 1e9:.2f} GB")
        for count in () if options.no_memory else (options.images // 10, options.images):
            print(f"peak memory of {count} pictures: {_peak(folder, count, options):.0f} MB", flush=True)
    print(f"ratio of CPU seconds {statistics.median(cpu for _, cpu in ratios):.3f}")
    print(f"ratio {statistics.median(wall for wall, _ in ratios):.3f}")


def make_network(size: int) -> PredictiveNetwork:
    """Return a ResNet-18 with five PCoders for pictures of some size, with random weights from a seed."""
    torch.manual_seed(0)
    weights = {"feedforward": 0.4, "feedback": 0.2, "pc": 0.01}
    pcoders = [{"module": name, "hyperparameters": weights} for name in PCODERS]
    config = {"name": "resnet18", "input_size": [3, size, size], "pcoders": pcoders}
    return pcbench.predify(resnet18().eval(), config, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="a folder on a disk with room for the arrays")
    parser.add_argument("--no-memory", action="store_true", help="measure time alone")
    parser.add_argument("--measured", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _pictures(folder: Path, count: int, size: int) -> torch.Tensor:
    """Write pictures, and return them as they are read again: (count, 3, size, size) in [0,1]."""
    folder.mkdir()
    random = np.random.default_rng(0)
    read = np.empty((count, size, size, 3), dtype=np.uint8)
    for number in range(count):
        coarse = random.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
        path = folder / f"{number:05d}.jpg"
        Image.fromarray(coarse).resize((size, size)).save(path, quality=90)
        read[number] = np.asarray(Image.open(path))
    return torch.from_numpy(read).permute(0, 3, 1, 2).contiguous()


def _unroll(network: PredictiveNetwork, images: torch.Tensor, batch: int) -> None:
    with torch.no_grad():
        for part in images.split(batch):
            network.unroll(part.float() / 255, TIMESTEPS)


def _extract(network: PredictiveNetwork, folder: Path, out: Path, options: argparse.Namespace) -> None:
    pcbench.extract(
        network,
        data=f"imagefolder:{folder}",
        timesteps=TIMESTEPS,
        batch_size=options.batch,
        threads=options.threads,
        out=out,
        progress=False,
    )


def _seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Return how long something takes: by the clock, and of the processors, which tells more on a busy machine."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def _peak(folder: Path, count: int, options: argparse.Namespace) -> float:
    """Return the peak memory, in MB, of an extraction in a process of its own."""
    some = folder.parent / f"some-{count}"
    some.mkdir()
    for path in sorted(folder.iterdir())[:count]:
        (some / path.name).hardlink_to(path)
    words = [f"--{name}={getattr(options, name)}" for name in ("size", "batch", "threads")]
    command = [sys.executable, __file__, *words, "--measured", str(some)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def _measure_memory(options: argparse.Namespace, folder: Path) -> None:
    out = folder.parent / f"{folder.name}-out"
    _extract(make_network(options.size), folder, out, options)
    shutil.rmtree(out)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
