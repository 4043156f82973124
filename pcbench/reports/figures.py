"""The figures of a run as files for papers: SVG, PDF and PNG."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from pcbench.comparison.scored import SeenRun, seen_run
from pcbench.comparison.verdicts import verdicts_of
from pcbench.errors import UnknownNameError, UsageError
from pcbench.files import try_folder
from pcbench.metrics.marks import marks_title
from pcbench.names import file_name
from pcbench.reports.attack_charts import attack_charts
from pcbench.reports.change_charts import AT_EACH, CHANGE_BY, change_charts
from pcbench.reports.charts import Chart, joined_verdicts, texts
from pcbench.reports.corruption_charts import corruption_charts
from pcbench.reports.drawing import draw
from pcbench.reports.heat_maps import HeatMap, draw_heat_map, heat_maps
from pcbench.reports.noise_charts import noise_charts
from pcbench.reports.run_labels import run_labels
from pcbench.reports.settings_charts import BySetting
from pcbench.reports.style import FIGURE_FORMATS, Width, save, style
from pcbench.results.directory import Run
from pcbench.results.verdicts import Verdicts

FigureChoice = Literal["page", "all"]
"""Which figures a report has as files: those that a page links first, or all."""
_SUMMING_UP = ("accuracy", "accuracy-under-noise", "corruption-error")
_FAMILIES_OF_NAMES = ("change-", "robust-accuracy-by-epsilon", "correlation-distance", "reconstruction-error")


def charts_of(run: Run) -> list[Chart]:
    """Return all charts of lines that a run gives; files and page ask for those of the same runs."""
    return list(_charts_of(seen_run(run)))


@functools.lru_cache(maxsize=4)
def _charts_of(seen: SeenRun) -> tuple[Chart, ...]:
    return tuple(charts(seen.run.metrics, verdicts_of(seen.run)))


def charts(metrics: pd.DataFrame, verdicts: Verdicts) -> list[Chart]:
    """Return all charts that a table of metrics gives, model by model and suite by suite.

    Args:
        metrics: The tidy table.
        verdicts: What is known of the attacks in it.
    """
    return list(_charts(metrics, verdicts))


def _charts(metrics: pd.DataFrame, verdicts: Verdicts) -> Iterator[Chart]:
    for model in texts(metrics["model"]):
        of_model = metrics[metrics["model"] == model]
        for suite in texts(of_model["suite"]):
            rows = of_model[of_model["suite"] == suite]
            tuned = marks_title(rows)
            of_suite = (change_charts(rows, verdicts), corruption_charts(rows), noise_charts(rows))
            for chart in itertools.chain(*of_suite, attack_charts(rows, verdicts)):
                yield dataclasses.replace(chart, where=chart.where + tuned)


def matrices_of_transfer(metrics: pd.DataFrame) -> list[HeatMap]:
    """Return all heat maps that a table of metrics gives, model by model and suite by suite."""
    return [
        chart for _, rows in metrics.groupby(["model", "suite"], sort=False, observed=True) for chart in heat_maps(rows)
    ]


def run_charts(run: Run) -> list[Chart | HeatMap]:
    """Return all figures of a run; where it has several settings of hyperparameters, those by setting."""
    if run.spec.settings.grid.swept:
        shown = BySetting(run)
        return [chart for suite in shown.suites for chart in shown.charts(suite)]
    return [*charts_of(run), *matrices_of_transfer(run.metrics)]


def figure_names(run: Run) -> list[str]:
    """Return the names of all figures of a run, `<suite>-<name>`, those that answer what timesteps do first."""
    return [_full_name(chart) for chart in run_charts(run)]


def drawn_charts(run: Run, drawn: FigureChoice) -> list[Chart | HeatMap]:
    """Return the figures of a run that become files: for a page those that sum up, and not those of many panels.

    Nor those that the page shows with a panel for each corruption: a file of their mean alone would be another figure.
    """
    found = run_charts(run)
    if drawn == "all" or run.spec.settings.grid.swept:
        return found
    detailed = {chart.details_of for chart in found if isinstance(chart, Chart)}
    told = {chart.name.replace(AT_EACH, CHANGE_BY) for chart in found if chart.name.startswith(AT_EACH)}
    summing_up = (one for one in found if one.name in _SUMMING_UP or one.name.startswith(_FAMILIES_OF_NAMES))
    return [chart for chart in summing_up if chart.name not in told | detailed]


def write_charts(drawn: Sequence[Chart | HeatMap], folder: Path) -> list[Path]:
    """Write figures of a run as SVG, PDF and PNG; the same run gives the same bytes.

    Args:
        drawn: The figures.
        folder: Where the files go; it is made if it does not exist.

    Returns:
        The files, `<suite>-<name>.<format>`, in a fixed order.

    Raises:
        WriteError: A file cannot be written.
    """
    return _write([(_full_name(chart), chart) for chart in drawn], folder)


def chart_files(drawn: Sequence[Chart | HeatMap]) -> list[str]:
    """Return the names of the files that `write_charts` makes, within its folder and in its order."""
    return [f"{_full_name(chart)}.{kind}" for chart in drawn for kind in FIGURE_FORMATS]


def _full_name(chart: Chart | HeatMap) -> str:
    return f"{chart.suite}-{chart.name}"


def write_figures(metrics: pd.DataFrame, folder: Path, verdicts: Verdicts) -> list[Path]:
    """Write every figure of a table of metrics, as `write_charts` does.

    Args:
        metrics: The tidy table of one or more runs.
        folder: Where the files go. With several models each has its own folder in it.
        verdicts: What is known of the attacks in the table.

    Returns:
        The files, `<suite>-<name>.<format>`, in a fixed order.

    Raises:
        WriteError: A file cannot be written.
    """
    return _write(_stems(metrics, verdicts), folder)


def figure_files(metrics: pd.DataFrame) -> list[str]:
    """Return the names of the files that `write_figures` makes, within its folder and in its order."""
    return [f"{stem}.{kind}" for stem, _ in _stems(metrics, Verdicts()) for kind in FIGURE_FORMATS]


def _stems(metrics: pd.DataFrame, verdicts: Verdicts) -> list[tuple[str, Chart | HeatMap]]:
    several = metrics["model"].nunique() > 1
    return [
        (f"{file_name(chart.model)}/" * several + _full_name(chart), chart)
        for chart in [*charts(metrics, verdicts), *matrices_of_transfer(metrics)]
    ]


def _write(stems: Sequence[tuple[str, Chart | HeatMap]], folder: Path) -> list[Path]:
    made: list[Path] = []
    with style():
        for stem, chart in stems:
            figure = _figure_of(chart)
            for kind in FIGURE_FORMATS:
                path = folder / f"{stem}.{kind}"
                save(figure, path, f"{chart.title}. {chart.file_caption}")
                made.append(path)
    return made


def drawn_figure(name: str, runs: Sequence[Run], width: Width | None = None) -> Figure:
    """Draw one figure, as `write_figure` writes it, to go on with.

    Raises:
        UnknownNameError, UsageError: As for `write_figure`.
    """
    chart = _chosen(name, runs)
    with style():
        return _figure_of(chart, width)


def write_figure(name: str, runs: Sequence[Run], out: Path, width: Width | None = None) -> str:
    """Redraw one figure, of one run or of several side by side.

    Args:
        name: Its name as `write_figures` gives it: `<suite>-<name>`, or `<name>` where one suite has it.
        runs: Finished runs that have this figure.
        out: The file; its ending (.svg, .pdf, .png) chooses the format. The caption is written into it.
        width: That of a column (85 mm) or of a page (175 mm); what its panels need, if not given.

    Returns:
        The caption, which says how the figure was made.

    Raises:
        UnknownNameError: A run does not have this figure.
        UsageError: The name fits several figures, the format is unknown, or files cannot be written there.
        WriteError: The file could not be written.
    """
    if out.suffix.removeprefix(".") not in FIGURE_FORMATS:
        raise UsageError(
            f"{out}: a figure is written as {', '.join('.' + kind for kind in FIGURE_FORMATS)}; choose one"
        )
    chart = _chosen(name, runs)
    keys = " and ".join(run.key for run in runs)
    caption = f"{chart.title}. {chart.file_caption} Drawn by pcbench from the tables of run {keys}."
    try_folder(out.parent, "give another with `out`")
    with style():
        save(_figure_of(chart, width), out, caption)
    return caption


def _chosen(name: str, runs: Sequence[Run]) -> Chart | HeatMap:
    chosen = [_choose(name, run_charts(run)) for run in runs]
    return chosen[0] if len(runs) == 1 else _side_by_side(chosen, run_labels(runs))


def _figure_of(chart: Chart | HeatMap, width: Width | None = None) -> Figure:
    return draw(chart, width) if isinstance(chart, Chart) else draw_heat_map(chart, width)


def _side_by_side(of_runs: list[Chart | HeatMap], labels: list[str]) -> Chart | HeatMap:
    """Return one chart with the panels of all runs, one run after the other."""
    panels = [
        dataclasses.replace(panel, title=": ".join(part for part in (label, panel.title) if part))
        for label, chart in zip(labels, of_runs, strict=True)
        for panel in chart.panels
    ]
    verdict = joined_verdicts([(label, chart.verdict) for label, chart in zip(labels, of_runs, strict=True)])
    return dataclasses.replace(of_runs[0], model=", ".join(labels), panels=tuple(panels), verdict=verdict)


def _choose(name: str, known: list[Chart | HeatMap]) -> Chart | HeatMap:
    full = {_full_name(chart): chart for chart in known}
    matching = [full[name]] if name in full else [chart for chart in known if chart.name == name]
    if not matching:
        raise UnknownNameError("figure", name, full)
    if len(matching) > 1:
        names = " or ".join(map(_full_name, matching))
        raise UsageError(f"{name!r} is several figures: {names}; give the full name")
    return matching[0]
