"""Where the time of a network's pass, or of its gradient, goes: a profile with one thread, as a table.

    python benchmarks/where_time_goes.py NETWORK [forward|gradient] [--batch 2] [--timesteps 4]

NETWORK is a predictive network of the zoo (random weights: time does not depend on them), or `upsampling` for the
adjoint of bilinear doubling alone. The gradient is that of an attack: of the last logits with respect to the image,
with `stop_error` for large images as the published class computes it. Each operation is given with its share of the
time and with what it reaches of the machine's most: in floating-point operations a second where products can be
counted (the most is that of large products of matrices), else in bytes read and written (that of large copies).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from plain_networks import ours, some_images
from timing import threads, timed
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from pcbench.network.decoding import decode

Run = Callable[[], object]
LARGE = 224
SIDE = 2048
"""Of the matrices whose product stands for the peak."""
COPIED = 2**26
"""Numbers in a copy that no cache holds."""
UPSAMPLED = ((32, 32, 16, 16), (8, 64, 28, 28), (8, 24, 56, 56))


@dataclass
class _Operation:
    """What an operation took and did."""

    times: int = 0
    seconds: float = 0
    """Of the processor."""
    flops: float = 0
    """Floating-point operations, two for a multiplication; 0 where they can't be counted."""
    bytes: float = 0
    """Of what it reads and writes."""


class _Watch(TorchDispatchMode):
    """Takes the time of each operation of this thread while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[str, _Operation] = defaultdict(_Operation)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        options = kwargs or {}
        start = time.thread_time()
        made = func(*args, **options)
        seconds = time.thread_time() - start
        packet = func.overloadpacket
        one = self.operations[str(packet)]
        one.times, one.seconds = one.times + 1, one.seconds + seconds
        if packet in flop_registry:
            one.flops += flop_registry[packet](*args, **options, out_val=made)
        elif packet is torch.ops.mkldnn._linear_pointwise:  # noqa: SLF001  # as the fast forms call it
            one.flops += 2 * args[0].numel() * len(args[1])
        if not func.is_view:
            one.bytes += sum(value.nbytes for value in tree_leaves([args, made]) if isinstance(value, Tensor))
        return made


def main() -> None:
    """Profile, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("what", nargs="?", choices=("forward", "gradient"), default="forward")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--rows", type=int, default=8)
    options = parser.parse_args()
    with threads(1):
        run = _work(options)
        run()
        whole = min(timed(run).processor for _ in range(3))
        with _Watch() as found:
            run()
        most = 2 * SIDE**3 / _product(), 2 * 4 * COPIED / _copy()
    print(f"{options.network} {options.what}, {whole:.2f} s of one processor. In large works it does")
    print(f"{most[0] / 1e9:.0f} GFLOP/s (products of matrices) and {most[1] / 1e9:.1f} GB/s (copies).\n")
    print("| operation | times | share | reaches |\n|---|---|---|---|")
    for name, one in sorted(found.operations.items(), key=lambda item: -item[1].seconds)[: options.rows]:
        print(f"| `{name}` | {one.times:,} | {one.seconds / whole:.1%} | {_reached(one, *most)} |")
    rest = whole - sum(one.seconds for one in found.operations.values())
    print(f"| between operations | | {max(0, rest) / whole:.1%} | |")


def _reached(one: _Operation, products: float, copies: float) -> str:
    if one.flops:
        return f"{one.flops / one.seconds / 1e9:.0f} GFLOP/s, {one.flops / one.seconds / products:.0%}"
    if one.bytes:
        return f"{one.bytes / one.seconds / 1e9:.1f} GB/s, {one.bytes / one.seconds / copies:.0%}"
    return ""


def _work(options: argparse.Namespace) -> Run:
    if options.network == "upsampling":
        made = [_adjoint(shape) for shape in UPSAMPLED]
        return lambda: [one() for one in made for _ in range(20)]
    network, _ = ours(options.network)
    images = some_images(network, options.batch)
    if options.what == "forward":
        return lambda: network.unroll_input(images, options.timesteps)
    how = "stop_error" if images.shape[-1] >= LARGE else "exact"

    def gradient() -> Tensor:
        leaf = images.clone().requires_grad_()
        logits = network.unroll_input(leaf, options.timesteps, how).logits[-1]
        return torch.autograd.grad(logits.square().sum(), leaf)[0]

    return gradient


def _adjoint(shape: tuple[int, ...]) -> Run:
    prediction, pullback = decode(nn.Upsample(scale_factor=2, mode="bilinear"), torch.randn(shape))
    return lambda: pullback(prediction)


def _product() -> float:
    """Return the seconds of a large product of matrices, by the library that is faster."""
    left, right = torch.randn(2, SIDE, SIDE)
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise")  # noqa: B009  # PyTorch declares it nowhere
    products: list[Run] = [lambda: left @ right, lambda: linear(left, right, None, "none", [], "")]
    return min(timed(product).processor for product in products * 5)


def _copy() -> float:
    value = torch.randn(COPIED)
    room = torch.empty_like(value)
    return min(timed(lambda: room.copy_(value)).processor for _ in range(5))


if __name__ == "__main__":
    main()
