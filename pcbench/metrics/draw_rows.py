"""The rows of networks that draw random numbers: how often a single draw is right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from pcbench.metrics.bootstrap import Sample
from pcbench.metrics.cells import SuiteOutcomes
from pcbench.metrics.rows import Row, cell_row
from pcbench.percent import percent

METRIC = "single_draw_accuracy"


def draw_rows(outcomes: SuiteOutcomes) -> Iterator[Row]:
    """Return the mean share of single draws that are right, for each cell; no row where nothing is drawn."""
    shares = {cell: outcomes.answers(cell).draws_right for cell in outcomes.cells}
    drawn = {cell: share for cell, share in shares.items() if not np.isnan(share).any()}
    if drawn:
        sample = Sample(drawn)
        for cell in drawn:
            yield cell_row(cell, METRIC, sample.estimate(partial(np.mean, axis=-1), [cell]))


def draw_notes(metrics: pd.DataFrame, draws: int | None) -> Iterator[str]:
    """Yield what a reader of the numbers of a random network must know, if it is one.

    Args:
        metrics: The run's, as in `metrics.csv`.
        draws: Over how many draws it is averaged.
    """
    if draws is None:
        return
    note = f"the network draws random numbers: each answer is the mean of {draws} draws"
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == METRIC)]
    if len(clean):
        timestep, value = max(zip(clean["timestep"].tolist(), clean["value"].tolist(), strict=True))
        note += f"; a single draw at t = {timestep} is right on {percent(value)} % of clean images (metric {METRIC})"
    yield note
