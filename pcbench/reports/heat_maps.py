"""The transfer matrix as a heat map: images made against one timestep, scored at every timestep."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pcbench.metrics.shown import shown_epsilon
from pcbench.metrics.transfer import TRANSFER
from pcbench.names import attack_title
from pcbench.norms import epsilon_text
from pcbench.percent import decimal
from pcbench.reports.charts import Captioned, texts
from pcbench.reports.drawing import write_title
from pcbench.reports.layout import TITLE_LINE, usual_width, wrapped_title
from pcbench.reports.matrices import Entry, entry
from pcbench.reports.style import MM, WIDTHS, ShownFigure, Width, show_literally

WITHIN = "attack_success_rate_within"
_DARK = 55
# Numbers are written into the cells of small matrices only.
_MOST_LABELLED = 12


@dataclasses.dataclass(frozen=True)
class HeatMapPanel:
    """One matrix."""

    title: str
    """Empty for a single panel."""
    rows: Mapping[int, tuple[Entry, ...]]
    """For each timestep that images were made against, their success rates at the timesteps that scored them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeatMap(Captioned):
    """A figure of matrices before it is drawn."""

    panels: tuple[HeatMapPanel, ...]
    """From the top left."""

    @property
    def cells(self) -> list[Entry]:
        """All numbers, panel by panel."""
        return [cell for panel in self.panels for cells in panel.rows.values() for cell in cells]


def heat_maps(rows: pd.DataFrame) -> Iterator[HeatMap]:
    """Return the heat map of the rows of one model on one attack suite, where images were scored across timesteps."""
    panels = list(_panels(rows))
    if panels:
        model, suite = str(rows["model"].iloc[0]), str(rows["suite"].iloc[0])
        checked = (rows["metric"] == TRANSFER).any()
        over = (
            "those of the checks' images that are right at both timesteps"
            if checked
            else "the images that this model gets right at the timestep scored,"
        )
        yield HeatMap(
            name="transfer",
            suite=suite,
            model=model,
            what="Transfer between the timesteps",
            where=f"under {suite}",
            caption="Each cell: of the images made against the timestep of its row, the share in % that is answered "
            f"wrongly at the timestep of its column; over {over} when clean, {_images(panels)}. Intervals "
            "are Wilson's, 95 %. Where a row falls away from its own timestep, an attack on one timestep does not "
            "measure another.",
            panels=tuple(panels),
        )


def _images(panels: Sequence[HeatMapPanel]) -> str:
    """Return on how many images the cells are, in words."""
    numbers = sorted({cell.n for panel in panels for cells in panel.rows.values() for cell in cells})
    return f"{numbers[0]:,} images" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,} images"


def _panels(rows: pd.DataFrame) -> Iterator[HeatMapPanel]:
    transfer = rows[rows["metric"] == TRANSFER]
    if not len(transfer):
        within = rows[(rows["metric"] == WITHIN) & rows["attacked_timestep"].notna()]
        crossed = within[within["attacked_timestep"] != within["timestep"]]
        transfer = within[within["name"].isin(texts(crossed["name"]))]
    for (name, norm), part in transfer.groupby(["name", "norm"], sort=False, observed=True):
        epsilon = shown_epsilon(part)
        if epsilon is None:
            continue
        shown = part[part["epsilon"] == epsilon].sort_values(["attacked_timestep", "timestep"])
        cells = {
            int(str(attacked)): tuple(entry(row) for _, row in of_row.iterrows())
            for attacked, of_row in shown.groupby("attacked_timestep")
        }
        yield HeatMapPanel(f"{attack_title(name)}, ε = {epsilon_text(epsilon, str(norm))}", cells)


def draw_heat_map(chart: HeatMap, width: Width | None = None) -> Figure:
    """Draw a heat map; call it, and `save`, within `style()`.

    Args:
        chart: The chart.
        width: That of a column or of a page; the page where there are several panels, if not given.
    """
    panels = len(chart.panels)
    width = width or usual_width(panels)
    columns = min(panels, 3 if width == "page" else 1)
    rows = -(-panels // columns)
    each = (WIDTHS[width] - 14.0 - 16.0 - 4.0 * (columns - 1)) / columns
    title = wrapped_title(chart.title, WIDTHS[width])
    body = 9.5 + rows * (each + 6.0)
    height = body + 1.0 + len(title) * TITLE_LINE
    figure = ShownFigure(figsize=(WIDTHS[width] * MM, height * MM))
    images: list[AxesImage] = []
    for index, panel in enumerate(chart.panels):
        row, column = divmod(index, columns)
        left, low = 14.0 + column * (each + 4.0), body - (row + 1) * (each + 6.0)
        axes = figure.add_axes((left / WIDTHS[width], low / height, each / WIDTHS[width], each / height))
        images.append(_draw_panel(axes, panel))
    beside = figure.add_axes((1 - 13.0 / WIDTHS[width], 9.5 / height, 3.0 / WIDTHS[width], (body - 15.5) / height))
    bar = figure.colorbar(images[0], cax=beside)
    bar.set_label("attack success rate (%)")
    figure.text(0.5, 1.0 / height, "scored at timestep t", ha="center", va="bottom", fontsize=7)
    figure.text(1.0 / WIDTHS[width], 0.5, "made against timestep t", rotation=90, ha="left", va="center", fontsize=7)
    write_title(figure, title, height)
    show_literally(figure)
    return figure


def _draw_panel(axes: Axes, panel: HeatMapPanel) -> AxesImage:
    attacked, scored, values = matrix(panel)
    image = axes.imshow(values, cmap="cividis", vmin=0, vmax=100)
    axes.set_title(panel.title, pad=3)
    axes.grid(visible=False)
    step = -(-max(len(scored), len(attacked)) // _MOST_LABELLED)
    axes.set_xticks(range(0, len(scored), step), [str(t) for t in scored[::step]])
    axes.set_yticks(range(0, len(attacked), step), [str(t) for t in attacked[::step]])
    if len(scored) <= _MOST_LABELLED:
        for (row, column), value in np.ndenumerate(values):
            if not np.isnan(value):
                shade = "white" if value < _DARK else "black"
                axes.text(column, row, decimal(value, 0), ha="center", va="center", color=shade, fontsize=6)
    return image


def matrix(panel: HeatMapPanel) -> tuple[list[int], list[int], NDArray[np.float64]]:
    """Return the timesteps attacked and scored, and the rates in percent, (attacked, scored), NaN if missing."""
    attacked = sorted(panel.rows)
    scored = sorted({cell.timestep for cells in panel.rows.values() for cell in cells})
    values = np.full((len(attacked), len(scored)), np.nan)
    for row, timestep in enumerate(attacked):
        for cell in panel.rows[timestep]:
            values[row, scored.index(cell.timestep)] = cell.value
    return attacked, scored, values
