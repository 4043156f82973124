"""Finished runs of 200 images under fog, of which the first so many are answered rightly."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_runs import made_data, made_run, made_settings, made_spec, made_suite, made_table

from pcbench.cli.main import main
from pcbench.results.conditions import Condition

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
    data = made_data(IMAGES, preprocessing={"crop": crop})
    spec = made_spec([made_suite("fog-only", IMAGES)], data, made_settings(seed=seed, timesteps=0))
    correct = np.arange(IMAGES) < right
    table = made_table(Condition("fog-only", "corruption", "fog", severity=3), [0], correct[None])
    return made_run(folder, spec, {"fog-only/fog.parquet": table}).folder


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
