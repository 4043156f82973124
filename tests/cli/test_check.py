"""Oracle: the promise of the exit codes (0 passed, 1 dropped, 2 cannot be compared) and of one line an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def reference(tmp_path: Path, make_run: Callable[..., Path], call: Callable[..., int]) -> Path:
    path = tmp_path / "made.npz"
    assert call("freeze", make_run(tmp_path / "first", right=180), "--out", path) == 0
    return path


def test_an_unchanged_run_passes(
    tmp_path: Path,
    make_run: Callable[..., Path],
    call: Callable[..., int],
    reference: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call("check", make_run(tmp_path / "second", right=180, seed=1), "--against", reference) == 0
    printed = capsys.readouterr().out
    assert "passed: " in printed
    assert "200 images find with 90 % probability a true drop of" in " ".join(printed.split())


def test_a_drop_fails_and_every_output_tells_it(
    tmp_path: Path,
    make_run: Callable[..., Path],
    call: Callable[..., int],
    reference: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(tmp_path / "second", right=120)
    junit, markdown = tmp_path / "out" / "junit.xml", tmp_path / "out" / "comment.md"
    arguments = ("check", run, "--against", reference, "--junit", junit, "--markdown", markdown, "--github")
    assert call(*arguments) == 1
    printed = capsys.readouterr().out
    assert "::error title=pcbench check::failed: 1 guarded" in printed
    assert 'failures="1"' in junit.read_text()
    assert "**90.0** | **60.0** | **30**" in markdown.read_text()
    assert call("check", run, "--against", reference, "--tolerated", "0.4") == 0


def test_gains_pass_unless_asked_for(
    tmp_path: Path, make_run: Callable[..., Path], call: Callable[..., int], reference: Path
) -> None:
    run = make_run(tmp_path / "second", right=200)
    assert call("check", run, "--against", reference) == 0
    assert call("check", run, "--against", reference, "--either-way", "--tolerated", "0.02") == 1


def test_what_cannot_be_compared_is_one_line_and_exit_2(
    tmp_path: Path,
    make_run: Callable[..., Path],
    call: Callable[..., int],
    reference: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = make_run(tmp_path / "second", right=180, crop=28)
    for arguments, problem in [
        (("check", other, "--against", reference), "data.preprocessing: {'crop': 32} -> {'crop': 28}"),
        (("check", other, "--against", tmp_path / "nowhere.npz"), "the file does not exist"),
        (("check", tmp_path / "nowhere", "--against", reference), "not a run of pcbench"),
        (("check", other, "--against", other / "manifest.json"), "is not a reference, or is damaged"),
        (("check", other, "--against", reference, "--tolerated", "2"), "tolerated drop is a share"),
    ]:
        capsys.readouterr()
        assert call(*arguments) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert len(error.splitlines()) == 1
