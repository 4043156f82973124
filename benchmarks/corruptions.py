"""How much faster the fast backend is than imagecorruptions: images per second on two threads, one row per corruption.

    uv run python benchmarks/corruptions.py [--side 224] [--batch 32] [--slow 8] [--rounds 3]

Both backends get the same batch, in turns, at severities 1 to 5, so that a busy machine slows both. imagecorruptions
corrupts image by image; of a batch it gets the first `--slow` images only, since glass_blur alone would take
minutes. A corruption's time is the median over the rounds. The images are smooth random colour fields with grain,
made here. The last line is the geometric mean of the 15 ratios.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

import torch
from drawn_images import images_like_photographs

from pcbench.catalog import catalog_folder
from pcbench.corruptions.api import Backend, corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite

THREADS = 2


def seconds(images: torch.Tensor, definition: CorruptionDefinition, backend: Backend, seed: int) -> float:
    """Return the seconds an image takes, over all severities."""
    start = time.perf_counter()
    for severity in definition.severities:
        corrupt(images, definition, severity, seed=seed, backend=backend)
    return (time.perf_counter() - start) / (len(definition.severities) * len(images))


def measure(images: torch.Tensor, definition: CorruptionDefinition, slow: int, rounds: int) -> tuple[float, float]:
    """Return the seconds an image takes by imagecorruptions and by the fast backend: medians over rounds in turns."""
    seconds(images, definition, "fast", 0)
    seconds(images[:1], definition, "reference", 0)
    published: list[float] = []
    fast: list[float] = []
    for number in range(rounds):
        published.append(seconds(images[:slow], definition, "reference", number))
        fast.append(seconds(images, definition, "fast", number))
    return statistics.median(published), statistics.median(fast)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Speed of the corruptions, fast against imagecorruptions.")
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--batch", type=int, default=32, help="images")
    parser.add_argument("--slow", type=int, default=8, help="images of the batch that imagecorruptions corrupts")
    parser.add_argument("--rounds", type=int, default=3, help="of both backends in turns")
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    images = images_like_photographs(options.batch, options.side)
    suite = load_corruption_suite(catalog_folder("corruptions") / "imagenet-c")
    print(f"{'corruption':20s}{'published images/s':>20s}{'fast images/s':>16s}{'ratio':>9s}")
    ratios: list[float] = []
    for definition in suite.corruptions:
        published, fast = measure(
            images, definition, options.slow, 1 if definition.name == "glass_blur" else options.rounds
        )
        ratios.append(published / fast)
        print(f"{definition.name:20s}{1 / published:20.1f}{1 / fast:16.1f}{ratios[-1]:9.2f}", flush=True)
    print(f"ratio {math.exp(math.fsum(map(math.log, ratios)) / len(ratios)):.2f}")


if __name__ == "__main__":
    main()
