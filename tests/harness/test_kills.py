"""Oracle: the uninterrupted run's own bytes."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import forking
import pytest

_spec = importlib.util.spec_from_file_location("kills", Path(__file__).with_name("kills.py"))
assert _spec is not None
assert _spec.loader is not None
kills = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = kills
_spec.loader.exec_module(kills)

# Here is a sample; `python tests/harness/kills.py --all` tries every point.
EVERY = {"run": 263, "again": 447, "replace": 447, "discard": 421, "newer": 101}

STEPS = {"run": 32, "again": 55}


@pytest.fixture(scope="module")
def laboratory(forks: forking.Forks) -> Iterator[Any]:
    with (
        tempfile.TemporaryDirectory(dir=kills.memory()) as folder,
        kills.Laboratory(Path(folder), forks, steady=True) as made,
    ):
        yield made


@pytest.mark.parametrize("scenario", kills.SCENARIOS)
def test_a_command_that_is_killed_at_a_point_ends_with_the_same_bytes_when_it_is_given_again(
    laboratory: Any, scenario: str
) -> None:
    points = laboratory.points(scenario)
    publishing = _publishing(points)
    # What lies there before a step lies there after the step before it, and most steps are those of `run`.
    ended = {number for number in publishing if points[number].startswith("after")}
    match scenario:
        case "run":
            chosen = _with_every_kind(points, {points.index("before rename run"), *ended, *_writing(points)})
        case "again":  # publishing is that of `replace`, but for the two renames
            chosen = {number for number in ended if "rename" in points[number]}
        case "discard":
            chosen = set(_discarding(points))
        case _:
            chosen = ended
    chosen.update(range(0, len(points), EVERY[scenario]))
    found = {points[number]: laboratory.kill(scenario, number) for number in sorted(chosen)}
    assert {point: faults for point, faults in found.items() if faults} == {}


def test_what_is_killed_while_it_recovers_ends_with_the_same_bytes(laboratory: Any) -> None:
    for scenario, (first, second) in {"run": (150, 40), "replace": (-115, 6), "newer": (-60, 20)}.items():
        points = laboratory.points(scenario)
        assert laboratory.kill(scenario, first % len(points), second) == []


@pytest.mark.parametrize("scenario", ["run", "again"])
def test_a_step_that_fails_is_told_in_one_line_and_the_same_command_goes_on(laboratory: Any, scenario: str) -> None:
    points = laboratory.points(scenario)
    before = [number for number, point in enumerate(points) if point.startswith("before")]
    steps = [*before[3 :: STEPS[scenario]], points.index("before rmdir run.partial")]
    codes = (kills.ERRORS[index % len(kills.ERRORS)] for index in range(len(steps)))
    found = {points[number]: laboratory.fail(scenario, number, code) for number, code in zip(steps, codes, strict=True)}
    assert len(found) >= 3
    assert {point: faults for point, faults in found.items() if faults} == {}


@pytest.mark.parametrize(("workers", "times", "longest"), [(1, 3, None), (2, 1, 2.0)])
def test_runs_that_are_killed_at_random_times_end_with_the_bytes_of_one_worker(
    laboratory: Any, workers: int, times: int, longest: float | None
) -> None:
    assert laboratory.kill_at_random_times(workers, times, 1, longest) == []


def _with_every_kind(points: list[str], chosen: set[int]) -> set[int]:
    """Add the last point of each kind that is not among those chosen: before and after each step that there is."""
    last = {tuple(point.split(" ")[:2]): number for number, point in enumerate(points)}
    met = {tuple(points[number].split(" ")[:2]) for number in chosen}
    return chosen | {number for kind, number in last.items() if kind not in met}


def _writing(points: list[str]) -> list[int]:
    """The points at which a file is half-written: where the folder gets its marker, a part, the manifest, the end."""
    names = (".partial/.pcbench.json", "run_spec.json", "fgsm-t1/00000.part", "manifest.json", "frozen.npz")
    told = [point.endswith(names) or point.startswith("after write .trial") for point in points]
    return [number for number, point in enumerate(points) if told[number] and point.startswith("after write")]


def _discarding(points: list[str]) -> range:
    """Four points while unfinished work of other settings is removed, from its mark to the last of it."""
    begun, over = points.index("after rename run.partial/.pcbench.json"), points.index("after rmdir run.partial")
    return range(begun, over + 1, (over - begun) // 3)


def _publishing(points: list[str]) -> list[int]:
    """The points between which one folder takes the other's name, the last ones of the unfinished folder, and the page,
    which is written into the finished one."""
    names = (
        "rename run",
        "write run/report/index.html",
        "rename run.partial/replaced",
        "unlink run.partial/.pcbench.json",
        "rmdir run.partial",
    )
    return [number for number, point in enumerate(points) if point.partition(" ")[2] in names]
