"""How much faster PVGG16 is than the published class, whose numbers are checked to be ours first.

    uv run python benchmarks/published.py FOLDER [--batch 2] [--timesteps 4] [--threads 1 2] [--repeats 2]

FOLDER holds the folders `predify` and `predify2021` of the repositories miladmozafari/predify and bhavinc/predify2021
(GPL; they are not a part of this project). Both have the same random weights and run in turns: the forward pass on a
quiet machine and beside two busy processes, and the gradient with respect to the image (`stop_error`, as theirs).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from plain_networks import Published, ours, some_images
from timing import contended, in_turns, largest_difference, tell, threads
from torch import Tensor

from pcbench.network.network import PredictiveNetwork

TOLERANCE = 1e-4


def main() -> None:
    """Check that results are equal, time both, print the ratios."""
    options = _options()
    network, backbone = ours("pvgg16")
    published = Published(options.folder, network, backbone, options.batch)
    images = some_images(network, options.batch)
    most = max(options.threads)
    torch.set_num_threads(most)
    _check(network, published, images, options.timesteps)
    runs = {
        "published": lambda: published.unroll(images, options.timesteps),
        "ours": lambda: network.unroll_input(images, options.timesteps),
    }
    for count in options.threads:
        with threads(count):
            found = in_turns(runs, options.repeats if count == most else 1)
            tell(f"published forward, {count} threads", found["published"], found["ours"])
    with threads(most), contended():
        found = in_turns(runs, options.repeats)
    tell(f"published forward, {most} threads, contended", found["published"], found["ours"])
    gradients = {
        "published": lambda: published.gradient(images, options.timesteps),
        "ours": lambda: _gradient(network, images, options.timesteps),
    }
    with threads(most):
        found = in_turns(gradients, options.repeats)
    tell(f"published gradient, {most} threads", found["published"], found["ours"])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2, help="with the most threads")
    return parser.parse_args()


def _gradient(network: PredictiveNetwork, images: Tensor, timesteps: int) -> Tensor:
    leaf = images.clone().requires_grad_()
    logits = network.unroll_input(leaf, timesteps, "stop_error").logits[-1]
    return torch.autograd.grad(logits.square().sum(), leaf)[0]


def _check(network: PredictiveNetwork, published: Published, images: Tensor, timesteps: int) -> None:
    found, expected = network.unroll_input(images, timesteps).logits, published.unroll(images, timesteps)
    print(largest_difference(found, expected))
    if not float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()):
        sys.exit(f"the results differ by more than {TOLERANCE:g} of the largest logit")


if __name__ == "__main__":
    main()
