"""Oracle: the levels that `pcbench tune` finds by itself for the network of the first seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_studies import EXAMPLE, written

from pcbench.options import resolved
from pcbench.studies.options import Given
from pcbench.studies.steps import FOUND_LEVELS, steps_of
from pcbench.studies.study import do_some
from pcbench.studies.study_file import read_study
from pcbench.studies.tunings import found_for_all, levels_of_result
from pcbench.training.options import TuneOptions
from pcbench.training.tuning import tune_model


def test_arms_and_seeds_are_tuned_for_the_same_levels_of_noise_which_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seeds, tuning = {"training_seeds": [0, 1]}, {"images": 40, "rounds": 1}
    table = {**EXAMPLE, **seeds, "tuning": tuning, "arms": ["network", "feedforward", "input-blur"]}
    suites, questions = [{"name": "gaussian-noise", "images": 16, "severities": [1]}], EXAMPLE["questions"][:1]
    path, given = written(tmp_path, {**table, "suites": suites, "questions": questions}), Given(tmp_path / "out")
    steps = [step for step in steps_of(read_study(path), given) if step.kind in ("train", "levels", "tune", "blur")]
    with caplog.at_level("WARNING", logger="pcbench"):
        do_some(path, given, steps)
    records = [json.loads(one.read_text())["result"] for one in (given.out / "tuned").glob("*.tuning.json")]
    assert len(records) == 4
    (levels,) = {levels_of_result(record) for record in records}
    assert levels == found_for_all(given.out / FOUND_LEVELS)
    (first,) = (step for step in steps if step.name == "tuned/network-seed-0.toml")
    alone = {**first.options, "noise": None, "out": tmp_path / "alone.toml"}
    tune_model(resolved(TuneOptions, alone))
    own = json.loads((tmp_path / "alone.tuning.json").read_text())["result"]
    assert levels_of_result(own) == levels
    named = ", ".join(f"{level:g}" for level in levels)
    remedy = "if that is not meant, name noise in [tuning], or measure a suite of your own"
    warned = f"gaussian-noise has noise of 0.25 on images of this size, and arms are tuned for {named}: {remedy}"
    assert [one.message for one in caplog.records].count(warned) == 1
