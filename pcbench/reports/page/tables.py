"""The tables of a page as plain values: a column for each timestep, for each severity, for each timestep scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from pcbench.metrics.marks import marks_title
from pcbench.names import words
from pcbench.percent import in_percent
from pcbench.reports.charts import in_order
from pcbench.reports.heat_maps import heat_maps, matrix
from pcbench.reports.matrices import Matrix, entry, matrices
from pcbench.reports.page.drawn import short
from pcbench.reports.page.facts import qualifiers
from pcbench.reports.page.links import Links
from pcbench.results.conditions import CORRUPTED
from pcbench.results.corruption_means import CORRUPTION_MEANS
from pcbench.results.verdicts import Verdicts


def matrix_tables(
    parts: Sequence[pd.DataFrame], labels: Sequence[str], verdicts: Sequence[Verdicts], links: Links
) -> Iterator[dict[str, Any]]:
    """Yield, for each run, its tables of one suite with a column for each timestep."""
    for number, rows in enumerate(parts):
        qualified = qualifiers(rows, verdicts[number])
        for table in matrices(rows, labels[number], verdicts[number]):
            known = qualified.get(table.name, {"knows": "", "marks": {}})
            linked = links.matrix(number, table, known["knows"], known["marks"])
            yield linked | _mean_accuracies(rows, table)


def _mean_accuracies(rows: pd.DataFrame, table: Matrix) -> dict[str, Any]:
    """Return what stands beside errors that are divided by a baseline's, which do not say how hard a corruption is.

    Returns:
        `note`, what to read the errors as, and `means`, the mean accuracies that a column shows at one timestep to
        choose: `timesteps`, and `cells`, by the number of the row, the last of them the mean over all corruptions.
        Both are empty for other tables.
    """
    divided = rows[rows["metric"].isin([mean.metric for mean in CORRUPTION_MEANS]) & rows["baseline"].notna()]
    of_severities = rows[rows["kind"].isin(CORRUPTED) & (rows["metric"] == "accuracy") & rows["severity"].notna()]
    if table.mean is None or not len(divided) or not len(of_severities):
        return {"note": "", "means": None}
    each = of_severities.groupby(["name", "timestep"], observed=True)["value"].mean().unstack("timestep")
    each = each.set_axis([words(str(name)) for name in each.index]).reindex([row.name for row in table.rows])
    each.loc[table.mean.name] = each.mean()
    cells = {
        f"{number}-mean": [(short(in_percent(value), 1), "") for value in of_row]
        for number, of_row in enumerate(each.to_numpy())
    }
    baseline = divided["baseline"].iloc[0]
    note = (
        f"100 % is as many errors as {baseline} makes, so a large number marks a corruption under which {baseline} "
        "errs little, and not one that is hard. The mean accuracy says how hard a corruption is."
    )
    return {"note": note, "means": {"timesteps": [int(t) for t in each.columns], "cells": cells}}


def heat_map_tables(parts: Sequence[pd.DataFrame], labels: Sequence[str], links: Links) -> Iterator[dict[str, Any]]:
    """Yield, for each run, the success of images made against one timestep at every other."""
    for number, rows in enumerate(parts):
        for chart in heat_maps(rows):
            stem = f"{chart.suite}-{chart.name}"
            linked = links.table(number, stem, [cell.row for cell in chart.cells])
            for panel in chart.panels:
                attacked, scored, _ = matrix(panel)
                yield {
                    "run": number,
                    "title": f"Transfer between the timesteps of {labels[number]}: {panel.title}",
                    "caption": chart.caption,
                    "scored": scored,
                    "rows": [(timestep, panel.rows[timestep]) for timestep in attacked],
                    "links": linked,
                }


def severity_grids(parts: Sequence[pd.DataFrame], labels: Sequence[str], links: Links) -> Iterator[dict[str, Any]]:
    """Yield, for each run, accuracy by corruption and severity, at every timestep to choose from."""
    for number, part in enumerate(parts):
        rows = part[part["kind"].isin(CORRUPTED) & (part["metric"] == "accuracy") & part["severity"].notna()]
        if not len(rows):
            continue
        names, timesteps = in_order(rows["name"]), sorted({int(t) for t in rows["timestep"]})
        cells: dict[str, list[tuple[float, str] | None]] = {}
        for _, row in rows.iterrows():
            found, where = entry(row), f"{names.index(str(row['name']))}-{int(row['severity'])}"
            of_cell = cells.setdefault(where, [None] * len(timesteps))
            of_cell[timesteps.index(found.timestep)] = (short(found.value, 1), found.interval)
        yield {
            "run": number,
            "title": f"Accuracy of {labels[number]} by corruption and severity, in %{marks_title(rows)}",
            "severities": sorted(int(severity) for severity in rows["severity"].unique()),
            "names": [words(name) for name in names],
            "drawn": {"timesteps": timesteps, "cells": cells},
            "links": links.table(number, f"{rows['suite'].iloc[0]}-accuracy-by-severity", rows.index),
        }
