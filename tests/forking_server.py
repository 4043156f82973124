"""The process that has imported torch and the harness, and forks one child a program, so that they are imported once.

All processes of the tests share it (`forking.py`). It imports when the first program is asked for, and it computes
nothing itself, so that no thread is lost in a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
import types
from pathlib import Path
from typing import Any

from forking import LARGEST_MESSAGE, VARIABLE, stand_in

_ABOVE = 200
"""Open files that are received are first moved above this number, out of the way of those that are asked for."""


def serve(path: str) -> None:
    """Answer requests until the process that started this one ends: its end of standard input closes then."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        if listening not in select.select([0, listening], [], [])[0]:
            return
        _import()
        wake, woken = os.pipe()
        for end in (wake, woken):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(woken)
        _Server(listening, wake).loop()


def _import() -> None:
    """Import what programs need; nothing is computed, so no thread is begun."""
    import lightning_fabric  # noqa: F401
    import scipy.ndimage
    import scipy.stats  # noqa: F401
    import torch

    import pcbench.attacks.libraries.foolbox
    import pcbench.cli.main
    import pcbench.cli.run_table
    import pcbench.harness.start  # noqa: F401
    from pcbench.cli.verbs import PURPOSES
    from pcbench.harness import finish, run, told_results  # noqa: F401
    from pcbench.harness.work import answers, attacks, growth, pictures, scores  # noqa: F401

    for verb in (*PURPOSES, "study"):
        importlib.import_module(f"pcbench.cli.{verb}")
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # as in the tests' own processes: none of them ends with a power cut
    gc.collect()
    gc.freeze()  # so that a child's own collections do not write to all that was imported


class _Server:
    """What is asked for by several processes, each with a connection of its own."""

    def __init__(self, listening: socket.socket, wake: int) -> None:
        self._listening, self._wake = listening, wake
        self._asking: list[socket.socket] = []
        self._children: dict[int, socket.socket] = {}

    def loop(self) -> None:
        """Go on until standard input ends."""
        while True:
            ready, _, _ = select.select([0, self._listening, self._wake, *self._asking], [], [])
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 100)
            self._reap()
            if 0 in ready:
                return
            if self._listening in ready:
                self._asking.append(self._listening.accept()[0])
            for asking in [one for one in self._asking if one in ready]:
                self._answer(asking)

    def _answer(self, asking: socket.socket) -> None:
        content, files = b"", list[int]()
        with contextlib.suppress(ConnectionError):  # who asks may be killed before it has read an earlier answer
            content, files, _, _ = socket.recv_fds(asking, LARGEST_MESSAGE, 16)
        if not content:
            self._asking.remove(asking)
            asking.close()
            return
        child = os.fork()
        if child == 0:
            for one in (self._listening, *self._asking):
                one.close()
            _be(json.loads(content), files)
        for number in files:
            os.close(number)
        self._children[child] = asking
        self._tell(asking, {"process": child})

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            self._tell(self._children.pop(child), {"ended": child, "code": os.waitstatus_to_exitcode(status)})

    @staticmethod
    def _tell(asking: socket.socket, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # whoever asked may be gone
            asking.send(json.dumps(message).encode())


def _be(request: dict[str, Any], files: list[int]) -> None:
    """Become the program that is asked for, and end as Python would."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _ABOVE) for number in files]
        for number, target in zip(moved, request["files"], strict=True):
            os.dup2(number, target)
        os.closerange(_ABOVE, _ABOVE + 100)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        if request["session"]:
            os.setsid()
        os.environ.clear()
        os.environ.update(request["variables"])
        os.chdir(request["folder"])
        code = _run(request["arguments"])
    except BaseException:  # noqa: BLE001 - a fork must never go on as the server
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _run(arguments: list[str]) -> int:
    """Run ``-c TEXT …`` or ``FILE …`` as the main program; return its exit code."""
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [*paths, *(path for path in sys.path[1:] if path not in paths)]
    if os.environ.get(VARIABLE):
        stand_in(os.environ[VARIABLE])
    try:
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            sys.path.insert(0, "")
            main = types.ModuleType("__main__")
            sys.modules["__main__"] = main
            exec(compile(arguments[1], "<string>", "exec"), vars(main))  # noqa: S102 - a test's own text
        else:
            sys.argv = list(arguments)
            sys.path.insert(0, str(Path(arguments[0]).parent))
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001 - as Python itself does
        traceback.print_exc()
        code = 1
    else:
        code = 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
    atexit._run_exitfuncs()
    os._exit(0)  # at Python's own end, a library tells of objects that the collector was kept from
