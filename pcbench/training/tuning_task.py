"""A tuning under way: the network, the images and conditions, how it goes, and how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pcbench.data.image_hashes import image_hashes
from pcbench.data.image_source import ImageSource
from pcbench.errors import ConfigurationError
from pcbench.files import try_folder
from pcbench.models.loading import load
from pcbench.models.model import Model
from pcbench.network.network import PredictiveNetwork
from pcbench.network.update import Hyperparameters
from pcbench.training.course import Course
from pcbench.training.descent import Descent, DescentSettings
from pcbench.training.found import Tried, feedforward_point
from pcbench.training.hyperparameters import LEARNED
from pcbench.training.options import TuneOptions, data_of, file_of
from pcbench.training.terms import Term, term_of, tuned_terms
from pcbench.training.tuning_images import (
    accuracy_at_0,
    conditions_of,
    fitted_ids,
    found_levels,
    seen_before,
    validation_images,
)
from pcbench.training.validation import Score, Validation, ValidationInputs, evaluate, prepared

TuningReport = Callable[[int, int, float], None]
"""Called with the work that is done, all of it, and the best score so far."""

_STEPS, _TRIALS = 60, 24
_SHARE = 4
"""Each start, and each term, gets this part of the steps; the best start then gets all of them."""
_MOST_PAIRS = 1500
"""An evaluation takes about as many pairs of an image and a condition."""
_PAPER = (0.8, 0.1, 0.01)
_BACKWARD = 3
"""What a pair costs in a step of the gradient, where it costs 1 in an evaluation."""
_SMALL = 64
_FEW = 100
"""Of so many images an accuracy's 95 % interval is ten points wide either way."""

logger = logging.getLogger("pcbench")


@dataclass
class TuningTask:
    """A tuning under way."""

    options: TuneOptions
    model: Model
    network: PredictiveNetwork
    validation: Validation
    seen: str
    """What has seen the images before."""
    hashes: tuple[str, ...]
    """Of the images."""
    inputs: ValidationInputs
    course: Course
    settings: DescentSettings
    by_gradient: bool
    report: TuningReport | None
    best: float = 0.0
    done: int = 0
    total: int = 1
    begun: float = field(default_factory=time.monotonic)

    @property
    def pairs(self) -> int:
        """How many pairs of an image and a condition an evaluation takes."""
        return len(self.validation.pairs)

    @property
    def step_work(self) -> int:
        """What a step of the gradient costs, in pairs that are answered once."""
        return min(self.settings.minibatch or self.pairs, self.pairs) * _BACKWARD

    @property
    def starts(self) -> dict[str, tuple[Hyperparameters, ...]]:
        """What is started from: β, λ, α of the network itself, the feedforward point, and the paper's."""
        own, count = self.network.hyperparameters, len(self.network.predictors)
        fed = self.network.targets.feedback
        paper = tuple(Hyperparameters(_PAPER[0], 0.0 if above is None else _PAPER[1], _PAPER[2]) for above in fed)
        starts = {"own": own, "feedforward": feedforward_point(count), "paper": paper}
        if self.without is not None:
            starts = {name: self.without.taken_from(entries) for name, entries in starts.items()}
            own = starts["own"]
        return {name: entries for name, entries in starts.items() if name != "paper" or entries != own}

    @property
    def without(self) -> Term | None:
        """The term that stays 0."""
        return term_of(self.options["without"])

    def score(self, entries: Sequence[Hyperparameters]) -> Score:
        """Return the score of hyperparameters on all images and conditions."""
        return evaluate(self.network, self.validation, entries, self.inputs)

    def settings_of(self, steps: int, **other: Any) -> DescentSettings:
        """Return how a descent of so many steps goes, which is scored at its end."""
        return replace(self.settings, **{"steps": steps, "every": steps, **other})

    def part(self, steps: int) -> int:
        """Return how many steps, or trials, a start or a term gets."""
        return max(steps // _SHARE, 1)

    def worked(self, what: str, amount: int, one: Tried | None) -> None:
        """Count work, and tell of what was scored."""
        self.done = min(self.done + amount, self.total)
        if one is not None:
            self.best = max(self.best, one.score.value)
            seconds = (time.monotonic() - self.begun) * (self.total - self.done) / max(self.done, 1)
            result = "diverges" if one.score.diverged else f"accuracy at T {one.score.value:.4f}"
            loss = "" if one.score.diverged else f", cross-entropy {one.score.final_loss:.4f}"
            logger.info("%s: %s%s; about %.0f min left", what, result, loss, seconds / 60)
        if self.report is not None:
            self.report(self.done, self.total, self.best)


def course_of(options: TuneOptions) -> Path:
    """Return the file that holds the course of a tuning."""
    return file_of(options).with_suffix(".tuning.json")


def begin_tuning(options: TuneOptions, report: TuningReport | None) -> TuningTask:
    """Load what is tuned, choose images and conditions, and open the course, which may be that of a stopped tuning.

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
    """
    out = file_of(options)
    model, network, source, fitted = _subject(options)
    try_folder(out.parent, "give another with `out`")
    if len(source) < _FEW:
        logger.warning("tuned on %d images: of fewer than %d an accuracy says little; give more", len(source), _FEW)
    size = 100 if max(source.size()) <= _SMALL else 16
    Validation(source, model.timesteps, (0,))  # labels and T are refused before answers are asked for
    channels = model.preprocessing.of_size(options["resize"], options["crop"]).channels
    conditions = conditions_of(options, network, source, channels)
    accuracy_at_0(network, source.take(1), conditions[0], options["seed"])
    stride = max(1, -(-len(source) * len(conditions) // _MOST_PAIRS))
    stride = min(stride, len(source))
    validation = Validation(source, model.timesteps, conditions, options["seed"], size, stride)
    inputs, seen = prepared(network, validation), seen_before(options, data_of(options), source, fitted)
    settings = _settings(options)
    by_gradient = options["method"] == "gradient" or (
        options["method"] is None and _has_gradient(network, validation, settings)
    )
    rounds = options["rounds"] or (_STEPS if by_gradient else _TRIALS)
    settings = replace(settings, steps=rounds)
    hashes = image_hashes(source.digests())
    identity = _identity(options, model, validation, settings, by_gradient=by_gradient)
    course = Course(course_of(options), identity)
    if course.resumed:
        logger.info("goes on with %s", course.path)
    task = TuningTask(options, model, network, validation, seen, hashes, inputs, course, settings, by_gradient, report)
    task.total = _work(task)
    return task


def levels_for_tuning(options: TuneOptions) -> tuple[float, ...]:
    """Return the levels of noise that a tuning finds where it is given none: by the answers at t = 0 on its images.

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or no level fits.
    """
    _, network, source, _ = _subject(options)
    return found_levels(network, source, options["seed"])


def _subject(options: TuneOptions) -> tuple[Model, PredictiveNetwork, ImageSource, frozenset[str]]:
    """Return what is tuned, the images that decide, and the ids of those that its predictors were fitted on."""
    data = data_of(options)
    model = load(
        options["model"],
        timesteps=options["timesteps"],
        backbone_weights=options["backbone_weights"],
        configuration=options["configuration"],
        weights=options["weights"],
        random_predictors=options["random_predictors"],
    )
    network = model.network
    if network is None:
        raise ConfigurationError(f"{options['model']} is feedforward, without hyperparameters to tune")
    steps = model.preprocessing.of_size(options["resize"], options["crop"])
    fitted = fitted_ids(options, data)
    source = validation_images(
        data, options["images"], options["seed"], preprocessing=steps, facts=model, fitted=fitted
    )
    return model, network, source, fitted


def _settings(options: TuneOptions) -> DescentSettings:
    learn = LEARNED if options["learn"] is None else tuple(options["learn"])
    settings = DescentSettings(
        learning_rate=0.1 if options["learning_rate"] is None else options["learning_rate"],
        loss=options["loss"] or "last",
        learn=tuple(name for name in learn if name != options["without"]),
        minibatch=options["batch_size"],
        seed=options["seed"],
    )
    settings.check()
    return settings


def _identity(
    options: TuneOptions, model: Model, validation: Validation, settings: DescentSettings, *, by_gradient: bool
) -> Mapping[str, Any]:
    """Return what the file of a course must be of for a tuning to go on with it."""
    return {
        **({} if options["without"] is None else {"without": options["without"]}),
        "model": dict(model.description),
        "images": validation.source.fingerprint(),
        "conditions": validation.titles,
        "timesteps": validation.timesteps,
        "stride": validation.stride,
        "seed": options["seed"],
        "effects": options["effects"],
        "method": vars(settings) if by_gradient else settings.steps,
    }


def _has_gradient(network: PredictiveNetwork, validation: Validation, settings: DescentSettings) -> bool:
    """Return whether the answers have a gradient with respect to β, λ and α that is a finite number."""
    count = len(network.predictors)
    start = [Hyperparameters(0.3, 0.0 if above is None else 0.3, 0.01) for above in network.targets.feedback]
    few = Validation(validation.source.take(1), validation.timesteps, (0,))
    descent = Descent(network, few, prepared(network, few), start[:count], settings)
    try:
        went = next(descent.run(), None) is not None or descent.step > 0
    except RuntimeError:  # PyTorch's, where nothing that was computed has a gradient
        went = False
    moved = [one.grad for one in descent.free.parameters() if one.grad is not None]
    differentiable = went and any(bool((one != 0).any()) for one in moved)
    if not differentiable:
        logger.info("the network has no gradient with respect to β, λ and α: they are searched for")
    return differentiable


def _work(task: TuningTask) -> int:
    """Return all work of a tuning, in pairs that are answered once."""
    pairs, steps, terms = task.pairs, task.settings.steps, len(terms_of(task))
    points, part = (len(task.starts) + terms) * pairs, task.part(steps)
    if not task.by_gradient:
        return points + (steps + terms * part) * pairs
    stages = (len(task.starts) + terms) * (part * task.step_work + pairs)
    return points + stages + steps * task.step_work + _SHARE * pairs


def terms_of(task: TuningTask) -> list[tuple[Term, tuple[str, ...]]]:
    """Return the terms whose effects are asked for, with what is learned without each."""
    if not task.options["effects"]:
        return []
    return list(tuned_terms(task.settings.learn, task.network.targets.feedback))
