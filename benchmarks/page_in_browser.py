"""How long a page of results takes until it can be used, in a real Chromium, beside a page without content.

    uv run python benchmarks/page_in_browser.py RUN

RUN is the folder of a finished run, such as `pcbench run --out RUN` makes.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from pcbench.reports.page.page import write_page
from pcbench.results.directory import open_run

TURNS = 10
BLANK = "<!doctype html><html lang=en><title>blank</title><p>nothing</p></html>"
USABLE = (
    """() => new Promise(told => requestAnimationFrame(() => requestAnimationFrame(() => told(performance.now()))))"""
)
"""Milliseconds from the navigation to the second frame after the page's script, which draws all figures, has run."""
CHOSEN = """() => new Promise(told => {
  const slider = document.getElementById("timestep");
  const start = performance.now();
  slider.value = slider.value === slider.max ? slider.min : slider.max;
  slider.dispatchEvent(new Event("input"));
  requestAnimationFrame(() => requestAnimationFrame(() => told(performance.now() - start)));
})"""
"""Milliseconds from the choice of another timestep to the second frame after it."""


def milliseconds(browser: Browser, path: Path, *, choose: bool) -> tuple[float, float]:
    """Return how long a page takes until it can be used, and until another timestep is shown (0 without choosing)."""
    page = browser.new_context(offline=True, viewport={"width": 1400, "height": 900}).new_page()
    page.goto(path.as_uri())
    usable = float(page.evaluate(USABLE))
    chosen = float(page.evaluate(CHOSEN)) if choose else 0.0
    page.close()
    return usable, chosen


def told(times: list[float]) -> str:
    """Return the median and the ends of some times, in seconds."""
    return f"{statistics.median(times) / 1000:.2f} ({min(times) / 1000:.2f} to {max(times) / 1000:.2f})"


def main(run: Path) -> None:
    """Measure the page of a run in turns with the blank one."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page, blank = write_page([open_run(run)], Path(folder, "page.html")), Path(folder, "blank.html")
        blank.write_text(BLANK, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--headless", "--no-sandbox"])
        for warming in (page, blank):
            milliseconds(browser, warming, choose=False)
        turns = [
            (*milliseconds(browser, page, choose=True), milliseconds(browser, blank, choose=False)[0])
            for _ in range(TURNS)
        ]
        browser.close()
        usable, chosen, empty = (list(times) for times in zip(*turns, strict=True))
        ratio = statistics.median(one / other for one, other in zip(usable, empty, strict=True))
        print(f"ratio usable page against a blank one {ratio:.2f}")
        print(
            f"    {TURNS} turns; {page.stat().st_size:,} bytes; seconds until the page can be used {told(usable)}, "
            f"until the blank one {told(empty)}, until another timestep is shown {told(chosen)}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
