"""The page docs/reference/study_files.md: the keys of a study's file, and the arms that it may name."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from pcbench.cli.pages.markdown import MADE, definition_section, table
from pcbench.studies.arms import ARMS
from pcbench.studies.study_file import (
    ArmTable,
    QuestionTable,
    StudyTable,
    StudyTraining,
    SuiteTable,
    TuningTable,
)

_HEADINGS: Mapping[type[BaseModel], str] = {
    StudyTable: "The whole file",
    StudyTraining: "`[training]`",
    TuningTable: "`[tuning]`",
    ArmTable: "`[arm.NAME]`",
    SuiteTable: "`[[suites]]`",
    QuestionTable: "`[[questions]]`",
}
_HEAD = f"""# Files of studies

{MADE}

A study is a TOML file that is written before the work: what is asked, on which images, with which arms. The folder
[studies/](../../studies/README.md) has whole ones, and [studies.md](../how_to/studies.md) says how they are run and
read. A key that is not listed here is refused, with the nearest known one. All keys are there since version 0.1.0,
unless a table says otherwise.

"""


def study_files_page() -> str:
    """Return the page as Markdown."""
    arms = table(("arm", "what it is", "what it shows"), ((f"`{n}`", arm.title, arm.shows) for n, arm in ARMS.items()))
    sections = [definition_section(cls, _HEADINGS) for cls in _HEADINGS]
    return _HEAD + "\n".join([*sections, f"## Arms\n\nWhat `arms` may name.\n\n{arms}"])
