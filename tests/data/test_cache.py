"""Oracle: the bytes that were written, counted in the folder; other processes are real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pcbench.data.cache import BoundedWriter, Cache
from pcbench.errors import DataError

SLOW = """
import sys, time, pathlib
from pcbench.data.cache import Cache
def make(writer):
    with open(sys.argv[2], "a") as log: log.write("made\\n")
    for _ in range(10):
        writer.write(b"x" * 100)
        time.sleep(0.02)
with Cache(pathlib.Path(sys.argv[1]), 10_000).open("one", make) as file:
    assert len(file.read()) == 1000
"""
KILLED = """
import os, sys, pathlib
from pcbench.data.cache import Cache
def make(writer):
    writer.write(b"x" * 600)
    os._exit(1)
Cache(pathlib.Path(sys.argv[1]), 1000).open("killed", make)
"""


def filled(size: int) -> object:
    def make(writer: BoundedWriter) -> None:
        for _ in range(size // 100):
            writer.write(b"x" * 100)

    return make


def held(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def put(cache: Cache, name: str, size: int, used: int) -> None:
    cache.open(name, filled(size)).close()  # pyright: ignore[reportArgumentType]
    os.utime(cache.folder / name, (used, used))


def test_a_file_is_made_once(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path, 1000), []

    def make(writer: BoundedWriter) -> None:
        made.append(1)
        writer.write(b"abc")

    for _ in range(2):
        with cache.open("one", make) as file:
            assert file.read() == b"abc"
    assert made == [1]


def test_the_files_used_longest_ago_make_room(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    for number, name in enumerate("abc"):
        put(cache, name, 300, used=number + 1)
    with cache.open("a", filled(0)) as kept:  # pyright: ignore[reportArgumentType]
        put(cache, "d", 300, used=9)  # a was used just now, so b goes
        assert held(tmp_path) == {"a", "c", "d"}
        put(cache, "e", 900, used=10)
        assert held(tmp_path) == {"e"}
        assert len(kept.read()) == 300  # an open file stays readable


def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 1000)
    put(cache, "a", 300, used=1)
    with pytest.raises(DataError, match="may hold 1e-06 GB, and this does not fit"):
        put(cache, "b", 1100, used=2)
    assert held(tmp_path) <= {"a"}


def test_one_process_makes_a_file_and_others_wait(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", SLOW, str(tmp_path / "cache"), str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert log.read_text() == "made\n"


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=120)
    assert held(tmp_path) == {"killed.partial"}
    put(Cache(tmp_path, 1000), "b", 900, used=1)
    assert held(tmp_path) == {"b"}
    put(Cache(tmp_path, 2000), "killed", 600, used=2)
    assert held(tmp_path) == {"b", "killed"}
