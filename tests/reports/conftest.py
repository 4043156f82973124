"""Made-up outcomes with the real schema: the pages and figures are about tables, wherever these come from."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pcbench.metrics.corruption import THE_FIFTEEN
from pcbench.metrics.summary import summarise
from pcbench.results.schema import Condition, outcome_table

TIMESTEPS = 5
EPSILONS = [k / 255 for k in (0, 0.5, 1, 2, 4, 8, 16, 32)]


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
        self.ids = np.array([f"image-{index:04}" for index in range(images)])
        self.labels = np.arange(images) % 10
        self.ease = self.generator.normal(size=images)
        self.clean = np.stack([self._answers(-1.6 - 0.05 * t) for t in range(TIMESTEPS)])

    def _answers(self, hardness: float) -> np.ndarray:
        return self.ease + 0.5 * self.generator.normal(size=self.ease.size) > hardness

    def table(self, condition: Condition, correct: np.ndarray, timesteps: list[int], **more: np.ndarray) -> pa.Table:
        repeated = len(timesteps)
        columns = {
            "image_id": np.tile(self.ids, repeated),
            "label": np.tile(self.labels, repeated),
            "timestep": np.repeat(timesteps, self.ids.size),
            "correct": correct.ravel(),
            "prediction": np.where(correct.ravel(), np.tile(self.labels, repeated), -1),
            "confidence": np.full(correct.size, 0.5),
        }
        return outcome_table(condition, columns | more)

    def clean_table(self, suite: str) -> pa.Table:
        return self.table(Condition(suite, "clean", "clean"), self.clean, list(range(TIMESTEPS)))

    def corruption_tables(self, suite: str) -> list[pa.Table]:
        tables = [self.clean_table(suite)]
        for number, (name, severity) in enumerate(itertools.product(THE_FIFTEEN, range(1, 6))):
            hardness = -1.5 + 0.35 * severity + 0.01 * number
            correct = np.stack([self._answers(hardness - 0.12 * t) for t in range(TIMESTEPS)])
            condition = Condition(suite, "corruption", name, severity=severity)
            tables.append(self.table(condition, correct, list(range(TIMESTEPS))))
        return tables

    def attack_tables(self, suite: str) -> list[pa.Table]:
        tables = [self.clean_table(suite)]
        for (strength, name), t in itertools.product(enumerate(["fgsm", "bim", "pgd"]), range(TIMESTEPS)):
            smallest = np.exp(self.generator.normal(size=self.ids.size) + self.ease - 0.3 * strength + 0.2 * t) / 100
            for epsilon in EPSILONS:
                broken = (smallest <= epsilon) & self.clean[t]
                condition = Condition(suite, "attack", name, None, "linf", epsilon, False, "exact", t)
                outside = ~self.clean[t]
                within = np.ma.masked_array(broken, mask=outside)
                more = {"success_within": within, "success": within, "attacked": ~outside}
                tables.append(self.table(condition, self.clean[t] & ~broken, [t], **more))
        return tables


def simulated_tables(images: int = 80, seed: int = 0) -> list[pa.Table]:
    simulation = _Simulation(images, seed)
    return simulation.corruption_tables("digits-c") + simulation.attack_tables("digits-linf")


@pytest.fixture(scope="session")
def outcomes() -> pd.DataFrame:
    return pa.concat_tables(simulated_tables()).unify_dictionaries().to_pandas()


@pytest.fixture(scope="session")
def metrics(outcomes: pd.DataFrame) -> pd.DataFrame:
    return summarise(outcomes, model="pdigits", baselines={"digits-c": MadeUpBaseline()})
