"""How much faster the sweep is than a plain loop of foolbox calls over timesteps and epsilons.

FGSM, BIM and PGD at eight budgets against t = 0, 2, 4, 6, 8, on the same images, with equal steps and equal random
starts; the last iterate counts in both. Each side is run once, both in this process. The plain loop is what a user
writes: for each attack, timestep and epsilon, one call of the foolbox attack over all images, in the same batches. The
ratio counts only if the sweep's outcome of every image is the plain loop's made cumulative (broken at an epsilon or a
smaller one, epsilon 0 included); images whose outcome differs by float rounding are counted as flips and printed.

    python benchmarks/attacks.py [--model NAME] [--images N] [--backbone-weights FILE] [--data SOURCE]

The last line is `ratio N.NN`: seconds of the plain loop over seconds of the sweep.
"""

from __future__ import annotations

import argparse
import os
import time
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
from torch import Tensor, nn

from pcbench.attacks.definitions import AttackDefinition
from pcbench.attacks.starts import start_generator, unit_starts
from pcbench.attacks.sweep import sweep
from pcbench.data.sources import open_source
from pcbench.models import load
from pcbench.norms import LINF

EPSILONS = tuple(numerator / 255 for numerator in (0.5, 1, 2, 3, 4, 6, 8, 16))
TIMESTEPS = (0, 2, 4, 6, 8)
SEED = 0
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


def plain_loop(classifier: nn.Module, images: Images, definition: AttackDefinition) -> NDArray[np.bool_]:
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
    success = [attack(model, images.pixels, images.labels, epsilons=epsilon)[2] for epsilon in EPSILONS]
    return torch.stack(success).cpu().numpy()


def run_plain(model: object, images: Images, attacks: list[AttackDefinition]) -> tuple[float, NDArray[np.bool_]]:
    """Return the plain loop's seconds, and its successes (timesteps, attacks, E, N) made cumulative."""
    start = time.perf_counter()
    outcomes: list[list[NDArray[np.bool_]]] = []
    for timestep in TIMESTEPS:
        classifier = model.at(timestep)  # type: ignore[attr-defined]
        with torch.no_grad():
            wrong = (classifier(images.pixels).argmax(dim=1) != images.labels).cpu().numpy()
        outcomes.append([plain_loop(classifier, images, definition) | wrong for definition in attacks])
    return time.perf_counter() - start, np.logical_or.accumulate(np.array(outcomes), axis=2)


def run_sweep(
    model: object, images: Images, attacks: list[AttackDefinition], *, bracketing: bool
) -> tuple[float, NDArray[np.bool_]]:
    """Return the sweep's seconds, and which images are wrong within each epsilon (timesteps, attacks, E, N)."""
    start = time.perf_counter()
    wrong: list[list[NDArray[np.bool_]]] = []
    for timestep in TIMESTEPS:
        classifier = model.at(timestep)  # type: ignore[attr-defined]
        row: list[NDArray[np.bool_]] = []
        for definition in attacks:
            outcome = sweep(
                classifier,
                images.pixels,
                images.labels,
                definition,
                ids=images.ids,
                seed=SEED,
                batch_size=len(images.ids),
                bracketing=bracketing,
            )
            row.append(~outcome.correct[1:])
        wrong.append(row)
    return time.perf_counter() - start, np.array(wrong)


def load_images(source: str, model: object, count: int) -> Images:
    """Return the first images of a source, as the model takes them."""
    opened = open_source(source, preprocessing=model.preprocessing, split="test").take(count)  # type: ignore[attr-defined]
    batch = next(opened.batches(len(opened)))
    return Images(batch.images / 255, batch.labels, batch.ids)


def main() -> None:
    """Run both sides and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pdigits")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10, help="of BIM and PGD")
    parser.add_argument("--data", help="default: the model's own, or CIFAR-10 of PCBENCH_TEST_DATA")
    parser.add_argument("--backbone-weights", type=Path, help="default for CIFAR-10: of PCBENCH_TEST_DATA")
    parser.add_argument("--random-predictors", type=int, help="seed of untrained predictors")
    parser.add_argument("--no-bracketing", action="store_true", help="attack at every budget up to the breaking one")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    shared = Path(os.environ.get("PCBENCH_TEST_DATA", "."))
    weights = options.backbone_weights
    if options.model.startswith("presnet20_cifar10") and weights is None:
        weights = shared / "weights" / "resnet20.cifar10.safetensors"
    model = load(options.model, backbone_weights=weights, random_predictors=options.random_predictors)
    source = options.data or model.default_data or f"parquet:{shared / 'cifar10' / 'test.parquet'}"
    images = load_images(source, model, options.images)
    attacks = definitions(options.steps)

    seconds, wrong = run_sweep(model, images, attacks, bracketing=not options.no_bracketing)
    plain_seconds, plain_wrong = run_plain(model, images, attacks)
    for place, timestep in enumerate(TIMESTEPS):
        rates = "  ".join(
            f"{definition.name} {1 - wrong[place, row].mean(axis=1)[[1, 4, 7]].round(2)}"
            for row, definition in enumerate(attacks)
        )
        print(f"t = {timestep}: robust accuracy at 1, 4 and 16 /255: {rates}")
    flips = int((wrong != plain_wrong).sum())
    print(
        f"plain loop {plain_seconds:.1f} s, sweep {seconds:.1f} s, {len(images.ids)} images, {options.threads} threads"
    )
    print(f"flips: {flips} of {wrong.size} outcomes differ from the plain loop made cumulative")
    if flips > MOST_FLIPS * wrong.size:
        raise SystemExit("the outcomes are not the plain loop's: the ratio does not count")
    print(f"ratio {plain_seconds / seconds:.2f}")


if __name__ == "__main__":
    main()
