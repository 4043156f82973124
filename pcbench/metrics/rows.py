"""How an estimate becomes a row of the tidy table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pcbench.metrics.cells import Cell, CellOutcomes
from pcbench.metrics.rates import Estimate, rate

CHANGE = "_minus_t0"
"""What the name of a metric ends with where it is the paired difference to the same images at the first timestep."""

Row = dict[str, object]
"""A row of `metrics.csv` by column, without model and suite; a column that is left out is empty."""


def cell_row(cell: Cell, metric: str, estimate: Estimate) -> Row:
    """Return the row of a number about one condition at one timestep."""
    condition = dataclasses.asdict(cell.condition)
    condition.pop("suite")
    return {**condition, "timestep": cell.timestep, "metric": metric, **_numbers(estimate)}


def finite_rows(cell: Cell, answers: CellOutcomes) -> Iterator[Row]:
    """Return the share of images whose logits are not finite; no row where there is none."""
    if not answers.finite.all():
        yield cell_row(cell, "nonfinite_logits", rate(~answers.finite))


def summary_row(metric: str, timestep: int, estimate: Estimate, **columns: object) -> Row:
    """Return the row of a number about several conditions at one timestep."""
    return {**columns, "timestep": timestep, "metric": metric, **_numbers(estimate)}


def _numbers(estimate: Estimate) -> Row:
    return {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high, "n": estimate.images}
