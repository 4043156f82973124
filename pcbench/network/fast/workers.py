"""Pieces of work shared among threads that compute on one core each.

One parallel region an operation ends in a wait of all threads; where other processes use the cores, hundreds of small
regions cost more than the work. Here a few large pieces wait in a row, and each thread takes the next when it is free.
The pieces are the same for any number of threads, and so are the results, to the bit.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch


def share_pieces(count: int, work: Callable[[int], None]) -> None:
    """Do the pieces 0 .. count - 1, on as many threads as PyTorch uses for one operation.

    Args:
        count: How many pieces there are.
        work: Does a piece, outside any graph; it may not share pieces itself.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        with torch.no_grad():
            for piece in range(count):
                work(piece)
        return
    pieces = _Pieces(count)
    inference = torch.is_inference_mode_enabled()

    def take() -> None:
        with torch.inference_mode(mode=inference), torch.no_grad():
            for piece in iter(pieces.next, None):
                work(piece)

    helpers = _pool(threads)
    done: list[Future[None]] = [helpers.submit(take) for _ in range(min(threads, count))]
    try:
        for one in done:
            one.result()
    finally:
        pieces.stop()


class _Pieces:
    """The numbers of the pieces that nobody has taken."""

    def __init__(self, count: int) -> None:
        self._count, self._taken, self._lock = count, 0, threading.Lock()

    def next(self) -> int | None:
        with self._lock:
            if self._taken >= self._count:
                return None
            self._taken += 1
            return self._taken - 1

    def stop(self) -> None:
        """Leave the rest undone."""
        with self._lock:
            self._taken = self._count


_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = _started(threads)
        return _pools[threads]


def _started(threads: int) -> ThreadPoolExecutor:
    all_here = threading.Barrier(threads)

    def alone() -> None:
        # Asked first, or PyTorch would set the common number again at the thread's first operation.
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_here.wait()

    pool = ThreadPoolExecutor(threads, "tiles")
    for one in [pool.submit(alone) for _ in range(threads)]:
        one.result()
    # The number that threads of the future begin with was set as well.
    torch.set_num_threads(threads)
    return pool


def _forget() -> None:
    """Leave the pools behind: a process that was forked has none of its parent's threads."""
    global _lock  # noqa: PLW0603  # it may have been held when the process was forked
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
