"""The verb `tune` as a whole, on a network of a few hundred weights.

Oracles: the feedforward point evaluated afresh; a network built so that nothing can help; the bytes of a tuning that
was not stopped; the hashes of the images' own files.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DataError, PcbenchError, UsageError
from pcbench.harness.finish import marking_of
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.network.configuration import read_configuration
from pcbench.network.update import Hyperparameters
from pcbench.options import resolved
from pcbench.training import descent, tuning, tuning_task
from pcbench.training.found import Tried, feedforward_point, score_of
from pcbench.training.hyperparameters import LEARNED, FreeHyperparameters, rounded
from pcbench.training.job import train_model
from pcbench.training.options import TrainOptions, TuneOptions
from pcbench.training.request import training_images
from pcbench.training.terms import TERMS, Term, term_of
from pcbench.training.tuning_images import fitted_ids, seen_before, validation_images
from pcbench.training.validation import Score

MODULE = """
import torch
from torch import nn

def backbone(fill=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        layers = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()]
        made = nn.Sequential(*layers, nn.Flatten(), nn.Linear(96, 2)).eval()
    made.mean, made.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    if fill is not None:
        made[5].bias.data.fill_(fill)
    return made

def certain():
    made = backbone()
    made[5].weight.data.zero_()
    made[5].bias.data.copy_(torch.tensor([0.0, 9.0]))
    return made

def broken():
    return backbone(float("nan"))
"""
CONFIGURATION = """
input_size = [3, 8, 8]
gradient_scaling = true
[[pcoders]]
module = "1"
[[pcoders]]
module = "3"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network, its configuration, and 16 images of two classes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "tuned_network.py").write_text(MODULE)
    (tmp_path / "two.toml").write_text(CONFIGURATION)
    generator = np.random.default_rng(1)
    for number in range(16):
        folder = tmp_path / "images" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    return tmp_path


def asked(**more: Any) -> TuneOptions:
    given = {
        "model": "two.toml@tuned_network:backbone",
        "data": "imagefolder:images",
        "random_predictors": 0,
        "noise": (0, 0.5),
        "timesteps": 2,
        "rounds": 3,
        "out": "tuned.toml",
        **more,
    }
    return resolved(TuneOptions, given)


def test_a_tuning_is_never_worse_than_feedforward_and_names_its_images(place: Path) -> None:
    told: list[tuple[int, int, float]] = []

    def watch(done: int, total: int, best: float) -> None:
        told.append((done, total, best))

    tuned = tuning.tune_model(asked(), watch)
    assert told[-1][0] == told[-1][1]
    assert tuned.feedforward is not None
    assert tuned.score.value >= tuned.feedforward.value == pytest.approx(tuned.score.start)
    assert len(tuned.effects) == len(TERMS)
    assert max(one.value for one in tuned.effects.values()) <= tuned.score.value
    configuration = read_configuration(place / "tuned.toml")
    assert configuration.hyperparameters == tuned.hyperparameters
    expected = {hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in place.glob("images/*/*.png")}
    assert set(configuration.table.tuned_on) == expected
    record = json.loads((place / "tuned.tuning.json").read_text())
    assert set(record["result"]["image_hashes"].values()) == expected
    assert record["result"]["objective"] == tuned.score.value
    run = {"model": "two.toml@tuned_network:backbone", "configuration": "tuned.toml", "random_predictors": 0}
    run |= {"data": "imagefolder:images", "suites": ["gaussian-noise"]}
    with pytest.raises(UsageError, match=r"were tuned on 16 of the 16 images .* allow_tuned_images=True"):
        make_plan(request_from(run))
    allowed = make_plan(request_from({**run, "allow_tuned_images": True}))
    assert allowed.notes[-1].startswith("TUNED ON THESE IMAGES")
    assert marking_of(allowed).tuned  # which marks every row of the tables
    with pytest.raises(DataError, match="holds no images"):
        make_plan(request_from({**run, "leave_out": "tuned"}))


def test_a_tuning_that_is_stopped_goes_on_to_the_same_bytes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning.tune_model(asked(out="whole.toml"))
    stops = iter(range(9))

    def stopping(*arguments: Any) -> bool:
        if next(stops) == 5:
            raise KeyboardInterrupt
        return kept(*arguments)

    kept: Callable[..., bool] = descent.Descent._add_gradients  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(descent.Descent, "_add_gradients", stopping)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune_model(asked(out="part.toml"))
    monkeypatch.setattr(descent.Descent, "_add_gradients", kept)
    held = json.loads((place / "part.tuning.json").read_text())
    assert held["result"] is None
    scored: list[Any] = []
    evaluate: Callable[..., Score] = descent.evaluate

    def watched(*given: Any) -> Score:
        scored.append(given)
        return evaluate(*given)

    monkeypatch.setattr(tuning_task, "evaluate", watched)
    tuning.tune_model(asked(out="part.toml"))
    assert held["stages"]["from the best start"]["state"]["step"] == 1  # it is stopped in the second of three
    assert (place / "part.toml").read_bytes() == (place / "whole.toml").read_bytes()
    assert not [one for one in scored if one[2] == feedforward_point(2)]  # it was written down


def test_a_failed_tuning_is_named_and_gives_the_feedforward_point(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Built so: all that is tried counts as always wrong at T.
    def backwards(found: Iterable[Tried], _: str) -> list[Tried]:
        worst = Score(((1.0, 0.0, 0.0),), 0, ((1.0, 9.0, 9.0),))
        return [Tried(one.hyperparameters, worst) for one in found]

    monkeypatch.setattr(tuning, "ranked", backwards)
    tuned = tuning.tune_model(asked(noise=(0,), effects=False))
    assert tuned.failed
    assert tuned.hyperparameters == feedforward_point(2)
    assert "FAILED TUNING" in (place / "tuned.toml").read_text()


@pytest.mark.parametrize("method", ["gradient", "search"])
@pytest.mark.parametrize("weight", ["feedback", "error_weight"])
def test_a_control_without_a_term_is_tuned_like_the_network(weight: str, method: str, place: Path) -> None:
    # Oracle: the definition: the weight is 0 in all that was tried, and the others were moved.
    tuned = tuning.tune_model(asked(without=weight, method=method, rounds=4, effects=False))
    assert all(getattr(entry, weight) == 0 for entry in tuned.hyperparameters)
    course = json.loads((place / "tuned.tuning.json").read_text())
    column = LEARNED.index(weight)
    tried = [one["hyperparameters"] for stage in course["stages"].values() for one in stage["tried"]]
    if method == "gradient":  # the search's proposals are kept as Optuna made them, and scored without the term
        assert all(entry[column] == 0 for entries in tried for entry in entries)
    assert len({json.dumps(entries) for entries in tried}) > 3
    term = term_of(weight)
    assert term is not None
    assert f"without {term.title}, as a control" in (place / "tuned.toml").read_text()


@pytest.mark.parametrize("term", TERMS, ids=[term.title for term in TERMS])
def test_a_term_that_is_taken_out_stays_out(term: Term) -> None:
    # Oracle: the definition: the weight that the term has in each PCoder, however far the others are moved.
    start = (Hyperparameters(0.5, 0.2, 0.1), Hyperparameters(0.6, 0.0, 0.2))
    without = term.taken_from(start)
    learn = [name for name in ("feedforward", "feedback", "error_weight") if name != term.learned]
    free = FreeHyperparameters(without, learn, memory=term.learned is not None)
    free.shares.data += 2.0
    free.shares.data[:, 1] -= 1.5
    for entries in (without, rounded(free())):
        for one in entries:
            memory = 1 - one.feedforward - one.feedback
            assert (memory if term.learned is None else getattr(one, term.learned)) == pytest.approx(0, abs=1e-4)
            assert min(one.feedforward, one.feedback, one.error_weight, memory) >= -1e-9


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"model": "two.toml@tuned_network:broken"}, r"at t = 0 is no finite number; check the weights"),
        ({"data": "imagefolder:images/a"}, "no images|one class|folder"),
        ({"data": "imagefolder:one", "images": 2}, "all 2 images are of one class"),
        (
            {"model": "two.toml@tuned_network:certain", "data": "imagefolder:one", "noise": None},
            "at no noise level is t = 0 right on 20 to 90 %",
        ),
        ({"configuration": "other.toml"}, r"PCoder 1 \(9\): the backbone has no such module"),
        ({"out": "images.toml"}, "images.toml: is a folder"),
        ({"without": "feedback", "learn": ["feedback"]}, "`learn` names feedback, which `without` keeps at 0"),
        ({"without": "memory"}, "`memory`|memory"),
        ({"data": "imagefolder:images/a", "images": 1}, "holds no folders"),
        ({"data": "imagefolder:nothing"}, "nothing/a: holds no images"),
    ],
)
def test_wrong_input_is_one_line(more: dict[str, Any], problem: str, place: Path) -> None:
    (place / "other.toml").write_text(CONFIGURATION.replace('"1"', '"9"'))
    for path in (place / "images" / "a").iterdir():
        made = place / "one" / ("b" if path.name == "0.png" else "a") / path.name
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(path.read_bytes())
    (place / "images.toml").mkdir()
    (place / "nothing" / "a").mkdir(parents=True)
    with pytest.raises(PcbenchError, match=problem) as refused:
        tuning.tune_model(asked(**more))
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)


def test_scores_of_former_versions_are_read() -> None:
    found = score_of({"accuracies": [[0.5, 0.6]], "diverged": 0})  # before cross-entropies were kept
    assert (found.value, found.start, found.cross_entropies) == (0.6, 0.5, ())


def test_images_that_the_predictors_were_fitted_on_are_left_out(place: Path) -> None:
    # Oracle: the training's own choice of images.
    model = "two.toml@tuned_network:backbone"
    given = {"model": model, "data": "imagefolder:images", "images": 9, "seed": 3, "out": "trained"}
    trained = train_model(resolved(TrainOptions, given))
    options = asked(weights=str(trained.weights), random_predictors=None)
    fitted = fitted_ids(options, "imagefolder:images")
    assert fitted == set(training_images(resolved(TrainOptions, given)).ids)
    assert fitted_ids(asked(weights="trained", random_predictors=None), "imagefolder:images") == fitted  # the folder
    assert len(fitted) == 9
    chosen = validation_images("imagefolder:images", 1000, 0, preprocessing=Preprocessing(), fitted=fitted)
    assert not fitted.intersection(chosen.ids)
    assert len(chosen) == 7
    assert "the predictors were not fitted on them" in seen_before(options, "imagefolder:images", chosen, fitted)
    assert fitted_ids(asked(), "imagefolder:images") == frozenset()
    assert (place / "trained").is_dir()


def test_a_stopped_tuning_is_not_overwritten_by_another(place: Path) -> None:
    tuning.tune_model(asked(effects=False))
    course = place / "tuned.tuning.json"
    held = json.loads(course.read_text())
    course.write_text(json.dumps({**held, "result": None}))
    with pytest.raises(UsageError, match=r"is of another tuning, which was stopped \(seed was 0, now 1\)"):
        tuning.tune_model(asked(effects=False, seed=1))
    course.write_text(json.dumps(held))
    tuning.tune_model(asked(effects=False, seed=1))  # of one that is done nothing is lost
    assert json.loads(course.read_text())["identity"]["seed"] == 1


def test_the_command_at_the_end_measures_what_is_left(place: Path) -> None:
    # Oracle: the command, planned as it stands: all images were tuned on, or all but four.
    for more, rest, way in (({}, "16", "--allow-tuned-images"), ({"images": 12}, "4", "--leave-out")):
        options = asked(effects=False, rounds=1, **more)
        tuning.tune_model(options)
        words = shlex.split(tuning.outcome(options).command)
        assert words[words.index("--images") + 1] == rest
        assert {"--allow-tuned-images", "--leave-out"}.intersection(words) == {way}
    assert (place / "tuned.toml").is_file()
