"""A pytest plugin for CI: after the tests it prints branch coverage and names the files that are covered too little.

PYTHONPATH=.ci PYTEST_ADDOPTS="-p coverage_floor --cov=pcbench --cov-branch --cov-report=json:FILE" pytest
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FLOOR = 90.0
WATCHED = ("pcbench/harness/", "pcbench/results/", "pcbench/cli/")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the total, and each watched file below the floor."""
    reports: Any = config.getoption("cov_report", {}) or {}
    path = reports.get("json")
    if not path or not Path(path).is_file():
        return
    found = json.loads(Path(path).read_text(encoding="utf-8"))
    total = found["totals"]["percent_covered"]
    terminalreporter.write_sep("=", f"branch coverage {total:.1f} %")
    files = {name: file["summary"]["percent_covered"] for name, file in found["files"].items()}
    low = {name: share for name, share in files.items() if name.startswith(WATCHED) and share < FLOOR}
    for name, share in sorted(low.items(), key=lambda pair: pair[1]):
        terminalreporter.write_line(f"below {FLOOR:.0f} %: {name} {share:.1f} %")
    if not low:
        terminalreporter.write_line(f"no file of harness/, results/ and cli/ is below {FLOOR:.0f} %")
