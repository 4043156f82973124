"""The short table that a run ends with: one line a timestep."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pcbench.metrics.representations import CORRELATION_DISTANCE
from pcbench.metrics.shown import own_timestep, shown_epsilon
from pcbench.norms import epsilon_text
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import Run


def print_summary(run: Run, console: Console | None = None) -> None:
    """Print one short table a suite, and where the run's folder is."""
    console = console or Console()
    metrics = run.metrics
    for suite in run.spec.suites:
        rows = metrics[metrics["suite"] == suite.name]
        columns = _corruption_columns(rows, suite.subset) if suite.kind == "corruptions" else attack_columns(rows)
        what = _what(suite.kind, columns)
        kept = run.manifest.get("kept", {}).get(suite.name, suite.images)
        images = _images(suite.name, kept, suite.subset)
        console.print(_table(f"{run.spec.model['name']} on {images}: {what}, in %", columns, _percent))
        distances = _distance_columns(rows)
        if distances:
            title = f"1 − r between clean and noisy representations, σ = {_middle(rows):.3g}"
            console.print(_table(title, distances, _plain))
        if "mCE*" in columns:
            console.print("* mCE of a subset, not comparable")
    for note in run.manifest.get("notes", []):
        console.print(f"[bold]note:[/bold] {escape(note)}", highlight=False)
    for entry in run.missing:
        what = f"{entry['condition']}, {entry['images']}: {entry['reason']}"
        console.print(f"[bold]missing:[/bold] {escape(what)}", highlight=False, soft_wrap=True)
    done = f"found {run.folder}, computed on {run.manifest['started']}" if run.found else f"wrote {run.folder}"
    console.print(done, highlight=False, markup=False, soft_wrap=True)


def _what(kind: str, columns: dict[str, pd.Series]) -> str:
    if kind == "attacks":
        return "robust accuracy"
    return "accuracy by severity, and mCE" if any(name.startswith("mCE") for name in columns) else "accuracy"


def _images(suite: str, images: int, subset: bool) -> str:
    return f"{suite}, {images} images{', a subset' if subset else ''}"


def _table(title: str, columns: dict[str, pd.Series], form: Callable[[object], str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("t", justify="right")
    for name in columns:
        table.add_column(name, justify="right")
    times = sorted({int(timestep) for series in columns.values() for timestep in series.index})
    for timestep in times:
        table.add_row(str(timestep), *(form(series.get(timestep)) for series in columns.values()))
    return table


def _percent(value: object) -> str:
    return "" if not isinstance(value, int | float) or np.isnan(value) else f"{100 * value:.1f}"


def _plain(value: object) -> str:
    return "" if not isinstance(value, int | float) or np.isnan(value) else f"{value:.3f}"


def _distance_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the correlation distance of every PCoder at the middle one of the noises."""
    distances = rows[rows["metric"].str.fullmatch(rf"{CORRELATION_DISTANCE}_pcoder\d+")]
    shown = distances[distances["epsilon"] == _middle(rows)]
    return {
        metric.removeprefix(f"{CORRELATION_DISTANCE}_").replace("pcoder", "PCoder "): _by_timestep(shown, metric)
        for metric in dict.fromkeys(str(name) for name in shown["metric"])
    }


def _middle(rows: pd.DataFrame) -> float:
    deviations = sorted(float(value) for value in rows["epsilon"].dropna().unique())
    return deviations[len(deviations) // 2] if deviations else float("nan")


def _corruption_columns(rows: pd.DataFrame, subset: bool) -> dict[str, pd.Series]:
    corrupted = rows[rows["kind"].isin(CORRUPTED)]
    columns = {"clean accuracy": _by_timestep(rows[rows["kind"] == "clean"], "accuracy")}
    per_severity = corrupted[(corrupted["metric"] == "accuracy") & corrupted["severity"].notna()]
    for severity, part in per_severity.groupby("severity"):
        deviation = part["epsilon"].iloc[0]
        name = f"severity {int(str(severity))}" if np.isnan(deviation) else f"σ = {deviation:.3g}"
        columns[name] = part.groupby("timestep")["value"].mean()
    columns["mCE*" if subset else "mCE"] = _by_timestep(rows, "mean_corruption_error")
    return {name: series for name, series in columns.items() if len(series)}


def attack_columns(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return, by timestep, the clean accuracy and the robust accuracy under each attack at the ε that is shown."""
    columns = {"clean accuracy": _by_timestep(rows[rows["kind"] == "clean"], "accuracy")}
    robust = (rows["metric"] == "robust_accuracy") & rows["targeted"].ne(other=True)
    reached = (rows["metric"] == "attack_success_rate_within") & rows["targeted"].eq(other=True)
    counted = (robust | reached).fillna(value=False)
    attacks = rows[rows["kind"] == "attack"]
    for (name, norm), part in attacks.groupby(["name", "norm"], observed=True):
        epsilon = shown_epsilon(part)
        shown = own_timestep(part[counted[part.index] & (part["epsilon"] == epsilon)])
        if epsilon is None or shown.empty:
            continue
        goal = "target reached, " if bool(shown["targeted"].iloc[0]) else ""
        columns[f"{goal}{name} ε={epsilon_text(epsilon, str(norm))}"] = shown.set_index("timestep")["value"]
    return columns


def _by_timestep(rows: pd.DataFrame, metric: str) -> pd.Series:
    return rows[rows["metric"] == metric].set_index("timestep")["value"]
