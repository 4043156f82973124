"""The steps of a study: which trainings, tunings and runs its arms need, each an ordinary command with its options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pcbench.models.zoo import zoo_entry, zoo_names
from pcbench.studies.arms import ARMS, BLUR, NETWORK, PLAIN_NETWORK, run_name
from pcbench.studies.options import Given
from pcbench.studies.study_file import StudyFile, SuiteTable

StepKind = Literal["train", "levels", "configure", "tune", "blur", "time", "run"]
TRAINED, TUNED, RUNS = "trained", "tuned", "runs"
"""The folders of a study: trainings, configurations, runs."""
TIMED = "image_times.json"
"""The file of the times of an image."""
FOUND_LEVELS = f"{TUNED}/noise_levels.json"
"""The file of the levels of noise that all arms of all seeds are tuned for, where the study names none."""
_NAMES: Mapping[StepKind, str] = {"time": TIMED, "levels": FOUND_LEVELS}
"""Steps of which a study has one."""
_PLACES = ("out", "data", "backbone_weights", "workers", "report")
"""Options that say where things lie or how they are computed; each training, tuning and run keeps hashes of them."""


@dataclass(frozen=True)
class Step:
    """One step."""

    kind: StepKind
    arm: str
    seed: int | None
    """The training seed; None where the step does not depend on one."""
    options: Mapping[str, Any]
    """Of `pcbench train`, `tune` or `run`; of the others see `pcbench.studies.work`."""
    suite: str | None = None
    """Of a run."""

    @property
    def name(self) -> str:
        """What it is called, and where in the study's folder its result lies."""
        if self.kind == "train":
            return _trained(self.arm, self.seed)
        if self.kind in _NAMES:
            return _NAMES[self.kind]
        named = run_name(self.arm, self.seed)
        if self.kind == "run":
            return f"{RUNS}/{self.suite}/{named}"
        return f"{TUNED}/{named}{'-start' if self.kind == 'configure' else ''}.toml"

    @property
    def cost(self) -> tuple[str, str | None, bool]:
        """What steps of about the same cost share: their kind, their suite, and whether they answer at t = 0 alone."""
        return self.kind, self.suite, self.options.get("timesteps") == 0

    def sha256(self, given: Given) -> str:
        """Return a hash of what decides its result, wherever the study's files lie."""
        plain = json.dumps(
            _without_places(self.options),
            sort_keys=True,
            default=lambda value: str(value).replace(str(given.out), "<out>"),
        )
        return hashlib.sha256(f"{self.name} {plain}".encode()).hexdigest()


def _without_places(options: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in options.items() if name not in _PLACES}
    nested = {"arms": {arm: _without_places(one) for arm, one in kept["arms"].items()}} if "arms" in kept else {}
    return {**kept, **nested}


def steps_of(study: StudyFile, given: Given) -> list[Step]:
    """Return all steps in an order in which each finds what it needs: seed by seed, so that early results are whole."""
    steps: list[Step] = []
    for seed in study.table.training_seeds:
        steps += _of_seed(study, given, seed)
    for suite in study.table.suites:
        if "deeper" in study.arms_of(suite):
            steps.append(_run(study, given, "deeper", None, suite, _deeper(study, given)))
    if BLUR in study.table.arms:
        steps += _curve(study, given)
    return steps


def curve_arm(width: float) -> str:
    """Return what a point of the curve of input blurs is called among the runs."""
    return f"blur-{width:g}"


def curve_suites(study: StudyFile) -> list[SuiteTable]:
    """Return the suites on which the curve of input blurs is measured: those of questions about accuracy."""
    asked = {question.suite for question in study.table.questions if question.measure == "accuracy"}
    return [suite for suite in study.table.suites if suite.name in asked and BLUR in study.arms_of(suite)]


def _curve(study: StudyFile, given: Given) -> Iterator[Step]:
    for width in study.table.of_arm(BLUR).widths:
        control = {"kind": BLUR, "width": width}
        configured = Step("configure", curve_arm(width), None, {"model": study.table.model, "control": control})
        yield configured
        own = {**_model(study, given), "configuration": given.out / configured.name, "timesteps": 0}
        for suite in curve_suites(study):
            if study.has_run(suite, curve_arm(width), None):
                yield _run(study, given, curve_arm(width), None, suite, own)


def measured_arms(study: StudyFile) -> list[str]:
    """Return the arms that have runs of their own: the feedforward network is the network's own run at t = 0."""
    return [name for name in study.table.arms if name != PLAIN_NETWORK]


def _of_seed(study: StudyFile, given: Given, seed: int) -> Iterator[Step]:
    names = [name for name in measured_arms(study) if name != "deeper" and seed in study.seeds_of_arm(name)]
    if any(ARMS[name].trained and not ARMS[name].denoising for name in names):
        yield Step("train", NETWORK, seed, _training(study, given, NETWORK, seed))
    for name in names:
        if ARMS[name].denoising:
            yield Step("train", name, seed, _training(study, given, name, seed))
    if _finds_levels(study) and seed == study.table.training_seeds[0]:
        yield Step("levels", NETWORK, seed, _asked_of_tuning(study, given, NETWORK, seed))
    for name in names:
        yield from _preparing(study, given, name, seed)
    if seed == study.table.training_seeds[0]:
        yield _timing(study, given, seed)
    for suite in study.table.suites:
        for name in names:
            if name in study.arms_of(suite) and seed in study.seeds_of(suite, name):
                yield _run(study, given, name, seed, suite, _measured(study, given, name, seed))


def _preparing(study: StudyFile, given: Given, name: str, seed: int) -> Iterator[Step]:
    arm = ARMS[name]
    configured = Step("configure", name, seed, _configuring(study, name, seed))
    if configured.options:
        yield configured
    if arm.control == BLUR:
        widths = study.table.of_arm(name).widths
        yield Step("blur", name, seed, {**_tuning(study, given, name, seed), "widths": widths})
    elif arm.tuned:
        start = {"configuration": given.out / configured.name} if configured.options else {}
        yield Step("tune", name, seed, {**_tuning(study, given, name, seed), **start})


def _timing(study: StudyFile, given: Given, seed: int) -> Step:
    """Return how the arms are timed, as they are for one seed: their times do not depend on it."""
    arms: dict[str, dict[str, Any]] = {}
    for name in (name for name in study.table.arms if name == "deeper" or study.seeds_of_arm(name)):
        if name == PLAIN_NETWORK:
            arms[name] = {**_measured(study, given, NETWORK, seed), "timesteps": 0}
        else:
            arms[name] = _deeper(study, given) if name == "deeper" else _measured(study, given, name, seed)
    return Step("time", "all", None, {"arms": arms, "data": given.data or study.table.data})


def _configuring(study: StudyFile, name: str, seed: int) -> dict[str, Any]:
    """Return what an arm's configuration begins with, where that is not the model's own."""
    control = ARMS[name].control
    if name == "paper":
        return {"model": study.table.model, "paper": True}
    if control is None or control == BLUR:
        return {}
    changes = {"seed": seed} if control == "misplaced-feedback" else {"width": study.table.of_arm(name).width}
    return {"model": study.table.model, "control": {"kind": control, **changes}}


def _model(study: StudyFile, given: Given) -> dict[str, Any]:
    """Return the model and its backbone, which is one and the same for all seeds."""
    name, weights = study.table.model, given.backbone_weights
    if weights is None and name in zoo_names():
        entry = zoo_entry(name)
        weights = entry.weights_path if entry.trained_on_backbone is None else None
    return {"model": name, **({} if weights is None else {"backbone_weights": weights})}


def _training(study: StudyFile, given: Given, name: str, seed: int) -> dict[str, Any]:
    asked = {key: value for key, value in study.table.training.model_dump().items() if value is not None}
    noisy = {"noise": study.table.of_arm(name).noise, "noise_target": "clean"} if ARMS[name].denoising else {}
    place = {"data": given.training_data or given.data or study.table.data, "out": given.out / _trained(name, seed)}
    return {**_model(study, given), **asked, **noisy, **place, "seed": seed}


def _trained(name: str, seed: int | None) -> str:
    """Return the folder of a training, which the arms with the network's predictors share."""
    return f"{TRAINED}/{run_name(name, seed) if ARMS[name].denoising else f'seed-{seed}'}"


def predictors_file(study: StudyFile, name: str, seed: int) -> str:
    """Return where in the study's folder the trained predictors of an arm lie."""
    return f"{_trained(name, seed)}/{study.table.model.replace(':', '-')}.safetensors"


def _predictors(study: StudyFile, given: Given, name: str, seed: int) -> dict[str, Any]:
    arm = ARMS[name]
    if arm.random or arm.control == BLUR:  # before the plain network predictors change nothing
        return {"random_predictors": seed}
    return {"weights": given.out / predictors_file(study, name, seed)} if arm.trained else {}


def _finds_levels(study: StudyFile) -> bool:
    """Return whether the levels of noise are found, once for all arms and seeds: what they reach is compared."""
    return study.table.tuning.objective == "noise" and study.table.tuning.noise is None


def _tuning(study: StudyFile, given: Given, name: str, seed: int) -> dict[str, Any]:
    """Return how an arm is tuned; `noise` is the file of the levels where the study names none."""
    asked, options = study.table.tuning, _asked_of_tuning(study, given, name, seed)
    if options["objective"] != "noise":
        return options
    if _finds_levels(study):
        return {**options, "noise": given.out / FOUND_LEVELS}
    return options if asked.noise is None else {**options, "noise": asked.noise}


def _asked_of_tuning(study: StudyFile, given: Given, name: str, seed: int) -> dict[str, Any]:
    arm, asked = ARMS[name], study.table.tuning
    return {
        **_model(study, given),
        **_predictors(study, given, name, seed),
        **({} if asked.rounds is None else {"rounds": asked.rounds}),
        **({} if arm.without is None else {"without": arm.without}),
        "data": given.training_data or given.data or study.table.data,
        "objective": arm.objective or asked.objective,
        "images": asked.images,
        "timesteps": study.last_timestep(name),
        "effects": False,
        "seed": asked.seed + seed,
        "out": given.out / f"{TUNED}/{name}-seed-{seed}.toml",
    }


def _run(
    study: StudyFile, given: Given, name: str, seed: int | None, suite: SuiteTable, model: Mapping[str, Any]
) -> Step:
    made = {"out": given.out / Step("run", name, seed, {}, suite.label).name, "report": False, "workers": given.workers}
    images = {
        "data": given.data or study.table.data,
        "suites": (suite.name,),
        **_part(study, suite, timeless=model["timesteps"] == 0),
    }
    return Step("run", name, seed, {**model, **images, **made}, suite.label)


def _part(study: StudyFile, suite: SuiteTable, *, timeless: bool) -> dict[str, Any]:
    asked = suite.model_dump(include={"images", "severities", "epsilons"})
    standing = any(one.suite == suite.name and one.measure == "standing" for one in study.table.questions)
    attacked = suite.attacked_timesteps
    if attacked is None and standing:  # images made against a timestep that is named are scored at all of them
        attacked = tuple(range(study.table.timesteps + 1))
    if attacked is not None and timeless:
        attacked = (0,)
    return {key: value for key, value in {**asked, "attacked_timesteps": attacked}.items() if value is not None}


def _measured(study: StudyFile, given: Given, name: str, seed: int) -> dict[str, Any]:
    arm = ARMS[name]
    prepared = f"{TUNED}/{name}-seed-{seed}{'-start' if name == 'paper' else ''}.toml"
    return {
        **_model(study, given),
        **({} if arm.timeless else _predictors(study, given, name, seed)),
        "configuration": given.out / prepared,
        "timesteps": 0 if arm.timeless else study.last_timestep(name),
    }


def _deeper(study: StudyFile, given: Given) -> dict[str, Any]:
    model = study.table.of_arm("deeper").model
    return {
        "model": model,
        "timesteps": 0,
        **({} if given.deeper_weights is None else {"backbone_weights": given.deeper_weights}),
    }
