"""The command that uses what was trained or tuned, as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import PcbenchError
from pcbench.options import command_line
from pcbench.training.options import TrainOptions, TuneOptions, data_of, file_of

_IMAGES = 500
"""A command measures at most so many, so that it does not take hours."""
_KEPT = ("configuration", "timesteps", "backbone_weights", "weights", "random_predictors", "crop")


def command_with_tuned(options: TuneOptions) -> str:
    """Return the command that measures a network with the configuration that a tuning wrote."""
    data = data_of(options)
    own: dict[str, Any] = {"configuration": str(file_of(options))}
    if data != "digits":
        own["leave_out"] = "tuned"
    _, _, suite = options["objective"].partition("suite:")
    own["suites"] = [suite or "gaussian-noise"]
    return _command(options, data, own, images=_images(data, options["images"]))


def command_with_trained(options: TrainOptions, weights: Path, configuration: Path | None, *, predictive: bool) -> str:
    """Return the command that measures a network with what a training wrote; of images without labels one extracts.

    Args:
        options: Of the training.
        weights: The file of weights.
        configuration: The tuned configuration, where there is one.
        predictive: Whether the network has predictors.
    """
    data = data_of(options)
    own: dict[str, Any] = {"weights" if predictive else "backbone_weights": str(weights)}
    if configuration is not None:
        own["configuration"] = str(configuration)
    return _command(options, data, own, images=_images(data, 0))


def _images(data: str, left_out: int) -> int | None:
    """Return how many images a command measures; None where they have no labels, or cannot be opened for a run."""
    try:
        source = open_source(data, preprocessing=Preprocessing(), split="test")
    except PcbenchError:
        return None
    rest = len(source) - left_out
    return None if (source.labels < 0).any() else max(1, min(_IMAGES, rest))


def _command(options: TrainOptions | TuneOptions, data: str, own: dict[str, Any], *, images: int | None) -> str:
    from pcbench.harness.extraction.options import ExtractOptions
    from pcbench.harness.request import RunOptions

    given: dict[str, Any] = {name: options.get(name) for name in _KEPT}
    values = {"model": options["model"], **{name: value for name, value in given.items() if value is not None}, **own}
    if options["resize"] is not True:
        values["resize"] = options["resize"]
    if data != "digits":
        values["data"] = data
    if images is None:
        return command_line(ExtractOptions, {**values, "images": 1}, verb="extract")
    if data != "digits":
        values["images"] = images
    return command_line(RunOptions, {"suites": ["gaussian-noise"], **values}, verb="run")
