"""What a page shows, as plain values: everything is taken from the folders of finished runs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd

from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import DataError
from pcbench.metrics.marks import tuned_title
from pcbench.names import attack_title, words
from pcbench.norms import epsilon_scale, epsilon_text, norm_symbol
from pcbench.reports.charts import Chart, Panel, in_order, joined_verdicts, texts
from pcbench.reports.figures import charts
from pcbench.reports.heat_maps import heat_maps, matrix
from pcbench.reports.matrices import Entry, entry, matrices
from pcbench.reports.page.examples import data_uri, read_examples
from pcbench.reports.page.headline import headline, settings_headline
from pcbench.reports.run_labels import run_labels
from pcbench.reports.settings_charts import BySetting
from pcbench.reports.style import line_colours
from pcbench.results.conditions import CORRUPTED
from pcbench.results.directory import Run, alone, is_warning
from pcbench.results.divisor import divisors_in
from pcbench.results.verdicts import Verdicts, read_verdicts


def page_content(runs: list[Run]) -> dict[str, Any]:
    """Return everything that the page's template and script need.

    Raises:
        DataError: A table of a run is damaged, or has no rows.
        UsageError: One of several runs has several settings of hyperparameters.
    """
    if len(runs) == 1 and runs[0].spec.settings.grid.swept:
        return _by_setting(runs[0])
    labels = run_labels([alone(run) for run in runs])
    tables, verdicts = [run.metrics for run in runs], [verdicts_of(run) for run in runs]
    suites = list(dict.fromkeys(suite for table in tables for suite in texts(table["suite"])))
    timesteps = sorted({int(t) for table in tables for t in table["timestep"]})
    if not timesteps:
        raise DataError(f"{runs[0].folder}: its table of metrics has no rows to show; run it again")
    return {
        "title": f"Robustness of {' and '.join(dict.fromkeys(str(run.spec.model['name']) for run in runs))}",
        "timesteps": timesteps,
        "chosen": timesteps[-1],
        "runs": [
            _run(number, run, label, timesteps) for number, (run, label) in enumerate(zip(runs, labels, strict=True))
        ],
        "suites": [
            {
                "name": suite,
                "figures": _figures(suite, tables, labels, verdicts),
                "matrices": _matrices(suite, tables, labels, verdicts),
                "severity_grids": list(_severity_grids(suite, tables, labels)),
                "heat_maps": list(_heat_maps(suite, tables, labels)),
            }
            for suite in suites
        ],
    }


def _by_setting(run: Run) -> dict[str, Any]:
    """Return the content of the page of a run with several settings of hyperparameters."""
    shown = BySetting(run)
    timesteps = sorted({int(t) for t in run.metrics["timestep"]})
    verdicts = [
        verdict.model_copy(update={"suite": f"{setting.label}, {verdict.suite}"})
        for setting, one in zip(run.spec.settings.grid.settings, run.setting_runs, strict=True)
        for verdict in read_verdicts(one.folder)
    ]
    return {
        "title": f"Robustness of {shown.model} by {' and '.join(map(words, shown.names))}",
        "timesteps": timesteps,
        "chosen": timesteps[-1],
        "runs": [{**_told(0, run, shown.model), "headline": settings_headline(shown), "verdicts": verdicts}],
        "suites": [
            {
                "name": suite,
                "figures": [_figure_of_one(chart) for chart in shown.charts(suite)],
                "matrices": [{"run": 0, "table": table} for table in shown.matrices(suite)],
                "severity_grids": [],
                "heat_maps": [],
            }
            for suite in shown.suites
        ],
    }


def _figure_of_one(chart: Chart) -> dict[str, Any]:
    """Return a figure of a page that shows one run."""
    return {
        **_figure(chart),
        "panels": [panel.title for panel in chart.panels],
        "runs": [{"run": 0, "panels": [dataclasses.asdict(panel) for panel in chart.panels]}],
        "rows": [{"run": 0, **row} for row in chart.table().to_dict("records")],
    }


def _sentences(run: Run, timesteps: list[int]) -> list[tuple[int, str]]:
    """Return what a run is told in, also at timesteps that only other runs of the page have."""
    found = headline(run)
    told = {timestep for timestep, _ in found}
    last = max(told, default=0)
    absent = [timestep for timestep in timesteps if timestep not in told]
    return [*found, *((timestep, f"Nothing at t = {timestep}: this run ends at t = {last}.") for timestep in absent)]


def _run(number: int, run: Run, label: str, timesteps: list[int]) -> dict[str, Any]:
    return {
        **_told(number, run, label),
        "headline": _sentences(run, timesteps),
        "verdicts": read_verdicts(run.folder),
        "examples": [
            {
                "image_id": example.image_id,
                "label": example.label,
                "pictures": [
                    {**picture.model_dump(), "source": data_uri(run.folder, picture)} for picture in example.pictures
                ],
            }
            for example in read_examples(run.folder)
        ],
    }


def _told(number: int, run: Run, label: str) -> dict[str, Any]:
    """Return what is told of every run."""
    return {
        "number": number,
        "label": label,
        "warnings": [note for note in run.manifest.get("notes", []) if is_warning(note)],
        "facts": _facts(run),
        "threats": threats(run.metrics),
        "versions": run.spec.versions,
        "examples": [],
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    """Return what was run, as pairs of a name and a value."""
    spec = run.spec
    facts = [(f"model: {words(name)}", value) for name, value in spec.model.items() if value is not None]
    facts += [
        ("images", f"{spec.data.name}, {spec.data.split}"),
        ("images' fingerprint", spec.data.fingerprint),
        (
            "preprocessing",
            ", ".join(f"{name} {value}" for name, value in spec.data.preprocessing.items() if value is not None),
        ),
    ]
    for suite in spec.suites:
        subset = f", a subset of {spec.data.available}" if suite.subset else ""
        images = run.manifest.get("kept", {}).get(suite.name, suite.images)
        facts.append((f"suite {suite.name}", f"version {suite.version}, {images} images{subset}"))
    facts += [(words(name), value) for name, value in spec.settings.model_dump().items() if value is not None]
    facts += [("key of the run", run.key), ("started", run.manifest.get("started", "")), ("took", _took(run))]
    facts += [("note", note) for note in run.manifest.get("notes", [])]
    undivided = {name: found.reason for name, found in (divisors_in(run) or {}).items() if found.reason is not None}
    facts += [("note", f"{name}: no CE or mCE: {reason}") for name, reason in undivided.items()]
    facts += [("missing", f"{entry['condition']}, {entry['images']}: {entry['reason']}") for entry in run.missing]
    if spec.settings.hyperparameters is not None:
        facts = [(name, value) for name, value in facts if name != "hyperparameters"]
        facts.append(("hyperparameters", "; ".join(spec.settings.hyperparameters)))
    plain: dict[Any, str] = {True: "yes", False: "no"}
    return [
        (str(name), plain[value] if isinstance(value, bool) else str(value)) for name, value in facts if value != ""
    ]


def _took(run: Run) -> str:
    seconds = run.manifest.get("seconds")
    return "" if seconds is None else f"{seconds} s"


def threats(metrics: pd.DataFrame) -> list[str]:
    """Return one line for each attack: what it may do, to what, how much."""
    lines: list[str] = []
    attacks = metrics[metrics["kind"] == "attack"]
    for (suite, name, norm), part in attacks.groupby(["suite", "name", "norm"], sort=False, observed=True):
        aims = "targeted" if part["targeted"].fillna(False).any() else "untargeted"
        gradients = " and ".join(words(gradient) for gradient in texts(part["gradient"].dropna()))
        budgets = ", ".join(
            epsilon_text(float(value), str(norm)) for value in sorted(part["epsilon"].dropna().unique())
        )
        knows = f"white-box, {gradients} gradient" if gradients else "black-box"
        sign = norm_symbol(str(norm))
        lines.append(f"{suite}, {attack_title(name)}: {knows}, {aims}, {sign}, ε = {budgets}")
    return lines


def _figures(
    suite: str, tables: list[pd.DataFrame], labels: list[str], verdicts: list[Verdicts]
) -> list[dict[str, Any]]:
    """Return the figures of one suite, each with the panels of all runs."""
    figures: dict[str, dict[str, Any]] = {}
    parts = [table[table["suite"] == suite] for table in tables]
    of_runs = [list(_merged(charts(rows, known))) for rows, known in zip(parts, verdicts, strict=True)]
    said: defaultdict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for label, of_run in zip(labels, of_runs, strict=True):
        for chart in of_run:
            said[chart.name].append((label, chart.verdict))
    for number, of_run in enumerate(of_runs):
        for chart in of_run:
            believed = dataclasses.replace(chart, verdict=joined_verdicts(said[chart.name]))
            figure = figures.setdefault(chart.name, _figure(believed))
            figure["runs"].append({"run": number, "panels": [dataclasses.asdict(panel) for panel in chart.panels]})
            figure["panels"] = list(dict.fromkeys([*figure["panels"], *(panel.title for panel in chart.panels)]))
            figure["rows"] += [{"run": number, **row} for row in chart.table().to_dict("records")]
    return list(figures.values())


def _figure(chart: Chart) -> dict[str, Any]:
    most = max(chart.panels, key=lambda panel: len(panel.lines))
    of_chart = dataclasses.asdict(chart)
    of_chart.pop("panels")
    title = chart.plain_title
    return {
        **of_chart,
        "title": title,
        "y_label": chart.y_label,
        "unit": f" {chart.unit}" if chart.unit else "",
        "digits": 1 if chart.in_percent else 3,
        "x_name": chart.x_label if chart.x == "value" else chart.x,
        "x_scale": epsilon_scale(chart.norm) if chart.x == "epsilon" else 1,
        "alt": f"Line chart: {title}. {chart.y_label} against {chart.x_label}"
        + (f", one line for each {chart.legend_title}" if chart.legend_title else "")
        + ". The table below it lists every point.",
        "panels": [],
        "rows": [],
        "runs": [],
        "light": line_colours(chart, most),
        "dark": line_colours(chart, most, dark=True),
    }


def _merged(of_suite: list[Chart]) -> Iterator[Chart]:
    """Return the charts, those of single corruptions together with that of their mean, to choose from."""
    details = {chart.details_of: chart for chart in of_suite if chart.details_of is not None}
    for chart in of_suite:
        single = details.get(chart.name)
        if single is not None:
            mean = Panel("mean over all corruptions", chart.panels[0].lines)
            yield dataclasses.replace(single, name=chart.name, panels=(mean, *single.panels[1:]), details_of=None)
        elif chart.details_of is None:
            yield chart


def _matrices(
    suite: str, tables: list[pd.DataFrame], labels: list[str], verdicts: list[Verdicts]
) -> list[dict[str, Any]]:
    """Return, for each run, its tables with a column for each timestep."""
    return [
        {"run": number, "table": matrix}
        for number, table in enumerate(tables)
        for matrix in matrices(table[table["suite"] == suite], labels[number], verdicts[number])
    ]


def _heat_maps(suite: str, tables: list[pd.DataFrame], labels: list[str]) -> Iterator[dict[str, Any]]:
    """Return, for each run, the success of images made against one timestep at every other."""
    for number, table in enumerate(tables):
        for chart in heat_maps(table[table["suite"] == suite]):
            for panel in chart.panels:
                attacked, scored, _ = matrix(panel)
                yield {
                    "run": number,
                    "title": f"Transfer between the timesteps of {labels[number]}: {panel.title}",
                    "caption": chart.caption,
                    "scored": scored,
                    "rows": [(timestep, panel.rows[timestep]) for timestep in attacked],
                }


def _severity_grids(suite: str, tables: list[pd.DataFrame], labels: list[str]) -> Iterator[dict[str, Any]]:
    """Return, for each run, accuracy by corruption and severity at every timestep."""
    for number, table in enumerate(tables):
        rows = table[(table["suite"] == suite) & table["kind"].isin(CORRUPTED) & (table["metric"] == "accuracy")]
        if len(rows):
            yield {
                "run": number,
                "title": f"Accuracy of {labels[number]} by corruption and severity, in %{tuned_title(rows)}",
                "severities": sorted(int(severity) for severity in rows["severity"].unique()),
                "rows": [
                    {
                        "name": words(name),
                        "cells": [
                            {"severity": int(row["severity"]), **_cell(entry(row))}
                            for _, row in rows[rows["name"] == name].sort_values(["severity", "timestep"]).iterrows()
                        ],
                    }
                    for name in in_order(rows["name"])
                ],
            }


def _cell(shown: Entry) -> dict[str, Any]:
    """Return an entry as the page's script needs it."""
    return {**dataclasses.asdict(shown), "number": shown.number, "interval": shown.interval}
