"""Oracle: the one place in which the version stands, `pcbench/__init__.py`, against everything that states it."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import numpy as np
import pytest
from few_figures import only_two_figures
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

import pcbench
from pcbench.harness.used_code import UsedCode
from pcbench.reports.page.page import write_page
from pcbench.results.conditions import Condition


def test_what_is_installed_and_what_is_cited_is_this_version() -> None:
    assert importlib.metadata.version("pcbench") == pcbench.__version__
    citation = (Path(__file__).parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [pcbench.__version__]


def test_a_run_s_manifest_and_its_page_say_the_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pcbench, "__version__", "98.7.6")
    versions = UsedCode(("pcbench.results.schema",), ()).versions()
    spec = made_spec([made_suite("made-c", 20)], made_data(20), made_settings(), versions=versions)
    clean = Condition("made-c", "clean", "clean")
    right = np.ones((2, 20), dtype=bool)
    run = made_run(tmp_path / "run", spec, {"made-c/clean.parquet": made_table(clean, (0, 1), right)})
    assert json.loads((run.folder / "manifest.json").read_text())["spec"]["versions"]["pcbench"] == "98.7.6"
    with only_two_figures():
        page = write_page([run], tmp_path / "page").read_text(encoding="utf-8")
    assert "<div><dt>pcbench</dt><dd>98.7.6</dd></div>" in page
