"""What a new process pays: its first pass, which transforms the kernels, beside later ones, and its peak memory.

    uv run python benchmarks/first_call.py [--published FOLDER] [--batch 2] [--timesteps 4] [--threads 2]

Each network is made and run in a process of its own. They are compared with the published class where FOLDER holds it
(see `published.py`), else with the plain form. Kernels are not kept between processes: to read them and make sure of
them would take about as long as to transform them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import torch
from drawn_images import peak_memory
from plain_networks import Published, ours, plain, some_images
from timing import timed


def main() -> None:
    """Run each in a process of its own, print the ratios."""
    options = _options()
    if options.one:
        print(json.dumps(_measured(options)))
        return
    other = "published" if options.published else "plain"
    slow, fast = _in_a_process(other), _in_a_process("ours")
    for number, name in enumerate(("first call", "second call")):
        print(f"ratio {other} forward, {name} of a process {slow['seconds'][number] / fast['seconds'][number]:.2f}")
        print(f"    seconds {slow['seconds'][number]:.2f} against {fast['seconds'][number]:.2f}")
    print(f"ratio {other} peak memory {slow['memory'] / fast['memory']:.2f}")
    print(f"    {slow['memory']:.0f} MB against {fast['memory']:.0f} MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, help="the folder with the published class")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=("ours", "plain", "published"), help="what a child process measures")
    return parser.parse_args()


def _in_a_process(name: str) -> dict[str, list[float] | float]:
    done = subprocess.run(  # noqa: S603  # this program
        [sys.executable, *sys.argv, "--one", name], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measured(options: argparse.Namespace) -> dict[str, list[float] | float]:
    torch.set_num_threads(options.threads)
    network, backbone = ours("pvgg16")
    images = some_images(network, options.batch)
    if options.one == "published":
        other = Published(options.published, network, backbone, options.batch)
        network = None
    elif options.one == "plain":
        other = plain(network, backbone)
        network = None
    backbone = None
    pass_over = network.unroll_input if network is not None else other.unroll
    seconds = [timed(lambda: pass_over(images, options.timesteps)).seconds for _ in range(2)]
    return {"seconds": seconds, "memory": peak_memory()}


if __name__ == "__main__":
    main()
