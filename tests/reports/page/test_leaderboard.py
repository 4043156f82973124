"""Oracle: the tables of made runs, read row by row; a real Chromium that sorts the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from pcbench.errors import DataError, UsageError
from pcbench.percent import interval, percent
from pcbench.reports.page.leaderboard import write_leaderboard
from pcbench.results.directory import Run

COLUMNS = ("network", "suite", "t", "clean", "corrupted", "robust", "mce", "ece", "images")


@pytest.fixture(scope="module")
def results(runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two published runs: the manifest, the table and the verdicts, without outcomes; the first has a page."""
    folder = tmp_path_factory.mktemp("published")
    for name, run in zip(("first", "second"), runs, strict=False):
        (folder / name).mkdir()
        for kept in ("manifest.json", "metrics.csv", "checks.json"):
            if (run.folder / kept).is_file():
                shutil.copy(run.folder / kept, folder / name / kept)
    (folder / "first" / "report").mkdir()
    (folder / "first" / "report" / "index.html").write_text("")
    return folder


@pytest.fixture(scope="module")
def page(browser: Browser, results: Path) -> Iterator[Page]:
    out = write_leaderboard(results, results / "pages" / "leaderboard.html")
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    page.heard = []
    page.on("console", lambda message: page.heard.append(message.text))
    page.on("pageerror", lambda error: page.heard.append(str(error)))
    page.goto(out.as_uri())
    yield page
    page.close()


def shown(page: Page) -> pd.DataFrame:
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator("tbody tr").all()]
    return pd.DataFrame([[" ".join(cell.split()) for cell in row] for row in rows], columns=list(COLUMNS))


def one(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{percent(row['value'])} {interval(row['ci_low'], row['ci_high'])}"


def test_every_number_is_that_of_the_runs_table(page: Page, results: Path, runs: list[Run]) -> None:
    found = shown(page)
    assert page.heard == []
    metrics = pd.read_csv(results / "first" / "metrics.csv")
    of_run = found[found["network"] == str(runs[0].spec.model["name"])]
    assert set(of_run["suite"]) == set(metrics["suite"])
    for _, row in of_run.drop_duplicates(["suite", "t"]).iterrows():
        at = metrics[(metrics["suite"] == row["suite"]) & (metrics["timestep"] == int(row["t"]))]
        clean = at[at["kind"] == "clean"]
        assert row["clean"] == one(clean[clean["metric"] == "accuracy"])
        ece = clean[clean["metric"] == "expected_calibration_error"]
        assert row["ece"] == (one(ece) if len(ece) else "")
        pooled = at[(at["kind"] == "summary") & at["severity"].isna()]
        for column, metric, end in (("corrupted", "accuracy", ""), ("mce", "mean_corruption_error", " by ")):
            expected = pooled[pooled["metric"] == metric]
            name = f"{end}{expected['baseline'].iloc[0]}" if end and len(expected) else ""
            assert row[column] == (f"{one(expected)}{name}" if len(expected) else "")
        robust = at[(at["kind"] == "attack") & (at["metric"] == "robust_accuracy") & (at["epsilon"] > 0)]
        if len(robust):
            assert any(row["robust"].startswith(one(robust.iloc[[at]])) for at in range(len(robust)))
            assert any(word in row["robust"] for word in ("checked", "gradients suspicious"))
    assert (found["robust"] != "").any()
    assert (found["mce"] != "").any()


def test_rows_are_sorted_by_their_numbers_and_linked_to_their_pages(page: Page) -> None:
    page.locator("thead button", has_text="clean accuracy").click()
    values = [float(text.split()[0]) for text in shown(page)["clean"]]
    assert values == sorted(values)
    links = set(page.locator("tbody a").evaluate_all("all => all.map((one) => one.getAttribute('href'))"))
    assert links == {"../first/report/index.html"}
    for width in (360, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_a_folder_without_runs_and_a_run_without_its_table_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no finished run \(a folder with manifest.json\) and no study"):
        write_leaderboard(tmp_path, tmp_path / "page.html")
    shutil.copytree(results / "first", tmp_path / "first")
    (tmp_path / "first" / "metrics.csv").unlink()
    with pytest.raises(DataError, match=r"metrics.csv: there is no such file; is .*first a finished run"):
        write_leaderboard(tmp_path, tmp_path / "page.html")
