"""Oracle: the metrics that the page was made from, read back in a real Chromium; axe-core for accessibility.

Skipped where there is no Chromium (Debian: `apt-get install chromium`); nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from pcbench.errors import DataError, UsageError
from pcbench.percent import decimal, percent
from pcbench.reports.page.examples import read_examples
from pcbench.reports.page.facts import facts
from pcbench.reports.page.page import write_page
from pcbench.results.directory import Run
from pcbench.results.verdicts import read_verdicts

OF_A_SCREEN = ("color-contrast", "target-size", "scrollable-region-focusable", "meta-viewport", "aria-hidden-focus")
"""The rules whose answer can be another on a phone, in the dark; all others look at the same elements again."""


@pytest.fixture(scope="module")
def html(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(runs, tmp_path_factory.mktemp("page") / "index.html")


@pytest.fixture(scope="module")
def page(browser: Browser, html: Path) -> Page:
    """The page, opened from disk without a network; every word on the console and every request is kept."""
    page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.on("request", lambda request: page.heard.append(request.url) if request.url.startswith("http") else None)
    page.goto(html.as_uri())
    return page


@pytest.fixture(autouse=True)
def at_the_last_timestep(page: Page) -> None:
    _choose_timestep(page, 2)
    for box in page.locator("[data-switch]").all():
        box.check()


def _choose_timestep(page: Page, timestep: int) -> None:
    page.locator("#timestep").evaluate(
        "(slider, t) => { slider.value = t; slider.dispatchEvent(new Event('input')); }", timestep
    )


def _matrix(page: Page, title: str) -> dict[tuple[str, int], str]:
    table = page.locator(f"section:has(> h4:text-is('{title}')) table")
    cells = table.evaluate(
        "table => [...table.rows].flatMap(row => [...row.querySelectorAll('td[data-timestep]')]"
        ".map(cell => [row.cells[0].textContent, Number(cell.dataset.timestep), cell.textContent.trim()]))"
    )
    return {(name, timestep): text for name, timestep, text in cells}


def test_it_loads_without_a_word_on_the_console_or_a_request(page: Page) -> None:
    assert page.heard == []
    assert page.title() == "Robustness of pdigits and <b>other</b>"
    assert page.locator(".plot svg[role=img]").count() > 0


def test_corruption_errors_on_the_page_are_those_of_the_table(page: Page, runs: list[Run]) -> None:
    metrics = runs[0].metrics
    cells = _matrix(page, "CE of pdigits on digits-c, in % of the errors of alexnet-made-up")
    expected = metrics[metrics["metric"].isin(["corruption_error", "mean_corruption_error"])]
    assert len(cells) == len(expected) == 16 * 3
    for _, row in expected.iterrows():
        name = "mCE" if row["kind"] == "summary" else row["name"].replace("_", " ")
        value, low, high = (f"{100 * row[column]:.1f}" for column in ("value", "ci_low", "ci_high"))
        assert cells[name, row["timestep"]] == f"{value} [{low}, {high}]"


def _figure(page: Page, title: str) -> Locator:
    return page.locator(f"figure:has(h4:text-matches('{title}'))").first


def _heights(figure: Locator) -> list[list[float]]:
    """Return, for each line that is drawn, the values that its dots stand at, read from the ticks beside them."""
    return figure.locator(".plot").first.evaluate(HEIGHTS)


HEIGHTS = """plot => {
  const ticks = [...plot.querySelectorAll("text")].filter(one => one.getAttribute("text-anchor") === "end"
    && !one.classList.length).map(one => [one.getAttribute("y") - 4, Number(one.textContent.replace("−", "-"))]);
  const [[y0, v0], [y1, v1]] = [ticks[0], ticks.at(-1)];
  const value = y => v0 + (y - y0) * (v1 - v0) / (y1 - y0);
  const middle = dot => {
    const [box, moved] = [dot.getBBox(), dot.transform.baseVal.consolidate()?.matrix ?? { d: 1, f: 0 }];
    return moved.f + moved.d * (box.y + box.height / 2);
  };
  return [...plot.querySelectorAll(".line")].map(line =>
    [...line.querySelectorAll(".dot")].map(dot => value(middle(dot))));
}"""


def test_points_lie_at_the_values_of_the_table(page: Page, runs: list[Run]) -> None:
    figure = _figure(page, "^mCE|^Corruption errors")
    figure.locator("select").select_option("mean over all corruptions")
    lines = _heights(figure)
    assert len(lines) == len(runs)
    for line, run in zip(lines, runs, strict=True):
        rows = run.metrics[run.metrics["metric"] == "mean_corruption_error"].sort_values("timestep")
        assert line == pytest.approx(list(100 * rows["value"]), abs=0.05)
    figure.locator("select").select_option("fog")
    rows = runs[0].metrics.query("name == 'fog' and metric == 'corruption_error'").sort_values("timestep")
    assert _heights(figure)[0] == pytest.approx(list(100 * rows["value"]), abs=0.05)
    figure.locator("select").select_option("mean over all corruptions")


def test_choosing_a_timestep_changes_words_grid_and_plots(page: Page, runs: list[Run]) -> None:
    _choose_timestep(page, 1)
    assert page.locator("#chosen").text_content() == "t = 1"
    visible = page.locator("li[data-only]:not([hidden])").all_text_contents()
    assert visible
    assert all("t = 1" in sentence for sentence in visible)
    metrics = runs[0].metrics
    fog = metrics.query("name == 'fog' and severity == 3 and timestep == 1 and metric == 'accuracy'").iloc[0]
    row = page.locator("table.grid").first.locator("tr", has=page.locator("th:text-is('fog')"))
    low, high = (percent(fog[end]) for end in ("ci_low", "ci_high"))
    assert row.locator("td").nth(2).text_content() == f"{percent(fog['value'])} [{low}, {high}]"
    assert set(page.locator("td.chosen").evaluate_all("cells => cells.map(cell => cell.dataset.timestep)")) == {"1"}
    assert "t = 1 marked" in _figure(page, "^mCE|^Corruption errors").locator("[data-state]").text_content()


def test_a_timestep_can_be_chosen_by_keyboard(page: Page) -> None:
    page.locator("#timestep").focus()
    page.keyboard.press("Home")
    assert page.locator("#chosen").text_content() == "t = 0"
    page.keyboard.press("ArrowRight")
    assert page.locator("#chosen").text_content() == "t = 1"


def test_a_run_can_be_switched_off_and_on(page: Page) -> None:
    switch = page.locator("[data-switch='1']")
    both, shown = page.locator(".plot .line").count(), page.locator("main .of-run:visible").count()
    switch.uncheck()
    assert page.locator(".plot .line").count() == both / 2
    assert page.locator("[data-run='1']:visible").count() == 0
    switch.check()
    assert page.locator(".plot .line").count() == both
    assert page.locator("main .of-run:visible").count() == shown


def test_hovering_tells_the_value_and_its_interval(page: Page, runs: list[Run]) -> None:
    figure = _figure(page, "^mCE|^Corruption errors")
    figure.scroll_into_view_if_needed()
    point = figure.locator(".line").first.locator(".dot").nth(1).bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    row = runs[0].metrics.query("metric == 'mean_corruption_error' and timestep == 1").iloc[0]
    value, low, high = (percent(row[name]) for name in ("value", "ci_low", "ci_high"))
    told = f"t = 1: {value} % [{low}, {high}], {row['n']} images"
    assert told in figure.locator(".tip").text_content()
    page.mouse.move(0, 0)


def test_numbers_are_printed_as_in_python(page: Page) -> None:
    """Half of these lie exactly between two texts, where a browser and Python round to different sides."""
    values = [number / 16 for number in range(-160, 160)] + [0.05, 2.675, 1e-9, -0.04, 99.95, 1 / 3]
    for digits in (0, 1, 3):
        told = page.evaluate("([values, digits]) => values.map(value => decimal(value, digits))", [values, digits])
        assert told == [decimal(value, digits) for value in values]


def test_tables_are_sorted_and_filtered(page: Page) -> None:
    block = page.locator("section.block", has=page.locator("h4:text-matches('^CE of pdigits')"))
    button = block.locator("thead button").nth(2)
    values = "cells => cells.map(cell => Number(cell.dataset.value))"
    first = block.locator("tbody td[data-timestep='0']")
    button.click()
    assert first.evaluate_all(values) == sorted(first.evaluate_all(values))
    button.click()
    assert first.evaluate_all(values) == sorted(first.evaluate_all(values), reverse=True)
    assert block.locator("thead th").nth(2).get_attribute("aria-sort") == "descending"
    block.locator("[data-filter]").fill("blur")
    names = block.locator("tbody tr:visible th").all_text_contents()
    assert sorted(names) == ["defocus blur", "glass blur", "motion blur", "zoom blur"]
    block.locator("[data-filter]").fill("")


def test_a_sorted_table_stays_sorted_when_its_timestep_changes(page: Page) -> None:
    table = page.locator("table.grid").first
    table.locator("thead button").nth(2).click()
    values = "cells => cells.map(cell => Number(cell.dataset.value))"
    column = table.locator("tbody td:nth-child(3)")
    before = column.evaluate_all(values)
    _choose_timestep(page, 0)
    assert column.evaluate_all(values) == sorted(column.evaluate_all(values)) != before


def test_examples_and_verdicts_are_shown(page: Page) -> None:
    rivals = page.locator("details:has-text('Evidence for the verdicts') tbody tr").all_text_contents()
    assert len(rivals) == 2 * 3
    assert "50.0" in rivals[0]
    assert all("16/255" in row for row in rivals)
    pictures = page.locator(".example img").first
    assert pictures.evaluate("picture => picture.naturalWidth") == 32
    assert page.locator(".verdict").all_text_contents().count("gradients suspicious") == 2
    of_one = ["t = 2: 3 (90 %)", "t = 2: 5 (90 %) ✗", "t = 2: 7 (90 %) ✗"]
    assert page.locator(".seen:visible").all_text_contents() == 2 * of_one
    answers = page.locator(".seen-table").first
    assert [
        " ".join(text.split()) for text in answers.locator("tbody tr").nth(1).locator("td").all_text_contents()
    ] == ["3 90 %", "4 ✗ 90 %", "5 ✗ 90 %"]
    assert page.locator(".reconstruction span").first.text_content() == "reconstruction, of the clean image"


DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 800}, "color_scheme": "dark"}
ALIKE = "tbody tr:nth-child(n+5), .plot svg > *, .chart:nth-of-type(n+4), .facts div:nth-child(n+9)"
"""Further rows, figures and facts are like the first ones, and take most of the time; an image has a text instead."""


@pytest.mark.parametrize("shown", [DESK, PHONE], ids=["on a desk", "on a phone in the dark"])
def test_axe_finds_no_serious_violation(shown: dict[str, Any], browser: Browser, html: Path) -> None:
    page = browser.new_context(offline=True, **shown).new_page()
    page.goto(html.as_uri())
    # Nothing is wider than the window.
    assert page.evaluate("document.documentElement.scrollWidth") <= shown["viewport"]["width"]
    page.evaluate("alike => document.querySelectorAll(alike).forEach(one => one.remove())", ALIKE)
    rules = None if shown is DESK else {"runOnly": {"type": "rule", "values": list(OF_A_SCREEN)}}
    found = Axe().run(page, options=rules).response["violations"]
    serious = [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in {"serious", "critical"}]
    assert serious == []
    page.close()


def test_the_page_runs_and_loads_nothing_but_what_is_in_it(page: Page) -> None:
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    said = len(page.heard)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.foreign = 1";
          const picture = document.createElement("img");
          picture.src = "https://example.org/x.png";
          for (const one of [script, picture]) one.className = "foreign";
          document.body.append(script, picture);
          document.body.setAttribute("style", "color: red");
        }"""
    )
    assert page.evaluate("typeof window.foreign") == "undefined"
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert len([text for text in page.heard[said:] if "Content Security Policy" in text]) == 3
    page.evaluate("document.querySelectorAll('.foreign').forEach(one => one.remove())")
    del page.heard[said:]


def test_every_figure_has_a_text_with_its_numbers_and_a_table_that_is_made_when_it_is_opened(page: Page) -> None:
    charts = page.locator(".chart").all()
    assert charts
    assert page.locator(".chart table").count() == 0
    for chart in charts:
        told = chart.locator(".plot svg[role=img]").first.get_attribute("aria-label")
        assert re.match(r"Line chart: .* against .*: [+−]?\d+\.\d+.* \[", told), told
    last = charts[-1]
    last.locator("summary").click()
    assert last.locator("table tbody tr").count() >= 6
    last.locator("summary").click()


def test_the_same_runs_give_the_same_page(runs: list[Run], html: Path, tmp_path: Path) -> None:
    again = write_page(runs, tmp_path / "again.html")
    assert again.read_bytes() == html.read_bytes()


@pytest.mark.parametrize("subset", [True, False])
def test_a_subset_is_named_as_such(subset: bool, runs: list[Run]) -> None:
    suites = tuple(suite.model_copy(update={"subset": subset}) for suite in runs[0].spec.suites)
    run = dataclasses.replace(runs[0], spec=runs[0].spec.model_copy(update={"suites": suites}))
    told = dict(facts(run))["suite digits-c"]
    assert (f", a subset of {run.spec.data.available}" in told) is subset


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one run"):
        write_page([], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_place_that_cannot_be_written_is_wrong_use(runs: list[Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written .*; give another with `out`"):
        write_page(runs[:1], tmp_path / "file" / "page.html")


def test_a_damaged_list_of_examples_is_named(runs: list[Run], tmp_path: Path) -> None:
    shutil.copytree(runs[0].folder / "examples", tmp_path / "examples")
    index = tmp_path / "examples" / "index.json"
    index.write_text(index.read_text().replace("0-clean.png", "../0-clean.png"))
    with pytest.raises(DataError, match="is missing in this folder"):
        read_examples(tmp_path)
    index.write_text("{}")
    with pytest.raises(DataError, match="examples_version"):
        read_examples(tmp_path)


def test_damaged_checks_are_named(tmp_path: Path) -> None:
    (tmp_path / "checks.json").write_text('[{"timestep": 0, "verdict": "consistent"}]')
    with pytest.raises(DataError, match="reasons"):
        read_verdicts(tmp_path)
