"""How much more memory a whole run takes for 10,000 images than for 100.

    python benchmarks/memory_of_images.py [--few 100] [--many 10000]

The peak memory of a process that runs many images, over that of one that runs few: from the plan to the tables, the
page and its figures, of a predictive network of about 600 weights, T = 1, clean and under one corruption at one
severity. The images are 8 px wide and made when they are asked for; the batch has 64 of them, so that both runs fill
it. The goal is at most 1.10. `scaling.py --only memory` does the same without tables and page, up to 50,000 images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from drawn_images import SIDE, Drawn, peak_memory, tell_peaks
from scaling import own_suite
from torch import nn

from pcbench.harness.start import run
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork


def tiny() -> PredictiveNetwork:
    """Return a network of one PCoder and two classes."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * SIDE * SIDE, 2))
    weights = {"feedforward": 0.4, "feedback": 0.0, "pc": 0.01}
    pcoder = {"module": "1", "predictor": "ConvTranspose2d(4, 3, 3, padding=1)", "hyperparameters": weights}
    return predify(backbone, {"name": "tiny", "input_size": [3, SIDE, SIDE], "pcoders": [pcoder]})


def run_whole(images: int, folder: Path) -> None:
    """Run some images, and print the peak memory."""
    run(
        tiny(),
        [str(own_suite(folder, ("contrast",)))],
        data=Drawn(images, classes=2),
        out=folder / "run",
        severities=[3],
        batch_size=64,
        timesteps=1,
        progress=False,
    )
    print(peak_memory())


def main() -> None:
    """Run few images and many, each in a process of its own, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--whole", nargs=2, metavar=("IMAGES", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.whole:
        run_whole(int(options.whole[0]), Path(options.whole[1]))
    else:
        tell_peaks("run_memory", Path(__file__), ["--whole"], options.few, options.many)


if __name__ == "__main__":
    main()
