"""How much faster the unrolled pass and the training step are than plain implementations of the same.

    uv run python benchmarks/unroll.py [--model pvgg16] [--batch 8] [--timesteps 10] [--threads 2] [--repeats 5]

The plain pass runs the whole backbone with hooks at every timestep and takes error gradients by `autograd.grad` through
the decoders; the plain training step does the same at t = 0 and reconstructs the layers below. Both give equal results
to ours, which is checked before anything is timed. Weights are random, from a seed: time does not depend on them. The
two are timed in turns; the medians are compared. The last line is the ratio of the passes, plain time over ours.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from plain_dynamics import PlainNetwork
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pcbench.models.backbones import open_backbone
from pcbench.models.zoo import zoo_entry
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.training.objectives import Reconstruction

TOLERANCE = 1e-4


def main() -> None:
    """Check that results are equal, time both, print the table and the ratio."""
    options = _options()
    torch.set_num_threads(options.threads)
    network, plain = _networks(options.model)
    size = network.configuration.table.input_size
    images = network.normalise(torch.rand(options.batch, *size, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        ours, theirs = network.unroll_input(images, options.timesteps).logits, plain.unroll(images, options.timesteps)
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if not difference <= TOLERANCE:
        sys.exit(f"the results differ by {difference:.1e} of the largest logit; {TOLERANCE:g} is allowed")

    passes = _interleaved(
        lambda: plain.unroll(images, options.timesteps),
        lambda: network.unroll_input(images, options.timesteps),
        options.repeats,
    )
    steps = _training_steps(network, plain, images, options.repeats)
    table = Table(title=f"{options.model}, batch {options.batch}, {options.threads} threads, float32, CPU")
    for column in ("what", "plain (s)", "pcbench (s)", "ratio"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, (slow, fast) in {f"unrolled pass, T = {options.timesteps}": passes, "training step": steps}.items():
        table.add_row(what, f"{slow:.3f}", f"{fast:.3f}", f"{slow / fast:.2f}")
    Console().print(table)
    print(f"largest difference of logits: {difference:.1e} of the largest logit")
    print(f"ratio {passes[0] / passes[1]:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pvgg16", help="a predictive network of the zoo")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--timesteps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def _networks(name: str) -> tuple[PredictiveNetwork, PlainNetwork]:
    entry = zoo_entry(name)
    backbone = open_backbone(entry.backbone).eval()
    network = predify(backbone, entry.configuration_path, mean=entry.mean, std=entry.std)
    sizes = [torch.Size(network.configuration.table.input_size)]
    with torch.no_grad():
        first = network.unroll(torch.zeros(1, *sizes[0]), 0, keep=("representations",)).representations[0]
    sizes += [representation.shape[1:] for representation in first[:-1]]
    scales = [
        1.0 if window is None else cells.numel() / window**0.5
        for window, cells in zip(network.error_windows, sizes, strict=True)
    ]
    weights = [(entry.feedforward, entry.feedback, entry.error_weight) for entry in network.hyperparameters]
    modules = [pcoder.path for pcoder in network.configuration.table.pcoders]
    return network, PlainNetwork(backbone, modules, list(network.predictors), weights, scales)


def _interleaved(plain: Callable[[], object], ours: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the median seconds of both, timed in turns."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for times, run in zip(seconds, (plain, ours), strict=True):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def _training_steps(
    network: PredictiveNetwork, plain: PlainNetwork, images: Tensor, repeats: int
) -> tuple[float, float]:
    """Time one step each: reconstruction errors of all predictors at t = 0, and their weights' gradients."""
    objective = Reconstruction(network)
    labels = torch.zeros(len(images), dtype=torch.long)
    pixels = images if network.mean is None else images * network.std + network.mean

    def ours() -> list[Tensor]:
        network.predictors.zero_grad()
        objective(pixels, labels).mean(1).sum().backward()
        return [parameter.grad for parameter in network.predictors.parameters()]

    def theirs() -> list[Tensor]:
        network.predictors.zero_grad()
        plain.reconstruction_loss(network.normalise(pixels)).backward()
        return [parameter.grad for parameter in network.predictors.parameters()]

    for found, expected in zip([each.clone() for each in ours()], theirs(), strict=True):
        if not float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()):
            sys.exit("the training steps' gradients differ")
    seconds = _interleaved(theirs, ours, repeats)
    network.eval()
    return seconds


if __name__ == "__main__":
    main()
