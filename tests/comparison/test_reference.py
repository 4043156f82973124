"""Oracle: the outcomes themselves, read by pandas; a frozen file must give back every single answer."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pcbench.comparison.reference import freeze, read_reference, write_reference
from pcbench.errors import DataError, UsageError
from pcbench.results.directory import Run


def test_every_answer_comes_back(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run("run")
    write_reference(freeze(run), tmp_path / "made.npz")
    reference = read_reference(tmp_path / "made.npz")
    assert reference.spec == run.spec
    assert reference.key == run.key
    outcomes = run.outcomes()
    for suite in reference.suites:
        for cell, answers in zip(suite.cells, suite.correct, strict=True):
            rows = outcomes[(outcomes.suite == suite.suite) & (outcomes.timestep == cell.timestep)]
            rows = rows[(rows.kind == cell.condition.kind) & (rows.name == cell.condition.name)]
            for field in ("severity", "epsilon"):
                value = getattr(cell.condition, field)
                if value is not None:
                    rows = rows[rows[field] == value]
            np.testing.assert_array_equal(rows.sort_values("image_id").correct, answers)


def test_the_file_is_small_and_equal_runs_give_equal_bytes(make_run: Callable[..., Run], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_reference(freeze(make_run(name)), tmp_path / f"{name}.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    # 3 x (11 x 240 + 4 x 120) answers are 1,170 bytes of bits; the rest is the header.
    assert (tmp_path / "one.npz").stat().st_size < 6_000


def test_nothing_half_written_is_left(make_run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_reference(freeze(make_run("run")), tmp_path / "file" / "made.npz")
    write_reference(freeze(make_run("run")), tmp_path / "new" / "made.npz")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["made.npz"]


def _rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    entries = dict(np.load(path, allow_pickle=False))
    change(entries)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **entries)
    path.write_bytes(buffer.getvalue())


def _header(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    def alter(entries: dict[str, Any]) -> None:
        header = json.loads(entries["header"].tobytes())
        change(header)
        entries["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)

    return alter


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_header(lambda header: header.update(pcbench_reference=99)), "version 99, this pcbench reads 2"),
        (_header(lambda header: header.pop("spec")), "is damaged"),
        (_header(lambda header: header["suites"][0].update(images=7)), "is damaged"),
        (lambda entries: entries.pop("suite_1"), "is damaged"),
        (lambda entries: entries.update(suite_0=entries["suite_0"][1:]), "is damaged"),
        (lambda entries: entries.update(header=np.array([{"a": 1}], dtype=object)), "is damaged"),
    ],
)
def test_damaged_and_foreign_files_are_refused(
    make_run: Callable[..., Run], tmp_path: Path, change: Callable[[dict[str, Any]], object], problem: str
) -> None:
    path = tmp_path / "made.npz"
    write_reference(freeze(make_run("run")), path)
    _rewrite(path, change)
    with pytest.raises(DataError, match=problem):
        read_reference(path)


def test_truncated_and_missing_files_are_refused(make_run: Callable[..., Run], tmp_path: Path) -> None:
    path = tmp_path / "made.npz"
    write_reference(freeze(make_run("run")), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="is not a reference"):
        read_reference(path)
    path.write_text("words")
    with pytest.raises(DataError, match="is not a reference"):
        read_reference(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "words")
    with pytest.raises(DataError, match="is not a reference"):
        read_reference(path)
    with pytest.raises(UsageError, match="the file does not exist; make a reference with pcbench freeze"):
        read_reference(tmp_path / "nowhere.npz")
