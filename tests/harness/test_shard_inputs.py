"""Oracle: what schedulers set, and what users give by mistake; each is read as meant, or refused with the remedy."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pcbench
from pcbench.cli.main import main
from pcbench.cli.plan import show_estimate
from pcbench.errors import PcbenchError, UsageError
from pcbench.harness.shard_numbers import read_shard

SMALL: dict[str, Any] = {
    "model": "pdigits", "data": "digits", "images": 24, "timesteps": 1, "batch_size": 4, "block_size": 8,
    "threads": 1, "workers": 1, "suites": ("digits-c",),
}  # fmt: skip


def test_an_empty_variable_of_a_scheduler_is_not_set() -> None:
    environment = {"SLURM_ARRAY_TASK_ID": "", "JOB_COMPLETION_INDEX": "1"}
    assert read_shard("auto/3", environment).number == 2
    with pytest.raises(UsageError, match="neither is set"):
        read_shard("auto/3", {"SLURM_ARRAY_TASK_ID": ""})


@pytest.mark.parametrize("value", ["4294967294", "undefined", "-1", "1,2"])
def test_a_variable_that_is_no_number_is_refused_with_what_can_be_given_instead(value: str) -> None:
    with pytest.raises(UsageError, match=r"is not a number of a task; name the shard: shard=1/3$"):
        read_shard("auto/3", {"SLURM_ARRAY_TASK_ID": value})


@pytest.mark.parametrize("shard", ["9/3", "0/3", "auto/3"])
def test_a_plan_refuses_the_shard_that_the_run_would_refuse(shard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    with pytest.raises(UsageError, match="shard"):
        pcbench.plan(**SMALL, shard=shard)


def test_a_plan_says_what_each_shard_takes(capsys: pytest.CaptureFixture[str]) -> None:
    found = [pcbench.plan(**SMALL, shard=f"{number}/4") for number in (1, 2, 3, 4)]
    shares = [one.share for one in found if one.share is not None]
    assert sum(share.units for share in shares) == found[0].units
    assert sum(share.share for share in shares) == pytest.approx(1)
    show_estimate(found[1])
    printed = capsys.readouterr().out
    assert re.search(rf"Shard 2 of 4: {shares[1].units} of {found[0].units} units, [0-9.]+ % of the", printed)


@pytest.mark.parametrize("hours", [0, -1, float("inf"), float("nan")])
def test_hours_of_a_shard_that_cannot_be_are_refused_with_the_range(hours: float) -> None:
    with pytest.raises(UsageError, match=r"^`hours_per_shard` is a number from 0\.001 to 100000 \(got"):
        pcbench.plan(**SMALL, hours_per_shard=hours)


@pytest.mark.parametrize("shards", [None, 3, b"shards", [None], {}])
def test_what_is_no_folder_is_refused_by_merge(shards: Any) -> None:
    with pytest.raises(UsageError, match=r"^`shards` is a folder or a list of folders \(got"):
        pcbench.merge(shards, "run")


def test_a_folder_without_shards_is_refused_with_the_folder_that_is_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no shards; give the folder that `pcbench run --shard` was given"):
        pcbench.merge(tmp_path, tmp_path / "run")


def test_a_file_of_a_plan_is_refused_where_its_folder_is_meant(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(PcbenchError, match=r"plan\.json is a file; `spec` is the folder"):
        pcbench.run(spec=str(tmp_path / "plan.json"), shard="1/3", out=tmp_path / "shards")


def test_status_names_options_as_the_command_line_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shard-002-of-003").mkdir()
    (tmp_path / "shard-002-of-003" / "shard.json").write_text("")
    with pytest.raises(SystemExit):
        main(["status", str(tmp_path)])
    printed = " ".join(capsys.readouterr().out.split())
    assert "--again" in printed
    assert "again=True" not in printed


def test_a_budget_is_repeated_as_it_was_read(capsys: pytest.CaptureFixture[str]) -> None:
    show_estimate(pcbench.plan(**SMALL, budget="1:30"))
    assert "The largest run that fits 90 min:" in capsys.readouterr().out


def test_images_that_are_missing_since_the_plan_are_counted(tmp_path: Path) -> None:
    for number in range(11):
        path = tmp_path / "images" / str(number % 10) / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(path)
    options = {**SMALL, "data": f"imagefolder:{tmp_path / 'images'}", "images": None}
    pcbench.plan(**options, save_spec=tmp_path / "plan")
    (tmp_path / "images" / "0" / "10.png").unlink()
    with pytest.raises(PcbenchError, match=r"holds 10 images, and 11 when the run was planned; put the images back"):
        pcbench.run(spec=tmp_path / "plan", data=options["data"], shard="1/2", out=tmp_path / "shards", progress=False)


def test_lines_of_the_log_name_options_as_the_command_line_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(*_: object) -> None:
        logging.getLogger("pcbench").warning("put the images back, or start again with again=True")
        raise UsageError("refused")

    monkeypatch.setattr("pcbench.harness.start.start", refused)
    monkeypatch.setattr(logging.getLogger("pcbench"), "handlers", [])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["run"])
    assert "start again with --again" in capsys.readouterr().err


def test_a_plan_that_is_stopped_does_not_say_that_it_continues(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pcbench.cli.plan.forecast", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--measure"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "pcbench: stopped; the same command begins again\n"
