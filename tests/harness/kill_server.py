"""A process that has torch and the harness imported, and forks one child a run, so that they are imported once.

It is itself a fork of the server of `tests/forking.py`, and computes nothing, so that no thread is lost in a fork. A
child counts the points of `pcbench.files`, and is
killed at one of them or lets the step fail. Pages, figures and example pictures are replaced by cheap stand-ins, as
are the versions of libraries and the reading of the images: they take long, and what is tested here is the files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
MODEL = '''
import torch
from torch import nn


class Two(nn.Module):
    """Logits of two timesteps, linear in the pixels."""

    input_size = (3, 32, 32)

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 10)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.layer.parameters():
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return torch.stack([logits, logits.tanh()])


def make():
    return Two()
'''


SUITE = 'name = "one"\nversion = "1"\ntitle = "One"\nsource = "this test"\n'
ATTACK = (
    'title = "FGSM"\nlibrary = "foolbox"\nattack = "LinfFastGradientAttack"\nnorm = "linf"\n'
    'epsilons = ["2/255", "32/255"]\nsteps = 1\nrelative_step_size = 1.0\nsource = "this test"\n'
)


@dataclasses.dataclass(frozen=True)
class Task:
    """One command: a run into `<folder>/run`, which is then frozen into `<folder>/frozen.npz`."""

    folder: str = ""
    """The folder of both."""
    seed: int = 0
    """The run's seed."""
    again: bool = False
    """Whether it is given `--again`."""
    workers: int = 1
    """How many work."""
    images: int = 8
    """How many images are measured."""
    forking: str = ""
    """Where the server of `tests/forking.py` listens that starts the workers' processes."""
    checks: bool = False
    """Whether evidence on the gradients is gathered."""
    pictures: bool = False
    """Whether example pictures are made; a worker of its own process makes them always."""
    newer: bool = False
    """Whether the code that makes tables is another one than before."""
    kill: int | None = None
    """The number of the point at which the process kills itself."""
    fail: tuple[int, int] | None = None
    """The number of the point at which a step fails, and with which error."""
    steady: bool = False
    """Whether it may be done by the child that has done others before: nothing interrupts it."""


class Outcome(NamedTuple):
    """What became of a command.

    `points` and `units` are known only where the process ended by itself; an error is its type, message and exit code.
    """

    killed: bool
    points: list[str]
    units: list[str]
    error: tuple[str, str, int] | None


# --- The server and its children -------------------------------------------------------------------------------------


def serve(material: Path) -> None:
    """Answer requests, one per line, each in a child of its own or in the steady one."""
    sys.path.insert(0, str(material))
    _prepare()
    steady: tuple[int, TextIO, TextIO] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        child, asking, answering = steady if steady and request["steady"] else _fork(material / "log")
        _say({"process": child})
        asking.write(line)
        asking.flush()
        answer = answering.readline()
        if request["steady"] and answer:
            steady = child, asking, answering
            _say({"killed": False, "answer": answer})
        else:
            _say({"killed": os.WIFSIGNALED(_status(child, asking, answering)), "answer": answer})
    if steady is not None:
        _status(*steady)


def _status(child: int, *files: TextIO) -> int:
    """Let a child end that is asked nothing more; return how it ended."""
    for file in files:
        file.close()
    return os.waitpid(child, 0)[1]


def _fork(log: Path) -> tuple[int, TextIO, TextIO]:
    """Start a child that does tasks until no more can come; return its process, and the files to ask and to hear it."""
    asked, asking = os.pipe()
    answering, answered = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(asking)
        os.close(answering)
        _be_child(asked, answered, log)
    os.close(asked)
    os.close(answered)
    return child, os.fdopen(asking, "w"), os.fdopen(answering)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _prepare() -> None:
    """Import what a run needs, and put the stand-ins in place; nothing is computed, so no thread is begun."""
    import pandas.io.formats.csvs  # noqa: F401
    import pyarrow.dataset  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch

    import pcbench.attacks.libraries.foolbox
    import pcbench.comparison.reference
    import pcbench.harness.start  # noqa: F401
    from pcbench.data import sources
    from pcbench.data.preprocessing import Preprocessing
    from pcbench.files import write
    from pcbench.harness import progress, run, saved_plan, shard_run, used_code  # noqa: F401
    from pcbench.harness.request import request_from
    from pcbench.harness.work import answers, attacks, pictures, scores  # noqa: F401
    from pcbench.results.environment import METRICS_CODE, PARTS_CODE, code_hash, library_versions, machine_kind

    torch.set_num_threads(1)
    # Read once, not in each child: then an edit of pcbench makes no difference between two of them, either.
    code_hash(PARTS_CODE)
    code_hash(METRICS_CODE)
    machine_kind("cpu")
    versions = library_versions(["pcbench.harness.context"])
    used_code.library_versions = lambda _, **__: versions
    request_from({"model": "pdigits"})  # so that the options' checker is made
    sources.open_digits = functools.cache(sources.open_digits)
    sources.open_digits("test", Preprocessing())
    progress._SECONDS_BETWEEN_FILES = float("inf")  # else the number of points would depend on the time
    run._write_report = lambda _, folder, *__: write(folder / "index.html", "a page\n")
    gc.collect()
    gc.freeze()


def _be_child(asked: int, answered: int, log: Path) -> None:
    """Do tasks and end; what they print goes into a file."""
    try:
        for number, path, flags in (
            (0, os.devnull, os.O_RDONLY),
            (1, os.devnull, os.O_WRONLY),
            (2, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        ):
            os.dup2(os.open(path, flags), number)
        with os.fdopen(asked) as requests, os.fdopen(answered, "w") as stream:
            for line in requests:
                stream.write(json.dumps(_perform(Task(**json.loads(line)))) + "\n")
                stream.flush()
    except BaseException:  # noqa: BLE001 - a fork must never go on as the server
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)


def _perform(task: Task) -> dict[str, Any]:
    """Run and freeze as told, and answer what happened."""
    from pcbench.comparison.reference import freeze, write_reference
    from pcbench.errors import PcbenchError
    from pcbench.files import watched
    from pcbench.harness import finish
    from pcbench.harness.engines import local
    from pcbench.harness.start import run
    from pcbench.harness.work import pictures

    folder = Path(task.folder)
    points: list[str] = []
    units: list[str] = []
    perform = local.perform
    if task.forking:
        import forking  # beside this folder

        forking.stand_in(task.forking)
    changed: list[tuple[Any, str, Any]] = [
        (local, "perform", lambda unit, *others: units.append(unit.path) or perform(unit, *others))
    ]
    changed += [] if task.pictures else [(pictures, "_pictures", lambda *_: iter(()))]
    changed += [(finish, "code_hash", lambda _: "newer")] if task.newer else []
    told: dict[str, Any] = {"points": points, "units": units, "error": None}
    options: dict[str, Any] = {"timesteps": 1, "batch_size": 4, "block_size": 4, "threads": 1, "progress": False}
    options.update(images=task.images, workers=task.workers, seed=task.seed, again=task.again)
    options.update(checks=None if task.checks else False)
    suite = str(Path(sys.path[0], "attacks", "one"))
    try:
        with contextlib.ExitStack() as stack:
            for place, name, new in changed:
                stack.enter_context(mock.patch.object(place, name, new))
            stack.enter_context(watched(_watcher(task, points)))
            made = run("two:make", suite, data="digits", save_adversarials=True, out=folder / "run", **options)
            write_reference(freeze(made), folder / "frozen.npz")
    except PcbenchError as error:
        told["error"] = (type(error).__name__, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - whatever else is raised is a fault that the caller tells
        told["error"] = (type(error).__name__, traceback.format_exc(), 70)
    return told


def _watcher(task: Task, points: list[str]) -> Callable[[Any], None]:
    def watch(point: Any) -> None:
        place = point.path.relative_to(task.folder)
        points.append(f"{point.moment} {point.step} {place}")
        if len(points) - 1 == task.kill:
            if (point.moment, point.step) == ("after", "write"):
                _cut(point.path)
            os.kill(os.getpid(), signal.SIGKILL)
        if task.fail is not None and len(points) - 1 == task.fail[0]:
            raise OSError(task.fail[1], os.strerror(task.fail[1]))

    return watch


def _cut(path: Path) -> None:
    """Leave the first half of what was just written, as a process does that is killed while it writes."""
    from pcbench.files import UNFINISHED

    unfinished = path.with_name(path.name + UNFINISHED)
    written = unfinished if unfinished.exists() else path
    os.truncate(written, written.stat().st_size // 2)


# --- The other end ---------------------------------------------------------------------------------------------------


class Server:
    """The server process, as seen by those who ask it.

    Args:
        material: A folder of its own for the model and the suite.
        forks: Who starts it.
    """

    def __init__(self, material: Path, forks: Any) -> None:
        suite = material / "attacks" / "one"
        suite.mkdir(parents=True)
        (suite / "suite.toml").write_text(SUITE)
        (suite / "fgsm.toml").write_text(ATTACK)
        (material / "two.py").write_text(MODEL)
        self.log = material / "log"
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        variables = {**os.environ, **one, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
        self._process = forks.subprocess.Popen(
            [sys.executable, __file__, str(material)],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self, task: Task) -> int:
        """Start a command; return its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(task)) + "\n")
        self._process.stdin.flush()
        return int(self._hear()["process"])

    def end(self) -> Outcome:
        """Wait until the command that was started has ended."""
        heard = self._hear()
        if heard["killed"]:
            return Outcome(True, [], [], None)
        if not heard["answer"]:
            raise RuntimeError(f"a child ended without an answer; see {self.log}")
        answer = json.loads(heard["answer"])
        return Outcome(False, answer["points"], answer["units"], answer["error"] and tuple(answer["error"]))

    def run(self, task: Task) -> Outcome:
        """Do a command from its start to its end."""
        self.begin(task)
        return self.end()

    def close(self) -> None:
        """End the server."""
        self._process.communicate()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended")
        return json.loads(line)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
