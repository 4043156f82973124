"""Oracle: the declared columns for what docs/reference/tables.md says, and its own examples for one another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pcbench.results.columns import OUTCOMES_VERSION, table_of_columns
from pcbench.results.directory import Run
from pcbench.results.tables_page import IN_PANDAS, SECTIONS, filled

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tables.md"


def _example(word: str, run: Path) -> dict[str, Any]:
    """Run the one code block of the page that imports a library, with `run` being the folder of a run."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    chosen = [block for block in blocks if word in block]
    assert len(chosen) == 1
    names: dict[str, Any] = {"run": run}
    exec(compile(chosen[0], str(PAGE), "exec"), names)  # noqa: S102 (the documentation's own lines are what is tested)
    return names


def test_the_tables_of_columns_are_the_declared_ones() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "python -m pcbench.results.tables_page docs/reference/tables.md"


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_changed_table_of_columns_is_made_anew(heading: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    table = table_of_columns(SECTIONS[heading], IN_PANDAS.get(heading))
    assert filled(page.replace(table, table.replace("timestep", "step"))) == page


def test_the_types_in_pandas_are_those_of_the_frames(runs: list[Run], metrics: pd.DataFrame) -> None:
    for heading, frames in (
        (
            "`outcomes/<suite>/*.parquet`",
            [run.outcomes(suite) for run in runs for suite in (None, run.spec.suites[0].name)],
        ),
        ("`metrics.csv` and `metrics.parquet`", [metrics, *(run.metrics for run in runs)]),
    ):
        for name, column in SECTIONS[heading].items():
            told = IN_PANDAS[heading](column)
            for frame in (one for one in frames if name in one):
                plain, _, with_empty = told.partition("; with empty ones ")
                expected = with_empty if with_empty and frame[name].isna().any() else plain
                assert str(frame[name].dtype) == expected, (heading, name)


def test_the_page_names_todays_version() -> None:
    assert f"`pcbench_outcomes_version`, now {OUTCOMES_VERSION}" in PAGE.read_text(encoding="utf-8")


def test_every_metric_is_documented(metrics: pd.DataFrame) -> None:
    documented = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert set(metrics["metric"].str.removesuffix("_minus_t0")) <= documented


def test_pandas_duckdb_and_polars_agree(runs: list[Run]) -> None:
    folder = runs[0].folder
    by_pandas = _example("outcomes = pd.read_parquet", folder)["accuracy"]
    by_duckdb = _example("duckdb", folder)["accuracy"]
    by_polars = _example("polars", folder)["accuracy"].to_dicts()
    assert len(by_duckdb) == len(by_polars) == 15 * 5 * 3
    for row, other in zip(by_duckdb.to_dict("records"), by_polars, strict=True):
        expected = by_pandas[row["name"], row["severity"], row["timestep"]]
        assert row["accuracy"] == pytest.approx(expected)
        assert other["accuracy"] == pytest.approx(expected)


def test_the_example_of_metrics_runs(runs: list[Run]) -> None:
    assert len(_example("metrics = pd.read_parquet", runs[0].folder)["mce"]) == 3
