"""`on_result`: what it is told of, and that it changes nothing.

Oracle: the run's own table, whose rows each condition must have been told with; the bytes of the same run without it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import pcbench
from pcbench.errors import UsageError
from pcbench.harness.told_results import Result
from pcbench.results.directory import Run

SUITES = ["digits-c", "digits-linf"]


def linear() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))


def measure(out: Path, **more: Any) -> Run:
    given = {"data": "digits", "images": 8, "severities": [3], "epsilons": ["8/255"], "checks": False, "timesteps": 0}
    options: dict[str, Any] = {**given, "workers": 1, "report": False, "progress": False, **more}
    return pcbench.run(linear(), SUITES, out=out, **options)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[tuple[int, Result]]]:
    results: list[tuple[int, Result]] = []
    folder = tmp_path_factory.mktemp("told") / "run"
    return measure(folder, on_result=lambda result: results.append((os.getpid(), result))), results


def key_of(rows: pd.DataFrame) -> pd.DataFrame:
    columns = ["suite", "kind", "name", "severity", "epsilon", "timestep", "metric", "value", "n"]
    return rows[columns].astype("str").sort_values(columns[:-2]).reset_index(drop=True)


def test_each_condition_is_told_with_its_rows_of_the_table_and_the_run_at_the_end(
    told: tuple[Run, list[tuple[int, Result]]],
) -> None:
    run, results = told
    *conditions, (process, last) = results
    assert {one for one, _ in results} == {os.getpid()} == {process}
    assert last.condition is None
    assert last.run == run
    pd.testing.assert_frame_equal(last.metrics, run.metrics)
    measured = run.outcomes().drop_duplicates(["suite", "name", "severity"])
    measured = measured[~measured["name"].astype(str).str.startswith("worst")]
    assert sorted(
        (one.condition.suite, one.condition.name) for _, one in conditions if one.condition is not None
    ) == sorted(zip(measured["suite"], measured["name"], strict=True))
    whole = {tuple(row) for row in key_of(run.metrics).itertuples(index=False)}
    for _, one in conditions:
        assert len(one.metrics)
        assert {tuple(row) for row in key_of(one.metrics).itertuples(index=False)} <= whole, one.title


def test_numbers_are_named_for_loggers(told: tuple[Run, list[tuple[int, Result]]]) -> None:
    run, results = told
    fog = next(one for _, one in results if one.title == "digits-c: fog 3")
    rows = run.metrics
    value = rows[(rows["name"] == "fog") & (rows["severity"] == 3) & (rows["metric"] == "accuracy")]["value"].item()
    assert fog.by_timestep()[0]["digits-c/fog/3/accuracy"] == value
    names = [name for _, one in results for numbers in one.by_timestep().values() for name in numbers]
    assert "digits-linf/pgd/epsilon 0.03137/robust_accuracy" in names


def test_it_changes_neither_key_nor_bytes_and_an_exception_is_a_warning(
    told: tuple[Run, list[tuple[int, Result]]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(result: Result) -> None:
        raise ValueError(result.title)

    with caplog.at_level(logging.WARNING, "pcbench"):
        other = measure(tmp_path / "other", on_result=fail)
    assert "on_result raised ValueError: digits-c: fog 3 for digits-c: fog 3; the run goes on" in caplog.messages
    assert other.key == told[0].key
    for name in ("metrics.parquet", "outcomes/digits-c/fog-3.parquet"):
        assert (other.folder / name).read_bytes() == (told[0].folder / name).read_bytes()


def test_of_a_run_that_is_found_the_run_alone_is_told(told: tuple[Run, list[tuple[int, Result]]]) -> None:
    again: list[Result] = []
    measure(told[0].folder, on_result=again.append)
    (result,) = again
    assert result.run is not None
    assert result.run.found


def test_what_is_no_function_and_a_shard_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`on_result` is a function of one value \(got 3\)"):
        measure(tmp_path, on_result=3)
    with pytest.raises(UsageError, match="a shard finishes no condition"):
        measure(tmp_path, on_result=print, shard="1/2")


def test_workers_several_settings_and_a_stopped_run_tell_each_condition(tmp_path: Path) -> None:
    """Oracle: the table of the finished run, by setting; the conditions that a stopped run had told."""
    wanted: dict[str, Any] = {"images": 8, "severities": [3], "epsilons": ["8/255"], "checks": False, "timesteps": 1}
    wanted |= {"hyperparameters": "feedback=0,0.1", "workers": 2, "block_size": 8, "batch_size": 8, "progress": False}
    first: list[Result] = []
    again: list[tuple[int, Result]] = []

    def stop(result: Result) -> None:
        first.append(result)
        if len(first) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pcbench.run("pdigits", SUITES, out=tmp_path / "run", report=False, on_result=stop, **wanted)
    run = pcbench.run(
        "pdigits",
        SUITES,
        out=tmp_path / "run",
        report=False,
        on_result=lambda one: again.append((os.getpid(), one)),
        **wanted,
    )
    *conditions, (process, last) = again
    assert {one for one, _ in again} == {process} == {os.getpid()}
    assert last.run is not None
    assert not last.run.found
    titles = [one.title for _, one in conditions]
    assert len(set(titles)) == len(titles)
    assert {one.title for one in first[:2]} <= set(titles[: len(first) + 1])  # what was finished is told first
    assert {one.setting for _, one in conditions} == {"feedback=0", "feedback=0.1"}
    measured = run.outcomes()
    measured = measured[~measured["name"].astype(str).str.startswith("worst")]
    assert len(titles) == len(measured.drop_duplicates(["feedback", "suite", "name", "severity", "attacked_timestep"]))
    for _, one in conditions:
        whole = run.metrics[run.metrics["feedback"] == float(one.setting.removeprefix("feedback="))]
        assert len(one.metrics)
        rows = {tuple(row) for row in key_of(whole).itertuples(index=False)}
        assert {tuple(row) for row in key_of(one.metrics).itertuples(index=False)} <= rows, one.title
