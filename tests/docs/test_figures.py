"""The pictures of the documentation are what their committed scripts draw.

Oracle: each script, run again beside a copy of itself.
"""

import runpy
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "figures").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_picture_is_what_its_script_draws(script: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(script, tmp_path))
    runpy.run_path(str(copy), run_name="__main__")
    drawn = copy.with_suffix(".svg").read_text(encoding="utf-8")
    assert drawn == script.with_suffix(".svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(drawn)  # noqa: S314  # of our own script
    assert root.find("{http://www.w3.org/2000/svg}title") is not None, "a picture says what it shows"
