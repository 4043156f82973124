"""The built site is whole, opens from a disk without a network, and can be read on a phone and by the keyboard alone.

Oracles: its own files; axe-core and the widths that a real Chromium measures. `PCBENCH_SITE` is the folder of a site
that `python docs/build.py` made; without it one is made here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

ROOT = Path(__file__).parents[2]
SHOWN = ("index", "tutorial", "notebook", "how_to/gate", "reference/tables", "reference/api", "explanation/dynamics")
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark"}
OF_A_SCREEN = ("color-contrast", "target-size", "scrollable-region-focusable", "meta-viewport", "aria-hidden-focus")
"""The rules whose answer can be another on a phone, in the dark."""
ALIKE = "tbody tr:nth-child(n+5), .highlight pre > span:nth-child(n+40)"
"""What looks as what is before it, and takes most of the time."""
LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=\"((?:https?:)?//[^\"]*)\"")
LINK = re.compile(r"<a\b[^>]*?\bhref=\"([^\"]*)\"")
ANCHOR = re.compile(r"\bid=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site."""
    given = os.environ.get("PCBENCH_SITE")
    if given:
        return Path(given)
    pytest.importorskip("furo", reason="the packages of the group docs are not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "docs" / "build.py", "--out", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{(folder / 'index.html').as_uri()}\n"
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, str]:
    """The text of each page."""
    return {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}


def test_every_page_is_built(pages: dict[Path, str], site: Path) -> None:
    written = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    assert {str(path.relative_to(site).with_suffix("")) for path in pages} >= written


def test_nothing_is_loaded_from_a_network(pages: dict[Path, str]) -> None:
    assert {found for text in pages.values() for found in LOADED.findall(text)} == set()


def test_every_link_of_the_site_leads_to_a_file_of_it_and_to_an_anchor(pages: dict[Path, str]) -> None:
    anchors = {path: set(ANCHOR.findall(text)) for path, text in pages.items()}
    dead = []
    for path, text in pages.items():
        for target in set(LINK.findall(text)):
            name, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z]+:", name) or target == "#":
                continue
            other = (path.parent / name).resolve() if name else path
            if not other.is_file() or (anchor and other.suffix == ".html" and anchor not in anchors[other]):
                dead.append((path.name, target))
    assert dead == []


def test_who_knows_foolbox_finds_each_timestep_in_one_step(pages: dict[Path, str], site: Path) -> None:
    front = re.sub(r"<[^a/][^>]*>|</[^a][^>]*>", "", pages[site / "index.html"])
    found = re.search(
        r"foolbox.{0,200}?<a[^>]* href=\"([^\"#]+)[^>]*>How do I attack each timestep\?</a>", front, re.DOTALL
    )
    assert found is not None
    assert "timestep" in pages[(site / found[1]).resolve()]


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("shown", [DESK, PHONE], ids=["on a desk", "on a phone in the dark"])
def test_axe_finds_no_serious_violation(shown: dict[str, Any], name: str, browser: Browser, site: Path) -> None:
    page = browser.new_context(offline=True, **shown).new_page()
    page.goto((site / f"{name}.html").as_uri())
    page.evaluate("alike => document.querySelectorAll(alike).forEach(one => one.remove())", ALIKE)
    rules = None if shown is DESK else {"runOnly": {"type": "rule", "values": list(OF_A_SCREEN)}}
    found = Axe().run(page, options=rules).response["violations"]
    serious = [(rule["id"], rule["nodes"][0]["html"]) for rule in found if rule["impact"] in {"serious", "critical"}]
    page.context.close()
    assert serious == []


def test_no_page_is_wider_than_a_phone(browser: Browser, pages: dict[Path, str]) -> None:
    page = browser.new_context(offline=True, **PHONE).new_page()
    wide = []
    for path in pages:
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["viewport"]["width"]:
            wide.append(path.name)
    page.context.close()
    assert wide == []


def test_the_search_works_from_a_disk(browser: Browser, site: Path) -> None:
    page = browser.new_context(offline=True).new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=severity")
    page.wait_for_selector('#search-results li a[href*="reference/corruptions.html"]')  # results come one by one
    page.context.close()
