"""Oracle: mistakes put into the shipped network on purpose. The gate must see them in its answers to real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_runs import made_data, made_run, made_settings, made_spec, made_suite

import pcbench
from pcbench import models
from pcbench.comparison.gate import check_run
from pcbench.comparison.reference import Reference, freeze
from pcbench.data.image_source import ImageSource
from pcbench.data.sources import open_source
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.schema import outcome_table

TIMESTEPS, IMAGES = 8, 200
CORRUPTIONS = ("shot_noise", "defocus_blur")
SEVERITY = 5
# Fixed here, so that the test does not depend on how the shipped network is tuned.
WEIGHTS = (
    Hyperparameters(feedforward=0.1183, feedback=0.5642, error_weight=0.3),
    Hyperparameters(feedforward=0.9447, feedback=0.0289, error_weight=0.5),
    Hyperparameters(feedforward=0.2646, feedback=0.0, error_weight=1.0),
)


@pytest.fixture
def network() -> PredictiveNetwork:
    return _network()


def _network() -> PredictiveNetwork:
    network = models.load("pdigits").network
    assert network is not None
    network.hyperparameters = WEIGHTS
    return network


@pytest.fixture(scope="module")
def images() -> ImageSource:
    whole = open_source("digits", preprocessing=models.load("pdigits").preprocessing)
    return whole.select(range(IMAGES), subset=f"the first {IMAGES}")


@pytest.fixture
def answer(network: PredictiveNetwork, images: ImageSource, tmp_path: Path) -> Callable[..., Run]:
    """Let the network answer, and leave the answers as a finished run."""
    return lambda name, seed=0: _answers(network, images, tmp_path / name, seed)


@pytest.fixture(scope="module")
def reference(images: ImageSource, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """What the network without a mistake answers."""
    return freeze(_answers(_network(), images, tmp_path_factory.mktemp("reference") / "run", 0))


def _answers(network: PredictiveNetwork, images: ImageSource, folder: Path, seed: int) -> Run:
    settings = made_settings(seed=seed, timesteps=TIMESTEPS)
    spec = made_spec([made_suite("made-c", len(images))], made_data(len(images)), settings)
    clean = images.load(range(len(images)))
    tables = [_table(network, images, "clean", None, clean)]
    for corruption in CORRUPTIONS:
        corrupted = pcbench.corrupt(clean, corruption, SEVERITY, seed=seed, ids=images.ids)
        tables.append(_table(network, images, corruption, SEVERITY, corrupted))
    return made_run(folder, spec, {"made-c/all.parquet": pa.concat_tables(tables)})


def _table(
    network: PredictiveNetwork, images: ImageSource, name: str, severity: int | None, pixels: torch.Tensor
) -> pa.Table:
    with torch.no_grad():
        predictions = network(pixels.float() / 255, TIMESTEPS).argmax(2).numpy().ravel()
    labels = np.tile(images.labels, TIMESTEPS + 1)
    columns = {
        "image_id": np.tile(np.array(images.ids), TIMESTEPS + 1),
        "label": labels,
        "timestep": np.repeat(np.arange(TIMESTEPS + 1), len(images)),
        "prediction": predictions,
        "correct": predictions == labels,
        "confidence": np.zeros(len(labels)),
    }
    return outcome_table(Condition("made-c", "corruption" if severity else "clean", name, severity), columns)


def test_a_wrong_sign_in_the_error_term_is_caught(
    network: PredictiveNetwork, answer: Callable[..., Run], reference: Reference
) -> None:
    other_seed = check_run(answer("other", seed=1), reference, tolerated=0.005)
    assert other_seed.passed
    assert other_seed.changed > 0
    # A wrong sign is a negative α, which the network refuses from outside.
    wrong = tuple(replace(weights, error_weight=-weights.error_weight) for weights in WEIGHTS)
    vars(network)["hyperparameters"] = wrong
    report = check_run(answer("wrong sign"), reference, tolerated=0.005)
    # t = 0 knows nothing of errors; the mistake grows with every update.
    assert {row.row.timestep for row in report.failed} >= {TIMESTEPS}
    assert all(row.drop == 0 for row in report.rows if row.row.timestep == 0)


def test_a_forgotten_feedback_is_caught_by_its_answers(
    network: PredictiveNetwork, answer: Callable[..., Run], reference: Reference
) -> None:
    assert check_run(answer("again"), reference, tolerated=0, tolerated_changes=0).passed
    network.hyperparameters = tuple(replace(weights, feedback=0.0) for weights in WEIGHTS)
    report = check_run(answer("no feedback"), reference, tolerated=0.05, tolerated_changes=0.005)
    assert not report.failed
    assert report.changed_too_much
