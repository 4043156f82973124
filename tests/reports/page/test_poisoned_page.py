"""Oracle: a real Chromium, to which a stranger's run is shown: what it runs, what it asks for, what it displays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from few_figures import only_two_figures
from playwright.sync_api import Browser, Page
from poisoned_run import POISON, poisoned_run

from pcbench.escaping import printable
from pcbench.reports.figures import write_figure
from pcbench.reports.report import write_report

SHOWN = printable(POISON)
FIGURES = ("digits-c-corruption-error", "digits-linf-transfer")
"""A chart and a heat map."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("poisoned")
    runs = [poisoned_run(folder / name, number) for number, name in enumerate(("one", "two"))]
    with only_two_figures():
        written = write_report(runs, folder / "report")
    for name in FIGURES:
        write_figure(name, runs, written / "both" / f"{name}.svg")
    return written


def opened(browser: Browser, path: Path) -> Page:
    """Open a file from disk; what it asks for besides itself and the pictures in it is kept."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.asked = []
    own = (path.as_uri(), "data:image/png;base64,", "data:,")
    page.on("request", lambda request: page.asked.append(request.url) if not request.url.startswith(own) else None)
    page.on("dialog", lambda dialog: page.asked.append(dialog.message))
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.goto(path.as_uri())
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, report: Path) -> Page:
    return opened(browser, report / "index.html")


def test_no_script_of_a_run_runs_and_nothing_is_asked_for(page: Page) -> None:
    page.keyboard.press("Tab")
    for box in page.locator("[data-switch]").all():
        box.uncheck()
        box.check()
    for chart in page.locator(".chart").all():
        options = chart.locator("[data-panel] option").all_text_contents()
        if options:
            chart.locator("[data-panel]").select_option(index=len(options) - 1)
    page.locator("#timestep").focus()
    page.keyboard.press("Home")
    for details in page.locator("details:visible").all():
        details.locator("summary").click()
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    point = plot.locator(".dot").nth(1).bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    page.locator(".tip:visible").first.wait_for()
    page.wait_for_timeout(300)
    assert page.evaluate("typeof window.poisoned") == "undefined"
    assert (page.asked, page.heard) == ([], [])
    # Ours alone: the data and the controls; links within the page and to files beside it; the kept pictures.
    assert page.locator("script").count() == 2
    links = page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert links
    assert [link for link in links if not re.fullmatch(r"#[a-z]+|[a-z0-9/-]+\.(csv|parquet|svg|pdf|png)", link)] == []
    assert page.locator("iframe, object, embed, base, form").count() == 0
    sources = page.locator("img").evaluate_all("all => all.map(one => one.src.split(',')[0])")
    assert set(sources) == {"data:image/png;base64"}


def test_names_are_shown_literally(page: Page) -> None:
    label = f"0 {SHOWN}"
    assert page.locator("h1").text_content() == f"Robustness of {label} and 1 {SHOWN}"
    assert f" {SHOWN} " in f"{page.title()} "
    texts = {
        "fieldset label": 2,  # the names of the runs
        ".warning": 2,
        ".example .seen": 2,
        ".example h4": 2,
        ".verdicts td": 2,
        ".facts dd": 10,
        ".plot-title": 2,
        "h4": 10,
    }
    for selector, least in texts.items():
        held = [text for text in page.locator(selector).all_text_contents() if SHOWN in text]
        assert len(held) >= least, selector
    drawn = page.locator(".legend li").all_text_contents()
    assert any(label in name for name in drawn)
    whole = page.content()
    assert not [hex(ord(character)) for character in "\u2028\u202e\x1b\x9b\x07" if character in whole]


@pytest.mark.parametrize("name", [f"both/{name}.svg" for name in FIGURES] + [f"{FIGURES[0]}.svg"])
def test_a_figure_opened_by_itself_runs_nothing(browser: Browser, report: Path, name: str) -> None:
    page = opened(browser, report / name)
    page.wait_for_timeout(200)
    assert page.evaluate("typeof window.poisoned") == "undefined"
    assert (page.asked, page.heard) == ([], [])
    assert page.evaluate("document.documentElement.tagName") == "svg"
    assert page.evaluate("document.querySelectorAll('script, a, foreignObject, iframe').length") == 0
    pictures = "[...document.querySelectorAll('image')].every(one => one.href.baseVal.startsWith('data:image/png'))"
    assert page.evaluate(pictures)
    assert SHOWN in page.evaluate("document.querySelector('metadata').textContent")
