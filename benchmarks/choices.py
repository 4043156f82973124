"""Where each fast form of a layer begins to be the faster one: what the bounds in `network/fast/table.py` come from.

    uv run python benchmarks/choices.py [--threads 1] [--repeats 5]

Times each form beside PyTorch's own for layers around the bounds, forward and error gradient together as a timestep
needs them. A ratio above 1 says that the fast form is faster there; the table's bounds keep to where all are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from timing import in_turns, tell, threads
from torch import Tensor, nn

from pcbench.network.fast.phase_convolution import by_phases
from pcbench.network.fast.transposed_convolution import adjoint, by_tiles

# (batch, channels in, channels out, kernel, side)
TILED = [
    (1, 64, 64, 10, 56),
    (1, 128, 128, 14, 14),
    (2, 32, 32, 10, 28),
    (2, 64, 64, 10, 6),
    (2, 64, 64, 10, 14),
    (2, 512, 512, 14, 14),
    (8, 24, 24, 10, 28),
]
PHASED = [(32, 8, 8, 3, 16), (32, 16, 16, 6, 16), (32, 24, 24, 6, 16), (2, 16, 3, 5, 112)]


def main() -> None:
    """Time each layer both ways, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with threads(options.threads), torch.no_grad():
        for name, runs in _layers():
            for run in runs.values():
                run()
            found = in_turns(runs, options.repeats)
            tell(f"{name}, {options.threads} threads", found["plain"], found["fast"])


def _layers() -> Iterator[tuple[str, dict[str, Callable[[], object]]]]:
    for sizes in TILED:
        batch, channels_in, channels_out, kernel, side = sizes
        layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, 2, kernel // 2 - 1)
        value, cotangent = (
            torch.randn(batch, channels_in, side, side),
            torch.randn(batch, channels_out, *[2 * side] * 2),
        )
        yield (
            f"tiles {_named(sizes)}",
            {"plain": _plain(layer, value, cotangent), "fast": _tiled(layer, value, cotangent)},
        )
    for sizes in PHASED:
        batch, channels_in, channels_out, kernel, side = sizes
        layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, 1 + (kernel % 2 == 0), (kernel - 1) // 2)
        value = torch.randn(batch, channels_in, side, side)
        yield (
            f"phases {_named(sizes)}",
            {"plain": _forward(layer, value), "fast": lambda layer=layer, value=value: by_phases(layer, value)},
        )


def _named(sizes: tuple[int, ...]) -> str:
    return "batch {} channels {} to {} kernel {} side {}".format(*sizes)


def _plain(layer: nn.ConvTranspose2d, value: Tensor, cotangent: Tensor) -> Callable[[], object]:
    return lambda: (layer(value), F.conv2d(cotangent, layer.weight, None, layer.stride, layer.padding))


def _tiled(layer: nn.ConvTranspose2d, value: Tensor, cotangent: Tensor) -> Callable[[], object]:
    return lambda: (by_tiles(layer, value), adjoint(layer, cotangent))


def _forward(layer: nn.ConvTranspose2d, value: Tensor) -> Callable[[], object]:
    return lambda: layer(value)


if __name__ == "__main__":
    main()
