"""Oracle: the metrics of a run and what a reader must be able to do with its page, in a real Chromium."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser, Locator, Page

from pcbench.percent import percent
from pcbench.reports.page.examples import shown_examples
from pcbench.reports.page.glossary import used_words
from pcbench.reports.page.page import write_page
from pcbench.results.directory import Run

CHOOSE = "(slider, t) => { slider.value = t; slider.dispatchEvent(new Event('input')); }"
ERRORS = "section.block:has(h4:text-matches('^CE of pdigits'))"


@pytest.fixture(scope="module")
def html(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(runs[:1], tmp_path_factory.mktemp("read") / "index.html")


@pytest.fixture(scope="module")
def page(browser: Browser, html: Path) -> Page:
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    page.goto(html.as_uri())
    return page


@pytest.fixture(autouse=True)
def at_the_last_timestep(page: Page) -> None:
    page.locator("#timestep").evaluate(CHOOSE, 2)


def _figure(page: Page, title: str) -> Locator:
    return page.locator(f"figure:has(h4:text-matches('{title}'))").first


def test_beside_errors_divided_by_a_baseline_stands_how_hard_a_corruption_is(page: Page, runs: list[Run]) -> None:
    block = page.locator(ERRORS)
    assert "100 % is as many errors as alexnet-made-up makes" in block.locator(".caption").text_content()
    rows = runs[0].metrics.query("kind == 'corruption' and metric == 'accuracy'")
    summary = runs[0].metrics.query("kind == 'summary' and metric == 'accuracy' and suite == 'digits-c'")
    for t in (0, 2):
        page.locator("#timestep").evaluate(CHOOSE, t)
        cells = {
            row.locator("th").text_content(): row.locator("td").first.text_content()
            for row in block.locator("tr").all()[1:]
        }
        for name in ("fog", "jpeg_compression"):
            of_severities = rows[(rows["name"] == name) & (rows["timestep"] == t)]["value"]
            assert len(of_severities) == 5
            assert cells[name.replace("_", " ")] == percent(of_severities.mean())
        pooled = summary[(summary["timestep"] == t) & summary["severity"].isna()]["value"]
        assert cells["mCE"] == percent(pooled.item())
    assert block.locator("thead th").nth(1).text_content() == "mean accuracy (%) at t = 2"


def test_a_verdict_has_one_word_everywhere_and_an_answer_says_what_its_own_is_about(page: Page) -> None:
    verdicts = page.locator("table.verdicts").first
    assert verdicts.locator("td.verdict").all_text_contents() == ["checked", "gradients suspicious", "checked"]
    assert "consistent" not in page.locator("main").inner_text()
    assert "(checked)" in page.locator(".answer").last.text_content()
    note = page.locator("#answer ~ div .note").first.text_content()
    assert "At t = 1 the gradients under digits-linf are suspicious." in note


def test_the_words_that_a_page_uses_are_explained_and_no_others(page: Page) -> None:
    words = page.locator(".words dt").all_text_contents()
    assert {"CE, corruption error", "robust accuracy", "checked", "gradients suspicious", "Holm", "plain sweep"} <= set(
        words
    )
    assert not {"black-box", "PCoder", "stop error gradient", "L2", "targeted"} & set(words)
    meanings = page.locator(".words dd").all_text_contents()
    assert len(meanings) == len(words)
    assert [text for text in meanings if not re.fullmatch(r"[A-Z][^.]*(?:\d\.\d[^.]*)*\.", text)] == []  # one sentence


def test_words_are_looked_for_in_text_alone() -> None:
    assert used_words('<img alt="CE" src="data:PCoder"><script>const Holm = 1;</script>') == []
    assert [word for word, _ in used_words("<p>untargeted, not checked</p>")] == ["untargeted", "not checked"]


def test_answers_are_told_apart_by_words_and_not_by_colours(page: Page) -> None:
    answers = page.locator(".answer")
    assert len(set(answers.evaluate_all("all => all.map(one => getComputedStyle(one).borderLeftColor)"))) == 1
    assert {*answers.locator("strong").all_text_contents()} <= {"Yes", "No", "Undecided"}
    assert answers.locator("strong").count() == answers.count() == 2


def test_a_table_of_transfer_says_on_how_many_images(page: Page) -> None:
    block = page.locator("section.block:has(h4:text-matches('^Transfer'))").first
    assert ", 60 images. " in block.locator(".caption").text_content()
    assert block.locator(".qualifier").text_content() == "Columns: the timestep that answers"
    assert block.locator("thead th").all_text_contents() == ["made against", "t = 0", "t = 1", "t = 2"]


@pytest.mark.parametrize("table", ["CE of pdigits", "Accuracy of pdigits by corruption", "Robust accuracy", "Transfer"])
def test_a_copied_table_has_one_line_for_each_row(page: Page, table: str) -> None:
    block = page.locator(f"section.block:has(h4:text-matches('^{table}')) table").first
    copied = block.evaluate("table => { getSelection().selectAllChildren(table); return getSelection().toString(); }")
    page.evaluate("getSelection().removeAllRanges()")
    lines = [line for line in copied.splitlines() if "\t" in line]
    assert len(lines) == block.locator("tr").count()
    columns = block.locator("thead th").count()
    assert {line.count("\t") for line in lines} == {columns - 1}
    assert re.fullmatch(r"\d+\.\d \[\d+\.\d, \d+\.\d\]( at chance)?", lines[1].split("\t")[-1])
    assert len(copied.strip().splitlines()) - len(lines) <= 1  # the caption


def test_rows_are_filtered_by_their_names_and_no_mean_of_others_stands_below(page: Page) -> None:
    block = page.locator(ERRORS)
    field, found = block.locator("[data-filter]"), block.locator("[data-found]")
    number = block.locator("tbody td .number").first.text_content()
    for text, told, rows in (("blur", "4 of 15 rows.", 4), (number, "No row has such a name.", 0), ("", "", 15)):
        field.fill(text)
        assert found.text_content() == told
        assert block.locator("tbody tr:visible").count() == rows
        assert block.locator("tfoot tr:visible").count() == (text == "")


def test_choosing_a_panel_narrows_the_table_of_its_figure(page: Page) -> None:
    figure = _figure(page, "^Corruption errors")
    figure.locator("summary").click()
    figure.locator("select").select_option("fog")
    rows = figure.locator("tbody tr:visible")
    assert rows.count() == 3
    assert set(rows.locator("td:first-child").all_text_contents()) == {"fog"}
    figure.locator("select").select_option("*")
    assert rows.count() == 16 * 3
    figure.locator("summary").click()


def test_points_are_reached_by_keys(page: Page, runs: list[Run]) -> None:
    figure = _figure(page, "^Corruption errors")
    figure.locator("select").select_option("fog")
    figure.locator(".plots").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    row = runs[0].metrics.query("name == 'fog' and metric == 'corruption_error' and timestep == 1").iloc[0]
    told = figure.locator(".tip:visible")
    assert f"t = 1: {percent(row['value'])} %" in told.text_content()
    assert told.get_attribute("role") == "status"
    page.keyboard.press("Escape")
    assert told.count() == 0
    accuracy = _figure(page, "^Accuracy under each corruption")
    accuracy.locator(".plots").focus()
    page.keyboard.press("ArrowDown")
    line = accuracy.locator(".name").nth(1).text_content()
    assert accuracy.locator(".tip:visible").text_content().startswith(f"{line},")


def test_the_address_carries_the_timestep(page: Page, browser: Browser, html: Path) -> None:
    page.locator("#timestep").evaluate(CHOOSE, 1)
    address = page.evaluate("location.href")
    assert address == f"{html.as_uri()}#t=1"
    other = browser.new_context(offline=True).new_page()
    other.goto(address)
    assert other.locator("#chosen").text_content() == "t = 1"
    other.locator("nav a[href='#tables']").click()
    assert other.evaluate("location.hash") == "#tables&t=1"
    other.goto(f"{html.as_uri()}#tables&t=0")
    assert other.locator("#chosen").text_content() == "t = 0"
    assert abs(other.locator("#tables").bounding_box()["y"]) < 200
    other.goto(f"{html.as_uri()}#t=99")
    other.reload()
    assert other.locator("#chosen").text_content() == "t = 2"
    other.close()


LABELS = """plot => {
  const boxes = name => [...plot.querySelectorAll(name)].map(one => one.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom;
  const [names, dots] = [boxes(".name"), boxes(".dot")];
  const pairs = names.flatMap((a, i) => names.slice(i + 1).filter(b => meet(a, b)));
  const hidden = boxes(".reference-name").flatMap(a => dots.filter(b => meet(a, b)));
  return [pairs.length, hidden.length, boxes(".leader").filter(one => one.height > 14).length];
}"""
"""How many names lie upon each other, how many points under the name of a reference, and how many leaders are steep."""


def test_names_in_plots_lie_upon_nothing(page: Page) -> None:
    for title in ("^Change of accuracy", "^Change of robust", "^Attack success rate .* against ε", "^Robust accuracy"):
        for plot in _figure(page, title).locator(".plot svg[role=img]").all():
            assert plot.evaluate(LABELS) == [0, 0, 0]


def test_a_reference_is_named_once_a_figure(page: Page) -> None:
    figures = [figure for figure in page.locator("[data-figure]").all() if figure.locator(".reference").count()]
    assert max(figure.locator(".reference").count() for figure in figures) > 1
    assert {figure.locator(".reference-name").count() for figure in figures} == {1}


def test_a_sheet_says_how_a_table_was_sorted_and_filtered_and_shows_the_tables_that_were_opened(page: Page) -> None:
    block = page.locator(ERRORS)
    block.locator("[data-filter]").fill("blur")
    block.locator("thead button").nth(2).click()
    figure = _figure(page, "^Corruption errors")
    figure.locator("summary").click()
    figure.locator("select").select_option("fog")
    with pypdfium2.PdfDocument(io.BytesIO(page.pdf(format="A4"))) as document:
        whole = " ".join(" ".join(one.get_textpage().get_text_bounded() for one in document).split())
    assert "Only rows named “blur”. Sorted by t = 0, ascending." in whole
    assert "Show rows named" not in whole
    for row in figure.locator("tbody tr:visible").all():
        assert " ".join(row.locator("td").all_text_contents()) in whole
    assert "The table goes on" not in whole
    figure.locator("summary").click()
    block.locator("[data-filter]").fill("")


def test_examples_promise_no_more_than_there_is(runs: list[Run], tmp_path: Path) -> None:
    said = " ".join(shown_examples(runs[0], 10**6, None)["examples_notes"])
    assert "its class, and the probability that it gives it." in said
    assert "A wrong answer is marked ✗." in said
    run = Run(tmp_path, runs[0].spec, runs[0].manifest)
    shutil.copytree(runs[0].folder / "examples", tmp_path / "examples")
    index = tmp_path / "examples" / "index.json"
    content = json.loads(index.read_text(encoding="utf-8"))
    for picture in content["examples"][0]["pictures"]:
        picture |= {"probabilities": {}, "predictions": dict.fromkeys(picture["predictions"], "3")}
    index.write_text(json.dumps(content), encoding="utf-8")
    assert shown_examples(run, 10**6, None)["examples_notes"] == [
        "The answer of each timestep to each picture: its class.",
        "Perturbations and reconstructions are shown without an answer: no network was asked about them.",
    ]
