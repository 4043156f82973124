"""Finished runs made of chosen answers: the one builder that the tests of tables, references, pages and verbs use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pcbench.metrics.corruption import BaselineErrors
from pcbench.metrics.summary import summarise_folder
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run, incomplete_suites
from pcbench.results.metrics_table import write_metrics
from pcbench.results.run_spec import DataSpec, RunSpec, Settings, SuiteSpec
from pcbench.results.schema import outcome_table, write_outcomes
from pcbench.results.workspace import Workspace, begin


def made_settings(**changes: Any) -> Settings:
    """Return the settings of a made run, some of them replaced."""
    settings: dict[str, Any] = {
        "seed": 0,
        "timesteps": 2,
        "batch_size": 32,
        "gradient": "exact",
        "plain_sweep": False,
        "epsilons": None,
        "corruption_backend": "fast",
        "jpeg_quality": None,
        "precision": "float32",
        "compiled": False,
        "device": "cpu",
        "threads": 1,
        "checks": False,
    }
    return Settings(**(settings | changes))


def made_data(images: int, **changes: Any) -> DataSpec:
    """Return the description of a source of so many images."""
    data: dict[str, Any] = {
        "name": "made",
        "split": "test",
        "fingerprint": "cc",
        "available": images,
        "preprocessing": {"resize": None, "crop": 32, "interpolation": "bilinear"},
    }
    return DataSpec(**(data | changes))


def made_suite(name: str, images: int, **changes: Any) -> SuiteSpec:
    """Return a suite of corruptions that was run whole."""
    suite: dict[str, Any] = {"kind": "corruptions", "version": "1", "sha256": "aa", "images": images, "subset": False}
    return SuiteSpec(name=name, **(suite | changes))


def made_spec(suites: Sequence[SuiteSpec], data: DataSpec, settings: Settings, **changes: Any) -> RunSpec:
    """Return the description of a made run, some of its fields replaced."""
    fields: dict[str, Any] = {"version": 1, "model": {"name": "made"}, "versions": {"pcbench": "0.1"}}
    return RunSpec(suites=tuple(suites), data=data, settings=settings, **fields).model_copy(update=changes)


def made_table(condition: Condition, timesteps: Sequence[int], correct: NDArray[np.bool_], **columns: Any) -> pa.Table:
    """Return outcomes of one condition.

    Args:
        condition: The condition.
        timesteps: The timesteps that answer.
        correct: Whether an image is classified correctly, (timesteps, images); image n has the class n mod 10.
        **columns: More columns, (timesteps x images,).
    """
    images = correct.shape[1]
    labels = np.tile(np.arange(images) % 10, len(timesteps))
    answers: dict[str, Any] = {
        "image_id": np.tile(np.array([f"image-{number:04d}" for number in range(images)]), len(timesteps)),
        "label": labels,
        "timestep": np.repeat(timesteps, images),
        "prediction": np.where(correct.ravel(), labels, (labels + 1) % 10),
        "correct": correct.ravel(),
        "confidence": np.full(correct.size, 0.5, dtype=np.float32),
    }
    return outcome_table(condition, answers | columns)


def begin_made_run(folder: Path, spec: RunSpec, outcomes: Mapping[str, pa.Table], *, again: bool = False) -> Workspace:
    """Write the outcomes of a run that is not finished yet; `outcomes` gives each file's path below `outcomes/`."""
    workspace = begin(folder, spec, again=again)
    finished = workspace.begin_finishing()
    for path, table in outcomes.items():
        write_outcomes(table, finished / "outcomes" / path)
    return workspace


def made_run(
    folder: Path,
    spec: RunSpec,
    outcomes: Mapping[str, pa.Table],
    content: Mapping[str, Any] | None = None,
    *,
    again: bool = False,
    baselines: Mapping[str, BaselineErrors] | None = None,
    metrics: pd.DataFrame | None = None,
) -> Run:
    """Write a finished run, as the harness does, with its metrics.

    Args:
        folder: The run's folder.
        spec: Its description.
        outcomes: The tables, by their path below `outcomes/`.
        content: What the manifest holds besides the description.
        again: Replace a finished run.
        baselines: The baselines of its suites.
        metrics: Its metrics, where they are known already.
    """
    workspace = begin_made_run(folder, spec, outcomes, again=again)
    if metrics is None:
        lost = incomplete_suites((content or {}).get("missing", []))
        metrics = summarise_folder(
            workspace.finished / "outcomes", model="made", baselines=baselines or {}, incomplete=lost
        )
    write_metrics(metrics, workspace.finished)
    return workspace.finish({"model": "made"} if content is None else content)
