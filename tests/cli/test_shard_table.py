"""Oracle: the folders that the test makes, the progress files that it writes, and the locks that it holds."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pcbench.cli.shard_table import print_shards
from pcbench.cli.status import status_command
from pcbench.errors import PcbenchError, UsageError
from pcbench.harness.shard_folders import find_shards
from pcbench.harness.start import run
from pcbench.results.lock import hold
from pcbench.terminal import Terminal

OPTIONS: dict[str, Any] = {
    "suites": ("gaussian-noise",),
    "images": 4,
    "timesteps": 0,
    "threads": 1,
    "workers": 1,
    "progress": False,
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures."""
    monkeypatch.setattr("pcbench.harness.work.pictures._pictures", lambda *_: iter(()))


def shown(folder: Path) -> str:
    stream = io.StringIO()
    print_shards(find_shards([folder]), Terminal(file=stream, width=200))
    return stream.getvalue()


def row(text: str, shard: str) -> str:
    return next(" ".join(line.replace("│", " ").split()) for line in text.splitlines() if f" {shard} " in line)


def unfinished(folder: Path, number: int, **content: object) -> Path:
    partial = folder / f"shard-{number:03d}-of-006.partial"
    partial.mkdir(parents=True)
    (partial / ".pcbench.json").write_text(json.dumps({"made_by": "pcbench", "what": "unfinished run"}))
    if content:
        (partial / "progress.json").write_text(json.dumps(content))
    return folder / f"shard-{number:03d}-of-006"


def test_every_shard_is_told_in_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "shards"
    run(**OPTIONS, out=folder, shard="1/6")
    # One whose work ends with an error.
    with monkeypatch.context() as patch:
        patch.setattr("pcbench.harness.work.scores.compute", lambda *_: 1 / 0)
        with pytest.raises(PcbenchError):
            run(**OPTIONS, out=folder, shard="2/6")
    # One that was stopped.
    unfinished(folder, 3, share=0.4, sentence="", written=time.time())
    running = unfinished(folder, 5)
    with hold(running), hold(folder / "shard-006-of-006"):
        content = {"share": 0.25, "seconds_left": 7200.0, "sentence": "", "written": time.time() + 1}
        (running.with_name(running.name + ".partial") / "progress.json").write_text(json.dumps(content))
        text = shown(folder)
        status_command(folder)
    assert "6 shards: 1 done, 2 running, 1 failed, 1 stopped, 1 not begun; the running ones need about 2 h" in text
    assert row(text, "1/6") == "1/6 done 100 %"
    assert row(text, "2/6").startswith("2/6 failed 100 %")
    assert "ZeroDivisionError" in row(text, "2/6")
    assert row(text, "3/6") == "3/6 stopped 40 % the same command resumes it"
    assert row(text, "5/6").startswith(f"5/6 running 25 % 2 h process {os.getpid()} on host ")
    assert row(text, "6/6").endswith(": starting")
    assert "not begun: --array=4" in text
    assert "1 done, 2 running" in capsys.readouterr().out
    # The same command tries the failed one again, and then nothing is said of it.
    run(**OPTIONS, out=folder, shard="2/6")
    assert row(shown(folder), "2/6") == "2/6 done 100 %"


def test_a_shard_without_some_units_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcbench.harness.work.scores.compute", lambda *_: 1 / 0)
    run(**OPTIONS, out=tmp_path, shard="3/6", allow_missing=True)
    assert "without" in row(shown(tmp_path), "3/6")
    assert "ZeroDivisionError" in row(shown(tmp_path), "3/6")


def test_a_single_shard_may_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unfinished(tmp_path, 3, share=0.4, sentence="", written=time.time())
    for name in ("shard-003-of-006", "shard-003-of-006.partial"):
        status_command(tmp_path / name)
        assert "stopped" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{", '{"share": "much", "written": []}', "\xff"])
def test_a_damaged_file_is_no_obstacle(tmp_path: Path, content: str) -> None:
    unfinished(tmp_path, 3)
    for name in ("progress.json", "failure.json"):
        (tmp_path / "shard-003-of-006.partial" / name).write_text(content, encoding="latin-1")
    assert "stopped" in shown(tmp_path)


def test_a_damaged_shard_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "shard-003-of-006").mkdir()
    (tmp_path / "shard-003-of-006" / "shard.json").write_text("{}")
    assert "damaged" in shown(tmp_path)


def test_a_run_that_ended_with_an_error_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pcbench.harness.work.scores.compute", lambda *_: 1 / 0)
    with pytest.raises(PcbenchError):
        run(**OPTIONS, out=tmp_path / "run")
    status_command(tmp_path / "run")
    assert "failed at" in capsys.readouterr().out
    with pytest.raises(UsageError, match="does not hold a run"):
        status_command(tmp_path / "nothing")
