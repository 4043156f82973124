"""A process that has imported torch and the harness, and forks one child a program, so that they are imported once.

All processes of the tests share it. It imports when the first program is asked for, and it computes nothing itself, so
that no thread is lost in a fork. `Forks.subprocess` stands in for the module `subprocess`: what its `Popen` starts has
the arguments, the variables, the folder and the open files that a new Python would be given.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "PCBENCH_TESTS_FORKING"
"""Where it is set, to the path of a server, the workers of what is started are forks as well."""
_LARGEST_MESSAGE = 1 << 17
_ABOVE = 200
"""Open files that are received are first moved above this number, out of the way of those that are asked for."""


# --- The server and its children -------------------------------------------------------------------------------------


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
    import sklearn.datasets  # noqa: F401
    import statsmodels.stats.proportion  # noqa: F401
    import torch

    import pcbench.attacks.libraries.foolbox
    import pcbench.cli.main
    import pcbench.cli.run_table
    import pcbench.harness.start  # noqa: F401
    from pcbench.harness import run  # noqa: F401
    from pcbench.harness.work import answers, attacks, growth, pictures, scores  # noqa: F401

    torch.set_num_threads(1)
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
            content, files, _, _ = socket.recv_fds(asking, _LARGEST_MESSAGE, 16)
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


# --- Those who ask ---------------------------------------------------------------------------------------------------


class Client:
    """A connection to the server.

    Args:
        path: Where it listens.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._ended: dict[int, int] = {}

    def begin(self, request: dict[str, Any], files: list[int]) -> int:
        """Start a program; return its process."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._socket.connect(self._path)
        socket.send_fds(self._socket, [json.dumps(request).encode()], files)
        while "process" not in (message := self._hear(None) or {}):
            pass
        return int(message["process"])

    def code(self, process: int, seconds: float | None) -> int | None:
        """Return the exit code of a process that ended; None if it does not in so many seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        while process not in self._ended:
            left = None if until is None else until - time.monotonic()
            if self._hear(None if left is None else max(left, 0.0)) is None:
                return None
        return self._ended[process]

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()

    def _hear(self, seconds: float | None) -> dict[str, Any] | None:
        assert self._socket is not None
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        message = json.loads(self._socket.recv(_LARGEST_MESSAGE) or b'{"gone": 1}')
        assert "gone" not in message, "the server of forks ended"
        if "ended" in message:
            self._ended[int(message["ended"])] = int(message["code"])
        return message


class Popen:
    """What of `subprocess.Popen` is used here.

    Args:
        client: The connection to the server.
        command: The interpreter, and what it is given.
        options: As for `subprocess.Popen`.
    """

    def __init__(self, client: Client, command: list[str], **options: Any) -> None:
        self._client, self.args = client, command
        self.returncode: int | None = None
        self.stdin, given = self._given(options.get("stdin"), text=bool(options.get("text")))
        self.stdout, out = self._stream(options.get("stdout"), 1, text=bool(options.get("text")))
        self.stderr, errors = self._stream(options.get("stderr"), 2, text=bool(options.get("text")))
        passed = [int(number) for number in options.get("pass_fds", ())]
        request = {
            "arguments": command[1:],
            "variables": dict(options.get("env") or os.environ),
            "folder": str(options.get("cwd") or Path.cwd()),
            "session": bool(options.get("start_new_session")),
            "files": [0, 1, 2, *passed],
        }
        self.pid = client.begin(request, [given, out, errors, *passed])
        os.close(given)
        for number, ours in ((out, self.stdout), (errors, self.stderr)):
            if ours is not None:
                os.close(number)

    @staticmethod
    def _given(wanted: object, *, text: bool) -> tuple[IO[Any] | None, int]:
        if wanted != subprocess.PIPE:
            return None, os.open(os.devnull, os.O_RDONLY)
        reading, writing = os.pipe()
        return os.fdopen(writing, "w" if text else "wb"), reading

    @staticmethod
    def _stream(wanted: object, number: int, *, text: bool) -> tuple[IO[Any] | None, int]:
        if wanted != subprocess.PIPE:
            assert wanted is None
            return None, number
        reading, writing = os.pipe()
        stream: IO[Any] = os.fdopen(reading, "rb")
        return (io.TextIOWrapper(stream) if text else stream), writing  # type: ignore[arg-type]

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        self.returncode = self._client.code(self.pid, 0.0) if self.returncode is None else self.returncode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it ends."""
        if self.returncode is None:
            self.returncode = self._client.code(self.pid, timeout)
            if self.returncode is None:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[Any, Any]:
        """Close its input, and return what it prints until it ends."""
        if self.stdin is not None:
            self.stdin.close()
        found: list[Any] = [None, None]

        def read(index: int, stream: IO[Any]) -> None:
            found[index] = stream.read()

        streams = [(index, one) for index, one in enumerate((self.stdout, self.stderr)) if one and not one.closed]
        threads = [threading.Thread(target=read, args=one, daemon=True) for one in streams]
        for thread in threads:
            thread.start()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()  # as it is not asked again
            raise
        finally:
            for thread in threads:
                thread.join()
            for _, stream in streams:
                stream.close()
        return found[0], found[1]

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """The forks that one process asks for.

    Args:
        path: Where the server listens.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.client = Client(path)
        self.subprocess: Any = types.SimpleNamespace(
            Popen=self._popen, DEVNULL=subprocess.DEVNULL, PIPE=subprocess.PIPE
        )
        """What stands in for the module `subprocess`."""

    def _popen(self, command: list[str], **options: Any) -> Popen:
        return Popen(self.client, command, **options)


def stand_in(path: str) -> None:
    """Let the workers of this process be forks."""
    from pcbench.harness.engines import local

    local.subprocess = Forks(path).subprocess


class Server:
    """The server process, which ends with the one that started it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self._folder.name, "s"))
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        variables = {**os.environ, **one, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, self.path],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


if __name__ == "__main__":
    serve(sys.argv[1])
