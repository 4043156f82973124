"""Oracle: real second processes, killed and alive, and what the kernel says of their locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pcbench import files
from pcbench.errors import HeldError, UsageError
from pcbench.results import lock
from pcbench.results.lock import announce, announced, hold, holder, under_way

START = "import os, subprocess, sys, time\nfrom pathlib import Path\n"
WITHOUT_LOCKS = """
import errno, fcntl
def refuse(handle, operation):
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
fcntl.flock = refuse
"""
ON_ANOTHER_HOST = """
import socket
socket.gethostname = lambda: "nova"
from pcbench.results import lock
lock.BEAT_SECONDS, lock.STALE_SECONDS = 0.1, 0.6
"""
HOLD = """
from pcbench.results.lock import hold
with hold(Path(sys.argv[1]), "pcbench run it"):
    print("held", flush=True)
    sys.stdin.readline()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Generator[Start]:
    """Start a script in a process of its own and wait for its first line."""
    started: list[subprocess.Popen[str]] = []

    def begin(script: str, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", START + script, *map(str, words)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks, as this process sees it."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that are renewed ten times a second and stale after less than one."""
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lock, "STALE_SECONDS", 0.6)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_PATIENCE_SECONDS", 0.2)


def test_a_second_process_is_refused_and_told_who_holds(tmp_path: Path, start: Start) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    process = start(HOLD, tmp_path / "run")
    assert first_line(process) == "held"
    who = holder(tmp_path / "run")
    assert who is not None
    assert (who.host, who.process, who.command) == (os.uname().nodename, process.pid, "pcbench run it")
    assert before <= who.began <= datetime.now(UTC)
    with (
        pytest.raises(HeldError, match=rf"process {process.pid} on host \S+, since 2\S+ \S+ UTC.*`out`"),
        hold(tmp_path / "run"),
    ):
        pass
    process.communicate("leave\n")
    assert process.returncode == 0
    assert holder(tmp_path / "run") is None
    assert list(tmp_path.iterdir()) == []


def test_a_holder_is_seen_within_two_seconds_of_its_start(tmp_path: Path, start: Start) -> None:
    begun = time.monotonic()
    start(HOLD, tmp_path / "run")
    while holder(tmp_path / "run") is None:
        assert time.monotonic() - begun < 2
        time.sleep(0.01)


def test_the_lock_imports_nothing_that_is_slow() -> None:
    script = "import sys, pcbench.results.lock, pcbench.cli.signals; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "pyarrow", "pydantic", "typer", "asyncio"} & set(loaded)


@pytest.mark.parametrize("system", ["", WITHOUT_LOCKS])
def test_the_lock_of_a_killed_process_is_taken_over_at_once(
    tmp_path: Path, start: Start, system: str, request: pytest.FixtureRequest
) -> None:
    if system:
        request.getfixturevalue("without_locks")
    process = start(system + HOLD, tmp_path / "run")
    assert first_line(process) == "held"
    with pytest.raises(HeldError, match=str(process.pid)), hold(tmp_path / "run"):
        pass
    assert holder(tmp_path / "run") is not None
    kill(process)
    assert (tmp_path / "run.holder.json").exists()
    assert holder(tmp_path / "run") is None
    assert under_way(tmp_path) == []
    begun = time.monotonic()
    with hold(tmp_path / "run") as own:
        assert own.process == os.getpid()
        assert holder(tmp_path / "run") == own
    assert time.monotonic() - begun < 1
    assert list(tmp_path.iterdir()) == []


CHILDREN = """
from pcbench.results.lock import hold
with hold(Path(sys.argv[1])):
    spawned = subprocess.Popen(["sleep", "60"], close_fds=False).pid
    forked = os.fork()
    if forked == 0:
        print(spawned, os.getpid(), flush=True)  # only now has it closed what it shares with its parent
    time.sleep(60)
"""


def test_children_do_not_keep_the_lock_of_a_killed_process(tmp_path: Path, start: Start) -> None:
    process = start(CHILDREN, tmp_path / "run")
    children = [int(word) for word in first_line(process).split()]
    try:
        who = holder(tmp_path / "run")
        assert who is not None
        assert who.process == process.pid
        kill(process)
        for child in children:
            os.kill(child, 0)  # still there
        assert holder(tmp_path / "run") is None
        with hold(tmp_path / "run"):
            pass
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


FORK_LEAVES = """
from pcbench.results.lock import hold
child = 0
with hold(Path(sys.argv[1])):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print("left", flush=True)
        sys.stdin.readline()
"""


def test_a_fork_that_leaves_takes_nothing_away(tmp_path: Path, start: Start) -> None:
    process = start(FORK_LEAVES, tmp_path / "run")
    assert first_line(process) == "left"
    who = holder(tmp_path / "run")
    assert who is not None
    assert who.process == process.pid


def test_another_thread_of_the_same_process_is_refused(tmp_path: Path) -> None:
    caught: list[HeldError] = []

    def compete() -> None:
        try:
            with hold(tmp_path / "run"):
                pass
        except HeldError as error:
            caught.append(error)

    with hold(tmp_path / "run"):
        thread = threading.Thread(target=compete)
        thread.start()
        thread.join()
        with pytest.raises(HeldError), hold(tmp_path / "run"):
            pass
    assert [f"process {os.getpid()} on host" in str(error) for error in caught] == [True]


RACE = """
from pcbench.errors import HeldError
from pcbench.results.lock import hold
log = Path(sys.argv[2])
for _ in range(200):
    try:
        with hold(Path(sys.argv[1])):
            for word in ("begin", "end"):
                with log.open("a") as stream:
                    stream.write(f"{word} {os.getpid()}\\n")
                time.sleep(0.003)
        break
    except HeldError:
        pass
print("done", flush=True)
"""


@pytest.mark.parametrize(("system", "racers"), [("", 20), (WITHOUT_LOCKS, 8)])
def test_of_many_that_race_one_holds_at_a_time(tmp_path: Path, start: Start, system: str, racers: int) -> None:
    processes = [start(system + RACE, tmp_path / "run", tmp_path / "log") for _ in range(racers)]
    assert [first_line(process) for process in processes] == ["done"] * racers
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 2 * racers
    for begin, end in zip(lines[::2], lines[1::2], strict=True):
        assert (begin.split()[0], end) == ("begin", f"end {begin.split()[1]}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


@pytest.mark.usefixtures("without_locks", "quick")
def test_a_lease_of_another_host_holds_while_it_is_renewed(tmp_path: Path, start: Start) -> None:
    process = start(WITHOUT_LOCKS + ON_ANOTHER_HOST + HOLD, tmp_path / "run")
    assert first_line(process) == "held"
    time.sleep(0.8)  # longer than it lasts without being renewed
    with pytest.raises(HeldError, match="on host nova"), hold(tmp_path / "run"):
        pass
    assert holder(tmp_path / "run") is not None
    kill(process)
    assert holder(tmp_path / "run") is not None  # nobody here can know better yet
    time.sleep(0.7)
    assert holder(tmp_path / "run") is None
    with hold(tmp_path / "run") as own:
        assert holder(tmp_path / "run") == own
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_locks", "quick")
def test_a_lease_whose_holder_only_has_another_clock_is_not_taken(tmp_path: Path, start: Start) -> None:
    process = start(WITHOUT_LOCKS + ON_ANOTHER_HOST + HOLD, tmp_path / "run")
    assert first_line(process) == "held"
    ahead = time.time() + 3600
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock.time, "time", lambda: ahead)
        with pytest.raises(HeldError, match="on host nova"), hold(tmp_path / "run"):
            pass


def test_what_the_harness_does_inside_is_not_mistaken_for_the_lock(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="of the run"), hold(tmp_path / "run"):
        raise PermissionError("of the run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["mkdir", "write", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, step: str, number: int) -> None:
    def fail(point: files.Point) -> None:
        if (point.moment, point.step) == ("before", step):
            raise OSError(number, os.strerror(number))

    with files.watched(fail), pytest.raises(UsageError) as caught, hold(tmp_path / "new" / "run"):
        pass
    assert str(caught.value).endswith("give another folder with `out`")
    assert len(str(caught.value).splitlines()) == 1
    with hold(tmp_path / "new" / "run"):  # the failure left no lock behind
        pass


UNPRIVILEGED = """
from pcbench.errors import UsageError
from pcbench.results.lock import hold
if os.getuid() == 0:
    os.setuid(65534)
try:
    with hold(Path(sys.argv[1])):
        print("held")
except UsageError as error:
    print(error)
"""


def test_a_folder_of_another_user_is_one_line(start: Start) -> None:
    with TemporaryDirectory(dir="/tmp") as name:  # pytest's own folders hide from other users
        folder = Path(name)
        folder.chmod(0o555)
        line = first_line(start(UNPRIVILEGED, folder / "run"))
        folder.chmod(0o755)
    assert line.startswith(f"{folder}: cannot be written (Permission denied")
    assert line.endswith("give another folder with `out`")


def test_a_file_in_the_path_and_a_name_that_is_too_long_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "run", tmp_path / "file" / "a" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(UsageError, match="give another folder with `out`"), hold(target):
            pass


@pytest.mark.parametrize("name", ["x" * 247, "ä" * 120])
def test_long_names_have_locks_of_their_own(tmp_path: Path, name: str) -> None:
    with hold(tmp_path / name) as own:
        assert holder(tmp_path / name) == own
        assert [run.folder for run in under_way(tmp_path)] == [tmp_path / name]
        with pytest.raises(HeldError), hold(tmp_path / name):
            pass
        with hold(tmp_path / (name[:-1] + "y")):  # differs in its last letter
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_its_folder_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    with hold(tmp_path / "link") as own:
        assert holder(tmp_path / "disk" / "run") == own
        assert not (tmp_path / "link.lock").exists()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["run"]


def test_who_asks_is_not_in_the_way_of_who_begins(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("")
    handle = os.open(tmp_path / "run.lock", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, (handle,)).start()
    with hold(tmp_path / "run"):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"host": "a"}', "null"])
def test_a_damaged_record_is_not_a_holder(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.holder.json").write_text(text)
    (tmp_path / "run.lock").write_text("")
    assert holder(tmp_path / "run") is None
    with hold(tmp_path / "run") as own:
        assert holder(tmp_path / "run") == own


def test_the_sentence_names_process_host_and_time() -> None:
    who = lock.Holder("nova", 4711, "2026-11-28T20:37:12Z")
    assert who.sentence == "process 4711 on host nova, since 2026-11-28 20:37:12 UTC"


ANNOUNCE = """
from pcbench.results.lock import announce
with announce(Path(sys.argv[1]), "resnet18 on fog"):
    print("announced", flush=True)
    sys.stdin.readline()
"""


def test_an_announcement_is_told_and_swept_when_its_process_was_killed(tmp_path: Path, start: Start) -> None:
    process = start(ANNOUNCE, tmp_path)
    assert first_line(process) == "announced"
    (run,) = announced(tmp_path)
    assert (run.holder.process, run.what, run.folder) == (process.pid, "resnet18 on fog", None)
    kill(process)
    assert list((tmp_path / ".starting").iterdir())
    assert announced(tmp_path) == []
    with announce(tmp_path, "mine"), announce(tmp_path, "mine too"):
        assert {run.what for run in announced(tmp_path)} == {"mine", "mine too"}
        assert len(list((tmp_path / ".starting").glob("*.json"))) == 2
    assert list((tmp_path / ".starting").iterdir()) == []


def test_everything_under_way_below_a_folder_is_found_and_missing_folders_are_made(tmp_path: Path) -> None:
    assert under_way(tmp_path / "missing") == []
    with hold(tmp_path / "one", "a"), hold(tmp_path / "study" / "two", "b"), announce(tmp_path, "c"):
        found = {(run.what, run.folder) for run in under_way(tmp_path)}
    assert found == {("a", tmp_path / "one"), ("b", tmp_path / "study" / "two"), ("c", None)}
    assert under_way(tmp_path) == []
