"""Oracle: the progress file that the test writes, and the locks that it holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pcbench.cli.status import status_command
from pcbench.errors import UsageError
from pcbench.harness.blocks import Block, Unit
from pcbench.harness.costs import Passes
from pcbench.harness.progress import RunProgress
from pcbench.results.conditions import Condition
from pcbench.results.lock import announce, hold


def write_progress(final: Path, share: float = 0.44, written: float | None = None) -> None:
    folder = final.with_name(final.name + ".partial")
    folder.mkdir(exist_ok=True)
    content = {"share": share, "sentence": f"{share:.0%} done", "written": written or time.time()}
    (folder / "progress.json").write_text(json.dumps(content))


def status(folder: Path | None, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    status_command(folder)
    return capsys.readouterr().out.strip()


def test_the_status_of_a_run_under_way_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run.partial"
    folder.mkdir()
    with hold(tmp_path / "run"):
        units = [
            Unit("scores", Condition("digits-c", "corruption", name, severity=1), Block(0, 1, 0, 1, ""), Passes(25))
            for name in ("fog", "frost", "snow", "contrast")
        ]
        with RunProgress(folder, units, console=None) as progress:
            progress.skip(units[0])
        shown = status(tmp_path / "run", capsys)
    assert "25 % done, condition 2 of 4" in shown
    assert f"under way (process {os.getpid()} on host" in shown


def test_a_run_is_seen_before_its_folder_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(tmp_path / "run"):
        for name in ("run", "run.partial"):
            assert status(tmp_path / name, capsys).endswith("UTC): starting")


def test_the_progress_of_an_earlier_run_is_not_told_as_this_one_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_progress(tmp_path / "run", written=time.time() - 60)
    with hold(tmp_path / "run"):
        assert status(tmp_path / "run", capsys).endswith("starting")


@pytest.mark.parametrize("name", ["run", "run.partial"])
def test_a_run_that_was_stopped_is_told_as_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_progress(tmp_path / "run")
    assert status(tmp_path / name, capsys) == f"{tmp_path / name}: stopped at 44 %; the same command resumes it"


@pytest.mark.parametrize("text", [None, "", '{"share": null}'])
def test_a_run_that_was_stopped_early_is_told_as_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    (tmp_path / "run.partial").mkdir()
    if text is not None:
        (tmp_path / "run.partial" / "progress.json").write_text(text)
    assert "stopped before anything was computed; the same command resumes it" in status(tmp_path / "run", capsys)


def test_a_finished_run_is_told_as_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    assert status(tmp_path / "run", capsys) == f"{tmp_path / 'run'}: finished"
    with hold(tmp_path / "run"):  # --again
        assert "under way" in status(tmp_path / "run", capsys)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not hold a run"):
        status_command(tmp_path)


def test_without_a_folder_all_that_is_under_way_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(None, capsys) == "no run is under way in results/runs"
    runs = Path("results/runs")
    with hold(runs / "one"), hold(runs / "two"), announce(runs, "pcbench run resnet18 --suite fog"):
        write_progress(runs / "one")
        lines = status(None, capsys).splitlines()
    assert len(lines) == 3
    assert any(line.startswith("results/runs/one: under way") and "44% done" in line for line in lines)
    assert any(line.startswith("results/runs/two: under way") and line.endswith("starting") for line in lines)
    assert any(line.startswith("pcbench run resnet18 --suite fog: under way") for line in lines)
    assert status(None, capsys) == "no run is under way in results/runs"


def test_the_command_line_takes_no_folder(tmp_path: Path) -> None:
    script = "from pcbench.cli.main import main; main(['status'])"
    shown = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout == "no run is under way in results/runs\n"
