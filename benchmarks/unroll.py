"""How much faster the unrolled pass and the training step are than plain implementations of the same.

    uv run python benchmarks/unroll.py [--model pvgg16] [--batch 2] [--timesteps 4] [--threads 1 2] [--repeats 3]

The plain pass runs the whole backbone with hooks at every timestep and takes error gradients by `autograd.grad` through
the decoders; the plain training step does the same at t = 0 and reconstructs the layers below. Both give equal results
to ours, which is checked before anything is timed. Weights are random, from a seed: time does not depend on them. The
two are timed in turns, on a quiet machine and beside two busy processes; each ratio is plain time over ours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch
from plain_dynamics import PlainNetwork
from plain_networks import ours, plain, some_images
from timing import contended, in_turns, largest_difference, tell, threads
from torch import Tensor

from pcbench.network.network import PredictiveNetwork
from pcbench.training.objectives import Reconstruction

TOLERANCE = 1e-4


def main() -> None:
    """Check that results are equal, time both, print the ratios."""
    options = _options()
    most = max(options.threads)
    torch.set_num_threads(most)
    network, backbone = ours(options.model)
    other = plain(network, backbone)
    images = some_images(network, options.batch)
    with torch.no_grad():
        found, expected = (
            network.unroll_input(images, options.timesteps).logits,
            other.unroll(images, options.timesteps),
        )
    print(largest_difference(found, expected))
    if not float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()):
        sys.exit(f"the results differ by more than {TOLERANCE:g} of the largest logit")
    runs = {
        "plain": lambda: other.unroll(images, options.timesteps),
        "ours": lambda: network.unroll_input(images, options.timesteps),
    }
    for count in options.threads:
        with threads(count):
            times = in_turns(runs, options.repeats if count == most else 1)
            tell(f"{options.model} forward, {count} threads", times["plain"], times["ours"])
    with threads(most), contended():
        times = in_turns(runs, max(1, options.repeats - 1))
    tell(f"{options.model} forward, {most} threads, contended", times["plain"], times["ours"])
    with threads(most):
        times = in_turns(_training_steps(network, other, images), options.repeats)
    tell(f"{options.model} training step, {most} threads", times["plain"], times["ours"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pvgg16", help="a predictive network of the zoo")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3, help="with the most threads; fewer where a turn takes long")
    return parser.parse_args()


def _training_steps(
    network: PredictiveNetwork, other: PlainNetwork, images: Tensor
) -> dict[str, Callable[[], list[Tensor]]]:
    """Return one step each: reconstruction errors of all predictors at t = 0, and their weights' gradients."""
    objective = Reconstruction(network)
    labels = torch.zeros(len(images), dtype=torch.long)
    pixels = images if network.mean is None else images * network.std + network.mean

    def step() -> list[Tensor]:
        network.predictors.zero_grad()
        objective(pixels, labels).mean(1).sum().backward()
        return [parameter.grad for parameter in network.predictors.parameters()]

    def plain_step() -> list[Tensor]:
        network.predictors.zero_grad()
        other.reconstruction_loss(network.normalise(pixels)).backward()
        return [parameter.grad for parameter in network.predictors.parameters()]

    for found, expected in zip([each.clone() for each in step()], plain_step(), strict=True):
        if not float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()):
            sys.exit("the training steps' gradients differ")
    return {"plain": plain_step, "ours": step}


if __name__ == "__main__":
    main()
