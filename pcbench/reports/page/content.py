"""What a page shows, as plain values: everything is taken from the folders of finished runs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pcbench.comparison.answer import Answer, answers
from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import DataError
from pcbench.names import words
from pcbench.reports.charts import Chart, Panel, joined_verdicts, texts
from pcbench.reports.figures import charts_of
from pcbench.reports.page.compared import comparisons
from pcbench.reports.page.drawn import RUN_COLOURS, figure_values
from pcbench.reports.page.evidence import convergence, judged_by, told_comparisons
from pcbench.reports.page.examples import shown_examples
from pcbench.reports.page.facts import (
    doubts,
    facts,
    growth,
    known_suites,
    qualifiers,
    run_line,
    shown_verdicts,
    threats,
)
from pcbench.reports.page.headline import headline, settings_headline
from pcbench.reports.page.links import Links, TablesBeside, comparing_command
from pcbench.reports.page.pictures import ROOM
from pcbench.reports.page.tables import heat_map_tables, matrix_tables, severity_grids
from pcbench.reports.run_labels import run_labels
from pcbench.reports.settings_charts import BySetting
from pcbench.results.directory import Run, alone, is_warning
from pcbench.results.verdicts import ShownVerdict, Verdicts, read_verdicts

_CHANGE = "change-"
"""What the names of charts begin with that show the change since t = 0."""


@dataclasses.dataclass(frozen=True)
class PageContent:
    """What a page shows, and the tables that lie beside it."""

    values: dict[str, Any]
    """Everything that the template and the script need."""
    tables: TablesBeside
    """The numbers of each figure and table."""


def page_content(
    runs: Sequence[Run], beside: Collection[str] = (), *, tabled: bool = False, folder: Path | None = None
) -> PageContent:
    """Return everything that a page of runs needs.

    Args:
        runs: Finished runs.
        beside: The names of the drawn figures that lie beside the page, with ``/`` between folders.
        tabled: Whether the tables will lie beside the page as well.
        folder: Where the page will lie, for links into the folder of a run; None where that is not known.

    Raises:
        DataError: A table or a picture of a run is damaged, or the table of metrics has no rows.
        UsageError: One of several runs has several settings of hyperparameters.
    """
    links = Links(runs, beside, tabled=tabled)
    if len(runs) == 1 and runs[0].spec.settings.grid.swept:
        return PageContent(_by_setting(runs[0], links), links.tables)
    labels = run_labels([alone(run) for run in runs])
    tables, verdicts = [run.metrics for run in runs], [verdicts_of(run) for run in runs]
    timesteps = sorted({int(t) for table in tables for t in table["timestep"]})
    if not timesteps:
        raise DataError(f"{runs[0].folder}: its table of metrics has no rows to show; run it again")
    suites = list(dict.fromkeys(suite for table in tables for suite in texts(table["suite"])))
    values = {
        "title": f"Robustness of {' and '.join(dict.fromkeys(str(run.spec.model['name']) for run in runs))}",
        "runs": [
            _run(number, run, label, timesteps) | shown_examples(run, ROOM // len(runs), folder)
            for number, (run, label) in enumerate(zip(runs, labels, strict=True))
        ],
        "compared": comparisons(runs, labels),
        "suites": [_suite(suite, runs, labels, verdicts, links) for suite in suites],
        **_common(timesteps, len(runs)),
    }
    return PageContent(values, links.tables)


def _common(timesteps: list[int], runs: int) -> dict[str, Any]:
    """Return what the script needs besides figures."""
    return {
        "timesteps": timesteps,
        "chosen": timesteps[-1],
        "colours": [RUN_COLOURS[number % len(RUN_COLOURS)] for number in range(runs)],
    }


def _suite(
    suite: str, runs: Sequence[Run], labels: Sequence[str], verdicts: Sequence[Verdicts], links: Links
) -> dict[str, Any]:
    parts = [metrics[metrics["suite"] == suite] for metrics in (run.metrics for run in runs)]
    drawn = [[chart for chart in charts_of(run) if chart.suite == suite] for run in runs]
    figures = _figures(drawn, labels, _qualified(parts, verdicts, labels), links)
    return {
        "name": suite,
        "changes": [figure for figure in figures if figure["name"].startswith(_CHANGE)],
        "figures": [figure for figure in figures if not figure["name"].startswith(_CHANGE)],
        "matrices": list(matrix_tables(parts, labels, verdicts, links)),
        "heat_maps": list(heat_map_tables(parts, labels, links)),
        "severity_grids": list(severity_grids(parts, labels, links)),
    }


def _by_setting(run: Run, links: Links) -> dict[str, Any]:
    """Return the content of the page of a run with several settings of hyperparameters."""
    shown = BySetting(run)
    timesteps = sorted({int(t) for t in run.metrics["timestep"]})
    verdicts = [
        verdict.model_copy(update={"suite": f"{setting.label}, {verdict.suite}"})
        for setting, one in zip(run.spec.settings.grid.settings, run.setting_runs, strict=True)
        for verdict in read_verdicts(one.folder)
    ]
    told = {**_told(0, run, shown.model), "headline": settings_headline(shown)}
    told |= _judged(shown_verdicts(verdicts, Verdicts()))
    return {
        "title": f"Robustness of {shown.model} by {' and '.join(map(words, shown.names))}",
        "runs": [told],
        "compared": [],
        "suites": [
            {
                "name": suite,
                "changes": [],
                "figures": [_figure([(0, chart)], chart, links, "") for chart in shown.charts(suite)],
                "matrices": [links.matrix(0, table) | {"note": "", "means": None} for table in shown.matrices(suite)],
                "severity_grids": [],
                "heat_maps": [],
            }
            for suite in shown.suites
        ],
        **_common(timesteps, 1),
    }


def _run(number: int, run: Run, label: str, timesteps: list[int]) -> dict[str, Any]:
    verdicts, found = verdicts_of(run), answers(run)
    return {
        **_told(number, run, label),
        "answers": [_answer(one) for one in found],
        "doubts": doubts(run.metrics, found, verdicts),
        "headline": _sentences(run, timesteps),
        "compare": comparing_command(run) if any(one.row is not None for one in found) else "",
        **_judged(shown_verdicts(read_verdicts(run.folder), verdicts)),
    }


def _judged(verdicts: Sequence[ShownVerdict]) -> dict[str, Any]:
    """Return the verdicts on attacks and what they rest on."""
    return {
        "verdicts": verdicts,
        "evidence": told_comparisons(verdicts),
        "told": [(judged_by(one), convergence(one)) for one in verdicts],
    }


def _answer(one: Answer) -> dict[str, str]:
    """Return an answer as a page shows it: the word that decides, and the rest of its sentence."""
    word = one.decision.capitalize()
    if not one.text.startswith(word):
        word = ""
    return {"word": word, "rest": one.text.removeprefix(word)}


def _sentences(run: Run, timesteps: list[int]) -> list[tuple[int, str]]:
    """Return what a run is told in, also at timesteps that only other runs of the page have."""
    found = headline(run)
    told = {timestep for timestep, _ in found}
    last = max(told, default=0)
    absent = [timestep for timestep in timesteps if timestep not in told]
    return [*found, *((timestep, f"Nothing at t = {timestep}: this run ends at t = {last}.") for timestep in absent)]


def _told(number: int, run: Run, label: str) -> dict[str, Any]:
    """Return what is told of every run."""
    return {
        "number": number,
        "label": label,
        "line": run_line(run),
        "answers": [],
        "compare": "",
        "doubts": "",
        "warnings": [note for note in run.manifest.get("notes", []) if is_warning(note)],
        "facts": facts(run),
        "threats": threats(run.metrics, known_suites(run)),
        "versions": run.spec.versions,
        "growth": growth(run),
        "examples": [],
        "examples_notes": [],
    }


def _figures(
    drawn: Sequence[Sequence[Chart]], labels: Sequence[str], qualified: str, links: Links
) -> list[dict[str, Any]]:
    """Return the figures of one suite, each with the panels of all runs.

    Args:
        drawn: The charts of each run.
        labels: The runs' names.
        qualified: What the suite's attacks know of the models, and the verdicts on them.
        links: The files beside the page.
    """
    of_name: defaultdict[str, list[tuple[int, Chart]]] = defaultdict(list)
    for number, of_run in enumerate(drawn):
        for chart in _merged(of_run):
            of_name[chart.name].append((number, chart))
    figures: list[dict[str, Any]] = []
    for of_runs in of_name.values():
        said = [(labels[number], chart.verdict) for number, chart in of_runs]
        believed = dataclasses.replace(of_runs[0][1], verdict=joined_verdicts(said))
        attacks = believed.norm is not None
        figures.append(_figure(of_runs, believed, links, qualified if attacks else ""))
    return figures


def _qualified(parts: Sequence[pd.DataFrame], verdicts: Sequence[Verdicts], labels: Sequence[str]) -> str:
    """Return what the attacks of a suite know of each model, and the verdicts on their gradients, in one line."""
    lines: list[str] = []
    for rows, known, label in zip(parts, verdicts, labels, strict=True):
        knows: dict[str, list[str]] = {}
        timesteps: set[int] = set()
        for attack in qualifiers(rows, known).values():
            knows.setdefault(attack["knows"], []).append(attack["title"])
            timesteps |= attack["marks"].keys()
        if knows:
            of_attacks = "; ".join(f"{', '.join(dict.fromkeys(names))}: {how}" for how, names in knows.items())
            verdict = known.words(str(rows["suite"].iloc[0]), sorted(timesteps, reverse=True))
            lines.append(f"{f'{label}: ' * (len(parts) > 1)}{of_attacks} ({verdict}). ")
    return "".join(lines).strip()


def _figure(of_runs: Sequence[tuple[int, Chart]], chart: Chart, links: Links, qualifier: str) -> dict[str, Any]:
    values = figure_values([(number, one) for number, one in of_runs])
    return {
        "name": chart.name,
        "title": chart.plain_title,
        "caption": chart.page_caption,
        "qualifier": qualifier,
        "panels": [panel["title"] for panel in values["panels"]],
        "drawn": {**values, "title": chart.plain_title},
        **links.figure(of_runs),
    }


def _merged(of_suite: Sequence[Chart]) -> Iterator[Chart]:
    """Return the charts, those of single corruptions together with that of their mean, to choose from."""
    details = {chart.details_of: chart for chart in of_suite if chart.details_of is not None}
    for chart in of_suite:
        single = details.get(chart.name)
        if single is not None:
            mean = Panel("mean over all corruptions", chart.panels[0].lines)
            yield dataclasses.replace(single, name=chart.name, panels=(mean, *single.panels[1:]), details_of=None)
        elif chart.details_of is None:
            yield chart
