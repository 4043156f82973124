"""Oracle: the files that CONTRIBUTING.md quotes, and the folders and tasks that there are."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"<!-- not run: a part of (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL)
TASKS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["poe"]["tasks"]


@pytest.mark.parametrize(("file", "quoted"), QUOTED)
def test_what_is_quoted_as_an_example_stands_in_the_file(file: str, quoted: str) -> None:
    lines = {line.strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()}
    assert [line for line in quoted.splitlines() if line.strip() not in lines] == []


def test_an_error_a_docstring_and_a_test_are_quoted() -> None:
    assert len(QUOTED) == 3


def test_every_task_that_a_page_names_is_one_and_every_hook_and_workflow_is_of_this_house() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    pages = [ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.*")]
    texts = [hooks, *(page.read_text(encoding="utf-8") for page in pages)]
    named = {name for text in texts for name in re.findall(r"\bpoe ([a-z]+)", text)}
    assert {"lint", "types", "pages", "names"} <= named <= {*TASKS}
    tested = {name for text in texts for name in re.findall(r"\btests/[\w/]+(?:\.\w+)?", text)}
    made = {"tests/corruptions/test_lens.py", "tests/data/test_npz.py"}  # by readers of the recipes
    assert {name for name in tested if not (ROOT / name).exists()} <= made


def test_every_page_that_is_made_from_the_code_is_made_by_one_task() -> None:
    made = " ".join(step.get("shell") or step["cmd"] for step in TASKS["pages"]["sequence"])
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")]
    named = {
        command
        for page in pages
        for command in re.findall(r"[Mm]ade .*?(python -m [\w.]+)", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 2
    assert {command for command in named if command not in made} == set()
