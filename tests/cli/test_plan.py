"""Oracle: the object that Python gets, whose numbers the lines must hold."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import pcbench
from pcbench.cli.main import main
from pcbench.harness.saved_plan import open_plan

SMALL = ["--suite", "digits-linf", "--timesteps", "1", "--images", "20"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Print long lines, in an empty folder."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_a_plan_is_printed_and_a_dry_run_prints_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: 10**11)
    shown = printed(capsys, "plan", *SMALL)
    found = pcbench.plan(suites=["digits-linf"], timesteps=1, images=20)
    assert f"pdigits on 20 images (a SUBSET of the images), key {found.key[:12]}" in shown
    for one in found.work:
        row = next(line for line in shown.splitlines() if f" {one.name} " in line)
        assert f" {one.units} " in row
    assert "27 % of a sweep that brackets" in shown
    assert "as measured on pdigits under digits-linf" in shown
    assert "Time: not measured; --measure" in shown
    assert printed(capsys, "run", "--dry-run", *SMALL) == shown
    assert list(tmp_path.iterdir()) == []


def test_the_batch_that_fits_is_told_with_the_memory_that_it_was_computed_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: 10**11)
    shown = printed(capsys, "plan", *SMALL, "--workers", "3")
    batch = pcbench.plan(suites=["digits-linf"], timesteps=1, images=20, workers=3).batch
    assert batch is not None
    needs = f"{batch.image_bytes / 1e3:.0f} kB an image, {batch.other_bytes / 1e6:.1f} MB for all else"
    assert (
        "Batch: 128 images planned; of its halves and doubles up to a block, 512 is the largest that fits "
        f"({needs}, in 80 % of the 100.0 GB free on this machine, for 3 workers). The batch size is in the key."
    ) in shown.splitlines()
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: 10**6)
    assert "not even one image fits: try --recompute, or fewer workers (" in printed(capsys, "plan", *SMALL)
    monkeypatch.setattr("pcbench.harness.memory.available_memory", lambda: None)
    assert "Batch that fits: unknown" in printed(capsys, "plan", *SMALL)


def test_shards_need_a_measured_speed(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "plan", *SMALL, "--hours-per-shard", "4")
    assert "Shards of 4 h: need a measured speed; give --measure as well." in shown


def test_a_budget_is_answered_by_a_command_that_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcbench.harness.measuring.SECONDS", 3.0)
    shown = printed(capsys, "plan", *SMALL, "--budget", "100 days", "--hours-per-shard", "0.5")
    command = shlex.split(shown.splitlines()[-1])
    assert command[:2] == ["pcbench", "run"]
    assert command[2:] == SMALL or set(command[2:]) == set(SMALL)
    assert "Time of one worker here: " in shown
    assert "Shards of 0.5 h, at the slowest speed seen: " in shown
    refused = printed(capsys, "plan", *SMALL, "--budget", "1 s", code=2)
    assert refused.startswith("pcbench: --budget is too small: 20 images, the fewest that say something, need ")


@pytest.mark.parametrize("words", [("--budget", "2h"), ("--measure",), ("--hours-per-shard", "4")])
def test_a_run_takes_neither_budget_nor_measurement(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert words[0] in printed(capsys, "run", *words, code=2)


def test_a_plan_is_saved_for_shards(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shown = printed(capsys, "plan", *SMALL, "--save-spec", "kept")
    assert shown.splitlines()[-1] == "saved in kept"
    kept = open_plan(tmp_path / "kept")
    assert kept.spec.key()[:12] in shown
    assert kept.spec.key()[:12] in printed(capsys, "plan", "--spec", "kept")


def test_a_budget_is_refused_where_it_is_no_duration(capsys: pytest.CaptureFixture[str]) -> None:
    shown = printed(capsys, "plan", *SMALL, "--budget", "soon", code=2)
    assert shown == "pcbench: --budget is a duration, such as 2h, 90min, 1h30, 7200s or 1:30:00 (got 'soon')\n"
