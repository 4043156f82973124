"""A whole training: backbone where the project trains its own, feedback weights, hyperparameters, and the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.arguments import a_word, public
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import ConfigurationError, UsageError, damage_refused
from pcbench.files import file_sha256, is_file, try_folder, write
from pcbench.limits.text import read_json
from pcbench.models.backbones import open_backbone
from pcbench.models.devices import read_device
from pcbench.models.loading import load
from pcbench.models.weights import (
    BACKBONE,
    PREDICTORS,
    fill,
    part,
    read_weights,
    save_weights,
    state_sha256,
)
from pcbench.models.zoo import ZooEntry, zoo_entry, zoo_names
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.network.predictors import initialise
from pcbench.options import chosen, command_line, resolved, with_places
from pcbench.results.environment import versions
from pcbench.training.hyperparameters import default_hyperparameters, write_configuration
from pcbench.training.loop import Fabric, Reporter, TrainingPlan, fit
from pcbench.training.objectives import Classification, Reconstruction
from pcbench.training.options import DEVICES, TrainOptions, data_of, file_stem, folder_of, model_name
from pcbench.training.processes import launch
from pcbench.training.search import Tuned, search
from pcbench.training.settings import Stage, TrainingSettings, default_settings
from pcbench.training.validation import Validation

Tensors = dict[str, Tensor]
Arrays = dict[str, NDArray[Any]]
CARD = "training.json"
# Clean images, and the middle and the strongest noise of the suite `gaussian-noise`: σ = 0.75 and 2.
_TUNED_FOR = (0, 3, 5)


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    weights: Path
    """The safetensors file."""
    sha256: str
    """Hash of that file."""
    configuration: Path | None
    """The tuned configuration; None without tuning."""
    network: PredictiveNetwork | None
    """The trained predictive network, with the tuned hyperparameters; None for a feedforward model."""
    tuned: Tuned | None
    """How the hyperparameters were chosen."""


class Watcher:
    """Receives the progress of each stage; the command line draws bars, and this base class ignores it."""

    def steps(self, stage: str) -> Reporter | None:
        """Return a function that is called after each step of one stage, in the first process only."""
        del stage
        return None

    def trial(self, done: int, total: int, best: float) -> None:
        """Note a trial of the search."""


def entry_of(options: TrainOptions) -> ZooEntry | None:
    """Return the zoo's entry of the model that is trained; None for a network of the user's own."""
    model = options["model"]
    return zoo_entry(model) if model in zoo_names() or ":" not in model else None


def trains_backbone(options: TrainOptions) -> bool:
    """Return whether the backbone is trained too: those that the project brings for its embedded data."""
    entry = entry_of(options)
    return entry is not None and entry.data == data_of(options) and options["backbone_weights"] is None


def settings_of(options: TrainOptions, stage: Stage) -> TrainingSettings:
    """Return the settings of a stage: the values that are given, and the model's defaults for the others."""
    given = {field.name: value for field in fields(TrainingSettings) if (value := options.get(field.name)) is not None}
    return default_settings(stage, entry_of(options)).changed(**given)


def command_of(options: TrainOptions) -> str:
    """Return the command that repeats a training, without the folders of files."""
    named = {**options, "data": data_of(options)}
    kept = {"model", "data", "seed", *chosen(TrainOptions, options)}
    named = with_places(TrainOptions, named, lambda place: Path(place).absolute().name)
    return command_line(TrainOptions, {name: named[name] for name in kept}, verb="train")


@public()
def train(options: TrainOptions, watcher: Watcher | None = None) -> Trained:
    """Train what the options ask for and write it down.

    First the backbone on labels (the project's own backbones only), then the predictors without labels by
    reconstruction of the layer below at t = 0, with the backbone frozen; then, for the project's own, the
    hyperparameters on the validation split, which was used for neither. A stopped training is resumed from its folder,
    and a finished one is not repeated.

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: A training or every hyperparameter diverged.
        WriteError: A file could not be written; the same request resumes from the folder.
    """
    # What is wrong is refused before a folder is made.
    options = resolved(TrainOptions, options)
    a_word("device", options["device"], DEVICES)
    read_device(options["device"])
    for stage in ("backbone", "predictors"):
        settings_of(options, stage)
    finished = _finished(options)
    if finished is not None:
        return finished
    watcher = watcher or Watcher()
    try_folder(folder_of(options), "give another with `out` (a study's with `work`)")
    losses: dict[str, list[list[float]]] = {}
    backbone: Tensors | None = None
    if trains_backbone(options):
        backbone, losses["backbone"] = _launch(_fit_backbone, options, None, watcher.steps("backbone"))
    entry = entry_of(options)
    if entry is not None and entry.configuration is None:
        return _write_feedforward(options, backbone, losses)
    predictors, losses["predictors"] = _launch(_fit_predictors, options, backbone, watcher.steps("predictors"))
    network = _open_network(options, backbone)
    fill(network.predictors, predictors, "the training")
    tuned = None
    if trains_backbone(options) and options["trials"] > 0:
        tuned = _tune(options, network, watcher)
    return _write(options, network, tuned, losses)


def _finished(options: TrainOptions) -> Trained | None:
    """Return what the folder holds, if the same command finished there."""
    path = folder_of(options) / CARD
    weights = folder_of(options) / f"{file_stem(options)}.safetensors"
    if not (is_file(path) and is_file(weights)):
        return None
    with damage_refused(path, "is damaged", "delete it to train again"):
        card = read_json(path)
        same = all(card.get(key) == value for key, value in _metadata(options).items() if key != "versions")
        if not same or card["weights_sha256"] != file_sha256(weights):
            return None
        tuned = None if card["tuned"] is None else Tuned.from_record(card["tuned"])
    entry = entry_of(options)
    if entry is not None and entry.configuration is None:
        return Trained(weights, card["weights_sha256"], None, None, None)
    state = read_weights(weights)
    network = _open_network(options, part(state, BACKBONE) or None)
    fill(network.predictors, part(state, PREDICTORS), str(weights))
    network.eval()
    if tuned is not None:
        network.hyperparameters = tuned.hyperparameters
    configuration = None if tuned is None else folder_of(options) / f"{options['model']}.toml"
    return Trained(weights, card["weights_sha256"], configuration, network, tuned)


def _launch(
    work: Any, options: TrainOptions, backbone: Tensors | None, report: Reporter | None
) -> tuple[Tensors, list[list[float]]]:
    # A bar cannot be sent to another process.
    alone = options["processes"] == 1
    arrays, losses = launch(
        work, options, backbone, report if alone else None, processes=options["processes"], device=options["device"]
    )
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, losses


def _fit_backbone(
    fabric: Fabric, options: TrainOptions, backbone: Tensors | None, report: Reporter | None
) -> tuple[Arrays, list[list[float]]]:
    del backbone
    entry = entry_of(options)
    if entry is None:
        raise UsageError(f"{options['model']}: only the zoo's own backbones are trained")
    module = open_backbone(entry.backbone)
    initialise([module], options["seed"])
    objective = Classification(module, entry.mean or (0.0, 0.0, 0.0), entry.std or (1.0, 1.0, 1.0))
    source = training_images(options)
    losses = fit(
        objective, source, settings_of(options, "backbone"), fabric, _plan(options, "backbone", source, report)
    )
    return _plain(module), losses


def _fit_predictors(
    fabric: Fabric, options: TrainOptions, backbone: Tensors | None, report: Reporter | None
) -> tuple[Arrays, list[list[float]]]:
    network = _open_network(options, backbone)
    source = training_images(options)
    plan = _plan(options, "predictors", source, report, backbone_sha256=state_sha256(network.backbone.module))
    losses = fit(Reconstruction(network), source, settings_of(options, "predictors"), fabric, plan)
    return _plain(network.predictors), losses


def _plain(module: nn.Module) -> Arrays:
    # As arrays: a tensor of another process is gone when that process ends.
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def _plan(
    options: TrainOptions, stage: str, source: ImageSource, report: Reporter | None, **identity: str
) -> TrainingPlan:
    return TrainingPlan(
        folder=folder_of(options) / stage,
        identity={"model": options["model"], "stage": stage, "data": source.fingerprint(), **identity},
        workers=options["workers"],
        report=report,
    )


def _open_network(options: TrainOptions, backbone: Tensors | None) -> PredictiveNetwork:
    """Return the predictive network with first predictors from the seed and a trained backbone."""
    entry = entry_of(options)
    if backbone is None or entry is None:
        network = load(
            options["model"], random_predictors=options["seed"], backbone_weights=options["backbone_weights"]
        ).network
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
    initialise(list(network.predictors), options["seed"])
    return network


def preprocessing_of(options: TrainOptions) -> Preprocessing:
    """Return what happens to an image before the model sees it."""
    entry = entry_of(options)
    if entry is not None:
        return Preprocessing(**entry.preprocessing.model_dump())
    return load(options["model"], random_predictors=0, backbone_weights=options["backbone_weights"]).preprocessing


def training_images(options: TrainOptions) -> ImageSource:
    """Return the images that are trained on."""
    source = open_source(data_of(options), preprocessing=preprocessing_of(options), split="train")
    return source if options["images"] is None else source.take(options["images"], options["seed"])


def _tune(options: TrainOptions, network: PredictiveNetwork, watcher: Watcher) -> Tuned:
    entry = entry_of(options)
    timesteps = 8 if entry is None else entry.timesteps
    source = open_source(data_of(options), preprocessing=preprocessing_of(options), split="validation")
    validation = Validation(source, timesteps, _TUNED_FOR, options["seed"])
    # The search starts from Predify's defaults, not from what the configuration holds: that may be the result of
    # this very command.
    network.hyperparameters = default_hyperparameters(len(network.predictors))
    tuned = search(network, validation, trials=options["trials"], seed=options["seed"], report=watcher.trial)
    network.hyperparameters = tuned.hyperparameters
    path = folder_of(options) / f"{options['model']}.toml"
    provenance = [f"Made by: {command_of(options)}", *tuned.provenance(options["model"], validation)]
    write_configuration(path, network.configuration.table, tuned.hyperparameters, provenance)
    return tuned


def _write(
    options: TrainOptions, network: PredictiveNetwork, tuned: Tuned | None, losses: Mapping[str, Any]
) -> Trained:
    path = folder_of(options) / f"{file_stem(options)}.safetensors"
    backbone = network.backbone.module if trains_backbone(options) else None
    sha256 = save_weights(path, backbone=backbone, predictors=list(network.predictors), metadata=_header(options))
    _write_card(options, path, losses, tuned)
    network.eval()
    configuration = None if tuned is None else folder_of(options) / f"{options['model']}.toml"
    return Trained(path, sha256, configuration, network, tuned)


def _write_feedforward(options: TrainOptions, backbone: Tensors | None, losses: Mapping[str, Any]) -> Trained:
    entry = entry_of(options)
    if entry is None or backbone is None:
        raise UsageError(f"{options['model']} is feedforward and its backbone is not one that pcbench trains")
    module = open_backbone(entry.backbone)
    fill(module, backbone, "the training")
    path = folder_of(options) / f"{file_stem(options)}.safetensors"
    sha256 = save_weights(path, backbone=module, predictors=[], metadata=_header(options))
    _write_card(options, path, losses, None)
    return Trained(path, sha256, None, None, None)


def _metadata(options: TrainOptions) -> dict[str, Any]:
    """Return what is written with the tensors; it is the same each time the same command is run."""
    found = versions()
    kept = {name: found[name] for name in ("pcbench", "python", "torch", "numpy", "scikit-learn") if name in found}
    source = training_images(options)
    return {
        "made_by": command_of(options),
        "model": model_name(options),
        "seed": str(options["seed"]),
        "data": source.name,
        "data_fingerprint": source.fingerprint(),
        "versions": kept,
    }


def _header(options: TrainOptions) -> dict[str, str]:
    # One key: safetensors writes several in any order, and the same training is to give the same bytes.
    return {"training": json.dumps(_metadata(options), sort_keys=True)}


def _write_card(options: TrainOptions, weights: Path, losses: Mapping[str, Any], tuned: Tuned | None) -> None:
    """Write everything about the training as JSON, whole or not at all."""
    stages = [stage for stage in get_args(Stage) if stage in losses]
    card = {
        **_metadata(options),
        "versions": versions(),
        "weights_sha256": file_sha256(weights),
        "settings": {stage: asdict(settings_of(options, stage)) for stage in stages},
        "final_losses": {stage: losses[stage][-1] for stage in stages},
        "tuned": None if tuned is None else asdict(tuned),
    }
    write(folder_of(options) / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
