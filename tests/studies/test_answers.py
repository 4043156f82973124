"""Oracles: verdicts on simulated tables of a known effect, of none, and of too few images; Holm by hand; a loop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_studies import ROOT, small, written

from pcbench.metrics.rates import Floats
from pcbench.studies import answers
from pcbench.studies.answers import comparisons_of, told_answer
from pcbench.studies.pooled import all_pooled, named_conditions, pooled_sentence, pooled_words
from pcbench.studies.study_file import StudyFile, read_study
from pcbench.studies.tunings import other_images_words
from pcbench.studies.values import ArmValues

QUESTION = {"name": "noise", "question": "Does it rise?", "hypothesis": "It rises.", "suite": "gaussian-noise"}


def made(arm: str, numbers: Floats, seeds: Sequence[int | None] = (0, 1, 2)) -> ArmValues:
    images = tuple(f"image{number}" for number in range(numbers.shape[1]))
    return ArmValues(arm, tuple(seeds), images, numbers, tuple(Path(f"seed-{seed}") for seed in seeds))


def simulated(effect: float, images: int, arm: str, noise: float = 0.1) -> ArmValues:
    """Answers of three seeds: t = 0 is the backbone's, right on 60 % of the images; T is right on `effect` more."""
    generator = np.random.default_rng(len(arm))
    start = (np.random.default_rng(1).random(images) < 0.6).astype(float)
    ends = np.repeat(start[None], 3, axis=0)
    changed = generator.random((3, images)) < noise
    ends[changed] = (generator.random(int(changed.sum())) < 0.6).astype(float)
    gained = (start == 0) & (np.random.default_rng(2).random(images) < effect / 0.4)
    ends[:, gained] = 1.0
    starts = np.repeat(start[None], 3, axis=0)
    return made(arm, np.stack([starts, starts, ends], axis=2))


@pytest.fixture
def study(tmp_path: Path) -> StudyFile:
    questions = [{**QUESTION, "primary": True, "against": ["t = 0", "no-feedback"], "margin": 0.03}]
    arms = ["network", "feedforward", "no-feedback"]
    table = small(arms=arms, training_seeds=[0, 1, 2], questions=questions)
    return read_study(written(tmp_path, table))


def answered(study: StudyFile, monkeypatch: pytest.MonkeyPatch, of_arm: dict[str, ArmValues]) -> list[Any]:
    def values(*asked: Any) -> ArmValues:
        return of_arm[asked[2]]

    monkeypatch.setattr(answers, "values_of", values)
    return comparisons_of(study, Path("none"))


@pytest.mark.parametrize(
    ("effect", "images", "noise", "decision"),
    [(0.1, 2000, 0.1, "yes"), (0.0, 4000, 0.02, "no"), (0.03, 60, 0.1, "undecided")],
)
def test_a_known_effect_none_and_too_few_images(
    effect: float, images: int, noise: float, decision: str, study: StudyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_arm = {arm: simulated(effect, images, arm, noise) for arm in ("network", "no-feedback")}
    found = answered(study, monkeypatch, of_arm)
    assert found[0].against == "t = 0"
    assert found[0].decision == decision
    text = told_answer(study, found).paragraph
    assert {"yes": "Yes", "no": "No", "undecided": "Undecided"}[decision] in text
    assert ("is found in 80 of 100 such studies" in text.split("against no-feedback")[0]) == (decision == "undecided")
    assert "3 training seeds of one backbone" in text


def test_a_loss_is_no_gain(study: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    worse = simulated(0.2, 2000, "network")
    turned = made("network", worse.numbers[:, :, ::-1].copy())
    (first, *_) = answered(study, monkeypatch, {"network": turned, "no-feedback": turned})
    assert (first.decision, first.better < 0) == ("no", True)
    assert "It is a loss." in told_answer(study, [first]).paragraph


def test_holm_is_over_all_primary_comparisons(study: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    of_arm = {"network": simulated(0.02, 400, "network"), "no-feedback": simulated(0.0, 400, "no-feedback")}
    first, second = answered(study, monkeypatch, of_arm)
    small_p, large_p = sorted([first.difference.p, second.difference.p])
    assert sorted([first.p_holm, second.p_holm]) == pytest.approx(
        [min(2 * small_p, 1), max(min(2 * small_p, 1), large_p)]
    )


def test_a_broken_arm_shows_it(study: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shuffled answers stand for shuffled predictors: the comparison with the arm is a clear gain."""
    network = simulated(0.05, 1000, "network")
    shuffled = network.numbers.copy()
    shuffled[:, :, 2] = np.random.default_rng(9).permutation(shuffled[0, :, 2])
    shuffled[:, ::2, 2] = 0.0
    found = answered(study, monkeypatch, {"network": network, "no-feedback": made("no-feedback", shuffled)})
    assert (found[1].against, found[1].decision) == ("no-feedback", "yes")


def test_each_seeds_own_difference_is_its_mean_over_images(study: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    network = simulated(0.1, 300, "network")
    (first, *_) = answered(study, monkeypatch, {"network": network, "no-feedback": network})
    by_hand = [float(np.mean(network.numbers[seed, :, 2] - network.numbers[seed, :, 0])) for seed in range(3)]
    assert [each.difference.value for each in first.each] == pytest.approx(by_hand)
    assert first.difference.value == pytest.approx(np.mean(by_hand))


def test_one_seed_is_claimed_for_that_training_alone(study: StudyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    one = simulated(0.2, 500, "network")
    alone = made("network", one.numbers[:1], (0,))
    found = answered(study, monkeypatch, {"network": alone, "no-feedback": alone})
    assert "one training seed, so this is said of that training alone" in told_answer(study, found).paragraph


def test_noise_in_the_tuning_of_an_arm_alone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [{**QUESTION, "primary": True, "against": ["tuned-noise"]}]
    arms, tuning = ["network", "feedforward", "tuned-noise"], {"objective": "clean"}
    table = small(arms=arms, training_seeds=[0, 1, 2], questions=questions, tuning=tuning)
    study = read_study(written(tmp_path, table))
    network = simulated(0.1, 200, "network")
    found = answered(study, monkeypatch, {"network": network, "tuned-noise": network})
    (told,) = told_answer(study, found).decisive
    assert "; tuned with labels and noise)" in told


@pytest.mark.parametrize(
    ("conditions", "said", "beforehand"),
    [
        (None, "digits-c", ""),
        (
            ["defocus_blur", "contrast"],
            "defocus blur and contrast of digits-c",
            "Of digits-c, only 2 of its 15 corruptions are pooled: defocus blur and contrast.",
        ),
        (
            ["fog", "snow", "frost", "fog", "contrast"],
            "4 of the 15 corruptions of digits-c",
            "Of digits-c, only 4 of its 15 corruptions are pooled: fog, snow, frost and contrast.",
        ),
    ],
)
def test_a_sentence_is_about_the_conditions_that_its_question_names(
    conditions: list[str] | None, said: str, beforehand: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the question's own list, and the folder of the suite, which has fifteen corruptions."""
    question = {**QUESTION, "suite": "digits-c", **({} if conditions is None else {"conditions": conditions})}
    table = small(suites=[{"name": "digits-c"}], arms=["network"], training_seeds=[0, 1, 2], questions=[question])
    study = read_study(written(tmp_path, table))
    found = answered(study, monkeypatch, {"network": simulated(0.1, 200, "network")})
    assert f": accuracy under {said} changes by " in told_answer(study, found).decisive[0]
    assert pooled_sentence(study.table.questions[0]) == beforehand


def test_all_conditions_of_a_suite_by_name_are_the_suite(tmp_path: Path) -> None:
    every = [path.stem for path in (ROOT / "corruptions/digits-c").iterdir() if path.stem not in ("suite", "baseline")]
    question = {**QUESTION, "suite": "digits-c", "conditions": every}
    study = read_study(written(tmp_path, small(suites=[{"name": "digits-c"}], questions=[question])))
    (asked,) = study.table.questions
    assert (pooled_words(asked), named_conditions(asked)) == ("digits-c", ())
    assert all_pooled(study.table.suites[0]) == "all 15 corruptions of digits-c"


def test_a_failed_tuning_is_named_in_the_sentence(
    study: StudyFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = simulated(0.1, 200, "network")
    monkeypatch.setattr(answers, "values_of", lambda *_: network)
    (tmp_path / "tuned").mkdir()
    for arm, seed, failed in (("network", 0, False), ("network", 2, True), ("no-feedback", 1, True)):
        record = json.dumps({"result": {"objective": 0.5, "failed": failed}})
        (tmp_path / "tuned" / f"{arm}-seed-{seed}.tuning.json").write_text(record)
    first, second = told_answer(study, comparisons_of(study, tmp_path)).decisive
    own = "Tunings that failed: network in 1 of 3 training seeds"
    assert first.endswith(f"{own}; the feedforward point stands for them.")
    assert f"{own}, no-feedback in 1 of 3 training seeds;" in second


def test_a_blur_at_the_end_of_its_list_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [{**QUESTION, "primary": True, "against": ["input-blur"]}]
    table = small(arms=["network", "feedforward", "input-blur"], training_seeds=[0, 1, 2], questions=questions)
    network = simulated(0.05, 1000, "network")
    monkeypatch.setattr(answers, "values_of", lambda *_: network)
    (tmp_path / "tuned").mkdir()
    curve = [{"width": width} for width in (0.6, 0.7, 0.8)]
    for seed, width in ((0, 0.8), (1, 0.7), (2, 0.6)):
        record = json.dumps({"result": {"width": width, "curve": curve}})
        (tmp_path / "tuned" / f"input-blur-seed-{seed}.tuning.json").write_text(record)
    study = read_study(written(tmp_path, table))
    (told,) = told_answer(study, comparisons_of(study, tmp_path)[1:]).decisive
    widest = "The widest blur of the list was chosen: input-blur in 1 of 3 training seeds; a wider one may do better."
    narrowest = "The narrowest blur of the list was chosen: input-blur in 1 of 3 training seeds; a narrower one may do"
    assert told.endswith(f"{widest} {narrowest} better.")


def test_an_arm_that_was_tuned_on_other_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    records = (("network", "ab"), ("no-error", "ba"), ("random-predictors", "ac"), ("input-blur", ""))
    for arm, images in records:
        result = {"objective": 0.5} | ({"image_hashes": dict.fromkeys(images, "hash")} if images else {})
        record = json.dumps({"result": result})
        (tmp_path / "tuned" / f"{arm}-seed-0.tuning.json").write_text(record)
    arms = [arm for arm, _ in records]
    told = other_images_words(tmp_path, arms, [0])
    assert "and on as many: random-predictors in 1 of 1 training seeds. The images" in told
    assert other_images_words(tmp_path, ["network", "no-error", "input-blur"], [0]) == ""
