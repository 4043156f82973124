"""Oracle: the training that nothing stopped, file by file and byte by byte."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import forking
import numpy as np
import pytest
import torch

from pcbench.errors import WriteError
from pcbench.files import Point, watched, write
from pcbench.options import resolved
from pcbench.results.environment import PARTS_CODE, code_hash
from pcbench.training import losses
from pcbench.training.job import Watcher as TrainingWatcher
from pcbench.training.job import train_model
from pcbench.training.loop import Reporter
from pcbench.training.options import TrainOptions
from pcbench.training.record import CARD

KILLS = 3
COMPARED = ("pdigits.safetensors", "backbone/losses.csv", "predictors/losses.csv")
# What fails: the step, the file, and how often it has gone well before. There is a checkpoint after each epoch.
FULL_DISK = [
    ("write", "backbone/checkpoint.safetensors", 0),
    ("write", "backbone/checkpoint.safetensors", 1),
    ("fsync", "backbone/losses.csv", 0),
    ("mkdir", "predictors", 0),
    ("rename", "predictors/checkpoint.safetensors", 1),
    ("rename", "pdigits.safetensors", 0),
    ("fsync", CARD, 0),
]
LOADED_BEFORE_FORKING = (
    "lightning_fabric",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "scipy.stats",
    "torch.utils.tensorboard",
)
Tell = Callable[[str], None]


def asked(folder: Path) -> TrainOptions:
    return resolved(TrainOptions, {"out": folder, "epochs": 2, "batch_size": 16, "images": 48, "method": "descent"})


def made(folder: Path) -> dict[str, object]:
    """Return the bytes of the files, and the card without the versions: who edits pcbench meanwhile changes these."""
    assert not list(folder.glob("**/*.partial"))
    assert not list(folder.glob("**/.trial*"))
    card = json.loads((folder / CARD).read_text())
    del card["versions"]
    return {CARD: card, **{name: (folder / name).read_bytes() for name in COMPARED}}


def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path: Path, forks: forking.Forks
) -> None:
    # Each child is forked from one process that has loaded the libraries; this file is that process's program.
    command, pipe = [sys.executable, __file__, str(tmp_path), "20"], subprocess.PIPE
    process = forks.subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert json.loads(printed) == [0, *[-signal.SIGKILL] * KILLS, 0], errors
    assert made(tmp_path / "killed") == made(tmp_path / "whole")


def full_disk(step: str, path: Path, good: int) -> Callable[[Point], None]:
    """Return a watcher that lets a step fail after it has gone well so many times."""
    met: list[Point] = []

    def watcher(point: Point) -> None:
        if (point.moment, point.step, point.path) == ("before", step, path):
            met.append(point)
            if len(met) > good:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return watcher


@pytest.fixture
def one_thread() -> Iterator[None]:
    """So small a training is many times slower with several threads on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread", "no_figures")
def test_a_training_on_a_full_disk_says_so_in_one_line_and_goes_on(tmp_path: Path) -> None:
    train_model(asked(tmp_path / "whole"))
    folder = tmp_path / "full"
    for step, name, good in FULL_DISK:
        with pytest.raises(WriteError) as raised, watched(full_disk(step, folder / name, good)):
            train_model(asked(folder))
        reason = "cannot be written (No space left on device; free some space on this disk)"
        assert str(raised.value) == f"{folder / name}: {reason}"
        assert raised.value.exit_code == 1
    train_model(asked(folder))
    assert made(folder) == made(tmp_path / "whole")


def two_files(folder: Path, *_: object) -> None:
    """Stand in for the drawing of the losses, which takes as long as such a training: its two files."""
    for ending in ("svg", "png"):
        write(folder / f"losses.{ending}", "a figure")


class Told(TrainingWatcher):
    """Tells of every step in a line."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def steps(self, stage: str) -> Reporter:
        def report(done: int, total: int, losses: Mapping[str, float]) -> None:
            del total, losses
            self._tell(f"{stage} step {done}")

        return report


def train_in_child(folder: Path, tell: Tell) -> int:
    """Train in a forked process; return its exit status, negative for a signal."""
    if threading.active_count() != 1:
        raise RuntimeError("a process with several threads cannot be forked safely")
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        torch.set_num_threads(1)
        losses._plot = two_files
        with watched(lambda point: tell(f"{point.moment} {point.step} {os.path.relpath(point.path, folder)}")):
            train_model(asked(folder), Told(tell))
        status = 0
    finally:
        if status:
            traceback.print_exc()
        os._exit(status)


def writing(path: Path) -> Tell:
    """Return who writes each line into a file at once."""

    def tell(line: str) -> None:
        with path.open("a") as file:
            file.write(line + "\n")

    return tell


def killing(indices: Mapping[str, int], index: int, delay: float) -> Tell:
    """Return who ends this process by SIGKILL, `delay` seconds after the first line whose index is at least `index`."""

    def tell(line: str) -> None:
        reached = indices.get(line, -1) >= index
        if reached and not delay:
            os.kill(os.getpid(), signal.SIGKILL)
        if reached:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    return tell


def kill_at_random(folder: Path, seed: int) -> list[int]:
    """Train once undisturbed and once with kills, one in each quarter of the lines; return the exit statuses."""
    log = folder / "whole.txt"
    statuses = [train_in_child(folder / "whole", writing(log))]
    # The trial whether files can be written has a name of its own in each process, and leaves nothing that counts.
    lines = [line for line in log.read_text().splitlines() if ".trial" not in line]
    indices = {line: index for index, line in enumerate(lines)}
    generator = np.random.default_rng(seed)
    for number in range(KILLS):
        index = (number * len(lines) + int(generator.integers(len(lines)))) // KILLS
        # Two die at once at the line; one some time later, in the middle of anything. Not the last one: it might end.
        delay = float(generator.uniform(0.001, 0.02)) if number == 1 else 0.0
        statuses.append(train_in_child(folder / "killed", killing(indices, index, delay)))
    statuses.append(train_in_child(folder / "killed", lambda _: None))
    return statuses


if __name__ == "__main__":
    for module in LOADED_BEFORE_FORKING:
        importlib.import_module(module)
    code_hash(PARTS_CODE)  # read once, not in each child
    print(json.dumps(kill_at_random(Path(sys.argv[1]), int(sys.argv[2]))))
