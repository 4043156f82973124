"""Oracles: a tree made by the test, whose versions it knows; GitHub's and CFF's own schemas are asked by CI."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CHANGES = """# Changelog

## Unreleased

- Later.

## 1.2.3 - 2027-01-31

- It is told.

## 1.2.2 - 2026-12-31

- Earlier.
"""


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pcbench").mkdir()
    (tmp_path / "pcbench" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    return tmp_path


def test_a_release_tells_its_own_changes_alone(release: ModuleType, tree: Path) -> None:
    assert release.notes(tree, "v1.2.3") == "- It is told."


@pytest.mark.parametrize(
    ("file", "before", "after", "tag", "told"),
    [
        ("pcbench/__init__.py", "1.2.3", "1.2.4", "v1.2.3", "pcbench/__init__.py says 1.2.4"),
        ("CITATION.cff", "version: 1.2.3", "version: 1.0", "v1.2.3", "CITATION.cff says 1.0"),
        ("CHANGELOG.md", " - 2027-01-31", "", "v1.2.3", "no section '## 1.2.3 - YEAR"),
        ("CHANGELOG.md", "1.2.3", "1.2.3", "1.2.3", "it begins with no v"),
        ("CHANGELOG.md", "1.2.3", "1.2.3", "v1.2", "pcbench/__init__.py says 1.2.3, CITATION.cff says 1.2.3"),
    ],
)
def test_a_tag_that_is_not_the_version_stops_the_release(
    release: ModuleType, tree: Path, file: str, before: str, after: str, tag: str, told: str
) -> None:
    path = tree / file
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(SystemExit, match=re.escape(told)):
        release.notes(tree, tag)


def test_unreleased_changes_are_on_top() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
