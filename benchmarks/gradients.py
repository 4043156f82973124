"""How much faster a step of PGD is than with the forms of operations that were used before the fast gradients.

    python benchmarks/gradients.py [--timesteps 4] [--repeats 7]

Two small networks, pdigits and presnet20 (with random predictors), and the adjoint of upsampling. One step is the whole
of it: the gradient of the loss, the step, the projection and the checks. The former forms are those of this repository
before: gradients by autograd, small transposed convolutions by phases that autograd follows, upsampling and its adjoint
by PyTorch. Both are run in turns in one process, with one and with two threads; medians of wall and CPU seconds are
compared. Logits have to be equal to 1e-5; the largest difference of gradients, and the decisions that flip in an attack
of ten steps, are printed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pcbench.attacks.adapters.base import Task
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.descent import GradientDescent, loss_gradient
from pcbench.data.sources import open_source
from pcbench.models import load
from pcbench.network import decoding
from pcbench.network.fast import choosing
from pcbench.network.fast.phase_convolution import by_phases

NEWER = ("input gradient", "strided input gradient", "batch norm gradient", "upsampling", "upsampling gradient")
EPSILON = 8 / 255
MOST_OF_A_LOGIT = 1e-5
# Representations that are doubled, as in presnet18 and EfficientNetV2-B0.
UPSAMPLED = ((32, 32, 16, 16), (8, 64, 28, 28), (8, 24, 56, 56))
NETWORKS = {"pdigits": 100, "presnet20_cifar10": 32}


@contextmanager
def former_forms() -> Iterator[None]:
    """Choose no fast form that is newer than this comparison, and let autograd follow the small decoders."""

    def decoded(layer: nn.ConvTranspose2d, value: Tensor) -> decoding.Decoded:
        kernel = layer.weight.detach()
        return by_phases(layer, value), lambda cotangent: F.conv2d(cotangent, kernel, None, layer.stride, layer.padding)

    rows, fast = choosing.ROWS, decoding._decode_by_phases  # noqa: SLF001
    choosing.ROWS = tuple(row for row in rows if row.operation not in NEWER)
    decoding._decode_by_phases = decoded  # noqa: SLF001
    try:
        yield
    finally:
        choosing.ROWS, decoding._decode_by_phases = rows, fast  # noqa: SLF001


def opened(name: str, count: int) -> tuple[object, Tensor, Tensor]:
    """Return a model, images of its data, and their labels."""
    shared = Path(os.environ.get("PCBENCH_TEST_DATA", "."))
    if name == "pdigits":
        model = load(name)
    else:
        weights = shared / "weights" / "resnet20.cifar10.safetensors"
        # The paper's hyperparameters: those that the network was tuned to leave the error term out.
        model = load(f"{name}-paper", backbone_weights=weights, random_predictors=0)
    source = model.default_data or f"parquet:{shared / 'cifar10' / 'test.parquet'}"
    data = open_source(source, preprocessing=model.preprocessing, split="test").take(count)
    batch = next(data.batches(len(data)))
    return model, batch.images / 255, batch.labels


def pgd(steps: int) -> GradientDescent:
    """Return PGD of some steps."""
    return GradientDescent(
        AttackDefinition(
            name="pgd",
            title="PGD",
            library="foolbox",
            attack="LinfProjectedGradientDescentAttack",
            norm="linf",
            epsilons=(EPSILON,),
            steps=steps,
            relative_step_size=2.5 / steps,
            random_start=True,
            source="benchmark",
        )
    )


def attacked(classifier: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    """Return the images of an attack."""
    radii = torch.full((len(images),), EPSILON, dtype=torch.float64)
    ids = tuple(str(index) for index in range(len(images)))
    task = Task(images, labels, radii, ids, seed=0, attack="pgd", restart=0, classes_known=10)
    return pgd(steps).perturb(classifier, task).images


def differences(classifier: nn.Module, images: Tensor, labels: Tensor) -> str:
    """Return what differs between the two forms, in words.

    Raises:
        SystemExit: Logits differ by more than rounding.
    """
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for former in (True, False):
        with former_forms() if former else torch.enable_grad():
            gradient = loss_gradient(classifier, images, labels)
            broken = attacked(classifier, images, labels, 10)
            with torch.no_grad():
                found.append((gradient, classifier(images), classifier(broken).argmax(1)))
    (slow, expected, before), (fast, logits, after) = found
    of_a_logit = float((logits - expected).abs().max() / expected.abs().max())
    if not of_a_logit <= MOST_OF_A_LOGIT:
        raise SystemExit(f"logits differ by {of_a_logit:.1e} of the largest")
    relative = float((fast - slow).abs().max() / slow.abs().max())
    flips = int((before != after).sum())
    return f"gradients differ by {relative:.1e}, logits by {of_a_logit:.1e}; {flips} of {len(labels)} decisions flip"


def main() -> None:
    """Compare with one and with two threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--timesteps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for name, count in NETWORKS.items():
        model, images, labels = opened(name, count)
        classifier = model.at(options.timesteps)  # type: ignore[attr-defined]
        for threads in (1, 2):
            torch.set_num_threads(threads)
            print(f"{name}, {threads} threads: {differences(classifier, images, labels)}")
            seconds = timed(classifier, images, labels, options.repeats)
            for clock in ("wall", "cpu"):
                tell(f"attack_step_{name}_{clock}_{threads}_threads", seconds[clock, True], seconds[clock, False])
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for shape in UPSAMPLED:
            former, new = adjoints(shape, 3 * options.repeats)
            tell(f"upsampling_adjoint_{'x'.join(map(str, shape))}_{threads}_threads", former, new)


def tell(name: str, former: list[float], new: list[float]) -> None:
    """Print the ratio of the medians, and below it these in milliseconds and the spread of each."""
    medians = [statistics.median(one) for one in (former, new)]
    spread = [max(one) / min(one) for one in (former, new)]
    print(f"ratio {name} {medians[0] / medians[1]:.2f}")
    first, second = (
        f"{median * 1e3:.1f} ms (largest {most:.2f} times the smallest)"
        for median, most in zip(medians, spread, strict=True)
    )
    print(f"    {first}, now {second}")


def adjoints(shape: tuple[int, ...], repeats: int) -> tuple[list[float], list[float]]:
    """Return the seconds of the adjoint of doubling (batch, channels, height, width), before and now.

    Raises:
        SystemExit: The two differ by more than rounding.
    """
    value = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    prediction, pullback = decoding.decode(nn.Upsample(scale_factor=2, mode="bilinear"), value)
    found: dict[bool, Tensor] = {}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(repeats):
        for former in (True, False):
            with former_forms() if former else torch.no_grad():
                start = time.perf_counter()
                found[former] = pullback(prediction)
                seconds[former].append(time.perf_counter() - start)
    if not float((found[True] - found[False]).abs().max()) <= MOST_OF_A_LOGIT * float(found[True].abs().max()):
        raise SystemExit("the adjoints of upsampling differ")
    return seconds[True], seconds[False]


def timed(classifier: nn.Module, images: Tensor, labels: Tensor, repeats: int) -> dict[tuple[str, bool], list[float]]:
    """Return the seconds of one step, by clock and by whether the forms are the former ones."""
    seconds: dict[tuple[str, bool], list[float]] = {}
    for _ in range(repeats):
        for former in (True, False):
            with former_forms() if former else torch.enable_grad():
                starts = time.perf_counter(), time.process_time()
                attacked(classifier, images, labels, 1)
                ends = time.perf_counter(), time.process_time()
            for clock, start, end in zip(("wall", "cpu"), starts, ends, strict=True):
                seconds.setdefault((clock, former), []).append(end - start)
    return seconds


if __name__ == "__main__":
    main()
