"""Forks of a process that has imported torch and the harness, for those who ask: programs without its imports' time.

`Forks.subprocess` stands in for the module `subprocess`: what its `Popen` starts has the arguments, the variables, the
folder and the open files that a new Python would be given. The process itself is in `forking_server.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator, Sequence
from multiprocessing import popen_spawn_posix, util
from pathlib import Path
from typing import IO, Any
from unittest import mock

FOLDER = Path(__file__).resolve().parent
VARIABLE = "PCBENCH_TESTS_FORKING"
"""Where it is set, to the path of a server, the workers of what is started are forks as well."""
LARGEST_MESSAGE = 1 << 17


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
        message = json.loads(self._socket.recv(LARGEST_MESSAGE) or b'{"gone": 1}')
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

    @contextlib.contextmanager
    def spawning(self) -> Iterator[None]:
        """Let what `multiprocessing` spawns be forks that are given the same pickles as a new Python."""

        def spawn(_: str, command: list[bytes], files: Sequence[int]) -> int:
            words = [os.fsdecode(word) for word in command]
            given = words[words.index("-c") :]
            return Popen(self.client, [words[0], *given], pass_fds=files).pid

        def poll(started: Any, flag: int = os.WNOHANG) -> int | None:
            if started.returncode is None:
                started.returncode = self.client.code(started.pid, 0.0 if flag else None)
            return started.returncode

        with mock.patch.object(util, "spawnv_passfds", spawn), mock.patch.object(popen_spawn_posix.Popen, "poll", poll):
            yield


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
        variables = {**os.environ, **one, "PYTHONPATH": str(FOLDER.parent), "PYTHONHASHSEED": "2"}
        self._process = subprocess.Popen(
            [sys.executable, str(FOLDER / "forking_server.py"), self.path],
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
