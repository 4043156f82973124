"""Oracle: the package itself: every name that a benchmark imports from it is there."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


# foolbox, which a benchmark compares with, imports from a namespace that SciPy 2 removes.
@pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")
@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_finds_what_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Benchmarks import one another, as scripts of one folder do.
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    assert runpy.run_path(str(path), run_name="imported")["__doc__"]


def test_the_page_of_speed_gets_each_ratio_with_what_stands_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS[0].parent), *sys.path])
    speed = runpy.run_path(str(BENCHMARKS[0].with_name("speed.py")), run_name="imported")
    printed = "equal\nratio plain forward, 2 threads 3.12\n    3.00 to 3.20\nratio peak memory 1.10\nseconds 5\n"
    rows = speed["ratios_in"]("unroll", printed)
    assert rows == [
        ("`unroll`: plain forward, 2 threads", "3.12", "3.00 to 3.20"),
        ("`unroll`: peak memory", "1.10", ""),
    ]
    page = tmp_path / "speed.md"
    page.write_text(f"# Speed\n{speed['BEGIN']}\nold\n{speed['END']}\nafter\n", encoding="utf-8")
    for _ in range(2):
        speed["write_table"](page, rows)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Speed\n")
    assert text.endswith(f"{speed['END']}\nafter\n")
    assert "old" not in text
    assert text.count("| `unroll`: plain forward, 2 threads | 3.12 | 3.00 to 3.20 |") == 1
