"""Oracle: the metrics of each setting that the page was made from, read back in a real Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from playwright.sync_api import Browser

from pcbench.percent import percent
from pcbench.reports.page.page import write_page
from pcbench.results.directory import Run, open_run, write_manifest
from pcbench.results.metrics_table import typed, write_metrics


def with_two_settings(run: Run, folder: Path) -> Run:
    """A run with two values of one hyperparameter, both with the numbers of another run; some are not defined."""
    settings = run.spec.settings.model_copy(update={"hyperparameters": ("feedback=0,0.3",)})
    spec = run.spec.model_copy(update={"settings": settings})
    tables: list[pd.DataFrame] = []
    for place, setting in enumerate(settings.grid.settings):
        shutil.copytree(run.folder, folder / setting.label, ignore=shutil.ignore_patterns("report"))
        table = run.metrics.copy()
        table.insert(1, "feedback", setting.values["feedback"])
        table.loc[table["timestep"] > 1 - place, "value"] = np.nan
        tables.append(table)
    write_metrics(typed(pd.concat(tables, ignore_index=True), swept=("feedback",)), folder)
    write_manifest(folder, spec, {"notes": [], "seconds": 1.0})
    return open_run(folder)


def test_a_page_by_setting_draws_its_figures_though_numbers_are_not_defined(
    browser: Browser, runs: list[Run], tmp_path: Path
) -> None:
    several = with_two_settings(runs[0], tmp_path / "run")
    page = browser.new_context(offline=True).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(write_page([several], tmp_path / "page.html").as_uri())
    assert heard == []
    assert page.title() == "Robustness of pdigits by feedback"
    figure = page.locator("figure:has(h4:text-matches('at every timestep, by feedback'))").first
    assert figure.locator(".plot .line").count() > 0
    assert figure.locator(".plot").first.locator(".name, .legend-title").all_text_contents() == ["0", "0.3", "feedback"]
    against = page.locator("figure:has(h4:text-matches('against feedback'))").first
    assert against.locator(".plot").first.locator("text.x").all_text_contents() == ["0", "0.3"]
    metrics = several.metrics
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == "accuracy") & (metrics["timestep"] == 0)]
    first = clean[clean["suite"] == clean["suite"].iloc[0]]["value"].tolist()
    table = page.locator("section:has(> h4:text-matches('^Accuracy, clean')) table").first
    cells = [row.split("\t") for row in table.locator("tbody tr").all_inner_texts()]
    assert [cell[0] for cell in cells] == ["0", "0.3"]
    assert [cell[1].split()[0] for cell in cells] == [percent(value) for value in first]
