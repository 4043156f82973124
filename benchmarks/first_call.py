"""What a new process pays: its first pass, which transforms the kernels, beside later ones, and its peak memory.

    uv run python benchmarks/first_call.py [--published FOLDER] [--batch 2] [--timesteps 4] [--threads 2]

Each network is made and run in a process of its own. They are compared with the published class where FOLDER holds it
(see `published.py`), else with the plain form. Ours runs without a cache of kernels, then with an empty one, which it
fills, and then with the filled one; it lies in a folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from drawn_images import peak_memory
from plain_networks import Published, ours, plain, some_images
from timing import timed

from pcbench.data.cache import NO_CACHE


def main() -> None:
    """Run each in a process of its own, print the ratios."""
    options = _options()
    if options.one:
        print(json.dumps(_measured(options)))
        return
    other = "published" if options.published else "plain"
    slow = _in_a_process(other, {})
    with tempfile.TemporaryDirectory() as folder:
        caches = {"no": {NO_CACHE: "1"}, "an empty": {"PCBENCH_CACHE": folder}, "a filled": {"PCBENCH_CACHE": folder}}
        for cache, environment in caches.items():
            fast = _in_a_process("ours", environment)
            for number, name in enumerate(("first call", "second call")):
                ratio = slow["seconds"][number] / fast["seconds"][number]
                print(f"ratio {other} forward, {name} of a process, {cache} cache {ratio:.2f}")
                print(f"    seconds {slow['seconds'][number]:.2f} against {fast['seconds'][number]:.2f}")
            print(f"ratio {other} peak memory, {cache} cache {slow['memory'] / fast['memory']:.2f}")
            print(f"    {slow['memory']:.0f} MB against {fast['memory']:.0f} MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path, help="the folder with the published class")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=("ours", "plain", "published"), help="what a child process measures")
    return parser.parse_args()


def _in_a_process(name: str, environment: dict[str, str]) -> dict[str, Any]:
    inherited = {name: value for name, value in os.environ.items() if name not in (NO_CACHE, "PCBENCH_CACHE")}
    done = subprocess.run(  # noqa: S603  # this program
        [sys.executable, *sys.argv, "--one", name],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**inherited, **environment},
    )
    return json.loads(done.stdout.splitlines()[-1])


def _measured(options: argparse.Namespace) -> dict[str, Any]:
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
