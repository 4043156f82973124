"""How often the intervals of a study hold the true difference: simulated at its own sizes, accuracies and spreads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from pcbench.metrics.coverage import LatentSpread, SimulatedCoverage, simulated_coverage, simulated_coverage_of_means
from pcbench.metrics.two_way import VarianceParts
from pcbench.percent import percent
from pcbench.studies.answers import LEVEL, ArmComparison

_EDGE = 0.01
"""An accuracy of 0 or 1 has no threshold, so that it is simulated this far from it."""
AIM = 0.93
"""What the share of intervals that hold the truth is to reach."""


def coverage_rows(comparisons: Iterable[ArmComparison]) -> Iterator[dict[str, Any]]:
    """Yield the simulated coverage, width and power of each primary comparison of accuracies over several seeds.

    The coverage is that without a difference; the power is that of a difference as large as the smallest that the study
    says it finds, at the strictest level of Holm's correction. It is missing where no such gain is possible.
    """
    for one in comparisons:
        if not one.primary or one.parts is None or one.question.measure != "accuracy":
            continue
        smallest, accuracy = one.smallest, min(max(one.other, _EDGE), 1 - _EDGE)
        none = _simulated(one, one.parts, accuracy, 0.0, LEVEL)
        possible = accuracy + smallest < 1
        some = _simulated(one, one.parts, accuracy, smallest, LEVEL / one.corrected) if possible else None
        yield {
            "question": one.question.name,
            "against": one.against,
            "training_seeds": one.difference.seeds,
            "images": one.difference.images,
            "accuracy": accuracy,
            "coverage": none.coverage,
            "width": none.width,
            "difference": smallest,
            "power": math.nan if some is None else some.found,
        }


def _simulated(
    one: ArmComparison, parts: VarianceParts, accuracy: float, difference: float, level: float
) -> SimulatedCoverage:
    shape = one.difference.seeds, one.difference.images
    if not one.single:
        return simulated_coverage_of_means(shape, parts=parts, difference=difference, level=level)
    spread = LatentSpread.like(parts, accuracy)
    return simulated_coverage(shape, accuracy=accuracy, spread=spread, difference=difference, level=level)


def coverage_sentence(rows: list[dict[str, Any]], primary: int) -> str:
    """Return what the simulations found, in words.

    Args:
        rows: Those of `coverage_rows`.
        primary: How many primary comparisons the study has.
    """
    if not rows:
        return ""
    coverages = [row["coverage"] for row in rows]
    below = f" That is below {percent(AIM, 0)} %: these seeds differ too much for so few."
    powers = [row["power"] for row in rows if not math.isnan(row["power"])]
    found = f" A true difference as large as smallest_found is found in {_range(powers)} of them." if powers else ""
    return (
        f"Of 1,000 simulated studies of these sizes and variances, without a difference, {_range(coverages)} of the "
        f"95 % intervals held the truth.{below if min(coverages) < AIM else ''}{found} That is of {len(rows)} of the "
        f"{primary} primary comparisons: those of accuracy over several training seeds. Others are not simulated."
    )


def _range(shares: list[float]) -> str:
    low, high = percent(min(shares)), percent(max(shares))
    return f"{low} %" if low == high else f"{low} to {high} %"
