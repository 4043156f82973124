"""How often the interval over seeds and images holds the true effect, and how wide it is, under made-up studies.

    uv run python benchmarks/coverage.py [--draws 1000]

Prints, for each size, accuracy and spread, the coverage and the mean width in points of the two intervals that
`pcbench.metrics.coverage` knows, and the worst coverage of each. Less than a minute on one core by default.
"""

from __future__ import annotations

import argparse
import itertools

from pcbench.metrics.coverage import SPREADS, IntervalMethod, simulated_coverage
from pcbench.percent import percent

SEEDS, IMAGES, ACCURACIES = (3, 5, 10), (180, 500, 1000), (0.5, 0.8, 0.97)
METHODS: tuple[IntervalMethod, ...] = ("joined", "satterthwaite")


def main() -> None:
    """Simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    worst = dict.fromkeys(METHODS, 1.0)
    print("seeds images accuracy spread: coverage (width in points) joined, satterthwaite")
    for seeds, images, accuracy, name in itertools.product(SEEDS, IMAGES, ACCURACIES, SPREADS):
        cells: list[str] = []
        for method in METHODS:
            found = simulated_coverage(
                (seeds, images), accuracy=accuracy, spread=SPREADS[name], draws=options.draws, method=method
            )
            worst[method] = min(worst[method], found.coverage)
            cells.append(f"{percent(found.coverage)} % ({percent(found.width, 2)})")
        print(f"{seeds} {images} {percent(accuracy, 0)} % {name}: {', '.join(cells)}", flush=True)
    print("worst:", ", ".join(f"{method} {percent(coverage)} %" for method, coverage in worst.items()))


if __name__ == "__main__":
    main()
