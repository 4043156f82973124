"""One sortable page of all runs below a folder: networks and timesteps, from their manifests and tables alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.arguments import public
from pcbench.errors import UsageError
from pcbench.files import UNFINISHED, try_folder
from pcbench.metrics.lost_gradients import lost_gradient_reasons
from pcbench.metrics.shown import own_timestep, telling_epsilon
from pcbench.norms import epsilon_text
from pcbench.percent import interval, percent
from pcbench.reports.charts import texts
from pcbench.reports.page.page import write_values
from pcbench.results.directory import MANIFEST, PAGE, Run, open_run
from pcbench.results.metrics_table import read_metrics
from pcbench.results.verdicts import Verdicts, read_verdicts

_WORST = "worst_case"
_NONE = {"value": -1, "number": "", "interval": ""}
"""A number that a run does not have; it is sorted below all others."""


@dataclass(frozen=True)
class _Published:
    run: Run
    metrics: pd.DataFrame
    """Of `metrics.csv`."""
    verdicts: Verdicts


@public()
def write_leaderboard(results: Path, out: Path) -> Path:
    """Write a page with a row for each run, suite and timestep below a folder.

    Args:
        results: The folder. Of a run only the manifest, `metrics.csv` and `checks.json` are read.
        out: The page.

    Returns:
        `out`.

    Raises:
        UsageError: There is no finished run, or the page cannot be written there.
        DataError: A manifest or a table is damaged.
        WriteError: The page could not be written after all.
    """
    published = list(_published(results))
    if not published:
        raise UsageError(f"{results}: holds no finished run (a folder with {MANIFEST}); give another folder")
    try_folder(out.parent, "give another with `--out`")
    budgets = {suite: _budget(suite, published) for suite in _suites(published)}
    rows = [row for one in published for row in _rows(one, budgets, out.parent)]
    return write_values("leaderboard.html", {"title": "Leaderboard", "rows": rows, "figures": []}, out)


def _published(results: Path) -> Iterator[_Published]:
    for manifest in sorted(results.rglob(MANIFEST)):
        folder = manifest.parent
        if any(part.endswith(UNFINISHED) for part in folder.parts):
            continue
        run = open_run(folder, verify=False)
        if run.spec.settings.grid.swept:  # each of its settings is a run of its own, below it
            continue
        metrics = read_metrics(folder / "metrics.csv")
        attacked = metrics[metrics["kind"] == "attack"][["suite", "timestep"]].drop_duplicates()
        warnings = {
            (str(suite), int(t)): lost_gradient_reasons(metrics, str(suite), int(t))
            for suite, t in zip(attacked["suite"], attacked["timestep"], strict=True)
        }
        entries = {(entry.suite, entry.timestep): entry for entry in read_verdicts(folder)}
        yield _Published(run, metrics, Verdicts(entries, warnings))


def _suites(published: Sequence[_Published]) -> list[str]:
    return list(dict.fromkeys(suite for one in published for suite in texts(one.metrics["suite"])))


def _robust(metrics: pd.DataFrame, suite: str) -> pd.DataFrame:
    """Return the robust accuracies of a suite under its worst case, or under its one attack, at the timestep attacked.

    Where a suite has several attacks and no worst case, the first one is taken, and named.
    """
    rows = metrics[(metrics["suite"] == suite) & (metrics["kind"] == "attack") & (metrics["epsilon"] > 0)]
    rows = own_timestep(rows[rows["metric"] == "robust_accuracy"])
    names = texts(rows["name"])
    return rows[rows["name"] == (_WORST if _WORST in names else names[0])] if names else rows


def _budget(suite: str, published: Sequence[_Published]) -> float | None:
    """Return the ε at which a suite is shown for all runs: the one that breaks nearest to half of the images."""
    tables = [rows for one in published if len(rows := _robust(one.metrics, suite))]
    of_runs = [{float(epsilon) for epsilon in rows["epsilon"]} for rows in tables]
    budgets = sorted(of_runs[0].intersection(*of_runs)) if of_runs else []
    if not budgets:
        return None
    rates = pd.concat(
        [1 - rows.pivot_table(index="timestep", columns="epsilon", values="value")[budgets] for rows in tables]
    )
    return telling_epsilon(budgets, rates.to_numpy())


def _rows(one: _Published, budgets: Mapping[str, float | None], folder: Path) -> Iterator[dict[str, Any]]:
    page = one.run.folder / "report" / PAGE
    common = {
        "network": str(one.run.spec.model["name"]),
        "page": Path(os.path.relpath(page, folder)).as_posix() if page.is_file() else "",
    }
    data = one.run.spec.data
    for suite in texts(one.metrics["suite"]):
        rows = one.metrics[one.metrics["suite"] == suite]
        for timestep in sorted({int(t) for t in rows["timestep"]}):
            at = rows[rows["timestep"] == timestep]
            clean = at[(at["kind"] == "clean") & (at["metric"] == "accuracy")]
            images = int(clean["n"].iloc[0]) if len(clean) else 0
            yield {
                **common,
                "suite": suite,
                "timestep": timestep,
                "images": f"{images} of {data.name}, {data.split} ({data.fingerprint[:8]})",
                "clean": _cell(clean),
                "corrupted": _cell(_pooled(at, "accuracy")),
                "robust": _robust_cell(one, suite, timestep, budgets[suite]),
                "mce": _mce_cell(at),
                "ece": _cell(at[(at["kind"] == "clean") & (at["metric"] == "expected_calibration_error")]),
            }


def _pooled(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    return rows[(rows["kind"] == "summary") & (rows["metric"] == metric) & rows["severity"].isna()]


def _cell(rows: pd.DataFrame) -> dict[str, Any]:
    if not len(rows):
        return _NONE
    value, low, high = (float(rows[name].iloc[0]) for name in ("value", "ci_low", "ci_high"))
    return {"value": value, "number": percent(value), "interval": interval(low, high)}


def _mce_cell(rows: pd.DataFrame) -> dict[str, Any]:
    found = _pooled(rows, "mean_corruption_error")
    if not len(found):
        return _NONE
    cell = _cell(found)
    return {**cell, "interval": f"{cell['interval']} by {found['baseline'].iloc[0]}"}


def _robust_cell(one: _Published, suite: str, timestep: int, budget: float | None) -> dict[str, Any]:
    rows = _robust(one.metrics, suite)
    rows = rows[(rows["timestep"] == timestep) & (rows["epsilon"] == budget)] if budget is not None else rows[:0]
    if not len(rows):
        return {**_NONE, "verdict": ""}
    first = rows.iloc[0]
    attack = "" if first["name"] == _WORST else f"{first['name']}, "
    verdict = one.verdicts.words(suite, [timestep])
    return {**_cell(rows), "verdict": f"{attack}ε = {epsilon_text(float(budget or 0), str(first['norm']))}, {verdict}"}
