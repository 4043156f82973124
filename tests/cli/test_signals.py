"""Oracle: the exit codes and the lines of real processes that are sent real signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator

import pytest

from pcbench.cli.signals import Stopped, stoppable

LOOP = """
import os, signal, sys, time
from pcbench.cli import signals
from pcbench.cli.signals import Stopped, stoppable
signals.SECONDS_TO_CLEAN_UP = 0.8
try:
    with stoppable():
        try:
            print("ready", flush=True)
            while True:
                time.sleep(0.02)
        finally:
            exec_clean_up()
except Stopped as stop:
    print(stop, flush=True)
    sys.exit(stop.exit_code)
except KeyboardInterrupt:
    print("stopped by SIGINT", flush=True)
    sys.exit(130)
"""
NOTHING = "pass"
A_MOMENT = "time.sleep(0.3)"
FOR_EVER = "print('cleaning', flush=True)\n            time.sleep(60)"
Started = subprocess.Popen[str]


@pytest.fixture
def started() -> Generator[list[Started]]:
    """The processes to end after the test."""
    processes: list[Started] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def begin(started: list[Started], *before: str, clean_up: str = NOTHING) -> Started:
    return begin_script(started, LOOP.replace("exec_clean_up()", clean_up), *before)


def begin_script(started: list[Started], script: str, *before: str) -> Started:
    process = subprocess.Popen(
        [*before, sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    started.append(process)
    assert line_of(process) == "ready"
    return process


def line_of(process: Started) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_process_that_is_told_to_stop_says_so_and_ends(started: list[Started], name: str, code: int) -> None:
    process = begin(started)
    process.send_signal(signal.Signals[name])
    out, errors = process.communicate(timeout=2)
    assert (out.strip(), process.returncode, errors) == (f"stopped by {name}", code, "")


@pytest.mark.skipif(shutil.which("nohup") is None, reason="there is no nohup here")
def test_under_nohup_a_terminal_that_closes_is_ignored(started: list[Started]) -> None:
    process = begin(started, "nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.3)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=2)
    assert (out.strip(), process.returncode) == ("stopped by SIGTERM", 143)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_clean_up_that_hangs(started: list[Started], second: signal.Signals) -> None:
    process = begin(started, clean_up=FOR_EVER)
    process.send_signal(signal.SIGTERM)
    assert line_of(process) == "cleaning"
    process.send_signal(second)
    process.communicate(timeout=2)
    assert process.returncode == -second


def test_the_same_signal_twice_in_a_moment_does_not_spoil_the_clean_up(started: list[Started]) -> None:
    process = begin(started, clean_up=A_MOMENT)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    out, _ = process.communicate(timeout=2)
    assert (out.strip(), process.returncode) == ("stopped by SIGTERM", 143)


def test_what_was_there_before_is_put_back() -> None:
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    with stoppable():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]
    with pytest.raises(Stopped) as caught, stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert (caught.value.signal, caught.value.exit_code) == (signal.SIGTERM, 143)
    assert not isinstance(caught.value, Exception)
    assert {name: signal.getsignal(name) for name in before} == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_and_a_platform_without_a_signal_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def look() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]
    number = signal.SIGHUP
    monkeypatch.delattr(signal, "SIGHUP")
    with stoppable():
        assert signal.getsignal(number) is signal.SIG_DFL


def test_a_forked_child_just_ends(started: list[Started]) -> None:
    # The child says its number itself: Python forgets a signal that comes in the instant of the fork.
    fork = "    if os.fork() == 0:\n                print(os.getpid(), flush=True)\n"
    script = LOOP.replace("    while", fork + "            while").replace("exec_clean_up()", NOTHING)
    process = begin_script(started, script)
    os.kill(int(line_of(process)), signal.SIGTERM)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=2)
    assert (out.strip(), errors) == ("stopped by SIGTERM", "")  # one line, the parent's own
