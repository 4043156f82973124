"""Every reader ends in its result or in one of pcbench's errors, in one line that names the file, whatever it is given.

Oracle: the exception tree, and the calls of the operating system that Python makes for the reader. A few inputs of
fixed seeds for each reader; `python tests/fuzz/readers.py --inputs 20000 --runs 300` tries many more in child processes
and measures their memory.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fuzz import trial
from fuzz.all_readers import READERS
from fuzz.trial import Reader, try_one

from pcbench.errors import DataError

INPUTS = int(os.environ.get("PCBENCH_FUZZ_INPUTS", "10"))
SLOW = ("tables of a run", "a run of a former", "shards (JSON", "checks and examples")
"""Those whose valid files take seconds to make or to read: the command alone tries them."""


@pytest.mark.parametrize("reader", [one for one in READERS if not one.name.startswith(SLOW)], ids=lambda one: one.name)
def test_a_nearly_right_file_is_read_or_refused(reader: Reader, tmp_path: Path) -> None:
    template, place = tmp_path / "template" / "given", tmp_path / "place"
    template.parent.mkdir()
    place.mkdir()
    reader.prepare(template)
    reader.read(template)
    tried = [try_one(reader, template, place, number, seed=0) for number in range(INPUTS)]
    assert [one for one in tried if one.ended == "escape"] == []


def _text(folder: Path) -> None:
    folder.mkdir()
    (folder / "wanted.txt").write_bytes(b"some text")


def _lookup(_: Path) -> object:
    return {}["key"]


def _several_lines(folder: Path) -> None:
    class UnprintedError(DataError):
        def __str__(self) -> str:
            return f"{folder}: one\ntwo"

    raise UnprintedError


def _without_name(_: Path) -> None:
    raise DataError("something is damaged; make it anew")


def _outside(folder: Path) -> None:
    (folder.parent.parent / "elsewhere.txt").write_bytes(b"")


def _memory(_: Path) -> float:
    return np.ones(2 * 10**7).sum()


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (_lookup, "KeyError in test_readers.py:_lookup"),
        (_several_lines, "not one line"),
        (_without_name, "does not name the file"),
        (_outside, "outside of its folder"),
        pytest.param(_memory, "GB", marks=pytest.mark.skipif(os.name == "nt", reason="memory is read from /proc")),
    ],
)
def test_what_must_not_happen_is_seen(
    read: trial.Reading, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "BYTES", 10**8)
    (tmp_path / "template").mkdir()
    (tmp_path / "place").mkdir()
    _text(tmp_path / "template" / "given")
    reader = Reader("a reader", _text, "*.txt", read)
    found = try_one(reader, tmp_path / "template" / "given", tmp_path / "place", 0, seed=0)
    assert found.ended == "escape"
    assert told in found.told


def test_inputs_are_known_by_their_number(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        _text(tmp_path / name)
        reader = Reader("a reader", _text, "*.txt", lambda _: None)
        made.append([trial.make_input(reader, tmp_path / name, trial.choice_of(reader, 5, 0)).read_bytes()])
    assert made[0] == made[1]
