"""The study of docs/how_to/studies.md, as it stands there.

Oracles: the runs of the study, counted by a loop over their outcomes; its bytes when made again.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from small_studies import EXAMPLE, PUBLISHED, STUDIES_PAGE, written

from pcbench.cli.json_forms import StudyAnswersForm, StudyPlanForm
from pcbench.cli.main import main
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError
from pcbench.metrics.calibration import expected_calibration_error
from pcbench.percent import decimal, points
from pcbench.reports.page.leaderboard import write_leaderboard
from pcbench.results.directory import open_run
from pcbench.results.verdicts import NOT_CHECKED
from pcbench.studies import basis
from pcbench.studies import study as studies
from pcbench.studies.answers import worst_verdict
from pcbench.studies.arms import ARMS
from pcbench.studies.figures import change_charts_of
from pcbench.studies.options import Given
from pcbench.studies.page import PAGE_FILE
from pcbench.studies.planning import measured_plan
from pcbench.studies.publishing import Publication, compare_study, publish_study
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


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Given]:
    """A finished study: its file and its folder."""
    folder = tmp_path_factory.mktemp("study")
    path, given = written(folder, EXAMPLE), Given(folder / "out", workers=1)
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


def test_a_question_about_some_conditions_is_named_by_them_everywhere(done: tuple[Path, Given], tmp_path: Path) -> None:
    """Oracle: the same question about each attack by itself; a loop over the outcomes of that attack."""
    _, given = done
    asked = EXAMPLE["questions"][3]
    named = [{**asked, "name": f"by-{attack}", "conditions": [attack], "primary": True} for attack in ("bim", "fgsm")]
    path = written(tmp_path, {**EXAMPLE, "questions": [*EXAMPLE["questions"][:1], asked, *named]})
    out = tmp_path / "out"
    shutil.copytree(given.out, out)
    text = report_study(path, out)
    for question, title in (("by-bim", "BIM"), ("by-fgsm", "FGSM")):
        assert f"the share of ε at which images stand under {title} of digits-linf changes by" in text
        assert f"{question}: Of digits-linf, only 1 of its " in text
    assert "the share of ε at which images stand under digits-linf changes by" in text
    for table in ("answers", "seeds", "changes"):
        rows = pd.read_csv(out / "tables" / f"{table}.csv", keep_default_na=False)
        of_question = {name: set(part["conditions"]) for name, part in rows.groupby("question")}
        assert of_question == {"noise": {""}, "attack": {""}, "by-bim": {"bim"}, "by-fgsm": {"fgsm"}}
    page = (out / PAGE_FILE).read_text()
    beforehand = page.split('id="beforehand"')[1]
    assert re.search(r"<p>by-bim: Of digits-linf, only 1 of its \d attacks is pooled: BIM.</p>", beforehand)
    tables = ("answers", "changes")
    frames = {name: pd.read_csv(out / f"tables/{name}.csv", keep_default_na=False) for name in tables}
    titles = {question.name: chart for question, chart in change_charts_of(read_study(path), frames)}
    assert titles["attack"].plain_title.endswith(" under digits-linf")
    assert titles["by-fgsm"].plain_title.endswith(" under FGSM of digits-linf")
    assert titles["by-fgsm"].caption.endswith("attacks is pooled: FGSM.")
    assert "pooled" not in titles["attack"].caption


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
    arms = pd.read_csv(given.out / "tables/arms.csv").set_index(["arm", "training_seed"])
    weights = json.loads(arms["hyperparameters"]["paper", 0])
    assert weights == [[0.8, 0.1, 0.01]] * (len(weights) - 1) + [[0.8, 0.0, 0.01]]
    assert names["input-blur-seed-0"].endswith("+input-blur-0.5")
    assert names["blur-0.5"].endswith("+input-blur-0.5")


def test_every_arm_is_timed_and_t_takes_time(done: tuple[Path, Given]) -> None:
    _, given = done
    times = pd.read_csv(given.out / "tables/image_times.csv").set_index("arm")
    assert dict(times["timesteps"]) == {name: 0 if ARMS[name].timeless else 2 for name in EXAMPLE["arms"]}
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
        "conditions.csv",
        "checks.csv",
        "coverage.csv",
        "networks.csv",
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


def test_each_condition_has_its_accuracy_and_their_mean_is_that_of_the_question(done: tuple[Path, Given]) -> None:
    _, given = done
    conditions = pd.read_csv(given.out / "tables/conditions.csv")
    here = conditions[(conditions["suite"] == "gaussian-noise") & (conditions["arm"] == "network")]
    noise, (clean,) = here[here["condition"] == "noise"], here[here["condition"] == "clean"].itertuples()
    rows = [row for seed in (0, 1) for row in rows_of(given.out / f"runs/gaussian-noise/network-seed-{seed}")]
    for timestep, told in ((2, clean.accuracy), (0, clean.accuracy_at_start)):
        right = [row.correct for row in rows if row.kind == "clean" and row.timestep == timestep]
        assert told == pytest.approx(np.mean(right), abs=1e-5)
    changes = pd.read_csv(given.out / "tables/changes.csv")
    last = changes[(changes["question"] == "noise") & (changes["timestep"] == 2)].set_index("arm")
    assert noise["accuracy"].mean() == pytest.approx(last["value"]["network"], abs=1e-5)
    assert noise["change"].mean() == pytest.approx(last["change"]["network"], abs=1e-5)
    assert np.allclose(conditions["change"], conditions["accuracy"] - conditions["accuracy_at_start"], atol=2e-6)
    blurred = conditions[conditions["arm"] == "input-blur of 0.5 px"]
    assert set(blurred["condition"]) == {"clean", "noise"}
    assert not conditions[conditions["arm"] == "feedforward"][["change", "ci_low", "ci_high"]].to_numpy().any()


def test_each_check_of_the_attacks_is_a_row(done: tuple[Path, Given]) -> None:
    _, given = done
    found = pd.read_csv(given.out / "tables/checks.csv")
    written_down = json.loads((given.out / "runs/digits-linf/network-seed-0/checks.json").read_text())
    own = found[(found["arm"] == "network") & (found["training_seed"] == 0)]
    expected = [(one["timestep"], one["verdict"], sign["sign"]) for one in written_down for sign in one["comparisons"]]
    assert list(zip(own["timestep"], own["verdict"], own["sign"], strict=True)) == expected


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
    changed = written(tmp_path, {**EXAMPLE, "title": "Another title"})
    copy = Given(tmp_path / "copy", workers=1)
    shutil.copytree(given.out, copy.out)
    with caplog.at_level("WARNING", logger="pcbench"):
        run_study(changed, copy)
    assert "THE FILE WAS CHANGED after the study was begun" in caplog.text
    assert "THE FILE WAS CHANGED" in report_study(changed, copy.out)
    other = written(tmp_path, {**EXAMPLE, "tuning": {"images": 40, "rounds": 2, "noise": [2.0]}})
    with pytest.raises(UsageError, match="was made with other options than the file has now"):
        run_study(other, copy)


def test_quite_other_levels_than_were_tuned_for_stand_with_the_answer(done: tuple[Path, Given], tmp_path: Path) -> None:
    """Oracle: the file's own levels, far from those of the suite's third and fifth severity, and those themselves."""
    path, given = done
    assert "Arms were tuned for noise" not in report_study(path, given.out)
    out = tmp_path / "out"
    shutil.copytree(given.out, out)
    text = report_study(written(tmp_path, {**EXAMPLE, "tuning": {**EXAMPLE["tuning"], "noise": [7.0, 9.0]}}), out)
    said = "Arms were tuned for noise of 7, 9; gaussian-noise has noise of 0.75, 2."
    assert said in text.split("## noise")[1].split("Expected beforehand")[0]
    assert said not in text.split("## attack")[1]
    arms = pd.read_csv(given.out / "tables/arms.csv", dtype=str, keep_default_na=False)
    assert dict(zip(arms["arm"], arms["noise"], strict=True)) == {
        "network": "2",
        "no-feedback": "2",
        "input-blur": "2",
        "paper": "",
    }


def test_images_that_were_trained_on_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, given = written(tmp_path, EXAMPLE), Given(tmp_path / "out", workers=1)

    def seven(options: TrainOptions) -> ImageSource:
        del options
        return open_source("digits", preprocessing=Preprocessing(), split="test").take(7)

    monkeypatch.setattr(basis, "training_images", seven)
    with pytest.raises(UsageError, match=r"7 of the 360 images that are measured are among those that trained/seed-0"):
        run_study(path, given)


def test_a_folder_without_a_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no study; begin it with"):
        report_study(written(tmp_path, EXAMPLE), tmp_path / "none")


def test_the_commands_of_the_documentation_work_as_they_stand(
    done: tuple[Path, Given], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, given = done
    shutil.copytree(given.out, tmp_path / "small")
    shutil.copy(path, tmp_path / "small.toml")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ (pcbench study .*?)  ", STUDIES_PAGE, re.MULTILINE)
    assert [command.split()[2] for command in commands] == ["plan", "run", "status", "report", "publish", "check"]
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main(shlex.split(command)[1:])
        assert not stopped.value.code, command
    told = capsys.readouterr().out
    assert told.count("all steps are done") == 2
    assert told.count(f"page: {Path('small') / PAGE_FILE}") == 2
    assert "\n## noise\n" in told
    assert "\\u000a" not in told


def test_programs_read_how_far_a_study_is_and_its_answers(
    done: tuple[Path, Given], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Oracle: the declared forms; the steps that are there before and after the study; what it says without --json."""
    path, given = done

    def told(verb: str, out: Path, form: Any) -> Any:
        words = ["study", verb, str(path), "--out", str(out), "--json"]
        with pytest.raises(SystemExit) as stopped:
            main(words if verb == "report" else [*words, "--workers", "1"])
        assert not stopped.value.code
        value = json.loads(capsys.readouterr().out)
        assert TypeAdapter(form).validate_python(value, strict=True) == value
        return value

    for verb in ("plan", "status"):
        before, after = told(verb, tmp_path / "none", StudyPlanForm), told(verb, given.out, StudyPlanForm)
        assert [one["name"] for one in before["steps"]] == [one.name for one in progress_of(path, given).steps]
        assert {one["done"] for one in before["steps"]} == {False}
        assert {one["done"] for one in after["steps"]} == {True}
        assert (before["hours_left"], after["hours_left"]) == (None, 0)
    answers = told("report", given.out, StudyAnswersForm)
    assert answers["answers"] == report_study(path, given.out)
    assert Path(answers["page"]).is_file()


def test_the_documentation_names_every_arm_key_and_table(done: tuple[Path, Given]) -> None:
    _, given = done
    for name, arm in ARMS.items():
        assert f"| `{name}` | {arm.title} | {arm.shows} |" in STUDIES_PAGE
    tables = (StudyTable, SuiteTable, QuestionTable, StudyTraining, TuningTable, ArmTable)
    fields = {name for table in tables for name in table.model_fields}
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", STUDIES_PAGE)))) | {"study_version"}
    assert fields - named - {"arm", "suites", "questions", "training", "tuning"} == set()
    assert all(f"`{path.name}`" in STUDIES_PAGE for path in (given.out / "tables").iterdir())


def test_the_study_made_again_is_the_published_one(done: tuple[Path, Given]) -> None:
    path, given = done
    found = compare_study(path, given.out, PUBLISHED)
    assert found.decisions > 900
    assert found.passed, f"{found}: where this is meant, publish it anew with `python tests/small_studies.py`"


def published(done: tuple[Path, Given], folder: Path) -> Publication:
    """Return a copy of the study as it is published."""
    path, given = done
    whole = path.parent / "publication"
    if not whole.exists():
        publish_study(path, given.out, whole)
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    return Publication(folder / "results" / "study", folder / "reports" / "study" / "index.html")


def test_what_is_published_is_small_names_no_machine_and_links_to_itself(
    done: tuple[Path, Given], tmp_path: Path
) -> None:
    made = published(done, tmp_path)
    assert made.results == tmp_path / "results" / "study"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    figures = {path.name for path in files if path.parent.name == "figures"}
    assert figures == {f"gaussian-noise-change-noise.{kind}" for kind in ("svg", "pdf", "png")}
    text = "\n".join(path.read_text() for path in files if path.suffix not in (".npz", ".pdf", ".png"))
    assert str(done[1].out) not in text
    assert str(Path.home()) not in text
    page = made.page.read_text()
    links = [link for link in re.findall(r'href="([^"#]+)"', page) if not link.startswith("data:")]
    assert len(links) > 10
    assert all((made.page.parent / link).resolve().is_file() for link in links)


def test_a_leaderboard_is_made_of_published_results_alone(done: tuple[Path, Given], tmp_path: Path) -> None:
    made = published(done, tmp_path)
    board = write_leaderboard(tmp_path / "results", tmp_path / "reports" / "leaderboard.html").read_text()
    assert board.count('<a href="study/index.html">') == board.count('<th scope="row">') == 15
    networks = pd.read_csv(made.results / "networks.csv")
    kept = networks[(networks["metric"] == "accuracy") & (networks["kind"] == "summary") & (networks["timestep"] == 2)]
    own = kept[kept["network"] == "pdigits, no-feedback, 2 training seeds"].iloc[0]
    runs = [open_run(done[1].out / f"runs/gaussian-noise/no-feedback-seed-{seed}") for seed in (0, 1)]
    each = [rows[(rows["kind"] == "noise") & (rows["timestep"] == 2)]["correct"].mean() for rows in
            (run.outcomes() for run in runs)]  # fmt: skip
    assert own["value"] == pytest.approx(np.mean(each))
    assert own["ci_low"] <= own["value"] <= own["ci_high"]
    assert f"{100 * own['value']:.1f}" in board
    attacked = networks[(networks["kind"] == "attack") & (networks["network"] == "pdigits, network, 1 training seed")]
    assert set(attacked["gradients"]) <= {"checked", NOT_CHECKED} | {
        words for words in attacked["gradients"] if words.startswith("gradients suspicious")
    }
    shutil.copytree(done[1].out, tmp_path / "results" / "studies" / "study")
    again = write_leaderboard(tmp_path / "results", tmp_path / "reports" / "leaderboard.html").read_text()
    assert again == board
    # Beside its own runs the study is one and the same: they are not shown twice.
    assert write_leaderboard(done[1].out, tmp_path / "own.html").read_text().count('<th scope="row">') == 15


def test_a_study_is_answered_before_its_end_and_names_what_is_missing(done: tuple[Path, Given], tmp_path: Path) -> None:
    path, given = done
    part = Given(tmp_path / "part", workers=1)
    shutil.copytree(given.out, part.out)
    missing = ["digits-linf/network-seed-0", "gaussian-noise/paper-seed-1", "gaussian-noise/blur-0.5"]
    for name in missing:
        shutil.rmtree(part.out / "runs" / name)
    with pytest.raises(UsageError, match=r"3 of \d+ steps are left, .* with `--so-far`"):
        report_study(path, part.out)
    text = report_study(path, part.out, so_far=True)
    assert "NOT ALL RUNS ARE HERE: 8 of 11 are finished. " in text
    assert all(name in text for name in missing)
    assert "## attack" not in text
    assert "NOT ALL RUNS ARE HERE" in (part.out / PAGE_FILE).read_text()
    seeds = pd.read_csv(part.out / "tables/seeds.csv")
    of_noise = seeds[seeds["question"] == "noise"]
    assert of_noise[of_noise["against"] == "paper"]["training_seed"].tolist() == [0]
    assert of_noise[of_noise["against"] == "no-feedback"]["training_seed"].tolist() == [0, 1]
    whole = pd.read_csv(given.out / "tables/seeds.csv")
    same = whole[(whole["question"] == "noise") & (whole["against"] == "paper") & (whole["training_seed"] == 0)]
    assert same["difference"].tolist() == of_noise[of_noise["against"] == "paper"]["difference"].tolist()
    made = publish_study(path, part.out, tmp_path, so_far=True)
    command = ["study", "check", str(path), "--out", str(given.out), "--against", str(made.results)]
    assert exit_code(command) == 0  # the whole study made again: the published runs decide alike
    for name in ("gaussian-noise", "digits-linf"):
        shutil.rmtree(part.out / "runs" / name, ignore_errors=True)
    with pytest.raises(UsageError, match="no question can be answered yet"):
        report_study(path, part.out, so_far=True)


@pytest.mark.parametrize(("flips", "code"), [(1, 0), (10, 1)])
def test_flipped_decisions_are_counted_on_another_machine_and_fail_on_the_same(
    done: tuple[Path, Given],
    flips: int,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, given = done
    made = published(done, tmp_path)
    command = ["study", "check", str(path), "--out", str(given.out), "--against", str(made.results)]
    assert exit_code(command) == 0
    assert "the same: 9 tables are equal, byte for byte" in capsys.readouterr().out
    with np.load(made.results / "decisions.npz") as arrays:
        changed = dict(arrays)
    for number in range(flips):  # the first image under the last condition of a run
        changed[f"run_{number}"][-1, 0] ^= 1 << 7
    np.savez(made.results / "decisions.npz", **changed)
    (made.results / "answers.csv").write_text("")
    assert exit_code(command) == 1
    assert "another: equal bytes were expected" in capsys.readouterr().out
    about = json.loads((made.results / "about.json").read_text())
    (made.results / "about.json").write_text(json.dumps({**about, "machines": ["another"]}))
    assert exit_code(command) == code
    told = capsys.readouterr().out
    assert f"\n{flips} of " in told
    assert "1 of 9 tables differ (answers.csv)" in told


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


def test_another_file_and_other_runs_are_not_compared(done: tuple[Path, Given], tmp_path: Path) -> None:
    path, given = done
    made = published(done, tmp_path)
    with np.load(made.results / "decisions.npz") as arrays:
        kept = dict(arrays)
    header = json.loads(kept["header"].tobytes())
    header["runs"][0][0] = "gaussian-noise/former-seed-0"
    np.savez(made.results / "decisions.npz", **{**kept, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    with pytest.raises(UsageError, match="holds no decisions of gaussian-noise/network-seed-0"):
        compare_study(path, given.out, made.results)
    about = json.loads((made.results / "about.json").read_text())
    (made.results / "about.json").write_text(json.dumps({**about, "file_sha256": "0" * 64}))
    with pytest.raises(UsageError, match=r"is of another file than .*study.toml is now"):
        compare_study(path, given.out, made.results)
    with pytest.raises(DataError, match=r"about.json: there is no such file"):
        compare_study(path, given.out, tmp_path)
