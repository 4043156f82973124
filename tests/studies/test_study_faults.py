"""Stops, full disks and two processes at one study; every step is a stand-in that leaves a file at the step's name.

Oracle: what was done is counted step by step.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from small_studies import small, written

from pcbench import files
from pcbench.errors import DataError, HeldError, PcbenchError, UsageError, WriteError
from pcbench.results.lock import hold
from pcbench.studies import study as studies
from pcbench.studies.changes import changes_in_words
from pcbench.studies.options import Given
from pcbench.studies.steps import Step, steps_of
from pcbench.studies.study import progress_of, report_study, run_study
from pcbench.studies.study_file import read_study


class Doer:
    """Does steps, and stops at one of them."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.stop_at: Callable[[Step], bool] = lambda _: False

    def __call__(self, step: Step, out: Path) -> None:
        if self.stop_at(step):
            raise KeyboardInterrupt
        path = out / step.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made")
        self.done.append(step.name)


@pytest.fixture
def doer(monkeypatch: pytest.MonkeyPatch) -> Doer:
    made = Doer()
    monkeypatch.setattr(studies, "do_step", made)
    monkeypatch.setattr(studies, "refuse_shared_images", lambda *_: None)
    return made


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, Given]:
    return written(tmp_path, small(tuning={"noise": [2.0]})), Given(tmp_path / "out", workers=1)


def names(begun: tuple[Path, Given]) -> list[str]:
    return [step.name for step in steps_of(read_study(begun[0]), begun[1])]


def test_a_study_that_was_killed_goes_on_where_it_was(doer: Doer, begun: tuple[Path, Given]) -> None:
    doer.stop_at = lambda step: step.kind == "run"
    with pytest.raises(KeyboardInterrupt):
        run_study(*begun)
    before = len(doer.done)
    assert 0 < before < len(names(begun))
    doer.stop_at = lambda _: False
    run_study(*begun)
    assert doer.done == names(begun)
    assert progress_of(*begun).left == []


def test_a_part_of_the_runs_is_no_answer(doer: Doer, begun: tuple[Path, Given]) -> None:
    doer.stop_at = lambda step: step.kind == "run" and step.seed == 1
    with pytest.raises(KeyboardInterrupt):
        run_study(*begun)
    with pytest.raises(UsageError, match=r"the study is not finished: \d+ of \d+ steps are left, .* first; go on with"):
        report_study(begun[0], begun[1].out)


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(doer: Doer, begun: tuple[Path, Given]) -> None:
    def full(point: files.Point) -> None:
        if (point.moment, point.step) == ("before", "write") and "study.json" in point.path.name and len(doer.done) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    with files.watched(full), pytest.raises(WriteError, match="free some space on this disk") as failed:
        run_study(*begun)
    assert failed.value.exit_code == 1
    assert len(doer.done) == 3  # the third was done, and could not be recorded
    run_study(*begun)
    assert doer.done == [*names(begun)[:3], *names(begun)[2:]]


def test_two_processes_at_one_folder_are_refused(doer: Doer, begun: tuple[Path, Given]) -> None:
    begun[1].out.mkdir()
    with hold(begun[1].out, "pcbench study run study.toml"), pytest.raises(HeldError):
        run_study(*begun)
    assert doer.done == []


@pytest.mark.usefixtures("doer")
def test_a_damaged_record_is_named_and_can_be_deleted(begun: tuple[Path, Given]) -> None:
    run_study(*begun)
    record = begun[1].out / "study.json"
    record.write_text(record.read_text()[:100])
    for asked in (run_study, progress_of):
        with pytest.raises(DataError, match=r"study\.json: is damaged .*delete it"):
            asked(*begun)
    record.unlink()
    run_study(*begun)
    assert progress_of(*begun).left == []


def test_a_result_that_was_deleted_is_made_again(doer: Doer, begun: tuple[Path, Given]) -> None:
    run_study(*begun)
    lost = begun[1].out / names(begun)[-1]
    lost.unlink()
    doer.done.clear()
    run_study(*begun)
    assert doer.done == [names(begun)[-1]]


def test_a_file_where_the_folder_should_be_is_one_line(doer: Doer, begun: tuple[Path, Given]) -> None:
    begun[1].out.write_text("not a folder")
    with pytest.raises(PcbenchError) as refused:
        run_study(*begun)
    assert "\n" not in str(refused.value)
    assert doer.done == []


def test_an_arm_that_is_added_keeps_what_is_done(
    doer: Doer, begun: tuple[Path, Given], caplog: pytest.LogCaptureFixture
) -> None:
    run_study(*begun)
    before = names(begun)
    arms = ["network", "feedforward", "no-feedback", "input-blur", "smoothed"]
    written(begun[0].parent, small(tuning={"noise": [2.0]}, arms=arms, title="B"))
    doer.done.clear()
    with caplog.at_level("WARNING", logger="pcbench"):
        run_study(*begun)
    assert "were made with an earlier one. Changed since then: title; arms (smoothed added)." in caplog.text
    added = [name for name in names(begun) if name not in before]
    assert {name.split("/")[-1].split("-seed")[0] for name in added} == {"smoothed"}
    assert sorted(doer.done) == sorted([*added, "image_times.json"])


@pytest.mark.parametrize(
    ("former", "present", "words"),
    [
        ("a = 1 # one", "a = 1", "nothing but comments and order"),
        ("a = [1, 2]", "a = [2, 1]", "a (their order)"),
        ("a = 1", "b = 1", "a; b"),
        ("[[s]]\nname = 'x'\nn = 1", "[[s]]\nname = 'x'\nn = 2\n[[s]]\nname = 'y'", "s (x changed, y added)"),
        ("a = [1]", "a = [2]", "a (1 removed, 2 added)"),
        ("a = ", "a = 1", ""),
    ],
)
def test_what_was_changed_in_a_file_is_named(former: str, present: str, words: str) -> None:
    assert changes_in_words(former, present) == words
