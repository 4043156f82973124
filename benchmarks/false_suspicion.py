"""How often the checks call a sound network suspicious: the rate over freshly trained plain CNNs.

Each network is a two-layer CNN trained from another seed on three quarters of scikit-learn's handwritten digits (8 px),
and checked on images of the rest, with the attacks of `digits-linf`. None of them has anything that breaks gradients,
so every verdict `suspicious` is false.

    python benchmarks/false_suspicion.py [--networks N] [--images N] [--form full|cheap] [--out FILE]

Writes one row per network; the last line is the rate with its 95 % Wilson interval.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from pcbench.attacks.checks.verdict import Form, TimestepChecks, run_checks
from pcbench.attacks.definitions import load_attack_suite
from pcbench.attacks.eval_batch import EvalBatch
from pcbench.catalog import catalog_folder
from pcbench.data.digits import digit_scans

TRAINED_ON = 1347


class Plain:
    """A classifier as a model of checks, with the one timestep that it has."""

    def __init__(self, classifier: nn.Module) -> None:
        self._classifier = classifier

    def at(self, *_: object) -> nn.Module:
        """Return the classifier."""
        return self._classifier

    def answer(self, images: Tensor, *_: object) -> Tensor:
        """Return its logits as those of t = 0."""
        return self._classifier(images)[None]


def train(images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """Train a CNN from a seed, for six epochs."""
    torch.manual_seed(seed)
    width = (8, 16, 32)[seed % 3]
    classifier = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * width, 10),
    )
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    for _ in range(6):
        for chosen in torch.randperm(TRAINED_ON).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    optimizer.zero_grad()
    return classifier.eval()


def check(classifier: nn.Module, eval_batch: EvalBatch, form: Form) -> TimestepChecks:
    """Return the evidence on one network."""
    suite = load_attack_suite(catalog_folder("attacks") / "digits-linf")
    return run_checks(Plain(classifier), eval_batch, suite.attacks, timesteps=[0], form=form)[0]


def main() -> None:
    """Train, check, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--form", choices=("full", "cheap"), default="full")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    scans, classes = digit_scans()
    images = torch.tensor(scans / 16, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
    labels = torch.tensor(classes)
    here = slice(TRAINED_ON, TRAINED_ON + options.images)
    ids = tuple(str(place) for place in range(here.start, here.stop))
    eval_batch = EvalBatch(images[here], labels[here], ids, seed=0)
    suspicious = 0
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seed", "images_right", "epsilon", "agreement", "smallest_p_value", "verdict", "reasons"])
        for seed in range(options.networks):
            found = check(train(images, labels, seed), eval_batch, options.form)
            suspicious += found.verdict == "suspicious"
            smallest = min(comparison.p_value for comparison in found.comparisons)
            row = [seed, found.gradients.n, f"{found.epsilon:.4f}", f"{found.gradients.agreement:.4f}"]
            writer.writerow([*row, f"{smallest:.3g}", found.verdict, " | ".join(found.reasons)])
            file.flush()
            print(f"seed {seed}: {found.verdict} {'; '.join(found.reasons)}")
    interval = binomtest(suspicious, options.networks).proportion_ci(0.95, method="wilson")
    rate = suspicious / options.networks
    print(f"false suspicion {rate:.3f} [{interval.low:.3f}, {interval.high:.3f}] of {options.networks} networks")


if __name__ == "__main__":
    main()
