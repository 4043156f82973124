"""The mean of corruption errors that a report shows: one for figures, tables, sentences and comparisons."""

from __future__ import annotations

import dataclasses

import pandas as pd


@dataclasses.dataclass(frozen=True)
class CorruptionMean:
    """A mean of corruption errors, and what it averages."""

    metric: str
    """Its name in the tidy table."""
    title: str
    """What it is called."""
    each: str
    """The name in the tidy table of the error of one corruption that it averages."""
    each_title: str
    """What that is called."""
    row: str
    """What it is called below a table of what it averages."""


CORRUPTION_MEANS = (
    CorruptionMean("mean_corruption_error", "mCE", "corruption_error", "CE", "mCE"),
    CorruptionMean("mean_normalised_error", "mean normalised error", "corruption_error", "Normalised error", "mean"),
    CorruptionMean("mean_unnormalised_error", "mean error under corruption", "unnormalised_error", "Error", "mean"),
)
"""The best known first."""


def shown_mean(rows: pd.DataFrame) -> CorruptionMean | None:
    """Return the best known mean that the rows of one suite have; None where they have none."""
    return next((mean for mean in CORRUPTION_MEANS if (rows["metric"] == mean.metric).any()), None)
