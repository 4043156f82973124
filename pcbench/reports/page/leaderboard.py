"""One sortable page of all runs and studies below a folder: networks and timesteps, from their tables alone."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.arguments import public
from pcbench.errors import UsageError, damage_refused
from pcbench.files import UNFINISHED, try_folder
from pcbench.limits.text import read_bytes
from pcbench.metrics.lost_gradients import lost_gradient_reasons
from pcbench.metrics.shown import own_timestep, telling_epsilon
from pcbench.norms import epsilon_text
from pcbench.percent import interval, percent
from pcbench.reports.charts import texts
from pcbench.reports.page.page import write_values
from pcbench.results.directory import MANIFEST, PAGE, open_run
from pcbench.results.metrics_table import read_metrics
from pcbench.results.run_spec import DataSpec
from pcbench.results.verdicts import NOT_CHECKED, Verdicts, read_verdicts

NETWORKS = "networks.csv"
"""The table of a study's arms: `board_rows` of each, over its training seeds."""
STUDY_TABLES = "tables"
"""The folder of the tables in that of a study that is not published."""
_WORST = "worst_case"
_ECE, _MCE = "expected_calibration_error", "mean_corruption_error"
_NONE = {"value": -1, "number": "", "interval": ""}
"""A number that a run does not have; it is sorted below all others."""


@dataclass(frozen=True)
class _Published:
    network: str
    """What its rows are called."""
    data: str
    """The images, in words."""
    metrics: pd.DataFrame
    """Of `metrics.csv`, or its part that `board_rows` returns."""
    words: Callable[[str, int], str]
    """The verdict on the attacks of a suite on a timestep."""
    page: Path | None


@public()
def write_leaderboard(results: Path, out: Path) -> Path:
    """Write a page with a row for each run, or each arm of a published study, at each suite and timestep.

    Args:
        results: The folder. Of a run only the manifest, `metrics.csv` and `checks.json` are read, of a study
            `networks.csv`, and not the runs beside it.
        out: The page.

    Returns:
        `out`.

    Raises:
        UsageError: There is no finished run and no study, or the page cannot be written there.
        DataError: A manifest or a table is damaged.
        WriteError: The page could not be written after all.
    """
    studies = {_folder_of_study(path): path for path in sorted(results.rglob(NETWORKS))}
    shown = _shown_once(studies.values())
    arms = [one for folder, path in studies.items() if path in shown for one in _arms(folder, path)]
    published = [*_runs(results, studies), *arms]
    if not published:
        raise UsageError(
            f"{results}: holds no finished run (a folder with {MANIFEST}) and no study (one with {NETWORKS}); "
            "give another folder"
        )
    try_folder(out.parent, "give another with `--out`")
    budgets = {suite: _budget(suite, published) for suite in _suites(published)}
    rows = [row for one in published for row in _rows(one, budgets, out.parent)]
    return write_values("leaderboard.html", {"title": "Leaderboard", "rows": rows, "figures": []}, out)


def board_rows(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the tidy table that a leaderboard shows: accuracies, mCE, and the ECE of clean images."""
    clean = (metrics["kind"] == "clean") & metrics["metric"].isin(["accuracy", _ECE])
    pooled = (metrics["kind"] == "summary") & metrics["metric"].isin(["accuracy", _MCE]) & metrics["severity"].isna()
    robust = [_robust(metrics, suite) for suite in texts(metrics["suite"])]
    return pd.concat([metrics[clean | pooled], *robust])


def _shown_once(tables: Iterable[Path]) -> set[Path]:
    """Leave out a study that was also published below the same folder: it is shown as it was published."""
    last = sorted(tables, key=lambda path: path.parent.name != STUDY_TABLES)
    return set({read_bytes(path): path for path in last}.values())


def _folder_of_study(path: Path) -> Path:
    return path.parent.parent if path.parent.name == STUDY_TABLES else path.parent


def _runs(results: Path, studies: Mapping[Path, Path]) -> Iterator[_Published]:
    for manifest in sorted(results.rglob(MANIFEST)):
        folder = manifest.parent
        if any(part.endswith(UNFINISHED) for part in folder.parts) or any(above in studies for above in folder.parents):
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
        page = folder / "report" / PAGE
        yield _Published(
            str(run.spec.model["name"]),
            images_text(run.spec.data),
            metrics,
            partial(_words_of, Verdicts(entries, warnings)),
            page if page.is_file() else None,
        )


def images_text(data: DataSpec) -> str:
    """Return which images were measured, in words."""
    return f"{data.name}, {data.split} ({data.fingerprint[:8]})"


def _words_of(verdicts: Verdicts, suite: str, timestep: int) -> str:
    return verdicts.words(suite, [timestep])


def _arms(folder: Path, path: Path) -> list[_Published]:
    """Return the arms of a study, with its page: in its own folder, or where published pages are."""
    pages = (folder / "report" / PAGE, folder.parent.parent / "reports" / folder.name / PAGE)
    page = next((one for one in pages if one.is_file()), None)
    with damage_refused(path, "is damaged", "make it anew with pcbench study report", pd.errors.ParserError):
        table = pd.read_csv(io.StringIO(read_bytes(path).decode()), dtype={"baseline": str, "norm": str, "name": str})
        return [
            _Published(
                str(network),
                str(data),
                rows.assign(severity=float("nan"), attacked_timestep=float("nan")),
                partial(_kept_words, _gradients(rows)),
                page,
            )
            for (network, data), rows in table.groupby(["network", "data"], sort=False)
        ]


def _gradients(rows: pd.DataFrame) -> dict[tuple[str, int], str]:
    attacked = rows[rows["kind"] == "attack"]
    return {(str(row["suite"]), int(row["timestep"])): str(row["gradients"]) for _, row in attacked.iterrows()}


def _kept_words(verdicts: Mapping[tuple[str, int], str], suite: str, timestep: int) -> str:
    return verdicts.get((suite, timestep), NOT_CHECKED)


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
    page = "" if one.page is None else Path(os.path.relpath(one.page, folder)).as_posix()
    common = {"network": one.network, "page": page}
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
                "images": f"{images} of {one.data}",
                "clean": _cell(clean),
                "corrupted": _cell(_pooled(at, "accuracy")),
                "robust": _robust_cell(one, suite, timestep, budgets[suite]),
                "mce": _mce_cell(at),
                "ece": _cell(at[(at["kind"] == "clean") & (at["metric"] == _ECE)]),
            }


def _pooled(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    return rows[(rows["kind"] == "summary") & (rows["metric"] == metric) & rows["severity"].isna()]


def _cell(rows: pd.DataFrame) -> dict[str, Any]:
    if not len(rows):
        return _NONE
    value, low, high = (float(rows[name].iloc[0]) for name in ("value", "ci_low", "ci_high"))
    return {"value": value, "number": percent(value), "interval": interval(low, high)}


def _mce_cell(rows: pd.DataFrame) -> dict[str, Any]:
    found = _pooled(rows, _MCE)
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
    verdict = one.words(suite, timestep)
    return {**_cell(rows), "verdict": f"{attack}ε = {epsilon_text(float(budget or 0), str(first['norm']))}, {verdict}"}
