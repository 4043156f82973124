"""The rows of the transfer matrix: images made against one timestep, scored at another.

Source: transferred images as in Papernot, McDaniel and Goodfellow, 2016, arXiv 1605.07277; from timestep to timestep
is our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pcbench.metrics.rates import Estimate, wilson_interval
from pcbench.metrics.rows import Row, summary_row

TRANSFER = "transfer_success_rate"
"""The share of images made against t_a that are misclassified at t_e, of those right at both when clean."""


# Files of former versions do not say it; they all were made with this one.
_FORMER_GRADIENT = "exact"


def transfer_rows(checks: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield rows of the tidy table, without the model, with Wilson's intervals.

    Args:
        checks: The entries of `checks.json`, each with `suite` and `transfer`: a list with `attack`, `norm`,
            `epsilon`, `attacked_timestep`, `timestep`, `attack_success_rate` (None where no image is right at both)
            and `n`, and `gradient`, which files of former versions lack.
    """
    for entry in checks:
        for cell in entry["transfer"]:
            rate, images = cell["attack_success_rate"], int(cell["n"])
            if rate is None:
                continue
            low, high = wilson_interval(round(rate * images), images)
            yield summary_row(
                TRANSFER,
                int(cell["timestep"]),
                Estimate(float(rate), float(low), float(high), images),
                suite=entry["suite"],
                kind="attack",
                name=cell["attack"],
                norm=cell["norm"],
                epsilon=cell["epsilon"],
                targeted=False,
                gradient=cell.get("gradient", _FORMER_GRADIENT),
                attacked_timestep=cell["attacked_timestep"],
            )
