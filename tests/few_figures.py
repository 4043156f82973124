"""Reports with two figures, for tests that look at something else: drawing all of them takes seconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import pandas as pd

    from pcbench.reports.charts import Chart
    from pcbench.reports.heat_maps import HeatMap
    from pcbench.results.directory import Run


@contextlib.contextmanager
def only_two_figures() -> Iterator[None]:
    """Draw the two charts of a run that have the fewest panels, and no heat map; a page shows all nevertheless."""
    from pcbench.reports import figures

    every = figures.charts_of

    def two(run: Run) -> list[Chart]:
        return sorted(every(run), key=lambda chart: len(chart.panels))[:2]

    def none(_: pd.DataFrame) -> list[HeatMap]:
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "charts_of", two)
        patch.setattr(figures, "matrices_of_transfer", none)
        yield
