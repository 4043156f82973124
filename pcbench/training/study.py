"""Studies: do more timesteps help a network? Several training seeds, several noise draws, paired differences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from scipy.stats import t as student

from pcbench.catalog import Definition, load_definition
from pcbench.data.image_source import ImageSource
from pcbench.data.sources import open_source
from pcbench.errors import DivergenceError, UsageError
from pcbench.files import try_folder, write
from pcbench.metrics.bootstrap import Sample
from pcbench.metrics.rates import CONFIDENCE, Booleans, Floats
from pcbench.models.zoo import zoo_entry
from pcbench.network.network import PredictiveNetwork
from pcbench.options import resolved
from pcbench.results.environment import versions
from pcbench.results.metrics_table import csv_frame
from pcbench.training.conditions import standard_deviation
from pcbench.training.job import Trained, Watcher, train
from pcbench.training.options import TrainOptions
from pcbench.training.request import command_of, preprocessing_of
from pcbench.training.validation import CONDITIONS, noisy_inputs


class StudyTable(Definition):
    """A study, as its file in `studies/` describes it."""

    title: str
    """What it asks."""
    model: str
    """A model whose backbone, predictors and hyperparameters this project trains."""
    data: str
    """Its data; training, validation and test are its three splits."""
    training_seeds: tuple[int, ...] = Field(min_length=1)
    """Each seed trains its own network, with the command `pcbench train --seed N`."""
    noise_draws: tuple[int, ...] = Field(min_length=1)
    """Each is a seed of the noise on the test images."""
    conditions: tuple[int, ...] = CONDITIONS
    """0 for clean images, 1 to 5 for the severities of the suite `gaussian-noise`."""
    timestep: int = Field(ge=1)
    """T, compared with t = 0."""
    batch_size: int = Field(default=180, ge=1)
    """Images in one pass."""


@dataclass(frozen=True)
class NetworkOutcomes:
    """What one trained network predicted under one condition."""

    seed: int
    """Seed of the training."""
    condition: int
    """0 (clean) to 5."""
    correct: Booleans
    """(draws, T+1, images)."""
    diverged: Booleans
    """(draws, images): representations grew without bound."""


def run_study(path: Path, folder: Path, work: Path, watcher: Watcher | None = None) -> Path:
    """Run a study and write its tables.

    Networks are trained in `work`, where a study that was stopped finds them again.

    Args:
        path: The study's TOML file.
        folder: Receives `draws.csv` (each training seed, noise and draw), `seeds.csv` (draws pooled), `summary.csv`
            (seeds pooled) and `study.json` (how they were made).
        work: Receives the trainings.
        watcher: Receives the progress of each training.

    Returns:
        The folder.

    Raises:
        UsageError, DataError: The study cannot be done as described, or files cannot be written there.
        WriteError: A file could not be written.
    """
    study = load_definition(StudyTable, path)
    if zoo_entry(study.model).data != study.data:
        raise UsageError(f"{path}: {study.model} is not trained on {study.data} by this project")
    try_folder(folder, "give another with `out`")
    outcomes: list[NetworkOutcomes] = []
    trainings: list[dict[str, Any]] = []
    for seed in study.training_seeds:
        asked = {"model": study.model, "data": study.data, "seed": seed, "out": work / f"{study.model}-seed{seed}"}
        options = resolved(TrainOptions, asked)
        trained = _train(options, watcher)
        trainings.append(_training_record(options, trained))
        if trained is not None and trained.network is not None:
            outcomes += list(_outcomes(study, seed, trained.network, _test_images(study, options)))
    tables = {"draws": draw_table(outcomes), "seeds": seed_table(outcomes), "summary": summary_table(outcomes)}
    _write(folder, path, study, tables, trainings)
    return folder


def _train(options: TrainOptions, watcher: Watcher | None) -> Trained | None:
    try:
        return train(options, watcher)
    except DivergenceError:
        return None


def _training_record(options: TrainOptions, trained: Trained | None) -> dict[str, Any]:
    """Return the record of a training; a network that diverged is recorded as diverged, never left out."""
    record: dict[str, Any] = {"seed": options["seed"], "command": command_of(options), "diverged": trained is None}
    if trained is not None and trained.tuned is not None:
        record["weights_sha256"] = trained.sha256
        record["hyperparameters"] = [vars(entry) for entry in trained.tuned.hyperparameters]
        record["validation_score"] = trained.tuned.score.value
        record["validation_score_at_0"] = trained.tuned.score.start
        record["tried"], record["tried_and_diverged"] = trained.tuned.tried, trained.tuned.diverged
    return record


def _test_images(study: StudyTable, options: TrainOptions) -> ImageSource:
    return open_source(study.data, preprocessing=preprocessing_of(options), split="test")


def _outcomes(study: StudyTable, seed: int, network: PredictiveNetwork, source: ImageSource) -> list[NetworkOutcomes]:
    found: list[NetworkOutcomes] = []
    for condition in study.conditions:
        # Without noise every draw is the same.
        draws = study.noise_draws if condition else study.noise_draws[:1]
        pairs = [_one_draw(study, network, source, condition, draw) for draw in draws]
        correct, diverged = (np.stack([pair[index] for pair in pairs]) for index in (0, 1))
        found.append(NetworkOutcomes(seed, condition, correct, diverged))
    return found


def _one_draw(
    study: StudyTable, network: PredictiveNetwork, source: ImageSource, condition: int, draw: int
) -> tuple[Booleans, Booleans]:
    correct: list[Booleans] = []
    diverged: list[Booleans] = []
    for inputs, labels in noisy_inputs(network, source, condition, seed=draw, batch_size=study.batch_size):
        with torch.no_grad():
            out = network.unroll_input(inputs, study.timestep)
        correct.append((out.logits.argmax(2) == labels).cpu().numpy())
        diverged.append(out.diverged().cpu().numpy())
    return np.concatenate(correct, axis=1), np.concatenate(diverged)


def draw_table(outcomes: Sequence[NetworkOutcomes]) -> pd.DataFrame:
    """Return one row a training seed, condition and draw: accuracies at 0 and T, their paired difference, intervals."""
    rows = [
        {**_head(entry), "draw": draw, **_compared(entry, [draw])}
        for entry in outcomes
        for draw in range(len(entry.correct))
    ]
    return pd.DataFrame(rows)


def seed_table(outcomes: Sequence[NetworkOutcomes]) -> pd.DataFrame:
    """Return one row a training seed and condition: an image's draws are averaged, images are resampled."""
    rows = [{**_head(entry), **_compared(entry, range(len(entry.correct)))} for entry in outcomes]
    return pd.DataFrame(rows)


def _head(entry: NetworkOutcomes) -> dict[str, Any]:
    return {"training_seed": entry.seed, "noise_standard_deviation": standard_deviation(entry.condition)}


def _compared(entry: NetworkOutcomes, draws: Sequence[int]) -> dict[str, Any]:
    """Compare t = T with t = 0 on the same images under the same noise; the images are what is resampled."""
    chosen = entry.correct[list(draws)]
    first, last = chosen[:, 0].mean(0), chosen[:, -1].mean(0)
    estimate = Sample({"first": first, "last": last}).estimate(_difference, ["first", "last"])
    diverged = int(entry.diverged[list(draws)].sum())
    return {
        "accuracy_t0": first.mean(),
        f"accuracy_t{chosen.shape[1] - 1}": last.mean(),
        "difference": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "images": chosen.shape[2],
        "diverged_images": diverged,
    }


def _difference(means: Floats) -> Floats:
    return means[..., 1] - means[..., 0]


def summary_table(outcomes: Sequence[NetworkOutcomes]) -> pd.DataFrame:
    """Return one row per condition: the mean difference over training seeds.

    The interval is Student's over the seeds' differences, so it holds for another training of the same network.
    Networks that diverged on any image are counted, and are not part of the mean.
    """
    rows: list[dict[str, Any]] = []
    for condition in sorted({entry.condition for entry in outcomes}):
        entries = [entry for entry in outcomes if entry.condition == condition]
        whole = [entry for entry in entries if not entry.diverged.any()]
        first, last = (np.array([entry.correct[:, step].mean() for entry in whole]) for step in (0, -1))
        low, high = student_interval(last - first)
        rows.append(
            {
                "noise_standard_deviation": standard_deviation(condition),
                "accuracy_t0": first.mean() if whole else np.nan,
                f"accuracy_t{entries[0].correct.shape[1] - 1}": last.mean() if whole else np.nan,
                "difference": (last - first).mean() if whole else np.nan,
                "ci_low": low,
                "ci_high": high,
                "training_seeds": len(whole),
                "training_seeds_diverged": len(entries) - len(whole),
            }
        )
    return pd.DataFrame(rows)


def student_interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the mean of independent values by Student's t; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(student.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _write(
    folder: Path, path: Path, study: StudyTable, tables: dict[str, pd.DataFrame], trainings: list[dict[str, Any]]
) -> None:
    for name, table in tables.items():
        write(folder / f"{name}.csv", csv_frame(table).to_csv(index=False, float_format="%.6g"))
    record = {
        "made_by": f"pcbench study studies/{path.name}",
        "study": study.model_dump(),
        "versions": versions(),
        "trainings": trainings,
    }
    write(folder / "study.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")
