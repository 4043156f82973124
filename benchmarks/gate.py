"""How often the gate cries wolf, and how often it finds a drop of the size it states: 1,000 made re-runs each.

Images differ in difficulty; the difficulty of an image goes together over timesteps and corruptions, as in real runs.
A re-run draws every answer anew, as another seed does. Two kinds of reference: a fresh one for each re-run, for which
the false alarm rate is guaranteed to be at most alpha with nothing tolerated, and one frozen reference for all of
them, which may have been lucky: then a small tolerated drop takes up the luck.

    uv run python benchmarks/gate.py
"""

from __future__ import annotations

import numpy as np

from pcbench.metrics.drop import find_drops

RERUNS = 1000
FLIPS = 1_999
# Images, rows (timesteps x guarded accuracies), conditions that a row pools.
SIZES = ((100, 9, 1), (360, 18, 5), (360, 18, 75), (1000, 9, 1))
Array = np.ndarray


def difficulties(random: np.random.Generator, images: int, rows: int) -> Array:
    """Return chances of a right answer, shape (images, rows)."""
    logits = random.normal(1, 2, (images, 1)) + random.normal(0, 1, (1, rows)) + random.normal(0, 0.5, (images, rows))
    return 1 / (1 + np.exp(-logits))


def answers(random: np.random.Generator, chances: Array, pooled: int) -> Array:
    """Return each image's share of right answers over the conditions that a row pools."""
    return random.binomial(pooled, chances) / pooled


def alarm_rate(chances: Array, pooled: int, tolerated: float, *, frozen: bool) -> float:
    """Return the share of unchanged re-runs that fail."""
    random = np.random.default_rng(1)
    reference = answers(random, chances, pooled)
    alarms = 0
    for seed in range(RERUNS):
        if not frozen:
            reference = answers(random, chances, pooled)
        differences = reference - answers(random, chances, pooled)
        alarms += bool(find_drops(differences, tolerated=tolerated, flips=FLIPS, seed=seed).failed.any())
    return alarms / RERUNS


def detection_rate(chances: Array, pooled: int, tolerated: float) -> tuple[float, float]:
    """Return the stated drop of the middle row, and how often that row fails when it truly drops by so much."""
    random = np.random.default_rng(2)
    row = chances.shape[1] // 2
    unchanged = [answers(random, chances, pooled) - answers(random, chances, pooled) for _ in range(20)]
    stated = np.mean([find_drops(each, tolerated=tolerated, flips=FLIPS).detectable[row] for each in unchanged])
    worse = chances.copy()
    worse[:, row] *= 1 - stated / chances[:, row].mean()
    found = 0
    for seed in range(RERUNS):
        differences = answers(random, chances, pooled) - answers(random, worse, pooled)
        found += bool(find_drops(differences, tolerated=tolerated, flips=FLIPS, seed=seed).failed[row])
    return float(stated), found / RERUNS


def main() -> None:
    """Print one line a size and tolerated drop."""
    print("images rows pooled tolerated | alarms, fresh reference | alarms, frozen | stated drop | found")
    for images, rows, pooled in SIZES:
        chances = difficulties(np.random.default_rng(images + pooled), images, rows)
        for tolerated in (0.0, 0.01):
            fresh = alarm_rate(chances, pooled, tolerated, frozen=False)
            frozen = alarm_rate(chances, pooled, tolerated, frozen=True)
            stated, found = detection_rate(chances, pooled, tolerated)
            print(
                f"{images:6d} {rows:4d} {pooled:6d} {tolerated:9.2f} | {fresh:23.1%} | {frozen:14.1%} | "
                f"{stated:11.1%} | {found:.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
