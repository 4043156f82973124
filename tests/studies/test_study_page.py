"""Oracles: the tables that a study's page is of; a real Chromium, for a reader on a screen, a telephone and paper."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pypdfium2
import pytest
from playwright.sync_api import Browser, Page
from small_studies import small, written

from pcbench.percent import points
from pcbench.reports.page.page import write_values
from pcbench.reports.style import line_colours
from pcbench.studies.answers import ToldAnswer
from pcbench.studies.arms import ARMS
from pcbench.studies.figures import change_charts_of, decisive_charts
from pcbench.studies.page import study_page_values
from pcbench.studies.record import StudyRecord
from pcbench.studies.study_file import StudyFile, read_study
from pcbench.studies.tables import StudyTables

LAST, IMAGES, SEEDS = 8, 360, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
TIMED = [name for name, arm in ARMS.items() if not arm.timeless]
NAMES = [name for name in ARMS if name != "deeper"]
OWN = {"denoising": {"noise": [0.3]}, "longer": {"timesteps": 12}}
OTHERS = ("t = 0", *(name for name in NAMES if name not in ("network", "feedforward")))
QUESTIONS = [
    {"name": f"asked-{number}", "question": f"Does it rise, {number}?", "hypothesis": f"Expected {number}."}
    | {"suite": "gaussian-noise", "primary": number < 3, "measure": "nll" if number == 4 else "accuracy"}
    for number in range(5)
]
COVERED = {"coverage": 0.9512, "width": 0.0431, "difference": 0.0312, "power": 0.8023}
LONG = (
    "at t = 8, against {}: accuracy under gaussian-noise changes by −1.7 points [−24.0, +20.5] (92.3 and 94.0 %; "
    "p = 0.743, Holm over 6 primary comparisons; 360 images, 10 training seeds of one backbone; tuned with labels and "
    "noise). A true difference of 23.7 points is found in 80 of 100 such studies."
)


def numbers_of(*key: object) -> dict[str, float]:
    """Return a difference with its interval, another one for every key."""
    value = np.random.default_rng([ord(letter) for letter in repr(key)]).normal(scale=0.03)
    return {"difference": value, "ci_low": value - 0.02, "ci_high": value + 0.02}


def made_tables() -> StudyTables:
    asked = [str(question["name"]) for question in QUESTIONS]
    common = {"suite": "gaussian-noise", "measure": "accuracy", "p": 0.2, "p_holm": np.nan, "decision": "undecided"}
    level = {"value": 0.8, "other": 0.7, "images": IMAGES, "gradients": ""}
    seeds = [(name, against, seed) for name in asked for against in OTHERS for seed in SEEDS]
    timed = [(name, arm, t) for name in asked for arm in NAMES for t in range(LAST + 1 if arm in TIMED else 1)]
    frames: dict[str, pd.DataFrame] = {
        "answers": pd.DataFrame(
            {"question": name, "against": against, "primary": False, **common, **level, **numbers_of(name, against)}
            for name in asked
            for against in OTHERS
        ),
        "seeds": pd.DataFrame(
            {"question": name, "against": against, "training_seed": seed, **numbers_of(name, against, seed)}
            for name, against, seed in seeds
        ),
        "changes": pd.DataFrame(changed(*one) for one in timed),
        "arms": pd.DataFrame(tuned(arm, seed) for arm in NAMES for seed in SEEDS),
        "blur": pd.DataFrame(blurred()),
        "conditions": pd.DataFrame(
            {"suite": "gaussian-noise", "condition": kind, "noise": level}
            for kind, level in (("clean", np.nan), ("noise", 0.25), ("noise", 0.05), ("noise", 0.25))
        ),
        "image_times": pd.DataFrame({"arm": arm, "milliseconds": 10.0 if arm in TIMED else 2.0} for arm in NAMES),
        "coverage": pd.DataFrame([{"question": "asked-0", "against": "t = 0", **COVERED}]),
    }
    said = [answers()[: 1 + (number in (0, 2))] for number in range(len(QUESTIONS))]  # as many as pdigits' study has
    told = [ToldAnswer(str(one["question"]), said[at], ("Exploratory: …",)) for at, one in enumerate(QUESTIONS)]
    return StudyTables(frames, told, "", "Of 1,000 simulated studies …", {"pcbench_code": "0123456789abcdef"})


def answers() -> tuple[str, ...]:
    return tuple(f"Undecided {LONG.format(against)}" for against in ("t = 0", "input-blur"))


def changed(name: str, arm: str, t: int) -> dict[str, Any]:
    itself = t == 0 and arm != "input-blur"
    found = dict.fromkeys(("difference", "ci_low", "ci_high"), 0.0) if itself else numbers_of(name, arm, t)
    rest = {"value": 0.8, "change": found.pop("difference"), "images": IMAGES, "training_seeds": len(SEEDS)}
    return {"question": name, "arm": arm, "timestep": t, **found, **rest}


def tuned(arm: str, seed: int) -> dict[str, Any]:
    weights = json.dumps([[0.8, 0.1, 0.01], [0.7, 0.0, 0.0123]])
    row = {"arm": arm, "training_seed": seed, "objective": 0.7694, "objective_feedforward": 0.7111, "width": np.nan}
    row |= {"noise": "0.2, 0.75"}
    return {**row, "failed_tuning": arm == "no-error", "hyperparameters": weights, "r_squared": "[-0.402, 0.91]"}


def blurred() -> Iterator[dict[str, Any]]:
    for width in (0.3, 0.5, 0.8):
        place = {"clean_accuracy": 0.99 - 0.05 * width, "accuracy": 0.7 + 0.1 * width}
        yield {"suite": "gaussian-noise", "point": "input-blur", "training_seed": np.nan, "width": width, **place}
    for number, arm in enumerate(NAMES):
        for seed in SEEDS:
            place = {"clean_accuracy": 0.96 + 0.001 * number, "accuracy": 0.7 + 0.005 * number + 0.001 * seed}
            yield {"suite": "gaussian-noise", "point": arm, "training_seed": seed, "width": np.nan, **place}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFile:
    table = small(timesteps=LAST, training_seeds=list(SEEDS), arms=NAMES, questions=QUESTIONS, arm=OWN)
    return read_study(written(tmp_path_factory.mktemp("study"), table))


def record_of(sha256: str) -> StudyRecord:
    return StudyRecord(file_sha256=sha256, begun="2026-01-01T00:00:00Z", committed="abc123")


@pytest.fixture(scope="module")
def html(study: StudyFile) -> Path:
    values = study_page_values(study, record_of(study.sha256), made_tables())
    return write_values("study.html", values, study.path.parent / "report" / "index.html")


@pytest.fixture(scope="module")
def page(browser: Browser, html: Path) -> Iterator[Page]:
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.on("request", lambda request: None if request.url == html.as_uri() else page.heard.append(request.url))
    page.goto(html.as_uri())
    yield page
    page.close()


def drawn(html: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html.read_text(), re.DOTALL)
    assert found is not None
    return json.loads(found[1].replace("\\u003c", "<"))["figures"]


def test_every_arm_is_drawn_with_its_band_and_the_numbers_of_the_table(html: Path) -> None:
    rows = made_tables().frames["changes"]
    figures = drawn(html)
    panels = figures["change-asked-1"]["panels"]
    lines = {line["label"]: line for panel in panels for line in panel["runs"][0]["lines"]}
    assert set(lines) == set(NAMES) - {"feedforward"}  # which is the line at 0
    assert all(len(panel["runs"][0]["lines"]) <= 3 for panel in panels)
    assert all(line["banded"] for panel in panels for line in panel["runs"][0]["lines"])
    for arm, line in lines.items():
        own = rows[(rows["question"] == "asked-1") & (rows["arm"] == arm)]
        for name, column in (("y", "change"), ("low", "ci_low"), ("high", "ci_high")):
            expected = (100 * own[column]).tolist() * (LAST + 1 if arm == "input-blur" else 1)
            assert line[name] == pytest.approx(expected, abs=0.051)
    assert figures["change-asked-4"]["unit"] == ""  # −log p is no share
    assert figures["change-asked-1"]["unit"] == " points"


def test_the_curve_joins_the_widths_and_every_arm_is_a_point(html: Path) -> None:
    lines = drawn(html)["blur-gaussian-noise"]["panels"][0]["runs"][0]["lines"]
    assert lines[0]["p"] == pytest.approx([95.0, 96.5, 97.5])  # from the widest
    assert lines[0]["y"] == pytest.approx([78.0, 75.0, 73.0])
    assert {line["label"]: line["y"] for line in lines[1:]} == {
        arm: pytest.approx([70 + 0.5 * number + 0.45], abs=0.051) for number, arm in enumerate(NAMES)
    }


def test_tables_have_each_seeds_own_value_and_what_each_tuning_found(html: Path, study: StudyFile) -> None:
    text = html.read_text()
    seeds = made_tables().frames["seeds"]
    assert all(points(value) in text for value in seeds[seeds["question"] != "asked-4"]["difference"])
    assert text.count("failed: the feedforward point stands for it") == len(SEEDS)
    assert text.count("0.8 0.1 0.01; 0.7 0 0.0123") == text.count("−0.40, 0.91") == len(NAMES) * len(SEEDS)
    assert "The file was committed (abc123) before the study was begun" in text
    assert "The file is the one that the study was begun with." in text
    assert study.sha256 in text
    assert "Of 1,000 simulated studies …" in text
    assert "<td>95.1</td><td>4.3</td><td>3.1</td><td>80.2</td>" in text
    assert "../tables/answers.csv" in text
    assert text.count("<td>10</td><td>5</td>") == len(TIMED)
    assert all(str(question["hypothesis"]) in text for question in QUESTIONS)


def test_the_levels_of_noise_that_a_suite_measured_are_shown(page: Page) -> None:
    assert page.get_by_text("all (noise of 0.05, 0.25)", exact=True).count() == 1


def test_the_levels_that_arms_were_tuned_for_are_told_and_that_they_differ(study: StudyFile, html: Path) -> None:
    """Oracle: the column `noise` of arms.csv."""
    assert "Every arm that is tuned was tuned for noise of 0.2, 0.75 (where" in html.read_text()
    assert html.read_text().count("<td>0.2, 0.75</td>") == len(NAMES) * len(SEEDS)
    tables = made_tables()
    tables.frames["arms"].loc[3, "noise"] = "0.1"
    values = study_page_values(study, record_of(study.sha256), tables)
    assert values["objective"].startswith("noise of levels that differ, so that what the tunings reached is not")
    tables.frames["arms"]["noise"] = ""
    assert study_page_values(study, record_of(study.sha256), tables)["objective"] == "noise"


def test_a_changed_file_is_told_first(study: StudyFile, tmp_path: Path) -> None:
    values = study_page_values(study, record_of("0" * 64), made_tables())
    text = write_values("study.html", values, tmp_path / "index.html").read_text()
    assert text.count("THE FILE WAS CHANGED") == 2
    assert "The file was committed" not in text  # not the one whose hash stands below
    began = "The file that the study was begun with on 2026-01-01T00:00:00Z was committed before (abc123); the present"
    assert f"{began} one is another." in text
    assert text.index("THE FILE WAS CHANGED") < text.index("The answers</h2>")


def test_a_reader_learns_all_answers_without_scrolling(page: Page, html: Path) -> None:
    assert page.heard == []
    assert html.stat().st_size < 1_000_000
    last = page.locator(".answer p").last
    assert "is found in 80 of 100 such studies" in last.text_content()
    box = last.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 900
    assert page.locator(".answer strong").all_text_contents() == ["Undecided"] * 7


@pytest.mark.parametrize("width", [1400, 360])
def test_nothing_is_cut_by_the_edge(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    right = "box => box.getBoundingClientRect().right"
    cut = "all.filter((one) => right(one) > right(one.closest('svg')) + 1).length"
    cut = f"all => {{ const right = {right}; return {cut}; }}"
    assert page.locator(".plot svg text").evaluate_all(cut) == 0
    page.set_viewport_size({"width": 1400, "height": 900})


def test_names_of_arms_have_no_title_and_that_of_t_0_stands_above_the_labels_of_the_axis(page: Page) -> None:
    assert page.locator(".plot svg .legend-title").count() == 0
    # Ten lines that start at 0, the bottom of the axis, and rise: above 0 there is no free place for the name.
    y = page.evaluate("""() => {
      const colour = { light: "#000000", dark: "#000000" };
      const lines = Array.from({ length: 10 }, (_, number) => ({ label: `${number}`, p: [0, 1], y: [0.1, number / 5],
        low: [0, 0], high: [0, 0], told: ["", ""], banded: false, strong: false, marker: "o", dashes: [], colour }));
      const x = { low: 0, high: 1, label: "t", ticks: [[0, "0"], [1, "1"]] };
      const plot = { lines, x, y: { ...x, high: 9 }, legend: "arm", untitled: true, chosen: null,
        reference: [0, "t = 0"] };
      const { svg } = plots.draw(plot, 400, 220);
      return ["reference-name", "reference"].map((name) => {
        const one = svg.querySelector(`.${name}`);
        return Number(one.getAttribute("y") ?? one.getAttribute("d").match(/ ([0-9.]+)H/)[1]);
      });
    }""")
    assert y[0] < y[1]


def test_it_is_printed_with_its_answers_figures_and_tables(page: Page) -> None:
    sheets = pypdfium2.PdfDocument(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    text = " ".join(sheet.get_textpage().get_text_bounded() for sheet in sheets)
    assert len(sheets) < 25
    for wanted in ("Does it rise, 4?", "change (points)", "misplaced-feedback", "failed: the", "seed 9"):
        assert wanted in text
    assert page.heard == []


def test_an_arm_has_one_colour_on_the_page_and_in_the_files_beside_it(study: StudyFile) -> None:
    frames = made_tables().frames
    (_, on_page), *_ = change_charts_of(study, frames)
    in_file, *_ = decisive_charts(study, frames)
    page_colours, file_colours = (
        {
            line.label: colour
            for panel in one.panels
            for line, colour in zip(panel.lines, line_colours(one, panel), strict=True)
        }
        for one in (on_page, in_file)
    )
    assert set(file_colours) == {"network", "input-blur"}
    assert file_colours.items() <= page_colours.items()
