"""The images and conditions that a tuning decides on."""

from __future__ import annotations

import itertools
import logging
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import check_source, open_source
from pcbench.errors import DataError, PcbenchError, UsageError
from pcbench.models.facts import ModelFacts
from pcbench.models.training_notes import training_header
from pcbench.models.zoo import zoo_entry, zoo_names
from pcbench.network.network import PredictiveNetwork
from pcbench.options import declared, resolved
from pcbench.percent import percent
from pcbench.training.conditions import CLEAN_IMAGES, TuningCondition, noise_conditions, suite_conditions
from pcbench.training.options import OF_SUITE, TrainOptions, TuneOptions, refuse_unknown_objective
from pcbench.training.request import training_images

LADDER = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""The standard deviations on e_0 among which levels are found where none are named."""
LOWEST, HIGHEST = 0.2, 0.9
"""Between which the accuracy at t = 0 lies at the levels that are found."""
_MOST_LEVELS = 4
_LOOKED_AT = 500
_TRAINED_ON = ("images", "held_out", "seed", "images_seed")

logger = logging.getLogger("pcbench")


def validation_images(
    data: str,
    images: int,
    seed: int,
    *,
    preprocessing: Preprocessing,
    facts: ModelFacts | None = None,
    fitted: frozenset[str] = frozenset(),
) -> ImageSource:
    """Return the images that decide: the validation split of the digits, a part of any other source's training images.

    Args:
        data: A data source.
        images: How many at most.
        seed: Another seed is another part.
        preprocessing: The model's preprocessing.
        facts: The model that the labels must belong to; None asks for no such check.
        fitted: Ids of the images that the predictors were fitted on, which are left out if others are left.

    Raises:
        DataError: There are no images, or they are damaged, or labels are not the model's.
        UsageError: All are of one class.
    """
    if data == "digits":
        return open_source(data, preprocessing=preprocessing, split="validation")
    source = _training_split(data, preprocessing)
    if facts is not None:
        source = check_source(source, classes=facts.classes, class_names=facts.class_names)
    rest = [index for index, name in enumerate(source.ids) if name not in fitted]
    if fitted and rest and len(rest) < len(source):
        source = source.select(np.array(rest), f"{len(rest)} images that the predictors were not fitted on")
    chosen = source.take(min(images, len(source)), seed)
    if len(np.unique(chosen.labels)) < 2 and len(chosen) > 1:
        raise UsageError(
            f"{source.name}: all {len(chosen)} images are of one class; tuning asks which answers are right: give "
            "images of several classes"
        )
    return chosen


def _training_split(data: str, preprocessing: Preprocessing) -> ImageSource:
    try:
        return open_source(data, preprocessing=preprocessing, split="train")
    except DataError:
        # A source without such a split says what is wrong with it, if anything else is.
        return open_source(data, preprocessing=preprocessing, split="test")


def fitted_ids(options: TuneOptions, data: str) -> frozenset[str]:
    """Return the ids of the images that given predictors were fitted on; none where their file does not say.

    Their file holds the command that made them, and a hash of the images: these are chosen again by the command, and
    count if their hash is that one.
    """
    path = options["weights"] or _shipped_weights(options["model"])
    metadata: Mapping[str, Any] = {} if path is None else training_header(Path(path))
    command, fingerprint = metadata.get("made_by"), metadata.get("data_fingerprint")
    if not isinstance(command, str) or fingerprint is None or data == "digits":
        return frozenset()
    named = {name: options.get(name) for name in ("model", "resize", "crop", "backbone_weights", "configuration")}
    try:
        again = resolved(TrainOptions, {**_spoken(command), **named, "data": data})
        source = training_images(again)
        same = source.fingerprint() == fingerprint
    except PcbenchError:
        return frozenset()
    return frozenset(source.ids) if same else frozenset()


def _shipped_weights(model: str) -> Path | None:
    return zoo_entry(model).weights_path if model in zoo_names() else None


def _spoken(command: str) -> dict[str, Any]:
    """Return the options of a command that decide which images are trained on."""
    words, known = shlex.split(command), declared(TrainOptions)
    flags = {known[name].flag: name for name in _TRAINED_ON if name in known}
    return {flags[word]: value for word, value in itertools.pairwise(words) if word in flags}


def seen_before(options: TuneOptions, data: str, source: ImageSource, fitted: frozenset[str]) -> str:
    """Return, for tables, what has seen the images of a tuning before."""
    if data == "digits":
        return "Neither the backbone nor the predictors have seen these images."
    shared = len(fitted.intersection(source.ids))
    predictors = (
        f"the predictors were fitted on {shared} of them" if shared else "the predictors were not fitted on them"
    )
    if not fitted and options["random_predictors"] is None:
        predictors = "nothing says what the predictors were fitted on"
    if options["random_predictors"] is not None:
        predictors = "the predictors are random"
    return f"The backbone has seen these images, where they are of its training set; {predictors}."


def conditions_of(
    options: TuneOptions, network: PredictiveNetwork, source: ImageSource, channels: int
) -> tuple[TuningCondition, ...]:
    """Return the conditions that are tuned for.

    Args:
        options: What is asked for; levels that are not named are found.
        network: The network, whose answers at t = 0 decide then.
        source: The images.
        channels: How many channels they have.

    Raises:
        UsageError: There is no such objective, or no level at which t = 0 is between `LOWEST` and `HIGHEST`.
    """
    objective, noise = options["objective"], options["noise"]
    if objective != "noise" and noise is not None:
        raise UsageError(
            f"`noise` names levels for objective='noise', not for objective={objective!r}: give one of both"
        )
    refuse_unknown_objective(options)
    if objective.startswith(OF_SUITE):
        return suite_conditions(objective.removeprefix(OF_SUITE), channels)
    if objective == "clean":
        return (CLEAN_IMAGES,)
    if noise is not None:
        return noise_conditions(noise)
    return noise_conditions(found_levels(network, source, options["seed"]))


def found_levels(network: PredictiveNetwork, source: ImageSource, seed: int) -> tuple[float, ...]:
    """Return the levels of noise, at most four of `LADDER`, at which t = 0 is between `LOWEST` and `HIGHEST`.

    Args:
        network: The network.
        source: The images, of which a part is answered.
        seed: Another one takes another part, and draws another noise.

    Raises:
        UsageError: There is no such level.
    """
    part = source.take(min(_LOOKED_AT, len(source)), seed)
    conditions = noise_conditions(LADDER)
    accuracies = [accuracy_at_0(network, part, condition, seed) for condition in conditions]
    fitting = [index for index, accuracy in enumerate(accuracies) if LOWEST <= accuracy <= HIGHEST]
    told = ", ".join(f"{LADDER[index]:g}: {percent(accuracy)} %" for index, accuracy in enumerate(accuracies))
    if not fitting:
        raise UsageError(
            f"at no noise level is t = 0 right on {percent(LOWEST, 0)} to {percent(HIGHEST, 0)} % of {part.name} "
            f"(standard deviation on e_0: accuracy; {told}): name levels with `noise`, or give objective='clean'"
        )
    if len(fitting) > _MOST_LEVELS:
        last = len(fitting) - 1
        fitting = [fitting[round(last * place / (_MOST_LEVELS - 1))] for place in range(_MOST_LEVELS)]
    levels = [LADDER[index] for index in fitting]
    logger.info("accuracy at t = 0 by standard deviation of noise on e_0: %s", told)
    logger.info("tuned for the noise levels %s", ", ".join(f"{level:g}" for level in levels))
    return tuple(levels)


def accuracy_at_0(network: PredictiveNetwork, source: ImageSource, condition: TuningCondition, seed: int) -> float:
    """Return the share of images that are answered rightly at t = 0.

    Raises:
        UsageError: An answer is no finite number.
    """
    hits = 0
    for batch in source.batches(100):
        inputs = condition.inputs(network, batch.images, batch.ids, seed)
        with torch.no_grad():
            logits = network.unroll_input(inputs, 0).logits[0]
        finite = logits.isfinite().all(1)
        if not bool(finite.all()):
            name = batch.ids[int((~finite).nonzero()[0])]
            raise UsageError(
                f"the network's answer to {name} ({condition.title}) at t = 0 is no finite number; check the "
                "weights of its backbone, and its mean and std"
            )
        hits += int((logits.argmax(1).cpu() == batch.labels).sum())
    return hits / len(source)
