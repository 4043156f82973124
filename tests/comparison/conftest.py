"""Finished runs made of chosen answers."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

from pcbench.metrics.summary import summarise
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.run_spec import RunSpec

TIMESTEPS = 3
CORRUPTIONS = ("fog", "snow")
EPSILONS = (0.0, 0.1, 0.2)
IMAGES, ATTACKED = 240, 120


def conditions() -> list[tuple[Condition, int]]:
    """Every condition of a made run, with the timestep that answers."""
    found: list[tuple[Condition, int]] = []
    for timestep in range(TIMESTEPS):
        found.append((Condition("made-c", "clean", "clean"), timestep))
        for name in CORRUPTIONS:
            found += [(Condition("made-c", "corruption", name, severity), timestep) for severity in (1, 2, 3, 4, 5)]
        found.append((Condition("made-linf", "clean", "clean"), timestep))
        found += [
            (Condition("made-linf", "attack", "pgd", None, "linf", epsilon, False, "exact", timestep), timestep)
            for epsilon in EPSILONS
        ]
    return found


def _chance(condition: Condition, timestep: int, difficulty: np.ndarray) -> np.ndarray:
    severity, epsilon = condition.severity or 0, condition.epsilon or 0
    return 1 / (1 + np.exp(difficulty - 2.5 + 0.4 * severity + 6 * epsilon - 0.1 * timestep))


Change = Callable[[Condition, int, np.ndarray], np.ndarray]


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Make a finished run; `change` alters the chances of a right answer, `spec` the description."""

    def make(name: str, *, seed: int = 0, change: Change | None = None, **spec: Any) -> Run:
        return made_run(tmp_path / name, _spec(seed, **spec), _answers(seed, change), metrics=_numbers(seed, change))

    return make


@functools.lru_cache(maxsize=16)
def _answers(seed: int, change: Change | None) -> dict[str, pa.Table]:
    """The outcomes of a run, by the path of their file."""
    random = np.random.default_rng(seed)
    difficulty = np.random.default_rng(99).normal(0, 1.5, IMAGES)
    clean: dict[int, np.ndarray] = {}
    tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
    for condition, timestep in conditions():
        count = IMAGES if condition.suite == "made-c" else ATTACKED
        chance = _chance(condition, timestep, difficulty)
        if change is not None:
            chance = change(condition, timestep, chance)
        # Clean images hold no randomness: the same network gives the same answers.
        draw = np.random.default_rng(1000 + timestep) if condition.kind == "clean" else random
        correct = draw.random(IMAGES)[:count] < chance[:count]
        if condition.kind == "clean":
            clean[timestep] = correct
        elif condition.epsilon == 0:
            correct = clean[timestep]
        tables[f"{condition.suite}/{timestep}.parquet"].append(_table(condition, timestep, correct))
    return {file: pa.concat_tables(parts).unify_dictionaries() for file, parts in tables.items()}


@functools.lru_cache(maxsize=16)
def _numbers(seed: int, change: Change | None) -> pd.DataFrame:
    """The metrics of these outcomes, which many tests begin with."""
    outcomes = pa.concat_tables(_answers(seed, change).values()).unify_dictionaries().to_pandas()
    return summarise(outcomes, model="made", baselines={})


def _table(condition: Condition, timestep: int, correct: np.ndarray) -> pa.Table:
    attacked = {"attacked": np.full(len(correct), True), "success": ~correct, "success_within": ~correct}
    return made_table(condition, [timestep], correct[None], **(attacked if condition.kind == "attack" else {}))


def _spec(seed: int, **changes: Any) -> RunSpec:
    suites = (
        made_suite("made-c", IMAGES),
        made_suite("made-linf", ATTACKED, kind="attacks", sha256="bb", subset=True),
    )
    spec = made_spec(suites, made_data(IMAGES), made_settings(seed=seed, timesteps=TIMESTEPS - 1))
    return spec.model_copy(update=changes)
