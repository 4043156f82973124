"""Finished runs of simulated images with the real schema: pages, figures and exports are about tables alone."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from made_runs import begin_made_run, made_data, made_settings, made_spec, made_suite, made_table
from PIL import Image

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.summary import summarise
from pcbench.metrics.transfer import transfer_rows
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.metrics_table import metrics_table, write_metrics
from pcbench.results.run_spec import RunSpec

TIMESTEPS = 3
EPSILONS = [k / 255 for k in (0, 1, 4, 16)]


class MadeUpBaseline:
    """A network that errs 0.2 on clean images and 0.3 to 0.7 on corrupted ones."""

    name = "alexnet-made-up"
    clean_error = 0.2
    errors = dict.fromkeys(THE_FIFTEEN, (0.3, 0.4, 0.5, 0.6, 0.7))

    def mean_error(self, corruption: str) -> float:
        return float(np.mean(self.errors[corruption]))


class _Simulation:
    """Images of given difficulty: one is classified correctly where its ease exceeds a condition's hardness."""

    def __init__(self, images: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.ease = self.generator.normal(size=images)
        self.clean = np.stack([self._answers(-1.6 - 0.05 * t) for t in range(TIMESTEPS)])

    def _answers(self, hardness: float) -> np.ndarray:
        return self.ease + 0.5 * self.generator.normal(size=self.ease.size) > hardness

    def table(self, condition: Condition, correct: np.ndarray, timesteps: list[int], **more: np.ndarray) -> pa.Table:
        return made_table(condition, timesteps, np.atleast_2d(correct), **more)

    def clean_table(self, suite: str) -> pa.Table:
        return self.table(Condition(suite, "clean", "clean"), self.clean, list(range(TIMESTEPS)))

    def corruption_tables(self, suite: str, names: Sequence[str]) -> list[pa.Table]:
        tables = [self.clean_table(suite)]
        for number, (name, severity) in enumerate(itertools.product(names, range(1, 6))):
            hardness = -1.5 + 0.35 * severity + 0.01 * number
            correct = np.stack([self._answers(hardness - 0.12 * t) for t in range(TIMESTEPS)])
            condition = Condition(suite, "corruption", name, severity=severity)
            tables.append(self.table(condition, correct, list(range(TIMESTEPS))))
        return tables

    def attack_tables(self, suite: str) -> list[pa.Table]:
        tables = [self.clean_table(suite)]
        for (strength, name), t in itertools.product(enumerate(["fgsm", "bim", "pgd"]), range(TIMESTEPS)):
            smallest = np.exp(self.generator.normal(size=self.ease.size) + self.ease - 0.3 * strength + 0.2 * t) / 100
            for epsilon in EPSILONS:
                broken = (smallest <= epsilon) & self.clean[t]
                condition = Condition(suite, "attack", name, None, "linf", epsilon, False, "exact", t)
                outside = ~self.clean[t]
                within = np.ma.masked_array(broken, mask=outside)
                more = {"success_within": within, "success": within, "attacked": ~outside}
                tables.append(self.table(condition, self.clean[t] & ~broken, [t], **more))
        return tables


def simulated_tables(images: int = 80, seed: int = 0, corruptions: Sequence[str] = THE_FIFTEEN) -> list[pa.Table]:
    simulation = _Simulation(images, seed)
    return simulation.corruption_tables("digits-c", corruptions) + simulation.attack_tables("digits-linf")


def _spec(model: str, seed: int) -> RunSpec:
    suites = [made_suite("digits-c", 80), made_suite("digits-linf", 80, kind="attacks")]
    data = made_data(80, name="digits", fingerprint="f" * 64, preprocessing={"resize": 32, "crop": None})
    settings = made_settings(seed=seed, timesteps=TIMESTEPS - 1, checks=True)
    versions = {"pcbench": "0", "python": "3"}
    return made_spec(suites, data, settings, model={"name": model, "weights": "a" * 64}, versions=versions)


def _pair(attacked: int, scored: int) -> dict[str, object]:
    """A cell of the transfer matrix: images made at one timestep carry over the less, the farther the other is."""
    rate = 0.8 - 0.2 * abs(attacked - scored)
    pair = {"attacked_timestep": attacked, "timestep": scored, "attack_success_rate": rate, "n": 60}
    return {"attack": "pgd", "norm": "linf", "epsilon": 8 / 255, **pair}


def _write_examples(folder: Path) -> None:
    folder.mkdir()
    kinds = ["clean", "corrupted", "adversarial", "perturbation", "reconstruction"]
    pictures = []
    for shade, kind in enumerate(kinds):
        Image.new("RGB", (32, 32), (50 * shade, 40, 90)).save(folder / f"0-{kind}.png")
        seen = {str(t): str((3 + t * shade) % 10) for t in range(TIMESTEPS)} if shade < 3 else {}
        timestep = 2 if kind == "reconstruction" else None
        picture = {"file": f"0-{kind}.png", "kind": kind, "title": kind, "timestep": timestep, "predictions": seen}
        picture["probabilities"] = dict.fromkeys(seen, 0.9)
        pictures.append(picture)
    example = {"image_id": "image-0000", "label": "3", "pictures": pictures}
    (folder / "index.json").write_text(json.dumps({"examples_version": 1, "examples": [example]}), encoding="utf-8")


@functools.cache
def _numbers(seed: int, images: int, corruptions: tuple[str, ...]) -> tuple[list[pa.Table], pd.DataFrame]:
    """Return the outcomes of a run, and their metrics; intervals of the same outcomes take most of a test's time."""
    tables = simulated_tables(images, seed, corruptions)
    whole = pa.concat_tables(tables).unify_dictionaries().to_pandas()
    return tables, summarise(whole, model="made", baselines={"digits-c": MadeUpBaseline()})


def write_run(folder: Path, model: str, seed: int, images: int = 80, corruptions: Sequence[str] = THE_FIFTEEN) -> Run:
    """Write a finished run of made-up outcomes, the way the harness does."""
    tables, numbers = _numbers(seed, images, tuple(corruptions))
    files = {f"{table['suite'][0]}/{number:03}.parquet": table for number, table in enumerate(tables)}
    workspace = begin_made_run(folder, _spec(model, seed), files)
    metrics = numbers.assign(model=pd.Series(model, index=numbers.index, dtype=numbers["model"].dtype))
    rival = {
        "sign": "random search",
        "epsilon": 16 / 255,
        "n": 70,
        "judged_rate": 0.5,
        "rival_rate": 0.25,
        "p_value": 0.9,
        "rival_only": 0,
    }
    checks = [
        {
            "suite": "digits-linf",
            "timestep": t,
            "verdict": "suspicious" if t == 1 else "consistent",
            "reasons": ["made up"] * (t == 1),
            "attack": "pgd",
            "epsilon": 8 / 255,
            "comparisons": [rival],
            "transfer": [_pair(t, scored) for scored in range(TIMESTEPS)],
        }
        for t in range(TIMESTEPS)
    ]
    (workspace.finished / "checks.json").write_text(json.dumps(checks), encoding="utf-8")
    transfer = metrics_table([{"model": model, **row} for row in transfer_rows(checks)])
    metrics = pd.concat([metrics, transfer], ignore_index=True)
    write_metrics(metrics, workspace.finished)
    _write_examples(workspace.finished / "examples")
    return workspace.finish({"started": "2026-01-01T00:00:00+00:00", "seconds": 1.5, "machine": {}})
