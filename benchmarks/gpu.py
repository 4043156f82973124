"""How fast a device computes a predictive network, how near its peak that is, and what ImageNet-C in full would take.

    uv run python benchmarks/gpu.py [--model pvgg16] [--device cuda] [--batch 64] [--timesteps 10] [--seconds 5]
                                    [--images 256] [--corruptions fog snow] [--out gpu.csv] [--compile | --no-compile]

Rows: the plain backbone; the plain dynamics (hooks on the whole backbone, as the published classes compute them); ours
in float32, TF32 and bfloat16; the gradient of ours. Each has images a second. Beside them stands a share: the
operations that torch counts in it, over those that the device does in large products of matrices of the same precision.
These are measured here as well; no number of a data sheet is used. Operations that torch's table lacks (oneDNN's fused
ones, on a CPU) are not counted.

With `--compile`, the default on a GPU, ours and its gradient stand there twice more: by `torch.compile`, after the pass
that compiles, and on a GPU as one CUDA graph, replayed. Where one of them cannot be had, its reason is printed.

Then imagenet-c, or those of its corruptions that are named, is run at one severity, from JPEG files to outcomes, by one
worker. With it stands the share of the time in which the network waited for images.

Hours of ImageNet-C in full = 50,000 images x (1 + 15 x 5) conditions / images a second of that run / 3600.

Weights are random, from a seed: time does not depend on them. TF32 is only there on an NVIDIA GPU.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from drawn_images import write_photographs
from plain_networks import ours, plain, some_images
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from pcbench.data.image_source import Batch
from pcbench.data.prefetch import LookAhead
from pcbench.errors import PcbenchError
from pcbench.harness.known_names import refuse_unknown_names
from pcbench.harness.start import run
from pcbench.harness.work import scores
from pcbench.models.devices import read_device
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.models.zoo import zoo_entry
from pcbench.network.network import PredictiveNetwork

CONDITIONS, FULL, CLASSES = 1 + 15 * 5, 50_000, 1000
SEVERITY = 3
TYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """What one way of computing reaches."""

    way: str
    precision: str
    images_a_second: float
    share_of_peak: float | None
    """None where the operations are not counted: of a whole condition, of a graph."""


def main() -> None:
    """Measure, print, and write the table where a file is named."""
    options = _options()
    device = torch.device(options.device)
    precisions = ["float32", *(["tf32"] if device.type == "cuda" else []), "bfloat16"]
    peaks = {name: peak(name, device, options.seconds) for name in precisions}
    print(_machine(device))
    for name, operations in peaks.items():
        print(f"{name}: {operations / 1e12:.3f} TFLOP/s in products of matrices")
    rows = list(_network_rows(options, device, peaks))
    if options.compile:
        rows += _other_rows(options, device)
    whole, waited = from_jpeg_to_outcomes(options, device)
    rows.append(Row("imagenet-c, from JPEG to outcomes", "float32", whole, None))
    for row in rows:
        share = "" if row.share_of_peak is None else f", {100 * row.share_of_peak:.0f} % of the peak"
        print(f"{row.way}, {row.precision}: {row.images_a_second:.4g} images/s{share}")
    print(f"the network waited for images {100 * waited:.0f} % of the time")
    hours = FULL * CONDITIONS / whole / 3600
    print(f"hours of ImageNet-C in full, {options.timesteps + 1} timesteps, extrapolated from this: {hours:.1f}")
    if options.out is not None:
        _write(options.out, rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pvgg16", help="a predictive network of the zoo, for ImageNet")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--timesteps", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement, after one pass that warms up")
    parser.add_argument("--images", type=int, default=256, help="of the run from JPEG files to outcomes")
    parser.add_argument("--corruptions", nargs="+", default=[], help="those of imagenet-c that are run; all by default")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available())
    options = parser.parse_args()
    try:  # before minutes are measured
        refuse_unknown_names({"model": options.model, "corruptions": options.corruptions})
        read_device(options.device)
        if zoo_entry(options.model).classes != CLASSES:
            parser.error(f"{options.model} is no network for ImageNet, whose images it is given")
    except PcbenchError as error:
        parser.error(str(error))
    return options


def _machine(device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{device}: {name}, torch {torch.__version__}"


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return how often a second something is done, by the clock on the wall, once all that was begun has ended."""
    work()
    _finish(device)
    done, start = 0, time.perf_counter()
    while done == 0 or time.perf_counter() - start < seconds:
        work()
        _finish(device)
        done += 1
    return done / (time.perf_counter() - start)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak(precision: str, device: torch.device, seconds: float) -> float:
    """Return the operations a second of a product of two large square matrices."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.rand(side, side, device=device, dtype=TYPES[precision]) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        return 2 * side**3 * rate(lambda: left @ right, device, seconds)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


class Counter(TorchDispatchMode):
    """Counts operations by torch's table; torch's own counter refuses gradients that are taken inside a pass."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation, and count it."""
        del types
        found = func(*args, **(kwargs or {}))
        # The key of torch's table; there is no public name for it.
        if (count := flop_registry.get(func._overloadpacket)) is not None:  # noqa: SLF001
            self.total += count(*args, **(kwargs or {}), out_val=found)
        return found


def operations(work: Callable[[], object]) -> int:
    """Return how many floating-point operations of products and convolutions are counted in what is done."""
    with Counter() as counter:
        work()
    return counter.total


def _network_rows(options: argparse.Namespace, device: torch.device, peaks: dict[str, float]) -> Iterator[Row]:
    network, backbone = ours(options.model)
    images = some_images(network, options.batch).to(device)
    pixels = torch.rand(options.batch, *images.shape[1:], device=device)
    published = plain(network.to(device), backbone.to(device))
    model = load(network, timesteps=options.timesteps, device=str(device))
    works: list[tuple[str, str, Callable[[], object]]] = [
        ("plain backbone", "float32", torch.no_grad()(lambda: backbone(images))),
        ("plain dynamics", "float32", lambda: published.unroll(images, options.timesteps)),
    ]
    works += [(f"ours, {options.timesteps + 1} timesteps", name, _forward(model, name, pixels)) for name in peaks]
    works.append(("gradient of ours", "float32", lambda: gradient(network, images, options.timesteps)))
    for way, precision, work in works:
        counted = operations(work)
        often = rate(work, device, options.seconds)
        yield Row(way, precision, options.batch * often, counted * often / peaks[precision])


def _forward(model: Model, precision: str, pixels: Tensor) -> Callable[[], Tensor]:
    def work() -> Tensor:
        # The switch for TF32 is the process's: it is set just before the way runs.
        configured = model.configured(precision=precision)
        with torch.no_grad():
            return configured.logits(pixels)

    return work


def gradient(network: PredictiveNetwork, images: Tensor, timesteps: int) -> Tensor:
    """Return the gradient of the last logits' squares with respect to the network's input."""
    given = images.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(network.unroll_input(given, timesteps).logits[-1].square().sum(), given)
    return found


def _other_rows(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Yield unrolling and its gradient by torch.compile, and as a CUDA graph; print the reason where one fails."""
    network, _ = ours(options.model)
    images = some_images(network.to(device), options.batch).to(device)
    given = images.clone().requires_grad_()

    def unroll(inputs: Tensor) -> Tensor:
        return network.unroll_input(inputs, options.timesteps).logits

    def forward(unroll: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.no_grad():
            return unroll(images)

    def back(unroll: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.autograd.grad(unroll(given)[-1].square().sum(), given)[0]

    for way, work in ((f"ours, {options.timesteps + 1} timesteps", forward), ("gradient of ours", back)):
        makers: dict[str, Callable[[], Callable[[], Tensor]]] = {
            "torch.compile": partial(_compiled, work, unroll),
            "a CUDA graph": partial(captured, partial(work, unroll)),
        }
        for name in makers if device.type == "cuda" else ["torch.compile"]:
            try:
                made = makers[name]()
                largest = (made() - work(unroll)).abs().max() / work(unroll).abs().max()
                often = rate(made, device, options.seconds)
            except Exception as error:  # noqa: BLE001 - a compiler fails in ways of its own
                print(f"{way}, by {name}: not measured ({type(error).__name__}: {str(error).partition(chr(10))[0]})")
                continue
            print(f"{way}, by {name}: largest difference {float(largest):.1e} of the largest number")
            yield Row(f"{way}, by {name}", "float32", options.batch * often, None)


def _compiled(work: Callable[[Callable[[Tensor], Tensor]], Tensor], unroll: Callable[[Tensor], Tensor]) -> Any:
    return partial(work, torch.compile(unroll))


def captured(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return what does some work as one CUDA graph: no kernel is started by Python."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = work()

    def replay() -> Tensor:
        graph.replay()
        return made

    return replay


def from_jpeg_to_outcomes(options: argparse.Namespace, device: torch.device) -> tuple[float, float]:
    """Return images a second of a run, over its conditions and the clean one, and the share that the network waited."""
    network, _ = ours(options.model)
    seen: list[LookAhead[tuple[Batch, Tensor]]] = []
    scored: list[int] = []

    def counted(items: Iterable[tuple[Batch, Tensor]]) -> Iterator[tuple[Batch, Tensor]]:
        for batch, prepared in items:
            scored.append(len(batch.ids))
            yield batch, prepared

    class Watched(LookAhead[tuple[Batch, Tensor]]):
        """Is asked afterwards for how many images there were, and how long the network waited for them."""

        def __init__(self, items: Iterable[tuple[Batch, Tensor]]) -> None:
            super().__init__(counted(items))
            seen.append(self)

    asked = {"corruptions": options.corruptions} if options.corruptions else {"suites": ["imagenet-c"]}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(scores, "LookAhead", Watched):
        write_photographs(Path(folder) / "images", options.images)
        run(
            network,
            data=f"imagenet-subset:{Path(folder) / 'images'}",
            severities=[SEVERITY],
            resize=256,
            crop=224,
            batch_size=options.batch,
            timesteps=options.timesteps,
            device=str(device),
            workers=1,
            report=False,
            progress=False,
            out=Path(folder) / "run",
            **asked,
        )
    elapsed, waited = (sum(getattr(one, f"{what}_seconds") for one in seen) for what in ("elapsed", "waited"))
    return sum(scored) / elapsed, waited / elapsed


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("way", "precision", "images_a_second", "share_of_peak"))
        table.writerows((row.way, row.precision, row.images_a_second, row.share_of_peak) for row in rows)


if __name__ == "__main__":
    main()
