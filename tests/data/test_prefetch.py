"""Oracle: the plain loop over the same items, and a clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from pcbench.data.prefetch import LookAhead


def numbers(made: list[int], count: int) -> Iterator[int]:
    for number in range(count):
        made.append(number)
        yield number


def test_items_come_in_their_order() -> None:
    assert list(LookAhead(numbers([], 50))) == list(range(50))


def test_the_queue_is_bounded() -> None:
    made: list[int] = []
    items = iter(LookAhead(numbers(made, 1000), ahead=3))
    next(items)
    time.sleep(0.2)
    # One was taken, three lie ready, one waits for room.
    assert len(made) <= 5
    items.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_comes_where_its_item_would_have() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no second image")

    seen: list[int] = []
    with pytest.raises(ValueError, match="no second image"):
        seen.extend(LookAhead(broken()))


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()
    for number in LookAhead(numbers([], 10**9)):
        if number == 3:
            break
    deadline = time.perf_counter() + 5
    while threading.active_count() > before and time.perf_counter() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_the_waiting_of_a_consumer_is_measured() -> None:
    def slow() -> Iterator[int]:
        for number in range(5):
            time.sleep(0.04)
            yield number

    hungry = LookAhead(slow())
    assert list(hungry) == list(range(5))
    assert hungry.waited_seconds > 0.9 * hungry.elapsed_seconds
    assert hungry.waited_seconds >= 0.15
    busy = LookAhead(numbers([], 5))
    for _ in busy:
        time.sleep(0.04)
    assert busy.waited_seconds < 0.5 * busy.elapsed_seconds
