"""Oracle: what the file says; each wrong file is one line that names the key."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_studies import small, written

from pcbench.cli.main import main
from pcbench.errors import PcbenchError
from pcbench.studies.options import Given
from pcbench.studies.steps import Step, steps_of
from pcbench.studies.study import level_lines
from pcbench.studies.study_file import read_study

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "studies").glob("*.toml"))


def asked(**more: Any) -> dict[str, Any]:
    return {"name": "a", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", **more}


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_committed_studies_are_read(path: Path) -> None:
    study = read_study(path)
    names = [step.name for step in steps_of(study, Given(Path("out")))]
    assert len(names) == len(set(names)) > 10
    assert tomllib.loads(path.read_text(encoding="utf-8"))["title"] == study.table.title


def test_every_arm_gets_the_same_images_objective_budget_and_starts(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, small(tuning={"images": 50, "rounds": 3})))
    tuned = [step for step in steps_of(study, Given(tmp_path)) if step.kind in ("tune", "blur") and step.seed == 0]
    same = ("data", "images", "objective", "rounds", "timesteps", "seed")
    assert len(tuned) == 3
    assert len({tuple(step.options[name] for name in same) for step in tuned}) == 1
    assert [step.options.get("without") for step in tuned] == [None, "feedback", None]


def test_levels_that_are_not_named_are_found_once_before_any_tuning(tmp_path: Path) -> None:
    """Oracle: the file: no arm and no seed has levels of its own, and what names levels is as it was."""

    def steps(**more: Any) -> list[Step]:
        table = small(arms=["network", "feedforward", "no-feedback", "input-blur", "tuned-noise"], **more)
        return steps_of(read_study(written(tmp_path, table)), Given(tmp_path))

    def levels(steps: list[Step]) -> set[Any]:
        return {step.options.get("noise") for step in steps if step.kind in ("tune", "blur")}

    found = steps()
    kinds = [step.kind for step in found]
    (first,) = (step for step in found if step.kind == "levels")
    assert (first.arm, first.seed, "noise" in first.options) == ("network", 0, False)
    assert kinds.index("train") < kinds.index("levels") < min(kinds.index("tune"), kinds.index("blur"))
    assert levels(found) == {tmp_path / first.name}
    assert levels(steps(tuning={"noise": [0.5, 1.0]})) == {(0.5, 1.0)}
    other = steps(tuning={"objective": "clean"})  # tuned-noise finds its own, and is compared with no other
    assert (levels(other), {step.kind for step in other} & {"levels"}) == ({None}, set())


@pytest.mark.parametrize(("side", "levels"), [(32, (0.05, 0.15)), (96, (0.25, 0.75))])
def test_levels_of_noise_are_those_of_the_images_and_far_from_the_tuning_are_told(
    side: int, levels: tuple[float, ...], tmp_path: Path
) -> None:
    for number in range(2):
        path = tmp_path / "images" / f"class{number}" / "one.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (side, side), (80 * number, 10, 10)).save(path)
    source = f"imagefolder:{tmp_path / 'images'}"
    suites = [{"name": "gaussian-noise", "severities": [1, 3]}]

    def lines(tuned: list[float], *, warnings_alone: bool) -> list[str]:
        table = small(data=source, suites=suites, tuning={"noise": tuned})
        return level_lines(read_study(written(tmp_path, table)), Given(tmp_path), warnings_alone=warnings_alone)

    told = f"gaussian-noise has noise of {levels[0]:g}, {levels[1]:g} on images of this size"
    assert lines([levels[0]], warnings_alone=False) == [told]
    assert lines([levels[0]], warnings_alone=True) == []
    for tuned in ([2.0, 3.0], [0.01]):
        words = ", ".join(f"{level:g}" for level in tuned)
        remedy = "if that is not meant, name noise in [tuning], or measure a suite of your own"
        assert lines(tuned, warnings_alone=True) == [f"{told}, and arms are tuned for {words}: {remedy}"]


def test_the_steps_are_listed_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, small(data="parquet:nowhere.parquet"))
    with pytest.raises(SystemExit) as ended:
        main(["study", "plan", str(path), "--out", str(tmp_path / "out")])
    assert not ended.value.code
    told = " ".join(capsys.readouterr().out.split())
    assert "the levels of noise are told where the images are: nowhere.parquet: there is no such Parquet file" in told
    assert "runs/gaussian-noise/network-seed-0" in told


def test_arms_have_seeds_of_their_own_on_each_suite(tmp_path: Path) -> None:
    table = small(
        training_seeds=[4, 5, 6],
        arms=["network", "feedforward", "no-feedback", "no-error"],
        arm={"no-feedback": {"training_seeds": [4, 5]}},
        suites=[
            {"name": "gaussian-noise"},
            {"name": "digits-c", "control_seeds": [4], "arms": ["network", "no-error"]},
            {"name": "manifold", "training_seeds": [4, 5], "arms": ["network"]},
        ],
    )
    steps = steps_of(read_study(written(tmp_path, table)), Given(tmp_path))
    runs = [step.name.removeprefix("runs/") for step in steps if step.kind == "run"]
    noise = [f"gaussian-noise/{arm}-seed-{seed}" for arm in ("network", "no-error") for seed in (4, 5, 6)]
    assert set(runs) == {
        *noise,
        *(f"gaussian-noise/no-feedback-seed-{seed}" for seed in (4, 5)),
        *(f"digits-c/network-seed-{seed}" for seed in (4, 5, 6)),
        "digits-c/no-error-seed-4",
        *(f"manifold/network-seed-{seed}" for seed in (4, 5)),
    }
    assert runs[:3] == [f"gaussian-noise/{arm}-seed-4" for arm in ("network", "no-feedback", "no-error")]
    assert {step.name for step in steps if step.kind == "tune" and step.arm == "no-feedback"} == {
        "tuned/no-feedback-seed-4.toml",
        "tuned/no-feedback-seed-5.toml",
    }


def test_exploratory_arms_have_their_own_training_and_their_own_last_timestep(tmp_path: Path) -> None:
    arms = ["network", "feedforward", "denoising", "longer"]
    own = {"denoising": {"noise": [0.3]}, "longer": {"timesteps": 6}}
    steps = {step.name: step for step in steps_of(
        read_study(written(tmp_path, small(training_seeds=[0], arms=arms, arm=own))), Given(tmp_path)
    )}  # fmt: skip
    training = steps["trained/denoising-seed-0"].options
    assert (training["noise"], training["noise_target"]) == ((0.3,), "clean")
    assert "noise" not in steps["trained/seed-0"].options
    used = steps["runs/gaussian-noise/denoising-seed-0"].options["weights"]
    assert used == tmp_path / "trained/denoising-seed-0/pdigits.safetensors"
    assert (
        steps["runs/gaussian-noise/longer-seed-0"].options["weights"] == tmp_path / "trained/seed-0/pdigits.safetensors"
    )
    for kind, name in (("tuned", "longer-seed-0.toml"), ("runs/gaussian-noise", "longer-seed-0")):
        assert steps[f"{kind}/{name}"].options["timesteps"] == 6
    assert steps["runs/gaussian-noise/denoising-seed-0"].options["timesteps"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"arm": {"no-feedback": {"training_seeds": [1]}}}, "'no-feedback' is not measured with seed 0, the first"),
        ({"arm": {"no-feedback": {"training_seeds": [7]}}}, "arm.no-feedback: seed 7 is not in training_seeds"),
        ({"arm": {"no-feedback": {"training_seeds": []}}}, "arm.no-feedback: name some seeds"),
        ({"suites": [{"name": "gaussian-noise", "control_seeds": [7]}]}, "control_seeds: seed 7 is not in"),
        ({"suites": [{"name": "gaussian-noise"}, {"name": "digits-c", "training_seeds": [1]}],
          "arm": {"no-feedback": {"training_seeds": [0]}}}, "digits-c: 'no-feedback' has no training seed there"),
        ({"arms": ["network", "longer"]}, "'longer' needs a T: give timesteps in"),
        ({"arms": ["network", "longer"], "arm": {"longer": {"timesteps": 2}}}, "after the study's T, 2"),
        ({"arms": ["network", "denoising"]}, "'denoising' needs noise: give noise in"),
        ({"arm": {"no-feedback": {"timesteps": 4}}}, "only 'longer' has its own"),
        ({"arm": {"no-feedback": {"noise": [0.3]}}}, "only 'denoising' is trained with it"),
        ({"arms": ["network", "no-feedbak"]}, "did you mean 'no-feedback'"),
        ({"arms": ["network", "deeper"]}, "'deeper' needs another network"),
        ({"suites": [{"name": "gaussian-noise", "arms": ["feedforward"]}]}, "every comparison is with 'network'"),
        ({"suites": [{"name": "gaussian-noise", "training_seeds": [7]}]}, "seed 7 is not in training_seeds"),
        ({"suites": [{"name": "digits-c"}]}, "suite 'gaussian-noise' is not among digits-c"),
        ({"training_seeds": [1, 1]}, "training_seeds: 1 is there twice"),
        ({"arm": {"smoothed": {"width": 2.0}}}, "'smoothed' is used, but not in the list"),
        ({"timestep": 3}, "timestep"),
        ({"timesteps": 100_000}, "timesteps"),
        ({"training_seeds": [-1]}, "training_seeds"),
        ({"training_seeds": [2**70]}, "training_seeds"),
        ({"seen_before": ""}, "seen_before"),
        ({"study_version": 1}, "study_version"),
        ({"questions": [{"name": "a", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", "timestep": 9}]},
         "timestep 9 is after the study's T, 2"),
        ({"questions": [{"name": "a", "question": "?", "hypothesis": "!", "suite": "gaussian-noise",
                         "against": ["paper"]}]}, "against 'paper': it is 't = 0' or an arm of the suite"),
        # What a run, or the report, would refuse hours later.
        ({"suites": [{"name": "gausian-noise"}], "questions": [asked(suite="gausian-noise")]},
         "suite 'gausian-noise' does not exist; did you mean 'gaussian-noise'"),
        ({"questions": [asked(measure="standing")]},
         "gaussian-noise does not give the measure 'standing', but accuracy and nll and ece"),
        ({"suites": [{"name": "manifold"}], "questions": [asked(suite="manifold")]},
         "manifold does not give the measure 'accuracy', but distance"),
        ({"suites": [{"name": "manifold"}],
          "questions": [asked(suite="manifold", measure="distance", conditions=["gaussian_noise"])]},
         "a distance is over all of manifold; leave them out"),
        ({"questions": [asked(conditions=["gaussian_noisee"])]}, "did you mean 'gaussian_noise'"),
        ({"suites": [{"name": "gaussian-noise", "severities": [9]}]}, "no suite of this run has severity 9"),
        ({"suites": [{"name": "gaussian-noise", "severities": []}]}, "severities: name some, or leave it out for all"),
        ({"suites": [{"name": "gaussian-noise", "epsilons": ["8/255"]}]},
         "gaussian-noise: epsilons: this suite corrupts, and has none"),
        ({"suites": [{"name": "gaussian-noise", "images": 1}]}, "images"),
        ({"suites": [{"name": "digits-linf", "epsilons": ["eight"]}],
          "questions": [asked(suite="digits-linf", measure="standing")]}, "an epsilon is a number or text such as"),
        ({"suites": [{"name": "digits-linf", "attacked_timesteps": [0, 1]}],
          "questions": [asked(suite="digits-linf", measure="standing")]},
         "the question 'a' compares t = 2 with t = 0, and t = 2 is not attacked by itself; add it"),
        ({"suites": [{"name": "digits-linf", "attacked_timesteps": [0, 2, 3]}],
          "questions": [asked(suite="digits-linf", measure="standing")]}, "there is no t = 3, the last one is T = 2"),
        ({"tuning": {"objective": "suite:imagenet-c-extraa"}}, "did you mean 'imagenet-c-extra'"),
        ({"tuning": {"objective": "noisy"}}, "did you mean 'noise'"),
        ({"tuning": {"objective": "clean", "noise": [2.0]}}, "noise names levels for the objective 'noise'"),
        ({"questions": [{"name": "a", "question": "?", "hypothesis": "!", "suite": "gaussian-noise", "margin": 0}]},
         "margin"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line(more: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(PcbenchError, match=said) as refused:
        read_study(written(tmp_path, small(**more)))
    assert "study.toml" in str(refused.value) or "arm" in str(refused.value)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"title = ", b"\xff\xfe", b"[[suites]]\nname = 3"])
def test_a_broken_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(PcbenchError, match=r"study\.toml") as refused:
        read_study(path)
    assert (refused.value.exit_code, "\n" in str(refused.value)) == (2, False)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(PcbenchError) as refused:
            read_study(path)
        assert refused.value.exit_code == 2
        assert str(path) in str(refused.value)


def test_a_suite_of_ones_own_is_called_by_its_folder(tmp_path: Path) -> None:
    own = tmp_path / "corruptions" / "mine"
    shutil.copytree(ROOT / "corruptions" / "gaussian-noise", own)
    study = read_study(written(tmp_path, small(suites=[{"name": str(own)}], questions=[asked(suite=str(own))])))
    runs = [step for step in steps_of(study, Given(tmp_path / "out")) if step.kind == "run"]
    assert {step.name.rpartition("/")[0] for step in runs} == {"runs/mine"}
    assert {step.options["suites"] for step in runs} == {(str(own),)}
    assert all(step.options["out"].is_relative_to(tmp_path / "out" / "runs") for step in runs)
