"""The command that uses what was trained or tuned, as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import check_source, open_source
from pcbench.errors import PcbenchError
from pcbench.models.facts import ModelFacts
from pcbench.models.loading import model_facts
from pcbench.options import command_line
from pcbench.training.options import OF_SUITE, TrainOptions, TuneOptions, data_of, file_of
from pcbench.training.request import DIGITS

_IMAGES = 500
"""A command measures at most so many, so that it does not take hours."""
_KEPT = ("configuration", "timesteps", "backbone_weights", "weights", "random_predictors", "crop")


def command_with_tuned(options: TuneOptions, tuned: ImageSource, facts: ModelFacts) -> str:
    """Return the command that measures a network with the configuration that a tuning wrote.

    Args:
        options: Of the tuning.
        tuned: The images that it decided on; where there are no others, these are measured, and the tables marked.
        facts: What is known of the network.
    """
    data = data_of(options)
    own: dict[str, Any] = {"configuration": str(file_of(options))}
    source = _measurable(data, facts)
    rest = 0 if source is None else len(source) - (len(tuned) if source.name == tuned.name else 0)
    if data != DIGITS:
        own |= {"leave_out": "tuned"} if rest > 0 else {"allow_tuned_images": True}
    _, _, suite = options["objective"].partition(OF_SUITE)
    own["suites"] = [suite or "gaussian-noise"]
    return _command(options, data, own, facts, images=None if source is None else rest or len(source))


def command_with_trained(options: TrainOptions, weights: Path, *, predictive: bool) -> str:
    """Return the command that measures a network with what a training wrote.

    Images without labels, or with others than the network's, it extracts.

    Args:
        options: Of the training.
        weights: The file of weights.
        predictive: Whether the network has predictors.
    """
    data = data_of(options)
    own: dict[str, Any] = {"weights" if predictive else "backbone_weights": str(weights)}
    given: Any = {name: options.get(name) for name in ("backbone_weights", "configuration")} | own
    facts = model_facts(options["model"], **given)
    source = _measurable(data, facts)
    return _command(options, data, own, facts, images=None if source is None else len(source))


def _measurable(data: str, facts: ModelFacts) -> ImageSource | None:
    """Return the images that a run measures; None where their labels are not the network's, or cannot be opened."""
    try:
        source = open_source(data, preprocessing=Preprocessing(), split="test")
        check_source(source, classes=facts.classes, class_names=facts.class_names)
    except PcbenchError:
        return None
    return None if (source.labels < 0).any() else source


def _command(
    options: TrainOptions | TuneOptions, data: str, own: dict[str, Any], facts: ModelFacts, *, images: int | None
) -> str:
    from pcbench.harness.extraction.options import ExtractOptions
    from pcbench.harness.request import RunOptions

    given: dict[str, Any] = {name: options.get(name) for name in _KEPT}
    values = {"model": options["model"], **{name: value for name, value in given.items() if value is not None}, **own}
    if options["resize"] is not True:
        values["resize"] = options["resize"]
    if data != facts.default_data:
        values["data"] = data
    if images is None:
        return command_line(ExtractOptions, {**values, "images": 1}, verb="extract")
    if data != DIGITS:
        values["images"] = min(_IMAGES, images)
    return command_line(RunOptions, {"suites": ["gaussian-noise"], **values}, verb="run")
