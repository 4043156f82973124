"""Oracle: the run that a page is of, read back in a real Chromium: wide tables, print, links, qualified numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pypdfium2
import pytest
from few_figures import only_two_figures
from made_runs import made_data, made_run, made_settings, made_spec, made_suite
from playwright.sync_api import Browser, Page

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.reports.report import write_report
from pcbench.results.directory import Run
from pcbench.results.metrics_table import metrics_table

LAST = 20
IMAGES = 12
EPSILONS = (0.0, 2 / 255, 8 / 255)
LIMIT = 1_000_000
"""The bytes that a page has at most."""
Row = dict[str, object]


def of_conditions(t: int) -> Iterator[Row]:
    """Yield made-up numbers of 76 conditions, and of an attack that sees answers alone, at one timestep."""
    value = 0.8 - 0.01 * t
    error = {"metric": "corruption_error", "value": 1 + 0.01 * t, "baseline": "alexnet"}
    for name in THE_FIFTEEN:
        of = {"suite": "many-c", "kind": "corruption", "name": name}
        yield from ({**of, "severity": s, "metric": "accuracy", "value": value - 0.1 * s} for s in range(1, 6))
        yield {**of, **error}
    pooled = {"suite": "many-c", "kind": "summary", "metric": "accuracy"}
    yield from ({**pooled, "severity": s, "value": value - 0.1 * s} for s in range(1, 6))
    yield {**pooled, "value": value - 0.3}
    yield {**pooled, **error, "metric": "mean_corruption_error"}
    for suite in ("many-c", "blind"):
        yield {"suite": suite, "kind": "clean", "name": "clean", "metric": "accuracy", "value": value}
    attack = {"suite": "blind", "kind": "attack", "name": "square", "norm": "linf", "targeted": False}
    attack["attacked_timestep"] = t
    for epsilon in EPSILONS:
        yield {**attack, "epsilon": epsilon, "metric": "robust_accuracy", "value": value - 10 * epsilon}
        yield {**attack, "epsilon": epsilon, "metric": "attack_success_rate_within", "value": 10 * epsilon}
    yield {**attack, "metric": "robust_accuracy_mean", "value": value - 0.2}  # over all budgets, so without one


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with 20 timesteps, 76 conditions and a black-box attack; its outcomes are not needed here."""
    suites = [made_suite("many-c", IMAGES), made_suite("blind", IMAGES, kind="attacks")]
    spec = made_spec(suites, made_data(IMAGES), made_settings(timesteps=LAST))
    numbers = {"model": "made", "ci_low": 0.2, "ci_high": 0.9, "n": IMAGES}
    rows = [{**numbers, "timestep": t, **row} for t in range(LAST + 1) for row in of_conditions(t)]
    growth = {"growth": {"images": IMAGES, "diverging": 0, "largest": [1 + 0.1 * t for t in range(LAST + 1)]}}
    folder = tmp_path_factory.mktemp("wide") / "run"
    return made_run(folder, spec, {}, growth, metrics=metrics_table(rows))


@pytest.fixture(scope="module")
def page(browser: Browser, wide: Run) -> Page:
    with only_two_figures():
        report = write_report([wide], wide.folder / "report")
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.goto((report / "index.html").as_uri())
    return page


def test_a_large_page_is_small_and_says_nothing(page: Page, wide: Run) -> None:
    assert page.heard == []
    assert (wide.folder / "report" / "index.html").stat().st_size < LIMIT


@pytest.mark.parametrize("width", [1400, 360])
def test_the_chosen_timestep_of_a_wide_table_is_seen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for t in (LAST, 9, 0):
        page.locator("#timestep").evaluate(CHOOSE, t)
        for table in page.locator(".matrix").all():
            box, names, column = table.evaluate(PLACES)
            assert names[1] - 1 <= column[0]
            assert column[1] <= box[1] + 1
        assert page.evaluate(SIGNS) == page.evaluate(CUT)


CHOOSE = "(slider, t) => { slider.value = t; slider.dispatchEvent(new Event('input')); }"
CUT = """() => [...document.querySelectorAll(".scroll")].filter(box => box.offsetParent !== null
  && box.scrollWidth > box.clientWidth + 1)
  .map(box => [box.scrollLeft > 1, box.scrollLeft + box.clientWidth < box.scrollWidth - 1])"""
"""At which sides each table is cut that is wider than its box."""
SIGNS = """() => [...document.querySelectorAll(".more")].filter(sign => sign.offsetParent !== null
  && /left|right/.test(sign.textContent))
  .map(sign => [/left/.test(sign.textContent), /right/.test(sign.textContent)])"""
PLACES = """table => [table.closest(".scroll"), table.querySelector("th"), table.querySelector("thead .chosen")]
  .map(one => one.getBoundingClientRect()).map(one => [one.left, one.right])"""


def test_no_budget_is_undefined(page: Page) -> None:
    (threat,) = page.locator("#made ~ div li").all_text_contents()
    assert threat == "blind, square: black-box, untargeted, L∞, ε = 0/255, 2/255, 8/255"


def test_what_qualifies_a_number_stands_at_it(page: Page) -> None:
    block = page.locator("section.block", has=page.locator("h4:text-matches('^Robust accuracy')"))
    assert block.locator(".qualifier").text_content() == "black-box"
    assert block.locator(".mark").all_text_contents() == ["not checked"] * (LAST + 1)
    charts = page.locator("figure", has=page.locator("h4:text-matches('under blind')"))
    assert set(charts.locator(".qualifier").all_text_contents()) == {"square: black-box (not checked)."}


def test_print_says_what_is_chosen_and_no_heading_stands_alone(page: Page) -> None:
    page.set_viewport_size({"width": 1400, "height": 900})
    page.locator("#timestep").evaluate(CHOOSE, 7)
    chart = page.locator("figure", has=page.locator("select")).first
    chart.locator("select").select_option("fog")
    with pypdfium2.PdfDocument(io.BytesIO(page.pdf(format="A4"))) as document:
        texts = [one.get_textpage().get_text_bounded() for one in document]
    whole = " ".join(" ".join(texts).split())
    assert "Chosen in this page: t = 7." in whole
    assert "Shown: fog; t = 7 marked." in whole
    headings = {" ".join(text.split()) for text in page.locator("h2, h3, h4").all_text_contents()}
    for text in texts:
        last = text.strip().splitlines()[-1].strip()
        assert last not in headings
    # Every number of every table, whatever the window's width shows of it.
    for cell in page.locator(".matrix tbody td").all_text_contents()[:: LAST // 2]:
        assert " ".join(cell.split()) in whole


def test_links_lead_to_files_and_what_is_not_drawn_has_its_command(page: Page, wide: Run) -> None:
    report = wide.folder / "report"
    files = [
        link
        for link in page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
        if link[0] != "#"
    ]
    assert files
    assert [name for name in files if not (report / name).is_file()] == []
    for chart in page.locator("figure, section.block").all():
        kinds = chart.locator(".links a").all_text_contents()
        assert {"CSV", "PARQUET"} <= set(kinds)
    for chart in page.locator("figure").all():
        drawn, command = chart.locator(".links a:text-is('SVG')").count(), chart.locator(".command").count()
        assert drawn + command == 1
