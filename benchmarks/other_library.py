"""How much time corruptions take beside albumentations' nearest transforms, where the two make almost the same image.

    uv run --with albumentations==2.0.8 python benchmarks/other_library.py [--side 224] [--batch 16] [--rounds 12]

Five corruptions at their five severities, of images made here: smooth random colour fields with grain. Both work on one
thread, in turns, image by image; the time is the least of the rounds, of this process's processor seconds. A row tells
which share of the values lies within one grey level of the other's, and the largest distance; the ratio is ours over
theirs, to compare where all values do. The last lines are these ratios.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from drawn_images import images_like_photographs
from numpy.typing import NDArray
from timing import in_turns

from pcbench.catalog import catalog_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import CorruptionDefinition, load_corruption_suite
from pcbench.corruptions.opencv import cv2

Image = NDArray[np.uint8]


def transforms(library: Any) -> dict[str, list[Callable[[Image], Image]]]:
    """Return, for each corruption, what comes nearest to it in albumentations, at severities 1 to 5."""
    boxes = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_NEAREST}
    light = library.RandomBrightnessContrast
    blur = importlib.import_module("albumentations.augmentations.blur.functional").zoom_blur
    always: dict[str, list[Any]] = {
        "brightness": [
            light(brightness_limit=(shift, shift), contrast_limit=(0, 0), p=1) for shift in (0.1, 0.2, 0.3, 0.4, 0.5)
        ],
        "contrast": [
            light(brightness_limit=(0, 0), contrast_limit=(factor - 1, factor - 1), p=1)
            for factor in (0.4, 0.3, 0.2, 0.1, 0.05)
        ],
        "pixelate": [
            library.Downscale(scale_range=(scale, scale), interpolation_pair=boxes, p=1)
            for scale in (0.6, 0.5, 0.4, 0.3, 0.25)
        ],
        "jpeg_compression": [
            library.ImageCompression(quality_range=(quality, quality), p=1) for quality in (25, 18, 15, 10, 7)
        ],
    }
    zooms = [np.arange(1.0, end, step) for end, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02))]
    zooms.append(np.arange(1.0, 1.31, 0.03))
    found: dict[str, list[Callable[[Image], Image]]] = {
        name: [lambda image, one=one: one(image=image)["image"] for one in each] for name, each in always.items()
    }
    return {**found, "zoom_blur": [lambda image, factors=factors: blur(image, factors) for factors in zooms]}


def compare(
    images: torch.Tensor, definition: CorruptionDefinition, severity: int, other: Callable[[Image], Image], rounds: int
) -> str:
    """Print a row; return the line of its ratio, or an empty text where the images differ."""
    each = [np.ascontiguousarray(image) for image in images.permute(0, 2, 3, 1).numpy()]
    ours = corrupt(images, definition, severity).permute(0, 2, 3, 1).numpy()
    distance = np.abs(np.stack([other(image) for image in each]).astype(int) - ours)
    runs: dict[str, Callable[[], object]] = {
        "ours": lambda: corrupt(images, definition, severity),
        "theirs": lambda: [other(image) for image in each],
    }
    mine, theirs = (min(one.processor for one in times) for times in in_turns(runs, rounds).values())
    near, name = float((distance <= 1).mean()), f"{definition.name} {severity}"
    per_image = f"{mine / len(each) * 1000:10.3f}{theirs / len(each) * 1000:10.3f}{mine / theirs:8.2f}"
    print(f"{name:20s}{per_image}{near:10.1%}{int(distance.max()):9d}", flush=True)
    return f"ratio {name} {mine / theirs:.2f}" if near == 1 else ""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Time of corruptions beside albumentations' nearest transforms.")
    parser.add_argument("--side", type=int, default=224, help="pixels")
    parser.add_argument("--batch", type=int, default=16, help="images")
    parser.add_argument("--rounds", type=int, default=12, help="of both libraries in turns")
    options = parser.parse_args()
    try:
        library = importlib.import_module("albumentations")
    except ModuleNotFoundError:
        raise SystemExit("albumentations is not installed: uv run --with albumentations==2.0.8 python ...") from None
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images = images_like_photographs(options.batch, options.side)
    suite = load_corruption_suite(catalog_folder("corruptions") / "imagenet-c")
    print(f"{'corruption':20s}{'ours ms':>10s}{'theirs':>10s}{'ratio':>8s}{'within 1':>10s}{'largest':>9s}")
    lines = [
        compare(images, suite.corruption(name), severity, other, options.rounds)
        for name, others in transforms(library).items()
        for severity, other in enumerate(others, 1)
    ]
    print("\n".join(line for line in lines if line) or "no corruption lies within one grey level of theirs")


if __name__ == "__main__":
    main()
