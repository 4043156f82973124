"""A run that is asked to stop ends properly: SIGTERM and SIGHUP become an exception, as Ctrl-C already is."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

SECONDS_TO_CLEAN_UP = 2.0
"""How long the process lives on after a second signal."""
STOPPING = ("SIGTERM", "SIGHUP")
"""The signals that ask a run to stop, besides Ctrl-C's; Windows has no SIGHUP."""


class Stopped(BaseException):
    """The process was asked to stop. Not an `Exception`, so that code that catches errors does not catch it."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        """The signal that asked."""
        super().__init__(f"stopped by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """What the process ends with, as a shell says it: 128 and the signal's number."""
        return 128 + self.signal


class _Stopper:
    """Raises `Stopped` at the first signal; at the second, makes sure that the process ends."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._stopping = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._process:  # a fork has the handler too, but must not clean up
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        if not self._stopping:
            self._stopping = True
            raise Stopped(number)
        # The kernel ends the process at the next signal, which comes soon. Not at this one: a terminal that closes and
        # the program `timeout` send theirs twice within a moment, which would interrupt every clean-up.
        signal.signal(number, signal.SIG_DFL)
        # threading.Thread would wait for locks that the interrupted code may hold.
        _thread.start_new_thread(_end, (number,))


def _end(number: int) -> None:
    time.sleep(SECONDS_TO_CLEAN_UP)
    os.kill(os.getpid(), number)


@contextmanager
def stoppable() -> Generator[None]:
    """Let SIGTERM and SIGHUP raise `Stopped` in the main thread while this lasts; other threads are not changed.

    A signal that is ignored stays ignored, so that `nohup pcbench run` outlives its terminal. After a second signal
    the process ends within `SECONDS_TO_CLEAN_UP`, cleaned up or not.

    Raises:
        Stopped: The process was asked to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopper = _Stopper()
    before = {number: signal.getsignal(number) for name in STOPPING if (number := getattr(signal, name, None))}
    # None means a handler that was not set by Python: it could not be put back.
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    try:
        for number in ours:
            signal.signal(number, stopper)
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
