"""A description of a run, changes of it, and finished runs of two images under fog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite

from pcbench import files
from pcbench.files import MARKER
from pcbench.metrics.summary import summarise
from pcbench.results.conditions import Condition
from pcbench.results.directory import Run
from pcbench.results.run_spec import SPEC_VERSION, RunSpec
from pcbench.results.schema import outcome_table
from pcbench.results.workspace import begin

SETTINGS = made_settings(
    timesteps=1,
    batch_size=2,
    epsilons=(0.25, 0.5),
    jpeg_quality=85,
    block_size=4,
    stochastic=3,
    severities=(1, 3),
    attacked_timesteps=(0, 2),
    hyperparameters=("feedback=0.5",),
)
SPEC = made_spec(
    [made_suite("fog-only", 2, sha256="0", rule="correct_at_every_timestep", former_sha256="1")],
    made_data(
        2,
        name="digits",
        fingerprint="0",
        preprocessing={"resize": 8, "crop": 8},
        corrupted="0",
        leave_out="1",
        former_fingerprint="1",
        data_set="imagenet",
    ),
    SETTINGS,
    version=SPEC_VERSION,
    model={"name": "made", "weights_sha256": "0"},
    versions={"pcbench": "0", "pcbench_code": "0", "torch": "2"},
)


@pytest.fixture
def spec() -> RunSpec:
    """A description of a run, with every field filled."""
    return SPEC


@pytest.fixture
def other() -> Callable[..., RunSpec]:
    """The same with other settings, as ``other(seed=1)``."""

    def change(**settings: object) -> RunSpec:
        return SPEC.model_copy(update={"settings": SETTINGS.model_copy(update=settings)})

    return change


@pytest.fixture(scope="session")
def outcomes() -> pa.Table:
    """What a network answered to two images in fog."""
    columns = {
        "image_id": np.array(["a", "b"]),
        "label": np.array([1, 2]),
        "timestep": np.array([0, 0]),
        "prediction": np.array([1, 1]),
        "correct": np.array([True, False]),
        "confidence": np.array([0.5, 0.75], dtype=np.float32),
        "queries": np.ma.array([7, 0], mask=[False, True]),
    }
    return outcome_table(Condition("fog-only", "corruption", "fog", severity=3), columns)


@pytest.fixture(scope="session")
def metrics(outcomes: pa.Table) -> pd.DataFrame:
    """The numbers of these answers."""
    return summarise(outcomes.to_pandas(), model="made", baselines={})


@pytest.fixture(scope="session")
def tables(outcomes: pa.Table, metrics: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of the files of such a run."""
    folder = tmp_path_factory.mktemp("made") / "run"
    made = made_run(folder, SPEC, {"fog-only/fog-3.parquet": outcomes}, {}, metrics=metrics)
    return {name: (folder / name).read_bytes() for name in made.manifest["files"]}


@pytest.fixture
def finish(outcomes: pa.Table, tables: dict[str, bytes]) -> Callable[..., Run]:
    """Make a finished run, as ``finish(folder, spec, again=True)``."""

    def make(folder: Path, spec: RunSpec = SPEC, *, again: bool = False, **content: object) -> Run:
        if "missing" in content:
            return made_run(folder, spec, {"fog-only/fog-3.parquet": outcomes}, content, again=again)
        workspace = begin(folder, spec, again=again)
        finished = workspace.begin_finishing()
        for name, written in tables.items():
            files.write(finished / name, written)
        return workspace.finish(content)

    return make


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes | None]]:
    """Read everything in a folder: bytes of files, None for folders; the trials and marks of a lock are left out."""

    def read(folder: Path) -> dict[str, bytes | None]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))
            if path.name == MARKER or not path.name.startswith(".")
        }

    return read
