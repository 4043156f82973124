"""How much faster the sweep is than a plain loop of foolbox calls over timesteps and epsilons.

FGSM, BIM and PGD at eight budgets against t = 0, 2, 4, 6, 8, on the same images, with equal steps and equal random
starts; the last iterate counts in both. The plain loop is what a user writes: for each attack, timestep and epsilon,
one call of the foolbox attack over all images, in the same batches: on our network, and on the dynamics as a user
would write them without us (`plain_dynamics.py`), timed at one epsilon and taken times their number, because every
budget costs foolbox the same. A ratio counts only if the sweep's outcome of every image is the plain loop's made
cumulative (broken at an epsilon or a smaller one, epsilon 0 included); images whose outcome differs by float rounding
are counted as flips and printed.

    python benchmarks/attacks.py [--model NAME] [--images N] [--backbone-weights FILE] [--data SOURCE]

`gradients against the oracle` is the number of images' gradients that the sweep takes over those of the same search
that knows beforehand which budget breaks which image.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from foolbox.attacks import (
    LinfBasicIterativeAttack,
    LinfFastGradientAttack,
    LinfProjectedGradientDescentAttack,
)
from foolbox.models.pytorch import PyTorchModel
from numpy.typing import NDArray
from plain_attack import PlainClassifier
from torch import Tensor, nn

from pcbench.attacks import descent, work
from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import start_generator, unit_starts
from pcbench.attacks.sweep import Sweep, sweep
from pcbench.data.sources import open_source
from pcbench.models import load
from pcbench.norms import LINF

EPSILONS = tuple(numerator / 255 for numerator in (0.5, 1, 2, 3, 4, 6, 8, 16))
TIMESTEPS = (0, 2, 4, 6, 8)
SEED = 0
# Of the epsilons, the one at which the plain dynamics are run.
ONE = 4
# Flips of a share above this are not float rounding.
MOST_FLIPS = 0.005


@dataclass(frozen=True)
class Images:
    """What is attacked: `pixels` (N, 3, height, width) in [0, 1], `labels` (N,)."""

    pixels: Tensor
    labels: Tensor
    ids: tuple[str, ...]


def definitions(steps: int) -> list[AttackDefinition]:
    """Return the three attacks; BIM and PGD take the same number of steps of 2.5 epsilon / steps."""
    common = {"library": "foolbox", "norm": "linf", "epsilons": EPSILONS, "source": "benchmark", "title": "benchmark"}
    step = {"steps": steps, "relative_step_size": 2.5 / steps}
    return [
        AttackDefinition(**common, name="fgsm", attack="LinfFastGradientAttack", steps=1, relative_step_size=1.0),
        AttackDefinition(**common, **step, name="bim", attack="LinfBasicIterativeAttack"),
        AttackDefinition(**common, **step, name="pgd", attack="LinfProjectedGradientDescentAttack", random_start=True),
    ]


def plain_loop(
    classifier: nn.Module, images: Images, definition: AttackDefinition, epsilons: tuple[float, ...] = EPSILONS
) -> NDArray[np.bool_]:
    """Return foolbox's success for every epsilon and image, (E, N)."""
    model = PyTorchModel(classifier, bounds=(0, 1), device=images.pixels.device)
    if definition.name == "fgsm":
        attack = LinfFastGradientAttack()
    elif definition.name == "bim":
        attack = LinfBasicIterativeAttack(rel_stepsize=definition.relative_step_size, steps=definition.steps)
    else:
        attack = LinfProjectedGradientDescentAttack(rel_stepsize=definition.relative_step_size, steps=definition.steps)
        starts = unit_starts(
            images.pixels, LINF, [start_generator(SEED, image_id, definition.name, 0) for image_id in images.ids]
        )
        attack.get_random_start = lambda x0, epsilon: x0 + epsilon * type(x0)(starts)
    success = [attack(model, images.pixels, images.labels, epsilons=epsilon)[2] for epsilon in epsilons]
    return torch.stack(success).cpu().numpy()


def run_plain(model: object, images: Images, attacks: list[AttackDefinition]) -> tuple[float, NDArray[np.bool_]]:
    """Return the plain loop's seconds, and its successes (timesteps, attacks, E, N)."""
    start = time.perf_counter()
    outcomes = [
        [plain_loop(model.at(timestep), images, definition) for definition in attacks]  # type: ignore[attr-defined]
        for timestep in TIMESTEPS
    ]
    return time.perf_counter() - start, np.array(outcomes)


def made_cumulative(model: object, images: Images, success: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which images are wrong within each epsilon, from success at exactly each."""
    wrong: list[NDArray[np.bool_]] = []
    for timestep in TIMESTEPS:
        with torch.no_grad():
            answers = model.at(timestep)(images.pixels).argmax(dim=1)  # type: ignore[attr-defined]
        wrong.append((answers != images.labels).cpu().numpy())
    return np.logical_or.accumulate(success | np.array(wrong)[:, None, None], axis=2)


def run_without_us(
    model: object, images: Images, attacks: list[AttackDefinition], success: NDArray[np.bool_]
) -> tuple[float, int]:
    """Return the seconds of foolbox on the plain dynamics at all budgets, and the flips at the one that is run."""
    classifiers = [PlainClassifier(model.network, timestep) for timestep in TIMESTEPS]  # type: ignore[attr-defined]
    start = time.perf_counter()
    found = [
        [plain_loop(classifier, images, definition, (EPSILONS[ONE],))[0] for definition in attacks]
        for classifier in classifiers
    ]
    return (time.perf_counter() - start) * len(EPSILONS), int((np.array(found) != success[:, :, ONE]).sum())


def run_sweep(
    model: object, images: Images, attacks: list[AttackDefinition], *, bracketing: bool
) -> tuple[float, list[list[Sweep]]]:
    """Return the sweep's seconds, and its outcomes, timesteps of attacks."""
    start = time.perf_counter()
    found: list[list[Sweep]] = []
    for timestep in TIMESTEPS:
        classifier = model.at(timestep)  # type: ignore[attr-defined]
        found.append(
            [
                sweep(
                    classifier,
                    images.pixels,
                    images.labels,
                    definition,
                    ids=images.ids,
                    seed=SEED,
                    batch_size=len(images.ids),
                    bracketing=bracketing,
                )
                for definition in attacks
            ]
        )
    return time.perf_counter() - start, found


@contextmanager
def counted(reach: Callable[..., Tensor] | None = None) -> Iterator[list[int]]:
    """Count the images of which gradients are taken; `reach` takes the place of the guess where a search begins."""
    counts: list[int] = []
    usual, guess = descent.loss_gradient, work.linear_reach

    def gradient(classifier: nn.Module, images: Tensor, *more: object) -> Tensor:
        counts.append(len(images))
        return usual(classifier, images, *more)  # type: ignore[arg-type]

    descent.loss_gradient, work.linear_reach = gradient, reach or guess
    try:
        yield counts
    finally:
        descent.loss_gradient, work.linear_reach = usual, guess


def against_oracle(model: object, images: Images, attacks: list[AttackDefinition]) -> float:
    """Return how many gradients the iterative attacks take, over those of a search that knows every break."""
    ours = oracle = 0
    rows = {image.numpy().tobytes(): row for row, image in enumerate(images.pixels)}
    options = {"ids": images.ids, "seed": SEED, "batch_size": len(images.ids)}
    for timestep in TIMESTEPS:
        classifier = model.at(timestep)  # type: ignore[attr-defined]
        for definition in attacks[1:]:
            with counted() as counts:
                outcome = sweep(classifier, images.pixels, images.labels, definition, **options)
            ours += sum(counts)
            breaks = torch.from_numpy(np.nan_to_num(outcome.smallest_broken_epsilon, nan=1.0)) / work.BEYOND_LINEAR

            def known(_: nn.Module, asked: Tensor, *more: object, breaks: Tensor = breaks) -> Tensor:
                del more
                return breaks[[rows[image.numpy().tobytes()] for image in asked]]

            with counted(known) as counts:
                sweep(classifier, images.pixels, images.labels, definition, **options)
            oracle += sum(counts)
    return ours / oracle


def load_images(source: str, model: object, count: int) -> Images:
    """Return the first images of a source, as the model takes them."""
    opened = open_source(source, preprocessing=model.preprocessing, split="test").take(count)  # type: ignore[attr-defined]
    batch = next(opened.batches(len(opened)))
    return Images(batch.images / 255, batch.labels, batch.ids)


def main() -> None:
    """Compare with one and with two threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pdigits")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="of BIM and PGD")
    parser.add_argument("--data", help="default: the model's own, or CIFAR-10 of PCBENCH_TEST_DATA")
    parser.add_argument("--backbone-weights", type=Path, help="default for CIFAR-10: of PCBENCH_TEST_DATA")
    parser.add_argument("--random-predictors", type=int, help="seed of untrained predictors")
    parser.add_argument("--no-bracketing", action="store_true", help="attack at every budget up to the breaking one")
    options = parser.parse_args()
    shared = Path(os.environ.get("PCBENCH_TEST_DATA", "."))
    weights = options.backbone_weights
    if options.model.startswith("presnet20_cifar10") and weights is None:
        weights = shared / "weights" / "resnet20.cifar10.safetensors"
    model = load(options.model, backbone_weights=weights, random_predictors=options.random_predictors)
    source = options.data or model.default_data or f"parquet:{shared / 'cifar10' / 'test.parquet'}"
    images = load_images(source, model, options.images)
    attacks = definitions(options.steps)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        compare(model, images, attacks, bracketing=not options.no_bracketing)
    if not options.no_bracketing:
        print(f"ratio gradients_against_the_oracle {against_oracle(model, images, attacks):.3f}")


def compare(model: object, images: Images, attacks: list[AttackDefinition], *, bracketing: bool) -> None:
    """Run all sides with this number of threads, check that they agree, and print the ratios."""
    threads = torch.get_num_threads()
    seconds, outcomes = run_sweep(model, images, attacks, bracketing=bracketing)
    plain_seconds, success = run_plain(model, images, attacks)
    without_seconds, without_flips = run_without_us(model, images, attacks, success)
    wrong = np.array([[~outcome.correct[1:] for outcome in row] for row in outcomes])
    for index, timestep in enumerate(TIMESTEPS):
        rates = "  ".join(
            f"{definition.name} {1 - wrong[index, row].mean(axis=1)[[1, 4, 7]].round(2)}"
            for row, definition in enumerate(attacks)
        )
        print(f"t = {timestep}: robust accuracy at 1, 4 and 16 /255: {rates}")
    flips = int((wrong != made_cumulative(model, images, success)).sum())
    pairs = sum(int(outcome.eligible.sum()) for row in outcomes for outcome in row) * len(EPSILONS)
    attacked = sum(int(outcome.attacked[1:].sum()) for row in outcomes for outcome in row)
    checked = sum(int(outcome.columns["spot_checked"][1:].sum()) for row in outcomes for outcome in row)
    print(f"attacked {attacked / pairs:.3f} of all pairs, spot-checked {checked / pairs:.3f}")
    print(f"flips: {flips} of {wrong.size} outcomes differ from the plain loop made cumulative")
    print(f"flips: {without_flips} of {success[:, :, ONE].size} outcomes differ on the plain dynamics at one epsilon")
    if flips > MOST_FLIPS * wrong.size or without_flips > MOST_FLIPS * success[:, :, ONE].size:
        raise SystemExit("the outcomes are not the plain loop's: the ratio does not count")
    print(f"ratio sweep_against_foolbox_{threads}_threads {plain_seconds / seconds:.2f}")
    print(f"    foolbox {plain_seconds:.1f} s, sweep {seconds:.1f} s, {len(images.ids)} images, run once")
    print(f"ratio sweep_against_foolbox_on_plain_dynamics_{threads}_threads {without_seconds / seconds:.2f}")
    print(f"    foolbox {without_seconds:.1f} s, sweep {seconds:.1f} s, {len(images.ids)} images, run once")


if __name__ == "__main__":
    main()
