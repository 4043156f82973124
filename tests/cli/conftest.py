"""Finished runs of 200 images under fog, of which the first so many are answered rightly."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pcbench.cli.main import main
from pcbench.results.conditions import Condition
from pcbench.results.run_spec import DataSpec, RunSpec, Settings, SuiteSpec
from pcbench.results.schema import outcome_table, write_outcomes
from pcbench.results.workspace import begin

IMAGES = 200


@pytest.fixture(autouse=True, scope="package")
def signals_heard() -> Iterator[None]:
    """Let the processes that tests start hear the signals that nohup, or a shell's background, has ignored for us."""
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _make_run(folder: Path, right: int, seed: int = 0, crop: int = 32) -> Path:
    settings = Settings(
        seed=seed,
        timesteps=0,
        batch_size=1,
        gradient="exact",
        plain_sweep=False,
        epsilons=None,
        corruption_backend="fast",
        jpeg_quality=None,
        precision="float32",
        compiled=False,
        device="cpu",
        threads=1,
        checks=False,
    )
    spec = RunSpec(
        version=1,
        model={"name": "made"},
        data=DataSpec(name="made", split="test", fingerprint="0", available=IMAGES, preprocessing={"crop": crop}),
        suites=(SuiteSpec(name="fog-only", kind="corruptions", version="1", sha256="0", images=IMAGES, subset=False),),
        settings=settings,
        versions={"pcbench": "0"},
    )
    space = begin(folder, spec, again=False)
    correct = np.arange(IMAGES) < right
    columns = {
        "image_id": np.array([f"{number:03d}" for number in range(IMAGES)]),
        "label": np.zeros(IMAGES, dtype=int),
        "timestep": np.zeros(IMAGES, dtype=int),
        "prediction": 1 - correct.astype(int),
        "correct": correct,
        "confidence": np.ones(IMAGES),
    }
    table = outcome_table(Condition("fog-only", "corruption", "fog", severity=3), columns)
    write_outcomes(table, space.finished / "outcomes" / "fog-only" / "fog.parquet")
    return space.finish({}).folder


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Make a run, as ``make_run(folder, right=180, seed=1, crop=28)``."""
    return _make_run


@pytest.fixture
def call() -> Callable[..., int]:
    """Call the command line and return its exit code."""

    def run(*arguments: object) -> int:
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        return int(stop.value.code)

    return run
