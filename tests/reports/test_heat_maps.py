"""Oracle: the rows of the tidy table, and the cells of the figure's own axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcbench.metrics.transfer import TRANSFER
from pcbench.reports.figures import matrices_of_transfer, write_figure
from pcbench.reports.heat_maps import draw_heat_map, matrix
from pcbench.reports.style import style
from pcbench.results.directory import Run


def test_cells_are_the_rows_of_the_table_in_percent(runs: list[Run]) -> None:
    metrics = runs[0].metrics
    (chart,) = matrices_of_transfer(metrics)
    attacked, scored, values = matrix(chart.panels[0])
    assert attacked == scored == [0, 1, 2]
    rows = metrics[metrics["metric"] == TRANSFER]
    for _, row in rows.iterrows():
        assert values[row["attacked_timestep"], row["timestep"]] == pytest.approx(100 * row["value"])
    assert "right at both timesteps when clean, 60 images." in chart.caption
    assert sorted(cell.row for cell in chart.cells) == sorted(rows.index)
    assert len(rows) == 9
    assert all(cell.low <= cell.value <= cell.high for cell in chart.cells)
    assert "pgd".upper() in chart.panels[0].title
    assert "8/255" in chart.panels[0].title


def test_the_drawing_shows_the_matrix(runs: list[Run]) -> None:
    (chart,) = matrices_of_transfer(runs[0].metrics)
    with style():
        axes = draw_heat_map(chart).axes[0]
    drawn = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(drawn, matrix(chart.panels[0])[2])
    assert [text.get_text() for text in axes.texts] == ["80", "60", "40", "60", "80", "60", "40", "60", "80"]


def test_it_can_be_redrawn_for_several_runs(runs: list[Run], tmp_path: Path) -> None:
    caption = write_figure("transfer", runs, tmp_path / "transfer.svg")
    assert all(run.key in caption for run in runs)
    assert (tmp_path / "transfer.svg").is_file()


def test_without_scores_across_timesteps_there_is_none(runs: list[Run]) -> None:
    metrics = runs[0].metrics
    assert matrices_of_transfer(metrics[metrics["metric"] != TRANSFER]) == []
