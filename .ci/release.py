"""Check that a tag is the version of this tree, and print what CHANGELOG.md says of it.

Usage: python .ci/release.py v0.2.0

The tag, `pcbench.__version__`, CITATION.cff and a dated section of CHANGELOG.md have to be of one version.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def stated(root: Path) -> dict[str, str]:
    """Return the version that each file states."""
    patterns = {"pcbench/__init__.py": r'^__version__ = "(.+)"$', "CITATION.cff": r"^version: (.+)$"}
    texts = {name: (root / name).read_text(encoding="utf-8") for name in patterns}
    found = {name: re.search(pattern, texts[name], re.MULTILINE) for name, pattern in patterns.items()}
    return {name: match[1] if match else "none" for name, match in found.items()}


def section(changelog: str, version: str) -> str | None:
    """Return the text below the dated heading of a version; None where there is none."""
    heading = rf"^## \[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d$\n(.*?)(?=^## |\Z)"
    found = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else None


def notes(root: Path, tag: str) -> str:
    """Return what the release says of itself.

    Args:
        root: The tree.
        tag: The tag, such as ``"v0.2.0"``.

    Raises:
        SystemExit: A file is of another version; the message names it.
    """
    version = tag.removeprefix("v")
    other = {name: one for name, one in stated(root).items() if one != version}
    if not tag.startswith("v") or other:
        told = ", ".join(f"{name} says {one}" for name, one in other.items()) or "it begins with no v"
        raise SystemExit(f"the tag is {tag}, but {told}")
    text = section((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)
    if not text:
        raise SystemExit(f"CHANGELOG.md has no section '## {version} - YEAR-MONTH-DAY' with words below it")
    return text


if __name__ == "__main__":
    sys.stdout.write(notes(ROOT, sys.argv[1]) + "\n")
