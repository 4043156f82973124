"""How often the intervals of a study hold the true difference: simulated at its own sizes, accuracies and spreads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from scipy.special import ndtri

from pcbench.metrics.coverage import LatentSpread, simulated_coverage
from pcbench.percent import percent
from pcbench.studies.answers import ArmComparison

_EDGE = 0.01
"""An accuracy of 0 or 1 has no threshold, so that it is simulated this far from it."""
AIM = 0.93
"""What the share of intervals that hold the truth is to reach."""


def coverage_rows(comparisons: Iterable[ArmComparison]) -> Iterator[dict[str, Any]]:
    """Yield the simulated coverage, width and power of each primary comparison of accuracies over several seeds.

    The coverage is that without an effect; the power is that of an effect as large as the smallest that the study says
    it could have found.
    """
    for one in comparisons:
        if not one.primary or one.parts is None or one.question.measure != "accuracy":
            continue
        accuracy = min(max(one.other, _EDGE), 1 - _EDGE)
        spread = LatentSpread.like(one.parts, accuracy)
        size = one.difference.seeds, one.difference.images
        density = math.exp(-(float(ndtri(accuracy)) ** 2) / 2) / math.sqrt(2 * math.pi)
        none = simulated_coverage(*size, accuracy=accuracy, spread=spread)
        some = simulated_coverage(*size, accuracy=accuracy, spread=spread, effect=one.difference.smallest / density)
        yield {
            "question": one.question.name,
            "against": one.against,
            "training_seeds": size[0],
            "images": size[1],
            "accuracy": accuracy,
            "coverage": none.coverage,
            "width": none.width,
            "effect": one.difference.smallest,
            "power": some.found,
        }


def coverage_sentence(rows: list[dict[str, Any]]) -> str:
    """Return what the simulations found, in words."""
    if not rows:
        return ""
    low, high = (choose(row["coverage"] for row in rows) for choose in (min, max))
    short = "" if low >= AIM else f" That is below {percent(AIM, 0)} %: these seeds differ too much for so few."
    reached = f"{percent(low)} %" if low == high else f"{percent(low)} to {percent(high)} %"
    return (
        f"Of 1,000 simulated studies of these sizes and variances, without an effect, {reached} of the 95 % intervals "
        f"of the primary comparisons of accuracy held the truth.{short}"
    )
