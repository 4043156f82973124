"""Runs that are stopped at a point of their work, and the points at which tests stop them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pcbench.files import Point, watched


def stopped(measured: Callable[[], object], met: Callable[[Point], bool]) -> None:
    """Begin a run and stop it at the first point that meets a condition."""

    def stop(point: Point) -> None:
        if met(point):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), watched(stop):
        measured()


def after_three_parts(point: Point) -> bool:
    if point.path.suffix != ".part" or point.moment != "after":
        return False
    return len(list(next(p for p in point.path.parents if p.name == "parts").rglob("*.part"))) == 3


def when_all_parts_are_there(point: Point) -> bool:
    return point.path.name == "metrics.csv" and "finished" in point.path.parts


def when_the_folder_lacks_its_name_only(point: Point) -> bool:
    return point.moment == "after" and point.path.name == ".pcbench.json" and point.path.parent.name == "finished"


STOPS = (after_three_parts, when_all_parts_are_there, when_the_folder_lacks_its_name_only)
