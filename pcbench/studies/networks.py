"""The arms of a study as networks of a leaderboard: each number over all training seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from pcbench.metrics.rates import CONFIDENCE
from pcbench.reports.page.leaderboard import board_rows, images_text
from pcbench.results.directory import open_run
from pcbench.studies.answers import worst_verdict
from pcbench.studies.arms import NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.study_file import StudyFile, SuiteTable

_KEYS = ["timestep", "kind", "name", "norm", "epsilon", "metric", "baseline"]
_NOT_SHARES = ("mean_corruption_error",)


def network_rows(study: StudyFile, out: Path) -> pd.DataFrame:
    """Return for each arm, suite and timestep the numbers that a leaderboard shows, as means over training seeds.

    An interval joins in quadrature Student's of the mean over seeds, and the mean half-width of the seeds' own over
    images: as wide as if all seeds erred on the same images, too wide rather than too narrow.

    Raises:
        DataError: A run is missing or damaged.
    """
    tables = [
        _of_arm(study, arm, suite, out)
        for arm in study.table.arms
        for suite in study.table.suites
        if arm in study.arms_of(suite)
    ]
    return pd.concat(tables, ignore_index=True)


def _of_arm(study: StudyFile, arm: str, suite: SuiteTable, out: Path) -> pd.DataFrame:
    seeds = (None,) if arm == "deeper" else study.seeds_of(suite, arm)
    folders = [out / "runs" / suite.label / run_name(NETWORK if arm == PLAIN_NETWORK else arm, seed) for seed in seeds]
    runs = [open_run(folder, verify=False) for folder in folders]
    rows = pd.concat([board_rows(run.metrics) for run in runs])
    rows = rows[rows["timestep"] == 0] if arm == PLAIN_NETWORK else rows
    model = study.table.of_arm(arm).model if arm == "deeper" else study.table.model
    counted = "" if arm in (PLAIN_NETWORK, "deeper") else f", {len(seeds)} training seed{'s' * (len(seeds) != 1)}"
    found = pd.DataFrame(_joined(rows[rows["suite"] == suite.label]))
    verdicts = {
        timestep: worst_verdict(folders, suite.label, (int(timestep),))
        for timestep in found[found["kind"] == "attack"]["timestep"].unique()
    }
    found.insert(0, "network", f"{model}, {arm}{counted}")
    found.insert(1, "data", images_text(runs[0].spec.data))
    found.insert(2, "suite", suite.label)
    attacked = found["kind"] == "attack"
    return found.assign(gradients=found["timestep"].map(verdicts).where(attacked, ""))


def _joined(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for key, seeds in rows.groupby(_KEYS, sort=False, dropna=False, observed=True):
        values, low, high = (seeds[name].to_numpy(dtype=np.float64) for name in ("value", "ci_low", "ci_high"))
        value, count = float(values.mean()), len(values)
        of_seeds = 0.0
        if count > 1:
            factor = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
            of_seeds = factor * float(values.std(ddof=1)) / math.sqrt(count)
        ends = value - math.hypot(of_seeds, (values - low).mean()), value + math.hypot(of_seeds, (high - values).mean())
        named = dict(zip(_KEYS, key, strict=True))
        most = math.inf if named["metric"] in _NOT_SHARES else 1.0
        numbers = {"value": value, "ci_low": max(0.0, ends[0]), "ci_high": min(most, ends[1])}
        yield {**named, **numbers, "n": int(seeds["n"].iloc[0])}
