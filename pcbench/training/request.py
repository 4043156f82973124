"""What the options of a training ask for: the model, its stages and their settings, the images, the predictors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pcbench.arguments import number, shown
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.data.unlabelled import open_unlabelled
from pcbench.errors import ConfigurationError, DataError, UsageError
from pcbench.files import real_path
from pcbench.models.backbones import open_backbone
from pcbench.models.entries import full_name
from pcbench.models.facts import LoadOptions
from pcbench.models.given_configuration import with_configuration
from pcbench.models.loading import load
from pcbench.models.naming import CONVERTED
from pcbench.models.predictor_files import read_predictor_weights
from pcbench.models.sizes import entry_preprocessing
from pcbench.models.tensor_names import SCALE
from pcbench.models.weights import BACKBONE, PREDICTORS, StateDict, fill, part, state_sha256, tensors_sha256
from pcbench.models.zoo import ZooEntry, named_elsewhere, zoo_entry
from pcbench.network.configuration import read_configuration
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.network.predictors import initialise
from pcbench.options import chosen, command_line, with_places
from pcbench.training.options import TrainOptions, data_of, weights_of_training
from pcbench.training.settings import Method, Stage, TrainingSettings, default_settings

_OF_PREDICTORS = ("noise", "noise_target", "shuffle", "noise_seed")
_OF_DESCENT = ("optimizer", "weight_decay", "schedule")
_MOST_HELD_OUT = 1000
DIGITS = "digits"
"""The source that has a validation split of its own."""


@dataclass(frozen=True)
class Start:
    """The given predictors that a training starts from."""

    name: str
    """The file or folder, without the folders above it; ``"FOLDER@12"`` where an epoch was asked for."""
    sha256: str
    """Hash of the predictors' tensors."""
    scales: dict[str, Tensor]
    """The roots of C that the file states, ``predictors.{n}.C_sqrt``: training leaves them as they are."""
    has_backbone: bool
    """Whether the file holds a backbone too, which the trained file then holds as well."""


def entry_of(options: TrainOptions) -> ZooEntry | None:
    """Return the zoo's entry of the model that is trained; None for a network of the user's own."""
    model = options["model"]
    if named_elsewhere(model):
        return None
    given = options["configuration"]
    return with_configuration(model, zoo_entry(model), None if given is None else Path(given))


def is_feedforward(options: TrainOptions) -> bool:
    """Return whether the model is one of the zoo's without predictors."""
    entry = entry_of(options)
    return entry is not None and entry.configuration is None


def trains_backbone(options: TrainOptions) -> bool:
    """Return whether the backbone is trained too: those that the project brings for its embedded data."""
    entry = entry_of(options)
    given = options["backbone_weights"] is not None or options["weights"] is not None
    return entry is not None and entry.data == data_of(options) and not given


def method_of(options: TrainOptions) -> Method:
    """Return how predictors learn."""
    return options["method"] or "ridge"


def seed_of(options: TrainOptions, what: Literal["images", "initialisation", "order"]) -> int:
    """Return a seed: the one that is given for this alone, or that of all randomness."""
    own = {
        "images": options["images_seed"],
        "initialisation": options["initialisation_seed"],
        "order": options["order_seed"],
    }[what]
    return options["seed"] if own is None else own


def settings_of(options: TrainOptions, stage: Stage) -> TrainingSettings:
    """Return the settings of a stage: the values that are given, and the model's defaults for the others."""
    given: dict[str, Any] = {
        field.name: value for field in fields(TrainingSettings) if (value := options.get(field.name)) is not None
    }
    given["seed"] = seed_of(options, "order")
    method = method_of(options)
    if stage == "predictors" and method == "ridge" and not is_feedforward(options):
        for name in (*_OF_DESCENT, "weights"):
            if name in given or (name == "weights" and options["weights"] is not None):
                raise UsageError(
                    f"`{name}` belongs to a training by steps alone, and predictors are solved here: give "
                    "method='descent' as well"
                )
    if "noise" in given:
        given["noise"] = _deviations(given["noise"])
    if stage == "backbone":
        given = {name: value for name, value in given.items() if name not in _OF_PREDICTORS}
    elif is_feedforward(options) and (asked := [name for name in _OF_PREDICTORS if name in given]):
        raise UsageError(f"{options['model']} has no predictors, and `{asked[0]}` is for these: leave it out")
    return default_settings(stage, entry_of(options), method).changed(**given)


def _deviations(values: Sequence[float | str]) -> tuple[float, ...]:
    found = [number(value) for value in values]
    wrong = [value for value in found if not isinstance(value, int | float) or isinstance(value, bool)]
    if wrong or not found:
        raise UsageError(f"noise is one or several standard deviations, such as 0.25,0.5 (got {shown(values)})")
    return tuple(float(value) for value in found if isinstance(value, int | float))


def command_of(options: TrainOptions) -> str:
    """Return the command that repeats a training, without the folders of files."""
    named = {**options, "data": data_of(options)}
    kept = {"model", "data", "seed", *chosen(TrainOptions, options)}
    named = with_places(TrainOptions, named, lambda place: Path(place).absolute().name)
    return command_line(TrainOptions, {name: named[name] for name in kept}, verb="train")


def predicted_by(options: TrainOptions) -> dict[str, str]:
    """Return, for what is written about a training, what PCoders predict; nothing where that is the layer below.

    A file that has been changed since would have the same name.
    """
    head, separator, _ = full_name(options["model"]).partition(CONVERTED)
    path = options["configuration"] or (f"{head}.toml" if separator else None)
    if path is None:
        return {}
    predicts = [pcoder.predicts for pcoder in read_configuration(Path(path)).table.pcoders]
    return {"predicts": json.dumps(predicts)} if any(predicts) else {}


def network_facts(network: PredictiveNetwork) -> dict[str, str]:
    """Return what tells apart the networks whose predictors are trained: what is predicted, from what, by what.

    Hyperparameters are no part of it: predictors are trained at t = 0, where these enter nothing.
    """
    table = network.configuration.table
    pcoders = [(pcoder.path, pcoder.predictor, pcoder.predicts) for pcoder in table.pcoders]
    told = json.dumps([table.input_size, table.output, pcoders])
    return {
        "configuration_sha256": hashlib.sha256(told.encode()).hexdigest(),
        "backbone_sha256": state_sha256(network.backbone.module),
    }


def _given(options: TrainOptions) -> LoadOptions:
    return {"backbone_weights": options["backbone_weights"], "configuration": options["configuration"]}


def preprocessing_of(options: TrainOptions) -> Preprocessing:
    """Return what happens to an image before the model sees it.

    Raises:
        UsageError: The sizes that are asked for do not fit each other.
    """
    entry = entry_of(options)
    if entry is not None:
        stated = entry_preprocessing(entry)
    else:
        given: Any = _given(options)
        begun = load(options["model"], random_predictors=0, **given)
        stated = begun.preprocessing
    return stated.of_size(options["resize"], options["crop"])


def training_images(options: TrainOptions) -> ImageSource:
    """Return the images that are trained on; predictors ask for no labels, so that a flat folder of images is enough.

    Raises:
        DataError: They are missing, damaged, or a backbone that is trained finds no labels.
    """
    return _divided(options)[0]


def held_out_images(options: TrainOptions) -> ImageSource | None:
    """Return the images that R² is measured on, of which none is trained on; None for a network without predictors.

    Raises:
        DataError: As `training_images`.
    """
    return _divided(options)[1]


def _divided(options: TrainOptions) -> tuple[ImageSource, ImageSource | None]:
    supervised, seed = trains_backbone(options) or is_feedforward(options), seed_of(options, "images")
    open_split = open_source if supervised else open_unlabelled
    data, steps = data_of(options), preprocessing_of(options)
    whole = open_split(data, preprocessing=steps, split="train")
    chosen = whole if options["images"] is None else whole.take(options["images"], seed)
    if is_feedforward(options):
        return chosen, None
    if data == DIGITS:
        held = open_split(data, preprocessing=steps, split="validation")
        return chosen, held if options["held_out"] is None else held.take(options["held_out"], seed)
    rest = len(whole) - len(chosen)
    count = options["held_out"] or max(1, min(_MOST_HELD_OUT, len(chosen) // 10))
    if rest == 0:
        if count >= len(whole):
            raise DataError(
                f"{whole.name}: holds {len(whole)} images, and {count} are held out to measure R² on: none is left to "
                "learn from; give more images"
            )
        chosen = whole.take(len(whole) - count, seed)
    others = whole.without(chosen.ids, f"{len(whole) - len(chosen)} of {len(whole)} images, seed {seed}")
    return chosen, others.take(min(count, len(others)), seed)


def open_network(options: TrainOptions, backbone: StateDict | None) -> PredictiveNetwork:
    """Return the predictive network that a training begins with.

    Args:
        options: Its predictors are those that are given, or else random ones from the seed.
        backbone: The state of a backbone that was trained just now; None takes the model's own.

    Raises:
        ConfigurationError: The model does not have predictors.
        WeightsError: Weights are missing, damaged, or another network's.
    """
    entry = entry_of(options)
    if backbone is None or entry is None:
        weights = options["weights"]
        begin: dict[str, Any] = (
            {"random_predictors": seed_of(options, "initialisation")} if weights is None else {"weights": weights}
        )
        network = load(options["model"], **_given(options), **begin).network
        if network is None:
            raise ConfigurationError(
                f"{options['model']} does not have predictors to train; convert it with pcbench.predify"
            )
        return network
    module = open_backbone(entry.backbone)
    fill(module, backbone, "the training")
    configuration = entry.configuration_path
    if configuration is None:
        raise ConfigurationError(f"{options['model']} is feedforward, without predictors to train")
    network = predify(module, configuration, mean=entry.mean, std=entry.std)
    initialise(list(network.predictors), seed_of(options, "initialisation"))
    return network


def start_of(options: TrainOptions) -> Start | None:
    """Return the predictors that a training starts from, once they fit its network; None for random ones.

    Raises:
        UsageError: The training would overwrite them.
        WeightsError: They are missing, damaged, or another network's.
    """
    if options["weights"] is None:
        return None
    path = Path(options["weights"])
    if real_path(path) == real_path(weights_of_training(options)):
        raise UsageError(f"{path}: is the file that this training writes; give another folder with `out`")
    state = read_predictor_weights(path, len(open_network(options, None).predictors))
    predictors = part(state, PREDICTORS)
    scales = {f"{PREDICTORS}{name}": tensor for name, tensor in predictors.items() if name.endswith(f".{SCALE}")}
    return Start(path.absolute().name, tensors_sha256(predictors), scales, bool(part(state, BACKBONE)))
