"""Work ahead of a consumer, in a bounded queue, and say how long the consumer waited.

The network and the corruptions then share the time: while the network scores one batch, the next is corrupted.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LookAhead(Generic[Item]):
    """Iterates over items that another thread makes ahead of time.

    Items come in their order; an error in their making is raised where the item would have come. Leaving the
    iteration early ends the thread.
    """

    def __init__(self, items: Iterable[Item], ahead: int = 2) -> None:
        """Prepare to iterate; nothing is made yet.

        Args:
            items: Made one by one when iterated, in the other thread.
            ahead: How many finished items may lie ready; their memory is what looking ahead costs.
        """
        self._items = items
        # An item is in a tuple of one; None is the end, and an error its own end.
        self._ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(maxsize=max(1, ahead))
        self._abandoned = threading.Event()
        self.waited_seconds = 0.0
        """How long the consumer has waited for items so far."""
        self.elapsed_seconds = 0.0
        """From the start of the iteration to the last item, or so far."""

    def __iter__(self) -> Iterator[Item]:
        maker = threading.Thread(target=self._make, name="look-ahead", daemon=True)
        start = time.perf_counter()
        maker.start()
        try:
            while True:
                asked = time.perf_counter()
                next_one = self._ready.get()
                now = time.perf_counter()
                self.waited_seconds += now - asked
                self.elapsed_seconds = now - start
                if next_one is None:
                    return
                if isinstance(next_one, BaseException):
                    raise next_one
                yield next_one[0]
        finally:
            self._abandoned.set()
            maker.join()

    def _make(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
        except BaseException as caught:  # noqa: BLE001 - not handled here: raised again in the consumer's thread
            error = caught
        self._put(error)

    def _put(self, made: tuple[Item] | BaseException | None) -> bool:
        """Queue an item, an error or the end; False when the consumer has left."""
        while not self._abandoned.is_set():
            try:
                self._ready.put(made, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
