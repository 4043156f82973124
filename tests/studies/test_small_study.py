"""The study of docs/studies.md, as it stands there.

Oracles: the runs of the study, counted by a loop over their outcomes; its bytes when made again.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_studies import written

from pcbench.cli.main import main
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.metrics.calibration import expected_calibration_error
from pcbench.percent import decimal, points
from pcbench.results.directory import open_run
from pcbench.results.verdicts import NOT_CHECKED
from pcbench.studies import study as studies
from pcbench.studies.answers import worst_verdict
from pcbench.studies.arms import ARMS
from pcbench.studies.options import Given
from pcbench.studies.page import PAGE_FILE
from pcbench.studies.planning import measured_plan
from pcbench.studies.steps import Step
from pcbench.studies.study import progress_of, report_study, run_study
from pcbench.studies.study_file import (
    ArmTable,
    QuestionTable,
    StudyTable,
    StudyTraining,
    SuiteTable,
    TuningTable,
    read_study,
)
from pcbench.studies.values import values_of
from pcbench.training.hyperparameters import LEARNED
from pcbench.training.options import TrainOptions

PAGE = (Path(__file__).parents[2] / "docs" / "studies.md").read_text(encoding="utf-8")
TABLE = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Given]:
    """A finished study: its file and its folder."""
    folder = tmp_path_factory.mktemp("study")
    path, given = written(folder, TABLE), Given(folder / "out", workers=1)
    run_study(path, given)
    report_study(path, given.out)
    return path, given


def rows_of(folder: Path) -> list[Any]:
    """Return the outcomes of a run."""
    return list(open_run(folder).outcomes().itertuples())


def test_a_value_is_the_share_of_conditions_that_are_right(done: tuple[Path, Given]) -> None:
    path, given = done
    study = read_study(path)
    found = values_of(study, study.table.questions[0], "network", given.out)
    outcomes = rows_of(given.out / "runs/gaussian-noise/network-seed-1")
    for number, image in list(enumerate(found.images))[::5]:
        for timestep in (0, 2):
            rows = [
                bool(row.correct)
                for row in outcomes
                if row.image_id == image and row.timestep == timestep and row.kind == "noise"
            ]
            assert found.numbers[1, number, timestep] == pytest.approx(np.mean(rows))
    start = values_of(study, study.table.questions[0], "feedforward", given.out)
    assert np.array_equal(start.at(2), found.at(0))


def test_a_calibration_error_is_that_of_all_answers_together(done: tuple[Path, Given]) -> None:
    path, given = done
    study = read_study(path)
    found = values_of(study, study.table.questions[2], "network", given.out)
    rows = [row for row in rows_of(given.out / "runs/gaussian-noise/network-seed-1") if row.kind == "noise"]
    here = [row for row in rows if row.timestep == 2]
    right, sure = np.array([row.correct for row in here]), np.array([row.confidence for row in here], dtype=float)
    error = expected_calibration_error(sure, right).value
    assert found.excess is not None
    assert found.numbers[1, :, 2].mean() + found.excess[1, 2] == pytest.approx(error)
    assert found.excess[1, 2] > 0
    answers = (given.out / "tables/answers.md").read_text()
    assert "the calibration error under gaussian-noise changes by" in answers


def test_an_image_stands_where_no_image_of_any_attacked_timestep_breaks_it(done: tuple[Path, Given]) -> None:
    path, given = done
    study = read_study(path)
    found = values_of(study, study.table.questions[3], "network", given.out)
    rows = rows_of(given.out / "runs/digits-linf/network-seed-0")
    pairs = {(row.attacked_timestep, row.timestep) for row in rows if row.kind == "attack"}
    assert pairs == {(attacked, t) for attacked in (0, 2) for t in range(3)}
    plain = rows_of(given.out / "runs/digits-linf/input-blur-seed-0")  # it answers at t = 0 alone
    assert {row.attacked_timestep for row in plain if row.kind == "attack"} == {0}
    for number, image in enumerate(found.images):
        for timestep in range(3):
            here = [row for row in rows if row.image_id == image and row.timestep == timestep]
            if not all(row.correct for row in here if row.kind == "clean"):
                expected = 0.0
            else:
                wrong = [row.epsilon for row in here if row.kind == "attack" and row.epsilon > 0 and not row.correct]
                expected = np.mean([epsilon < min(wrong, default=1.0) for epsilon in (8 / 255, 24 / 255)])
            assert found.numbers[0, number, timestep] == pytest.approx(expected)


def test_a_run_without_a_verdict_at_one_of_the_timesteps_is_not_checked(
    done: tuple[Path, Given], tmp_path: Path
) -> None:
    _, given = done
    whole = given.out / "runs/digits-linf/network-seed-0"
    part = tmp_path / "part"
    shutil.copytree(whole, part)
    held = json.loads((part / "checks.json").read_text())
    (part / "checks.json").write_text(json.dumps([one for one in held if one["timestep"] == 0]))
    assert worst_verdict([whole], "digits-linf", (2, 0)) != NOT_CHECKED
    assert worst_verdict([whole, part], "digits-linf", (0,)) == worst_verdict([whole], "digits-linf", (0,))
    assert worst_verdict([part], "digits-linf", (2, 0)) == NOT_CHECKED


def test_arms_are_what_they_are_called(done: tuple[Path, Given]) -> None:
    _, given = done
    result = json.loads((given.out / "tuned/no-feedback-seed-0.tuning.json").read_text())["result"]
    assert all(entry[LEARNED.index("feedback")] == 0 for entry in result["hyperparameters"])
    names = {
        path.name: str(open_run(path).spec.model["name"]) for path in (given.out / "runs/gaussian-noise").iterdir()
    }
    assert names["paper-seed-0"].endswith("+paper-seed-0-start")
    assert names["input-blur-seed-0"].endswith("+input-blur-0.5")
    assert names["blur-0.5"].endswith("+input-blur-0.5")


def test_every_arm_is_timed_and_t_takes_time(done: tuple[Path, Given]) -> None:
    _, given = done
    times = pd.read_csv(given.out / "tables/image_times.csv").set_index("arm")
    assert dict(times["timesteps"]) == {name: 0 if ARMS[name].timeless else 2 for name in TABLE["arms"]}
    assert (times["lowest"] <= times["milliseconds"]).all()
    assert times["milliseconds"]["network"] > times["milliseconds"]["feedforward"] > 0


def test_the_answers_and_tables_are_there_and_equal_when_made_again(done: tuple[Path, Given], tmp_path: Path) -> None:
    path, given = done
    tables = given.out / "tables"
    before = {one.name: one.read_bytes() for one in tables.iterdir()}
    assert set(before) == {
        "answers.csv",
        "seeds.csv",
        "changes.csv",
        "arms.csv",
        "blur.csv",
        "coverage.csv",
        "times.csv",
        "image_times.csv",
        "answers.md",
        "about.json",
    }
    text = before["answers.md"].decode()
    assert all(f"## {name}" in text for name in ("noise", "calibrated", "attack"))
    assert "Nothing but this folder shows that the file was fixed beforehand" in text
    answers = pd.read_csv(tables / "answers.csv")
    assert answers[answers["primary"]]["question"].tolist() == ["noise"]
    assert set(answers[answers["question"] == "noise"]["against"]) == {
        "t = 0",
        "no-feedback",
        "input-blur",
        "paper",
    }
    page = (given.out / PAGE_FILE).read_text()
    assert all(points(value) in page for value in answers[answers["measure"] != "nll"]["difference"])
    assert all(decimal(value, 3) in page for value in answers[answers["measure"] == "nll"]["value"])
    changes = pd.read_csv(tables / "changes.csv")
    own = changes[(changes["timestep"] == 0) & (changes["arm"] != "input-blur")]
    assert not own[["change", "ci_low", "ci_high"]].to_numpy().any()  # an arm at t = 0 is itself
    copy = Given(tmp_path / "copy", workers=1)
    shutil.copytree(given.out, copy.out)
    report_study(path, copy.out)
    assert {one.name: one.read_bytes() for one in (copy.out / "tables").iterdir()} == before


def test_what_is_done_is_not_done_again_and_a_stopped_study_goes_on(
    done: tuple[Path, Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = done
    redone: list[str] = []

    def note(step: Step, out: Path) -> None:
        redone.append(f"{out}: {step.name}")

    monkeypatch.setattr(studies, "do_step", note)
    run_study(path, given)
    assert redone == []
    progress = progress_of(path, given)
    assert (progress.left, progress.hours_of(progress.left)) == ([], 0.0)
    assert {one.left for one in measured_plan(path, given)} == set()


def test_a_changed_file_is_told_and_other_options_are_not_mixed(
    done: tuple[Path, Given], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, given = done
    changed = written(tmp_path, {**TABLE, "title": "Another title"})
    copy = Given(tmp_path / "copy", workers=1)
    shutil.copytree(given.out, copy.out)
    with caplog.at_level("WARNING", logger="pcbench"):
        run_study(changed, copy)
    assert "THE FILE WAS CHANGED after the study was begun" in caplog.text
    assert "THE FILE WAS CHANGED" in report_study(changed, copy.out)
    other = written(tmp_path, {**TABLE, "tuning": {"images": 40, "rounds": 2, "noise": [2.0]}})
    with pytest.raises(UsageError, match="was made with other options than the file has now"):
        run_study(other, copy)


def test_images_that_were_trained_on_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, given = written(tmp_path, TABLE), Given(tmp_path / "out", workers=1)

    def seven(options: TrainOptions) -> ImageSource:
        del options
        return open_source("digits", preprocessing=Preprocessing(), split="test").take(7)

    monkeypatch.setattr(studies, "training_images", seven)
    with pytest.raises(UsageError, match=r"7 of the 360 images that are measured are among those that trained/seed-0"):
        run_study(path, given)


def test_a_folder_without_a_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study; begin it with"):
        report_study(written(tmp_path, TABLE), tmp_path / "none")


def test_the_commands_of_the_documentation_work_as_they_stand(
    done: tuple[Path, Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, given = done
    shutil.copytree(given.out, tmp_path / "small")
    shutil.copy(path, tmp_path / "small.toml")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^    (pcbench study .*?)  ", PAGE, re.MULTILINE)
    assert [command.split()[2] for command in commands] == ["plan", "run", "status", "report"]
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main(shlex.split(command)[1:])
        assert not stopped.value.code, command
    told = capsys.readouterr().out
    assert told.count("all steps are done") == 2
    assert told.count(f"page: {Path('small') / PAGE_FILE}") == 2
    assert "\n## noise\n" in told
    assert "\\u000a" not in told


def test_the_documentation_names_every_arm_key_and_table(done: tuple[Path, Given]) -> None:
    _, given = done
    for name, arm in ARMS.items():
        assert f"| `{name}` | {arm.title} | {arm.shows} |" in PAGE
    tables = (StudyTable, SuiteTable, QuestionTable, StudyTraining, TuningTable, ArmTable)
    fields = {name for table in tables for name in table.model_fields}
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", PAGE)))) | {"study_version"}
    assert fields - named - {"arm", "suites", "questions", "training", "tuning"} == set()
    assert all(f"`{path.name}`" in PAGE for path in (given.out / "tables").iterdir())
