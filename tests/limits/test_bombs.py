"""Oracle: the memory of a process that reads them, as the operating system counts it: below 1 GB, and 10 s each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from bombs import BOMBS
from forking import Forks

_MOST = 1_000_000_000


def _read(forks: Forks, files: Iterable[tuple[str, Path]], **environment: str) -> list[dict[str, Any]]:
    """Read files in a process of its own, with as many lines as files."""
    script = Path(__file__).with_name("reading.py")
    command = [sys.executable, str(script), *(f"{reader}={path}" for reader, path in files)]
    reading = forks.subprocess.Popen(
        command, stdout=forks.subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    said, _ = reading.communicate(timeout=300)
    assert reading.returncode == 0
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all bombs."""
    folder = tmp_path_factory.mktemp("bombs")
    for _, name, make, _ in BOMBS.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make(folder / name)
    return folder


@pytest.fixture(scope="module")
def results(forks: Forks, made: Path) -> dict[str, dict[str, Any]]:
    """What comes of each bomb, read one after the other."""
    found = _read(forks, ((reader, made / name) for reader, name, _, _ in BOMBS.values()))
    return dict(zip(BOMBS, found, strict=True))


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_one_line_before_it_takes_memory(bomb: str, results: dict[str, dict[str, Any]]) -> None:
    found = results[bomb]
    assert found["error"] is not None
    kind, message, parents = found["error"]
    assert "PcbenchError" in parents, kind
    assert BOMBS[bomb][3] in message
    assert "\n" not in message
    assert found["peak"] < _MOST
    assert found["seconds"] < 10


def test_the_same_bomb_takes_memory_where_the_limit_is_raised(forks: Forks, made: Path) -> None:
    # This shows that the limit is what keeps the memory small: the page has 120 MB, of which the footer says nothing.
    bomb = ("metrics", made / BOMBS["false footer"][1])
    (refused,) = _read(forks, [bomb])
    (taken,) = _read(forks, [bomb], PCBENCH_READ_GB="50")
    assert taken["peak"] > refused["peak"] + 100_000_000
