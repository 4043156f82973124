"""Oracle: exit codes and lines, of the command line in this process and of real processes that get real signals."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import forking
import pytest

from pcbench.catalog import catalog_folder
from pcbench.results.directory import open_run
from pcbench.results.lock import holder

MODEL = """
import os, time
import torch
from torch import nn


class Net(nn.Module):
    input_size = (3, 32, 32)
    mean, std = (0.0,) * 3, (1.0,) * 3

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 10)
        self.layer.weight.data.copy_(torch.randn(10, 3072, generator=torch.Generator().manual_seed(0)) / 30)
        self.layer.bias.data.zero_()

    def forward(self, images):
        time.sleep(float(os.environ.get("SLEEPS", "0")))
        return self.layer(images.flatten(1))


def make():
    return Net()
"""
# The program that starts the tests may have told its children to ignore these.
SCRIPT = """
import signal
for name in ("SIGHUP", "SIGTERM"):
    signal.signal(getattr(signal, name), signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pcbench.cli.main import main
main()
"""
Call = Callable[..., int]
Started = subprocess.Popen[str]


@pytest.fixture(autouse=True)
def as_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in an empty folder with a model, without pages; leave no handler of the log behind."""
    (tmp_path / "talking.py").write_text(MODEL)
    sys.modules.pop("talking", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)
    logger = logging.getLogger("pcbench")
    before, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = before
    logger.setLevel(level)
    sys.modules.pop("talking", None)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of one corruption."""
    folder = tmp_path / "corruptions" / "one"
    folder.mkdir(parents=True)
    (folder / "suite.toml").write_text('version = 1\ntitle = "One"\nsource = "this test"\n')
    catalogue = catalog_folder("corruptions") / "digits-c"
    (folder / "contrast.toml").write_text((catalogue / "contrast.toml").read_text())
    return folder


def words(suite: Path, out: Path | str | None, *more: object, model: str = "talking:make") -> list[str]:
    """The command: six units of four images, and one of pictures."""
    command = ["run", "--model", model, "--data", "digits", "--suite", suite, "--images", 4, "--batch-size", 4]
    command += [
        "--block-size",
        4,
        "--threads",
        1,
        *([] if "--workers" in more else ["--workers", 1]),
        *([] if out is None else ["--out", out]),
        *more,
    ]
    return [str(word) for word in command]


@pytest.fixture
def start() -> Generator[Callable[..., Started]]:
    """Start pcbench as a process of its own, with a model that takes its time."""
    started: list[Started] = []

    def begin(*arguments: str, sleeps: float = 0.5, starting: Any = subprocess) -> Started:
        process = starting.Popen(
            [sys.executable, "-c", SCRIPT, *arguments],
            env={**os.environ, "SLEEPS": str(sleeps), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(met: Callable[[], bool], process: Started, seconds: float = 60) -> float:
    """Wait until something is so, and return how long that took."""
    begun = time.monotonic()
    while not met():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - begun < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - begun


def test_a_run_prints_its_table_and_where_it_is_and_is_found_again(
    suite: Path, tmp_path: Path, call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    command = words(suite, tmp_path / "out", "--timesteps", 1, model="pdigits")
    assert call(*command) == 0
    printed = capsys.readouterr()
    assert "pdigits on one, 4 images, a subset: accuracy" in printed.out
    assert "severity 5" in printed.out
    assert printed.out.splitlines()[-1] == f"wrote {tmp_path / 'out'}"
    assert printed.err == ""
    started = open_run(tmp_path / "out").manifest["started"]
    assert call(*command) == 0
    again = capsys.readouterr()
    assert again.out.splitlines()[-1] == f"found {tmp_path / 'out'}, computed on {started}"
    assert again.out.splitlines()[:-1] == printed.out.splitlines()[:-1]


def test_without_a_folder_the_run_lies_under_its_name_and_nothing_else_is_left(
    suite: Path, tmp_path: Path, call: Call
) -> None:
    assert call(*words(suite, None)) == 0
    (folder,) = (tmp_path / "results" / "runs").glob("[!.]*")
    assert folder.name == open_run(folder).spec.name()
    assert "-one-" in folder.name
    assert not [path for path in (tmp_path / "results").rglob("*") if path.suffix in (".lock", ".partial")]


def test_a_unit_that_fails_is_exit_code_1_and_allowing_it_is_said_in_the_table(
    suite: Path, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pcbench.corruptions.api import corrupt

    def fail(*args: object, **options: object) -> object:
        if args[2] == 3:
            raise ValueError("no answer")
        return corrupt(*args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("pcbench.harness.work.scores.corrupt", fail)
        assert call(*words(suite, "out")) == 1
        told = capsys.readouterr().err.splitlines()
        reason = "one: contrast 3, images 1 to 4: ValueError: no answer"
        assert told[-1].startswith(f"pcbench: 1 of 7 units failed: {reason}; the others are kept in ")
        assert told[-1].endswith("the same command tries these again, --allow-missing finishes without them")
        assert not Path("out").exists()
        assert call(*words(suite, "out", "--allow-missing")) == 0
        printed = capsys.readouterr().out
        assert "note: MISSING: 1 units could not be computed (one: contrast 3)" in printed
        assert f"missing: {reason}" in printed
    assert call(*words(suite, "out")) == 0
    assert "MISSING" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--seed", 1), "holds another run (settings.seed: 0 -> 1); give another folder with --out, or --again"),
        (("--batch-size", 8), "--block-size is a multiple of"),
        (("--model", "talking:mak"), "has no function 'mak'"),
        (("--out", "talking.py"), "exists and is not a run of pcbench; give another folder with --out"),
        (("--out", "talking.py/out"), "a part of this path is a file"),
        (("--out", "x" * 300), "choose a shorter name"),
        (("--workers", 0), "from 1 to 1024"),
    ],
)
def test_wrong_use_is_exit_code_2_and_one_line(
    suite: Path, call: Call, capsys: pytest.CaptureFixture[str], more: tuple[object, ...], says: str
) -> None:
    if more[0] == "--seed":
        assert call(*words(suite, "out")) == 0
    capsys.readouterr()
    assert call(*words(suite, "out", *more)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pcbench: ")
    assert says in line


def test_a_run_that_is_told_to_stop_says_what_it_keeps_and_the_same_command_goes_on(
    suite: Path, tmp_path: Path, start: Callable[..., Started], call: Call, forks: forking.Forks
) -> None:
    assert call(*words(suite, "whole")) == 0
    codes = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
    # All at once: they wait most of the time.
    processes = {name: start(*words(suite, name), sleeps=0.25, starting=forks.subprocess) for name in codes}
    told: dict[str, float] = {}
    for name, process in processes.items():
        parts = tmp_path / f"{name}.partial" / "parts"
        wait_for(lambda parts=parts: len(list(parts.rglob("*.part"))) > 2, process)
        told[name] = time.monotonic()
        process.send_signal(signal.Signals[name])
    for name, process in processes.items():
        parts = tmp_path / f"{name}.partial" / "parts"
        printed, errors = process.communicate(timeout=30)
        assert time.monotonic() - told[name] < 5
        assert (process.returncode, printed) == (codes[name], "")
        kept = len(list(parts.rglob("*.part"))) - 1  # one holds the network's answers, by which it is known again
        (line,) = errors.splitlines()
        assert line == (
            f"pcbench: stopped; {kept} of 7 units are kept in {parts.parent}; the same command continues from here"
        )
        assert 2 <= kept < 7
        assert holder(tmp_path / name) is None
        assert call(*words(suite, name)) == 0
        assert open_run(name).manifest["files"] == open_run("whole").manifest["files"]
        assert sorted(path.name for path in tmp_path.glob(f"{name}*")) == [name]


def _patience() -> float:
    """Two seconds, and on a busy machine as many more as it takes longer to start the verb."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", SCRIPT, "run", "--help"], check=True, capture_output=True)
    return max(2.0, 4 * (time.monotonic() - begun))


def test_a_run_is_seen_at_once_and_holds_its_folder(
    suite: Path, tmp_path: Path, start: Callable[..., Started], call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    def status(*folder: str) -> str:
        capsys.readouterr()
        call("status", *folder)
        return capsys.readouterr().out

    patience = _patience()
    process = start(*words(suite, "out"))
    wait_for(lambda: "under way" in status("out"), process, patience)
    who = holder(tmp_path / "out")
    assert who is not None
    assert status("out").startswith(f"out: under way ({who.sentence}): ")

    second = start(*words(suite, "out", "--seed", "7"))
    begun = time.monotonic()
    printed, errors = second.communicate(timeout=30)
    assert time.monotonic() - begun < patience + 1  # it does not import what is slow before it asks
    assert (second.returncode, printed) == (2, "")
    (line,) = errors.splitlines()
    assert f"a run is under way there (process {process.pid} on host {os.uname().nodename}, since 2" in line
    assert "--out" in line

    other = start(*words(suite, None))
    wait_for(lambda: f"process {other.pid} on host" in status(), other, patience)
    assert f"talking:make on {suite}: under way" in status()
