"""Kill a run at its points, let its steps fail, and see whether the same command ends with the same bytes.

    python tests/harness/kills.py                a sample of the points of every scenario
    python tests/harness/kills.py --all          every point
    python tests/harness/kills.py --only again   one scenario, or `random` for kills at random times

It prints a table and ends with 1 where anything differs. The oracle is what an uninterrupted run leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np


def _load(name: str, folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


kill_server = _load("kill_server", Path(__file__).parent)
forking = _load("forking", Path(__file__).parents[1])
Outcome, Server, Task = kill_server.Outcome, kill_server.Server, kill_server.Task

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
KILLS = 20
"""How many kills at random times there are, of one worker and of two."""
IMAGES = 16
"""How many images the runs have that are killed at random times."""
# The steps that may fail without a message: the run is whole without them.
MAY_FAIL = ("unlink run.lock", "unlink run.holder.json", "run.partial/progress.json")
# The steps that try out whether the place can be written: where they fail, this is wrong use.
TRIALS = (".trial-", "run.holder.json", "mkdir run.partial")
# What a manifest says of time.
TIMES = ("started", "seconds", "waited_for_images", "manifest_sha256")
# What was done before a command is given, and the command; the first one alone gathers evidence on gradients.
SCENARIOS: dict[str, tuple[Sequence[Any], Any]] = {
    "run": ((), Task(checks=True)),
    "again": ((Task(),), Task(again=True)),
    "replace": ((Task(seed=1),), Task(again=True)),
    "discard": ((Task(seed=1, kill=60),), Task(again=True)),
    "newer": ((Task(),), Task(newer=True)),
}


def contents(folder: Path) -> dict[str, Any]:
    """Return what lies in a folder: bytes, and of a manifest all except times and the number of workers."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found[name + "/"] = None
        elif path.name == "manifest.json":
            manifest = json.loads(path.read_text())
            # These name the number of workers.
            manifest.pop("command", None)
            manifest.get("options", {}).pop("workers", None)
            found[name] = {key: value for key, value in manifest.items() if key not in TIMES}
        else:
            found[name] = path.read_bytes()
    return found


def run_of(folder: Path) -> dict[str, Any]:
    """Return what lies in the run's folder, without the page, which is made after the run has its name."""
    found = contents(folder / "run")
    return {name: content for name, content in found.items() if not name.startswith("report/")}


def parts_of(folder: Path, key: str) -> set[str]:
    """Return the units of a run whose parts are there whole; whose a part is, its second line says."""
    found: set[str] = set()
    for path in folder.rglob("*.part"):
        line, _, body = path.read_bytes().partition(b"\n")
        if line.endswith(hashlib.sha256(body).hexdigest().encode()):
            header = json.loads(body.partition(b"\n")[0])
            found |= {header["unit"]} if header["key"] == key else set()
    return found


def done_before(points: Sequence[str], number: int, *, again: bool) -> set[str]:
    """Return the units that were done when a command was killed at a point.

    A command with `--again` begins anew where the one before ended with all its work, and only its last steps lacked.
    """
    if again and number >= points.index("after unlink run.partial/.pcbench.json", points.index("after rename run")):
        return set()
    beginning, ending = "after rename run.partial/parts/", ".part"
    done = (point for point in points[: number + 1] if point.startswith(beginning))
    return {point.removeprefix(beginning).removesuffix(ending) for point in done}


class Laboratory:
    """Tries scenarios, and knows what each of them has to end with.

    Args:
        folder: Where all of it lies.
        forks: Who starts processes.
        steady: Let one process do, one after the other, all that nothing interrupts; else each has its own.
    """

    def __init__(self, folder: Path, forks: Any, *, steady: bool = False) -> None:
        self.folder = folder
        self._steady = steady
        self.server = Server(folder / "material", forks)
        self._oracles: dict[Any, tuple[Path, dict[str, Any]]] = {}
        self._points: dict[str, list[str]] = {}
        self._forks = forks

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()

    def expected(self, task: Any) -> dict[str, Any]:
        """Return what an uninterrupted first run leaves that ends as a task shall end."""
        return self._oracle(task)[1]

    def _oracle(self, task: Any) -> tuple[Path, dict[str, Any]]:
        """Return the folder of that run, and what lies in it; tasks that end alike share it."""
        first = dataclasses.replace(task, again=False, workers=1, folder="", forking="")
        if first not in self._oracles:
            folder = self.folder / f"oracle-{len(self._oracles)}"
            self._do(first, folder)
            self._oracles[first] = folder, contents(folder)
        return self._oracles[first]

    def points(self, scenario: str) -> list[str]:
        """Return the points of a scenario that nothing interrupts."""
        if scenario not in self._points:
            before, task = SCENARIOS[scenario]
            for step in before:
                if step.kill is None:
                    shutil.copytree(self._oracle(step)[0], self._before(scenario))
                else:
                    self._do(step, self._before(scenario))
            place = self._begin(scenario)
            self._points[scenario] = self._do(task, place).points
            assert contents(place) == self.expected(task), "not even an uninterrupted run ends as it should"
        return self._points[scenario]

    def kill(self, scenario: str, number: int, second: int | None = None) -> list[str]:
        """Kill a command at a point, and the same command once more at another; return what is wrong then."""
        task, place = self._task(scenario)
        faults: list[str] = []
        done = done_before(self._points[scenario], number, again=task.again)
        for point in (number, second):
            if point is not None and faults == []:
                killed = self.server.run(dataclasses.replace(task, kill=point)).killed
                faults += [] if killed or point == second else [f"the process was not killed at point {point}"]
                faults += self._half_way(scenario, place)
        return faults + self._goes_on(task, place, self.expected(task), set() if second else done)

    def fail(self, scenario: str, number: int, code: int) -> list[str]:
        """Let a step fail, then give the same command again; return what is wrong then."""
        task, place = self._task(scenario)
        outcome = self.server.run(dataclasses.replace(task, fail=(number, code)))
        point = self._points[scenario][number]
        faults = _wrong_with(outcome.error, point, place, os.strerror(code)) + self._half_way(scenario, place)
        halves = [path.name for path in place.rglob("*.partial") if path.is_file()]
        faults += [f"keeps its place on the disk, though it is not whole: {name}" for name in halves]
        return faults + self._goes_on(task, place, self.expected(task))

    def kill_at_random_times(self, workers: int, kills: int, seed: int, longest: float | None = None) -> list[str]:
        """Kill a run and its resumptions until there were so many kills; return what is wrong with those that end.

        Args:
            workers: How many work.
            kills: How many kills.
            seed: Of the times.
            longest: The greatest number of seconds before a kill; None takes those of an uninterrupted run.
        """
        task = Task(folder=str(self.folder / "trial"), images=IMAGES, workers=workers, pictures=True)
        if workers > 1:
            task = dataclasses.replace(task, forking=self._forks.path)
        expected = self.expected(task)
        if longest is None:
            began = time.monotonic()
            self._do(task, self._empty())
            assert contents(Path(task.folder)) == expected, "not even an uninterrupted run ends as it should"
            longest = time.monotonic() - began
        numbers, faults = np.random.default_rng(seed), []
        while kills > 0:
            place = self._empty()
            for _ in range(5):
                killed = self._kill_after(task, float(numbers.uniform(0, longest)))
                kills -= killed
                if not killed:
                    break
            faults += self._goes_on(task, place, expected)
        return faults

    def _kill_after(self, task: Any, seconds: float) -> bool:
        process = self.server.begin(task)
        timer = threading.Timer(seconds, _kill, (process,))
        timer.start()
        killed = self.server.end().killed
        timer.cancel()
        timer.join()
        return killed

    def _task(self, scenario: str) -> tuple[Any, Path]:
        self.points(scenario)
        place = self._begin(scenario)
        return dataclasses.replace(SCENARIOS[scenario][1], folder=str(place)), place

    def _do(self, task: Any, folder: Path) -> Any:
        folder.mkdir(exist_ok=True)
        outcome = self.server.run(self._undisturbed(dataclasses.replace(task, folder=str(folder))))
        assert outcome.error is None, outcome.error
        return outcome

    def _undisturbed(self, task: Any) -> Any:
        return dataclasses.replace(task, steady=self._steady and task.workers == 1 and task.kill is None)

    def _before(self, scenario: str) -> Path:
        return self.folder / f"{scenario}-before"

    def _empty(self) -> Path:
        place = self.folder / "trial"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def _begin(self, scenario: str) -> Path:
        """Return a folder in which a scenario can begin."""
        place = self._empty()
        if SCENARIOS[scenario][0]:
            shutil.copytree(self._before(scenario), place, dirs_exist_ok=True)
        return place

    def _half_way(self, scenario: str, place: Path) -> list[str]:
        """Return what is wrong after a stop: what has the run's name is the old run or the new one, whole."""
        if not (place / "run").exists():
            return []
        whole = [run_of(self._oracle(SCENARIOS[scenario][1])[0]), run_of(self._before(scenario))]
        return [] if run_of(place) in whole else ["what has the run's name is neither the old run nor the new one"]

    def _goes_on(self, task: Any, place: Path, expected: dict[str, Any], done: Iterable[str] = ()) -> list[str]:
        """Give a command once more; return what is wrong with how it ends.

        Args:
            task: The command.
            place: Where it runs.
            expected: What it has to leave there.
            done: Units that must not be computed again, beside those whose parts are there.
        """
        new = {name.removeprefix("run/"): content for name, content in expected.items() if name.startswith("run/")}
        new = {name: content for name, content in new.items() if not name.startswith("report/")}
        is_done = not task.again and run_of(place) == new
        kept = parts_of(place, expected["run/manifest.json"]["key"])
        outcome = self.server.run(self._undisturbed(task))
        if outcome.error is not None or outcome.killed:
            return [f"the same command does not go on: {outcome.error}"]
        # A network of the user's own is asked about a few images each time: that is how it is recognised.
        computed = {unit for unit in outcome.units if not unit.startswith("answers/")}
        faults = [f"computed again, though it was done: {unit}" for unit in sorted(computed & {*kept, *done})]
        if is_done and computed:
            faults.append("computed again, though the run was finished")
        found = contents(place)
        names = sorted(name for name in {*found, *expected} if found.get(name, 0) != expected.get(name, 0))
        return faults + [f"{'left behind' if name not in expected else 'differs'}: {name}" for name in names]


def _kill(process: int) -> None:
    """Kill one of the server's children, which it has not asked about yet: its number is nobody else's."""
    os.kill(process, signal.SIGKILL)


def _wrong_with(error: Sequence[Any] | None, point: str, place: Path, reason: str) -> list[str]:
    """Return what is wrong with how a command ended one of whose steps failed."""
    if error is None:
        return [] if any(text in point for text in MAY_FAIL) else ["nobody was told that a step failed"]
    name, message, code = error
    faults = [] if code == 1 or (code == 2 and any(text in point for text in TRIALS)) else [f"exit code {code}: {name}"]
    if "\n" in message or str(place) not in message or reason not in message or "; " not in message:
        faults.append(f"not one line with path, reason and remedy: {message}")
    return faults


def print_row(*cells: object) -> None:
    """Print a row of the table."""
    sys.stdout.write("".join(f"{cell!s:>{width}}" for cell, width in zip(cells, (26, 8, 8, 8, 9), strict=True)) + "\n")
    sys.stdout.flush()


def tell(name: str, points: int, tried: Iterable[tuple[str, Callable[[], list[str]]]]) -> bool:
    """Try something again and again, print a row and what was wrong; return whether all was equal."""
    began, count, bad = time.monotonic(), 0, []
    for title, attempt in tried:
        count += 1
        faults = attempt()
        if faults:
            bad.append(f"  {title}: {'; '.join(faults[:4])}")
    print_row(name, points, count, count - len(bad), f"{time.monotonic() - began:.0f} s")
    sys.stdout.write("".join(f"{line}\n" for line in bad))
    return not bad


def try_scenario(laboratory: Laboratory, scenario: str, every: int) -> bool:
    """Kill a scenario once and twice, and let its steps fail, at every k-th point; return whether all was equal."""
    points = laboratory.points(scenario)
    numbers = np.random.default_rng(0)
    chosen = range(0, len(points), every)
    steps = [number for number, point in enumerate(points) if point.startswith("before")][::every]
    seconds = {number: int(numbers.integers(len(points))) for number in chosen[::5]}
    once = ((points[n], lambda n=n: laboratory.kill(scenario, n)) for n in chosen)
    twice = ((f"{points[n]}, {m}", lambda n=n, m=m: laboratory.kill(scenario, n, m)) for n, m in seconds.items())
    failed = (
        (points[n], lambda n=n, k=k: laboratory.fail(scenario, n, ERRORS[k % len(ERRORS)])) for k, n in enumerate(steps)
    )
    equal = tell(f"{scenario}, killed", len(points), once)
    equal &= tell(f"{scenario}, killed twice", len(points), twice)
    return tell(f"{scenario}, a step fails", len(points), failed) and equal


def try_random_times(laboratory: Laboratory, kills: int) -> bool:
    """Kill runs at random times; return whether all was equal."""
    equal = True
    for workers in (1, 2):
        name = f"random times, {workers} worker{'s' if workers > 1 else ''}"
        tried = (
            (f"seed {seed}", lambda seed=seed, workers=workers: laboratory.kill_at_random_times(workers, 5, seed))
            for seed in range(kills // 5)
        )
        equal &= tell(f"{name}, 5 each", 0, tried)
    return equal


def memory() -> Path | None:
    """Return a folder in memory, where there is one: what a killed process wrote stays there as well as on a disk."""
    folder = Path("/dev/shm")  # noqa: S108
    return folder if os.access(folder, os.W_OK) else None


def main() -> int:
    """Try all that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="try every point")
    parser.add_argument("--only", choices=[*SCENARIOS, "random"], help="try one scenario")
    options = parser.parse_args()
    equal = True
    with (
        contextlib.closing(forking.Server()) as server,
        tempfile.TemporaryDirectory(dir=memory()) as folder,
        Laboratory(Path(folder), forking.Forks(server.path)) as laboratory,
    ):
        print_row("scenario", "points", "tried", "equal", "seconds")
        for scenario in SCENARIOS:
            if options.only in (None, scenario):
                equal &= try_scenario(laboratory, scenario, 1 if options.all else 20)
        if options.only in (None, "random"):
            equal &= try_random_times(laboratory, KILLS if options.all else 5)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
