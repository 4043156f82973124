"""Every link of every page leads somewhere, and every page that a message names exists.

Oracles: the files and their headings. GitHub makes a heading's anchor of its small letters, digits, hyphens and
underscores, with a hyphen for each space; the site is told to do the same (docs/conf.py, myst_heading_slug_func).
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$|^    .*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\bdocs/[\w/]+\.(?:md|ipynb)\b")


def tracked() -> list[Path]:
    """The files of the repository."""
    command = [shutil.which("git") or "git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


FILES = tracked()
PAGES = [path for path in FILES if path.suffix == ".md"]
TEXTS = [path for path in FILES if path.suffix in {".md", ".py", ".toml", ".j2", ".yml", ".cff"}]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings; of two equal headings the second has -1 at its end."""
    known: list[str] = []
    for heading in re.findall(r"^#+ (.*?) *$", page.read_text(encoding="utf-8"), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w -]", "", shown.lower()).replace(" ", "-")
        known.append(slug if slug not in known else f"{slug}-{known.count(slug)}")
    return set(known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    dead: list[str] = []
    for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            dead.append(target)
    assert dead == []


def test_every_page_that_is_named_anywhere_exists() -> None:
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in TEXTS
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert {one for one in named if not (ROOT / one[1]).exists()} == set()
