"""`pcbench tune`: new hyperparameters for a trained network, and the configuration file that holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import ConfigurationError, UsageError
from pcbench.files import try_folder
from pcbench.models.loading import load
from pcbench.training.descent import descend
from pcbench.training.hyperparameters import write_configuration
from pcbench.training.search import Tuned, search
from pcbench.training.validation import CONDITIONS, Validation

Method = Literal["search", "gradient"]


@dataclass(frozen=True)
class TuningRequest:
    """What to tune, on which images, how."""

    model: str
    """A name of the zoo, or ``module:function`` of a predictive network."""
    data: str
    """A data source. `digits` has a validation split; of any other, `images` images are taken."""
    out: Path
    """The configuration file that is written."""
    method: Method = "search"
    """``"search"`` (Optuna) or ``"gradient"``."""
    rounds: int = 60
    """Trials of the search, or steps of the descent."""
    timesteps: int | None = None
    """T; None means the model's own."""
    conditions: tuple[int, ...] = CONDITIONS
    """0 for clean images, 1 to 5 for the severities of the suite `gaussian-noise`."""
    images: int = 1000
    """Size of the validation part of data without a validation split."""
    backbone_weights: Path | str | None = None
    """File of the backbone's weights, as for a run."""
    weights: Path | str | None = None
    """File of the predictors' weights, as for a run."""
    seed: int = 0
    """Seed of the noise, the proposals and the choice of validation images."""


def tune(request: TuningRequest, report: Callable[[int, int, float], None] | None = None) -> Tuned:
    """Choose hyperparameters on validation images and write a configuration file with them.

    Args:
        request: What to tune.
        report: Called with (done, all, best score so far).

    Raises:
        UsageError, DataError, WeightsError: The request is not possible, or files cannot be written there.
        DivergenceError: All trials diverged over t.
        WriteError: The file could not be written.
    """
    if request.method not in get_args(Method):
        raise UsageError(f"method {request.method!r} does not exist; known: {', '.join(get_args(Method))}")
    if request.out.suffix != ".toml":
        raise UsageError(f"{request.out}: the result is a configuration file; let its name end in .toml")
    model = load(
        request.model,
        timesteps=request.timesteps,
        backbone_weights=request.backbone_weights,
        weights=request.weights,
    )
    network = model.network
    if network is None:
        raise ConfigurationError(f"{request.model} is feedforward, without hyperparameters to tune")
    source = validation_images(request.data, request.images, request.seed, preprocessing=model.preprocessing)
    validation = Validation(source, model.timesteps, request.conditions, request.seed)
    try_folder(request.out.parent, "give another with `out`")
    if request.method == "search":
        tuned = search(network, validation, trials=request.rounds, seed=request.seed, report=report)
    else:
        tuned = descend(network, validation, steps=request.rounds, report=report)
    write_configuration(
        request.out, network.configuration.table, tuned.hyperparameters, tuned.provenance(request.model, validation)
    )
    return tuned


def validation_images(data: str, images: int, seed: int, *, preprocessing: Preprocessing) -> ImageSource:
    """Return the images that decide: the validation split of the digits, a fixed part of any other source.

    Args:
        data: A data source.
        images: Size of that part.
        seed: Another seed is another part.
        preprocessing: The model's preprocessing.
    """
    if data == "digits":
        return open_source(data, preprocessing=preprocessing, split="validation")
    source = open_source(data, preprocessing=preprocessing, split="test")
    if images >= len(source):
        raise UsageError(
            f"{data} holds {len(source)} images; take fewer than that for validation (`images`), results need the rest"
        )
    return source.take(images, seed)
