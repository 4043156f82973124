"""The notebook of the documentation runs, and what it shows is what is stored in it.

Oracle: its stored outputs, text by text. `uv run jupyter execute --inplace docs/notebook.ipynb` stores new ones.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
LARGEST = 300_000


def shown(notebook: dict[str, Any]) -> list[tuple[str, list[str], list[str]]]:
    """Return each code cell's source, texts (without addresses in memory), and the kinds of its pictures."""
    found = []
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        texts, pictures = [], []
        for output in cell["outputs"]:
            data = output.get("data", {})
            texts += ["".join(output["text"])] if "text" in output else []
            texts += ["".join(data["text/plain"])] if "text/plain" in data else []
            pictures += sorted(kind for kind in data if kind.startswith("image/"))
        found.append(("".join(cell["source"]), [re.sub(r"0x[0-9a-f]+", "0x…", text) for text in texts], pictures))
    return found


def executed(folder: Path) -> dict[str, Any]:
    """Execute the notebook in a copy of its place: `docs/` beside `results/`."""
    docs = folder / "docs"
    docs.mkdir()
    shutil.copy(NOTEBOOK, docs)
    (folder / "results").symlink_to(ROOT / "results")
    program = Path(sys.executable).with_name("jupyter-execute")
    variables = os.environ | {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    command = [program, "--inplace", NOTEBOOK.name]
    done = subprocess.run(command, cwd=docs, env=variables, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads((docs / NOTEBOOK.name).read_text(encoding="utf-8"))


def test_the_notebook_shows_what_is_stored(tmp_path: Path) -> None:
    stored = shown(json.loads(NOTEBOOK.read_text(encoding="utf-8")))
    assert shown(executed(tmp_path)) == stored


@pytest.fixture
def stored() -> dict[str, Any]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def test_it_is_stored_with_its_outputs_and_small(stored: dict[str, Any]) -> None:
    counts = [cell["execution_count"] for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert sum(len(pictures) for _, _, pictures in shown(stored)) >= 2
    assert NOTEBOOK.stat().st_size < LARGEST


def test_its_outputs_name_no_folder_of_a_machine(stored: dict[str, Any]) -> None:
    assert not re.search(r"/(tmp|home|root|Users|work)/", json.dumps(stored))
