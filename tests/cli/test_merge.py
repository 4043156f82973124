"""Oracle: the run that one command makes, whose tables the commands of a cluster have to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcbench.cli.main import main

SMALL = ["--suite", "gaussian-noise", "--images", "4", "--timesteps", "0", "--threads", "1"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out pictures and page, and let no scheduler be seen."""
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_plan_shards_and_merge_make_the_run_of_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("run", *SMALL, "--workers", 1, "--out", tmp_path / "one") == 0
    assert command("plan", *SMALL, "--save-spec", tmp_path / "plan") == 0
    capsys.readouterr()
    for index in (0, 1):
        monkeypatch.setenv("JOB_COMPLETION_INDEX", str(index))
        words = ["--spec", tmp_path / "plan", "--shard", "auto/2", "--workers", 1, "--out", tmp_path / "shards"]
        assert command("run", *words) == 0
    said = capsys.readouterr()
    assert "shard 2 of 2, from JOB_COMPLETION_INDEX=1, counted from 0" in said.err
    assert f"pcbench merge {tmp_path / 'shards'}" in said.out
    assert command("status", tmp_path / "shards") == 0
    assert "2 shards: 2 done" in capsys.readouterr().out
    assert command("merge", tmp_path / "shards", "--out", tmp_path / "run") == 0
    assert "wrote" in capsys.readouterr().out
    for name in ("metrics.parquet", "outcomes/gaussian-noise/gaussian_noise-3.parquet", "images.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--shard", "41/40"], "the shards of 40 are 1/40 to 40/40 (got --shard 41/40)"),
        (["run", "--shard", "0/0"], "a run is split into 1 to 100,000 shards (got --shard 0/0)"),
        (["run", "--shard", "auto/40"], "neither is set"),
        (["merge"], "name the folders of the shards"),
        (["merge", "nowhere"], "is not a folder"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(*words) == 2
    found = capsys.readouterr().err
    assert said in found
    assert found.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_array_that_begins_with_0_is_told_how_it_is_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert command("run", "--shard", "auto/40") == 2
    assert "submit with --array=1-40" in capsys.readouterr().err
