"""Simulated outcomes, their metrics, and finished runs of them."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from simulated_runs import MadeUpBaseline, simulated_tables, write_run

from pcbench.metrics.summary import summarise
from pcbench.results.directory import Run


@pytest.fixture(scope="session")
def outcomes() -> pd.DataFrame:
    return pa.concat_tables(simulated_tables()).unify_dictionaries().to_pandas()


@pytest.fixture(scope="session")
def baseline() -> MadeUpBaseline:
    return MadeUpBaseline()


@pytest.fixture(scope="session")
def metrics(outcomes: pd.DataFrame) -> pd.DataFrame:
    return summarise(outcomes, model="pdigits", baselines={"digits-c": MadeUpBaseline()})


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two finished runs of made-up outcomes; the second model's name would be markup if it were not escaped."""
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / "one", "pdigits", 0), write_run(folder / "two", "<b>other</b>", 1)]
