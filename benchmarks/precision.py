"""What reduced precision and torch.compile change: predictions, and time, against float32.

    uv run python benchmarks/precision.py [--model pdigits] [--data digits] [--images N] [--timesteps T]
                                          [--backbone-weights FILE] [--device cpu] [--threads 2]

Every way of computing sees the same images, as they are and under Gaussian noise on e_0 of standard deviation 0.75.
One row a way: the share of predictions that differ from float32's, over images and timesteps, the largest share at one
timestep, the accuracy at the last one, and float32's seconds over its own (after one pass that compiles). TF32 is only
there on an NVIDIA GPU.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pcbench.corruptions.input_noise import network_input_noise
from pcbench.data.sources import open_source
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.training.conditions import noise_definition

SEVERITY = 3
COMPILED = "torch.compile"


def main() -> None:
    """Measure every way and print the table."""
    options = _options()
    torch.set_num_threads(options.threads)
    model = load(
        options.model,
        timesteps=options.timesteps,
        backbone_weights=options.backbone_weights,
        random_predictors=options.random_predictors,
        device=options.device,
    )
    inputs, labels = _inputs(model, options.data, options.images)
    ways = ["float32", *(["tf32"] if options.device.startswith("cuda") else []), "bfloat16", COMPILED]
    table = Table(title=f"{options.model}, {len(labels)} images, clean and noisy, on {options.device}")
    for column in ("way", "predictions changed (%)", "most at one t (%)", "accuracy at the end (%)", "speed"):
        table.add_column(column, justify="left" if column == "way" else "right")
    full_precision: torch.Tensor | None = None
    slowest = 0.0
    for name in ways:
        # The switch for TF32 is the process's: each way is made just before it runs.
        way = model.configured(compiled=True) if name == COMPILED else model.configured(precision=name)
        predictions, seconds = _answers(way, inputs, options.batch)
        if full_precision is None:
            full_precision, slowest = predictions, seconds
        changed = (predictions != full_precision).float()
        right = (predictions[-1] == labels).float().mean()
        cells = (changed.mean(), changed.mean(1).max(), right)
        table.add_row(name, *(f"{100 * float(cell):.3f}" for cell in cells), f"{slowest / seconds:.2f}")
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pdigits")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int)
    parser.add_argument("--timesteps", type=int)
    parser.add_argument("--backbone-weights", type=Path)
    parser.add_argument("--random-predictors", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _inputs(model: Model, data: str, images: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return e_0 of the clean images, then of the noisy ones, and the labels of both."""
    source = open_source(data, preprocessing=model.preprocessing, split="test")
    source = source if images is None else source.take(images)
    clean = model.normalise(source.load(range(len(source))).to(model.device).float() / 255)
    noise = network_input_noise(noise_definition(), SEVERITY, clean.shape, seed=0, ids=source.ids)
    labels = torch.from_numpy(source.labels)
    return torch.cat([clean, clean + noise.to(clean)]), torch.cat([labels, labels])


def _answers(model: Model, inputs: torch.Tensor, batch: int) -> tuple[torch.Tensor, float]:
    """Return the predictions, (T + 1, images), and the seconds of the whole batches after the first pass."""
    whole = len(inputs) // batch * batch
    parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
    with torch.no_grad():
        model.logits_of_input(parts[0])
        start = time.perf_counter()
        predictions = [model.logits_of_input(part).argmax(2).cpu() for part in parts[: whole // batch]]
        seconds = time.perf_counter() - start
        predictions += [model.logits_of_input(part).argmax(2).cpu() for part in parts[whole // batch :]]
    return torch.cat(predictions, dim=1), seconds


if __name__ == "__main__":
    main()
