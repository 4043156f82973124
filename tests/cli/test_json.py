"""Oracles: the declared forms, by pydantic, which drops what is not declared; the made runs' own accuracies."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from simulated_runs import write_run

from pcbench.cli import json_forms as forms
from pcbench.cli.saying import say_json
from pcbench.harness.estimate import RunEstimate
from pcbench.models.conversions import NetworkFacts

Call = Callable[..., int]


def read_as(form: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed, which is one JSON value of this form and nothing else."""
    value = json.loads(capsys.readouterr().out)
    assert TypeAdapter(form).validate_python(value, strict=True) == value
    return value


def test_a_number_that_is_not_finite_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"a": [math.nan, 1.5], "b": (math.inf, Path("here"))})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5], "b": [None, "here"]}


def test_show_and_compare_and_runs_and_status(tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "runs" / "one", "pdigits", 0, corruptions=("fog", "snow"))
    assert call("show", run.folder, "--json") == 0
    shown = read_as(forms.RunForm, capsys)
    assert shown["key"] == run.key
    metrics = run.metrics
    clean = metrics[(metrics["kind"] == "clean") & (metrics["metric"] == "accuracy")]
    known = {(str(s), int(t)): v for s, t, v in zip(clean["suite"], clean["timestep"], clean["value"], strict=True)}
    told = {(n["suite"], n["timestep"]): n["value"] for n in shown["numbers"] if n["what"] == "clean accuracy"}
    assert told == pytest.approx(known)
    assert call("compare", run.folder, "--json") == 0
    compared = read_as(forms.ComparisonForm, capsys)
    assert compared["answers"] == shown["answers"]
    assert {row["second_timestep"] for row in compared["rows"]} == set(range(1, 1 + max(t for _, t in known)))
    assert call("runs", tmp_path, "--json") == 0
    (listed,) = read_as(forms.RunsForm, capsys)["runs"]
    assert (listed["key"], listed["folder"]) == (run.key, str(run.folder))
    assert listed["bytes"] == sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    assert call("status", run.folder, "--json") == 0
    assert [one["state"] for one in read_as(forms.StatusForm, capsys)["runs"]] == ["finished"]


def test_check(tmp_path: Path, make_run: Callable[..., Path], call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.npz"
    assert call("freeze", make_run(tmp_path / "first", right=180), "--out", path) == 0
    capsys.readouterr()
    run = make_run(tmp_path / "second", right=120)
    assert call("-q", "check", run, "--against", path, "--power", "3", "--github", "--json") == 1
    found = read_as(forms.GateForm, capsys)
    assert not found["passed"]
    (row,) = found["rows"]
    assert (row["reference"], row["value"], row["drop"]) == pytest.approx((0.9, 0.6, 0.3))
    assert found["images_needed"] > row["images"] == 200


def test_plan_and_list_and_predify(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("plan", "--suite", "digits-c", "--images", "20", "--json") == 0
    planned = json.loads(capsys.readouterr().out)
    assert set(planned) == {one.name for one in dataclasses.fields(RunEstimate)} | {"shards"}
    assert planned["images"] == 20
    assert call("list", "suites", "--json") == 0
    (kind, suites), *others = json.loads(capsys.readouterr().out).items()
    assert (kind, others) == ("suites", [])
    assert {"digits-c", "imagenet-c"} <= {one["suite"] for one in suites}
    assert call("predify", "--model", "pdigits", "--json") == 0
    network = json.loads(capsys.readouterr().out)
    assert set(network) == {one.name for one in dataclasses.fields(NetworkFacts)} | {"command"}
    assert network["command"] == "pcbench run --model pdigits"
    assert np.shape([one["hyperparameters"] for one in network["pcoders"]])[1] == 3
