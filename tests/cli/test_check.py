"""Oracle: the promise of the exit codes (0 passed, 1 dropped, 2 cannot be compared) and of one line an error."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import norm


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
    assert "200 images would show a drop of" in " ".join(printed.split())


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


def test_a_wished_drop_is_told_with_the_images_that_it_needs(
    tmp_path: Path,
    make_run: Callable[..., Path],
    call: Callable[..., int],
    reference: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(tmp_path / "second", right=180, seed=1)
    assert call("check", run, "--against", reference, "--power", "3") == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    # No answer differs, so (d - m)² n = c² (d - m)² + (c + z)² (d - d²), with one row, c and z for 1 % and 90 %.
    c, z = norm.isf(0.01), norm.ppf(0.9)
    needed = math.ceil(c**2 + (c + z) ** 2 * (0.03 - 0.03**2) / 0.02**2)
    assert printed.startswith(f"a drop of 3 points needs {needed:,} images to be shown with 90 % probability")
    assert call("check", run, "--against", reference, "--power", "1") == 2
    assert "--power is a drop in points, above the tolerated 1 and at most 100, not 1" in capsys.readouterr().err


def test_the_summary_of_a_job_gets_the_markdown_too(
    tmp_path: Path,
    make_run: Callable[..., Path],
    call: Callable[..., int],
    reference: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Oracle: GitHub's protocol, by which a step adds to the file that GITHUB_STEP_SUMMARY names."""
    run, summary = make_run(tmp_path / "second", right=120), tmp_path / "summary.md"
    summary.write_text("of another step\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert call("check", run, "--against", reference) == 1
    assert summary.read_text(encoding="utf-8").startswith("of another step\n### pcbench check: failed\n")
    assert call("check", run, "--against", reference, "--no-github") == 1
    assert summary.read_text(encoding="utf-8").count("### pcbench check") == 1
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    capsys.readouterr()
    assert call("check", run, "--against", reference) == 2
    assert "give --no-github" in capsys.readouterr().err
