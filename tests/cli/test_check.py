"""Oracle: the promise of the exit codes (0 passed, 1 dropped, 2 cannot be compared) and of one line an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcbench.cli.main import main
from pcbench.results.directory import begin
from pcbench.results.run_spec import DataSpec, RunSpec, Settings, SuiteSpec
from pcbench.results.schema import Condition, outcome_table, write_outcomes

IMAGES = 200


def make_run(folder: Path, right: int, seed: int = 0, crop: int = 32) -> Path:
    """A run under fog in which the first so many images are answered rightly."""
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
    write_outcomes(table, space.folder / "outcomes" / "fog-only" / "fog.parquet")
    return space.finish({}).folder


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "made.npz"
    assert call("freeze", make_run(tmp_path / "first", right=180), "--out", path) == 0
    return path


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code)


def test_an_unchanged_run_passes(tmp_path, reference, capsys):
    assert call("check", make_run(tmp_path / "second", right=180, seed=1), "--against", reference) == 0
    printed = capsys.readouterr().out
    assert "passed: " in printed
    assert "200 images find with 90% probability a true drop of" in " ".join(printed.split())


def test_a_drop_fails_and_every_output_tells_it(tmp_path, reference, capsys):
    run = make_run(tmp_path / "second", right=120)
    junit, markdown = tmp_path / "out" / "junit.xml", tmp_path / "out" / "comment.md"
    arguments = ("check", run, "--against", reference, "--junit", junit, "--markdown", markdown, "--github")
    assert call(*arguments) == 1
    printed = capsys.readouterr().out
    assert "::error title=pcbench check::failed: 1 guarded" in printed
    assert 'failures="1"' in junit.read_text()
    assert "**90.0** | **60.0** | **30**" in markdown.read_text()
    assert call("check", run, "--against", reference, "--tolerated", "0.4") == 0


def test_gains_pass_unless_asked_for(tmp_path, reference):
    run = make_run(tmp_path / "second", right=200)
    assert call("check", run, "--against", reference) == 0
    assert call("check", run, "--against", reference, "--either-way", "--tolerated", "0.02") == 1


def test_what_cannot_be_compared_is_one_line_and_exit_2(tmp_path, reference, capsys):
    other = make_run(tmp_path / "second", right=180, crop=28)
    for arguments, problem in [
        (("check", other, "--against", reference), "data.preprocessing: {'crop': 32} -> {'crop': 28}"),
        (("check", other, "--against", tmp_path / "nowhere.npz"), "there is no such file"),
        (("check", tmp_path / "nowhere", "--against", reference), "no run of pcbench"),
        (("check", other, "--against", other / "manifest.json"), "is no reference, or a damaged one"),
        (("check", other, "--against", reference, "--tolerated", "2"), "tolerated drop is a share"),
    ]:
        capsys.readouterr()
        assert call(*arguments) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert len(error.splitlines()) == 1
