"""Files of small studies, for tests.

As a program it runs the study of docs/studies.md, and writes what is published of it to tests/studies/published:

    uv run python tests/small_studies.py
"""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "tests" / "studies" / "published"
STUDIES_PAGE = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
EXAMPLE: dict[str, Any] = tomllib.loads(re.findall(r"```toml\n(.*?)```", STUDIES_PAGE, re.DOTALL)[0])
"""The study of the documentation."""


def small(**more: Any) -> dict[str, Any]:
    return {
        "study_version": 2,
        "title": "A title",
        "model": "pdigits",
        "data": "digits",
        "timesteps": 2,
        "training_seeds": [0, 1],
        "seen_before": "Nothing.",
        "arms": ["network", "feedforward", "no-feedback", "input-blur"],
        "suites": [{"name": "gaussian-noise"}],
        "questions": [{"name": "noise", "question": "?", "hypothesis": "!", "suite": "gaussian-noise"}],
        **more,
    }


def written(folder: Path, table: dict[str, Any]) -> Path:
    path = folder / "study.toml"
    path.write_text(tomli_w.dumps(table), encoding="utf-8")
    return path


def main() -> None:
    """Run the study of the documentation and publish it among the tests."""
    from pcbench.studies.options import Given
    from pcbench.studies.publishing import publish_study
    from pcbench.studies.study import run_study

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, given = written(folder, EXAMPLE), Given(folder / "out", workers=1)
        run_study(path, given)
        made = publish_study(path, given.out, folder)
        shutil.rmtree(PUBLISHED, ignore_errors=True)
        shutil.copytree(made.results, PUBLISHED)
    print(f"wrote {PUBLISHED}")


if __name__ == "__main__":
    main()
