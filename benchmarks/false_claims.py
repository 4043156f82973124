"""How often a run's sentences claim a change that is not there, and how often they find one that is: by simulation.

Outcomes of the size of a default run are made: 360 images under 15 corruptions at 5 severities, 100 images under an
attack at 8 budgets, t = 0 to 8. An image is right where its ease exceeds a condition's hardness. Ease is the sum of a
part that an image has under all conditions and one of its own under each; both turn slowly with t, so that the answers
of an image are correlated over t and over conditions, and later timesteps differ the more. Turned normal numbers stay
normal: without a shift no accuracy changes at all, and every claim is false. With a shift, later t are worse (corrupted
images) or better (attacks). The numbers below were chosen to fit a default run: 5 to 7 % of the answers differ at
t = 8, and images' mean accuracies change by a standard deviation of 0.05 to 0.06.

    python benchmarks/false_claims.py [--runs N] [--out FILE]

Writes one row for each measure: the share of runs with at least one claim over t = 1 to 8, by sentences (Holm's
correction) and by each t's own 95 % interval; and the share that claims a change at t = 8.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pcbench.catalog import catalog_folder
from pcbench.comparison.compare import difference_of_rates, differences_of_means
from pcbench.comparison.sentences import CLAIM_LEVEL
from pcbench.corruptions.definitions import load_corruption_suite
from pcbench.metrics.paired import Difference, holm

TIMESTEPS, IMAGES, ATTACKED = 8, 360, 100
BUDGETS = np.array([4, 8, 16, 24, 32, 48, 64, 96]) / 255
#: The share of an image's ease that is the same under all corruptions, as a variance.
COMMON = 0.49
#: How far the common part and each condition's own turn until t = 8, in radians.
TURNED, TURNED_ALONE, TURNED_ATTACK = 0.3, 0.45, 0.3
#: The loss of ease under corruption until t = 8, and the gain of the log of the distance that an attack needs.
LOSS, GAIN = 0.08, 0.15

Floats = NDArray[np.floating]


def turning(random: np.random.Generator, shape: tuple[int, ...], angle: float) -> Floats:
    """Draw standard normal numbers that turn with t, (TIMESTEPS + 1, *shape)."""
    start, end = random.standard_normal((2, *shape)).astype(np.float32)
    angles = np.linspace(0, angle, TIMESTEPS + 1, dtype=np.float32).reshape(-1, *[1] * len(shape))
    return np.cos(angles) * start + np.sin(angles) * end


def later(shift: float, dimensions: int) -> Floats:
    """Return a shift that grows from 0 to its value at the last t, to be added to (TIMESTEPS + 1, …)."""
    return np.linspace(0, shift, TIMESTEPS + 1, dtype=np.float32).reshape(-1, *[1] * dimensions)


def corrupted_errors(random: np.random.Generator, baseline: Floats, loss: float) -> NDArray[np.bool_]:
    """Draw errors of a network that errs 5.5 points more than the baseline, (TIMESTEPS + 1, images, 15, 5)."""
    hardness = norm.ppf(np.clip(baseline + 0.055, 0, 0.95)).astype(np.float32)
    common = turning(random, (IMAGES, 1, 1), TURNED)
    alone = turning(random, (IMAGES, *baseline.shape), TURNED_ALONE)
    return np.sqrt(COMMON) * common + np.sqrt(1 - COMMON) * alone - later(loss, 3) < hardness


def mean_accuracy(random: np.random.Generator, baseline: Floats, loss: float) -> list[Difference]:
    """Compare the mean accuracies of a simulated run with t = 0."""
    scores = 1 - corrupted_errors(random, baseline, loss).mean(axis=(2, 3))
    return differences_of_means((scores[1:] - scores[0]).T)


def mce(random: np.random.Generator, baseline: Floats, loss: float) -> list[Difference]:
    """Compare the mCE of a simulated run with t = 0."""
    shares = (corrupted_errors(random, baseline, loss).mean(axis=3) / baseline.mean(axis=1)).mean(axis=2)
    return differences_of_means((shares[1:] - shares[0]).T)


def robust_accuracy(random: np.random.Generator, gain: float) -> list[Difference]:
    """Compare the accuracies within the budgets of an attack with t = 0."""
    distance = np.exp(np.log(12 / 255) + 0.6 * turning(random, (ATTACKED,), TURNED_ATTACK) + later(gain, 1))
    right = turning(random, (ATTACKED,), 0.1) > norm.ppf(0.03)
    scores = ((distance[..., None] > BUDGETS) & right[..., None]).mean(axis=2)
    return differences_of_means((scores[1:] - scores[0]).T)


def clean_accuracy(random: np.random.Generator, loss: float) -> list[Difference]:
    """Compare the clean accuracies of a simulated run with t = 0."""
    right = turning(random, (IMAGES,), TURNED) - later(loss, 1) > norm.ppf(0.045)
    return [difference_of_rates(right[0], now) for now in right[1:]]


def claims(draw: Callable[[np.random.Generator], list[Difference]], runs: int) -> tuple[float, float, float]:
    """Return the shares of runs with a claim at any t, by intervals alone, and at the last t."""
    any_t = by_intervals = last = 0
    for number in range(runs):
        found = draw(np.random.default_rng([2026, number]))
        claimed = [p <= CLAIM_LEVEL for p in holm([difference.p for difference in found])]
        any_t += any(claimed)
        last += claimed[-1]
        by_intervals += any(difference.low > 0 or difference.high < 0 for difference in found)
    return any_t / runs, by_intervals / runs, last / runs


def main() -> None:
    """Simulate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    suite = load_corruption_suite(catalog_folder("corruptions") / "digits-c")
    known = {} if suite.baseline is None else suite.baseline.errors
    baseline = np.array([list(errors) for errors in known.values() if errors is not None])
    measures: dict[str, Callable[[np.random.Generator], list[Difference]]] = {
        "mean accuracy, no change": partial(mean_accuracy, baseline=baseline, loss=0),
        "mCE, no change": partial(mce, baseline=baseline, loss=0),
        "robust accuracy, no change": partial(robust_accuracy, gain=0),
        "clean accuracy, no change": partial(clean_accuracy, loss=0),
        "mean accuracy, a loss": partial(mean_accuracy, baseline=baseline, loss=LOSS),
        "mCE, the same loss": partial(mce, baseline=baseline, loss=LOSS),
        "robust accuracy, a gain": partial(robust_accuracy, gain=GAIN),
    }
    with options.out.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["measure", "runs", "claims_at_any_t", "by_intervals_alone", "claims_at_t8"])
        for name, draw in measures.items():
            shares = claims(draw, options.runs)
            table.writerow([name, options.runs, *(f"{share:.4f}" for share in shares)])
            print(name, shares, flush=True)


if __name__ == "__main__":
    main()
