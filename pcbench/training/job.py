"""A whole training: backbone where the project trains its own, feedback weights, hyperparameters, and the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import ConfigurationError, UsageError
from pcbench.files import file_sha256, try_folder, write
from pcbench.models.backbones import open_backbone
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
from pcbench.results.environment import versions
from pcbench.training.hyperparameters import default_hyperparameters, write_configuration
from pcbench.training.loop import Fabric, Reporter, TrainingPlan, fit
from pcbench.training.objectives import Classification, Reconstruction
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
class TrainingRequest:
    """What to train, from what, and where the files go."""

    model: str
    """A name of the zoo, or ``module:function`` of a predictive network."""
    data: str
    """A data source; its training split is used where it has splits."""
    folder: Path
    """Receives everything."""
    seed: int = 0
    """Seed of first weights, order, noise and proposals."""
    changes: Mapping[str, Any] | None = None
    """Settings that replace the model's defaults, by name; see `TrainingSettings`."""
    images: int | None = None
    """Number of training images; None means all."""
    backbone_weights: Path | None = None
    """The backbone's weights, where the model does not come with weights."""
    trials: int = 16
    """Hyperparameters to try; 0 keeps the configuration's."""
    processes: int = 1
    """Processes that share the work."""
    device: str = "cpu"
    """``"cpu"``, ``"cuda"`` or ``"auto"``."""
    workers: int = 0
    """Processes that decode images ahead of time."""

    @property
    def entry(self) -> ZooEntry | None:
        """The zoo's entry; None for a network of the user's own."""
        return zoo_entry(self.model) if self.model in zoo_names() or ":" not in self.model else None

    @property
    def trains_backbone(self) -> bool:
        """Whether the backbone is trained too: those that the project brings for its embedded data."""
        entry = self.entry
        return entry is not None and entry.data == self.data and self.backbone_weights is None

    def settings(self, stage: Stage) -> TrainingSettings:
        """Return the settings of the stage ``"backbone"`` or ``"predictors"``."""
        return default_settings(stage, self.entry).changed(**(self.changes or {}), seed=self.seed)

    def command(self) -> str:
        """Return the command that repeats this training."""
        words = ["pcbench train", f"--model {self.model}", f"--data {self.data}", f"--seed {self.seed}"]
        words += [
            f"--{key.replace('_', '-')} {value}" for key, value in (self.changes or {}).items() if value is not None
        ]
        if self.images is not None:
            words.append(f"--images {self.images}")
        if self.backbone_weights is not None:
            words.append(f"--backbone-weights {self.backbone_weights.name}")
        if self.trials != TrainingRequest.trials:
            words.append(f"--trials {self.trials}")
        return " ".join(words)


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


def train(request: TrainingRequest, watcher: Watcher | None = None) -> Trained:
    """Train what the request asks for and write it down.

    First the backbone on labels (the project's own backbones only), then the predictors without labels by
    reconstruction of the layer below at t = 0, with the backbone frozen; then, for the project's own, the
    hyperparameters on the validation split, which was used for neither. A stopped training is resumed from its folder,
    and a finished one is not repeated.

    Raises:
        UsageError, DataError, WeightsError: The request is not possible, or files cannot be written there.
        DivergenceError: A training or every hyperparameter diverged.
        WriteError: A file could not be written; the same request resumes from the folder.
    """
    # Wrong settings are refused before a folder is made.
    for stage in ("backbone", "predictors"):
        request.settings(stage)
    finished = _finished(request)
    if finished is not None:
        return finished
    watcher = watcher or Watcher()
    try_folder(request.folder, "give another with `out` (a study's with `work`)")
    losses: dict[str, list[list[float]]] = {}
    backbone: Tensors | None = None
    if request.trains_backbone:
        backbone, losses["backbone"] = _launch(_fit_backbone, request, None, watcher.steps("backbone"))
    if request.entry is not None and request.entry.configuration is None:
        return _write_feedforward(request, backbone, losses)
    predictors, losses["predictors"] = _launch(_fit_predictors, request, backbone, watcher.steps("predictors"))
    network = _open_network(request, backbone)
    fill(network.predictors, predictors, "the training")
    tuned = None
    if request.trains_backbone and request.trials > 0:
        tuned = _tune(request, network, watcher)
    return _write(request, network, tuned, losses)


def _finished(request: TrainingRequest) -> Trained | None:
    """Return what the folder holds, if the same command finished there."""
    path = request.folder / CARD
    weights = request.folder / f"{_file_name(request.model)}.safetensors"
    if not (path.is_file() and weights.is_file()):
        return None
    card = json.loads(path.read_text(encoding="utf-8"))
    same = all(card.get(key) == value for key, value in _metadata(request).items() if key != "versions")
    if not same or card["weights_sha256"] != file_sha256(weights):
        return None
    if request.entry is not None and request.entry.configuration is None:
        return Trained(weights, card["weights_sha256"], None, None, None)
    state = read_weights(weights)
    network = _open_network(request, part(state, BACKBONE) or None)
    fill(network.predictors, part(state, PREDICTORS), str(weights))
    network.eval()
    tuned = None if card["tuned"] is None else Tuned.from_record(card["tuned"])
    if tuned is not None:
        network.hyperparameters = tuned.hyperparameters
    configuration = None if tuned is None else request.folder / f"{request.model}.toml"
    return Trained(weights, card["weights_sha256"], configuration, network, tuned)


def _launch(
    work: Any, request: TrainingRequest, backbone: Tensors | None, report: Reporter | None
) -> tuple[Tensors, list[list[float]]]:
    # A bar cannot be sent to another process.
    alone = request.processes == 1
    arrays, losses = launch(
        work, request, backbone, report if alone else None, processes=request.processes, device=request.device
    )
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, losses


def _fit_backbone(
    fabric: Fabric, request: TrainingRequest, backbone: Tensors | None, report: Reporter | None
) -> tuple[Arrays, list[list[float]]]:
    del backbone
    entry = request.entry
    if entry is None:
        raise UsageError(f"{request.model}: only the zoo's own backbones are trained")
    module = open_backbone(entry.backbone)
    initialise([module], request.seed)
    objective = Classification(module, entry.mean or (0.0, 0.0, 0.0), entry.std or (1.0, 1.0, 1.0))
    source = training_images(request)
    losses = fit(objective, source, request.settings("backbone"), fabric, _plan(request, "backbone", source, report))
    return _plain(module), losses


def _fit_predictors(
    fabric: Fabric, request: TrainingRequest, backbone: Tensors | None, report: Reporter | None
) -> tuple[Arrays, list[list[float]]]:
    network = _open_network(request, backbone)
    source = training_images(request)
    plan = _plan(request, "predictors", source, report, backbone_sha256=state_sha256(network.backbone.module))
    losses = fit(Reconstruction(network), source, request.settings("predictors"), fabric, plan)
    return _plain(network.predictors), losses


def _plain(module: nn.Module) -> Arrays:
    # As arrays: a tensor of another process is gone when that process ends.
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def _plan(
    request: TrainingRequest, stage: str, source: ImageSource, report: Reporter | None, **identity: str
) -> TrainingPlan:
    return TrainingPlan(
        folder=request.folder / stage,
        identity={"model": request.model, "stage": stage, "data": source.fingerprint(), **identity},
        workers=request.workers,
        report=report,
    )


def _open_network(request: TrainingRequest, backbone: Tensors | None) -> PredictiveNetwork:
    """Return the predictive network with first predictors from the seed and a trained backbone."""
    entry = request.entry
    if backbone is None or entry is None:
        network = load(request.model, random_predictors=request.seed, backbone_weights=request.backbone_weights).network
        if network is None:
            raise ConfigurationError(
                f"{request.model} does not have predictors to train; convert it with pcbench.predify"
            )
        return network
    module = open_backbone(entry.backbone)
    fill(module, backbone, "the training")
    configuration = entry.configuration_path
    if configuration is None:
        raise ConfigurationError(f"{request.model} is feedforward, without predictors to train")
    network = predify(module, configuration, mean=entry.mean, std=entry.std)
    initialise(list(network.predictors), request.seed)
    return network


def preprocessing_of(request: TrainingRequest) -> Preprocessing:
    """Return what happens to an image before the model sees it."""
    entry = request.entry
    if entry is not None:
        return Preprocessing(**entry.preprocessing.model_dump())
    return load(request.model, random_predictors=0, backbone_weights=request.backbone_weights).preprocessing


def training_images(request: TrainingRequest) -> ImageSource:
    """Return the images that are trained on."""
    source = open_source(request.data, preprocessing=preprocessing_of(request), split="train")
    return source if request.images is None else source.take(request.images, request.seed)


def _tune(request: TrainingRequest, network: PredictiveNetwork, watcher: Watcher) -> Tuned:
    entry = request.entry
    timesteps = 8 if entry is None else entry.timesteps
    source = open_source(request.data, preprocessing=preprocessing_of(request), split="validation")
    validation = Validation(source, timesteps, _TUNED_FOR, request.seed)
    # The search starts from Predify's defaults, not from what the configuration holds: that may be the result of
    # this very command.
    network.hyperparameters = default_hyperparameters(len(network.predictors))
    tuned = search(network, validation, trials=request.trials, seed=request.seed, report=watcher.trial)
    network.hyperparameters = tuned.hyperparameters
    path = request.folder / f"{request.model}.toml"
    provenance = [f"Made by: {request.command()}", *tuned.provenance(request.model, validation)]
    write_configuration(path, network.configuration.table, tuned.hyperparameters, provenance)
    return tuned


def _write(
    request: TrainingRequest, network: PredictiveNetwork, tuned: Tuned | None, losses: Mapping[str, Any]
) -> Trained:
    path = request.folder / f"{_file_name(request.model)}.safetensors"
    backbone = network.backbone.module if request.trains_backbone else None
    sha256 = save_weights(path, backbone=backbone, predictors=list(network.predictors), metadata=_header(request))
    _write_card(request, path, losses, tuned)
    network.eval()
    configuration = None if tuned is None else request.folder / f"{request.model}.toml"
    return Trained(path, sha256, configuration, network, tuned)


def _write_feedforward(request: TrainingRequest, backbone: Tensors | None, losses: Mapping[str, Any]) -> Trained:
    entry = request.entry
    if entry is None or backbone is None:
        raise UsageError(f"{request.model} is feedforward and its backbone is not one that pcbench trains")
    module = open_backbone(entry.backbone)
    fill(module, backbone, "the training")
    path = request.folder / f"{_file_name(request.model)}.safetensors"
    sha256 = save_weights(path, backbone=module, predictors=[], metadata=_header(request))
    _write_card(request, path, losses, None)
    return Trained(path, sha256, None, None, None)


def _file_name(model: str) -> str:
    return model.replace(":", "-")


def _metadata(request: TrainingRequest) -> dict[str, Any]:
    """Return what is written with the tensors; it is the same each time the same command is run."""
    found = versions()
    kept = {name: found[name] for name in ("pcbench", "python", "torch", "numpy", "scikit-learn") if name in found}
    source = training_images(request)
    return {
        "made_by": request.command(),
        "model": request.model,
        "seed": str(request.seed),
        "data": source.name,
        "data_fingerprint": source.fingerprint(),
        "versions": kept,
    }


def _header(request: TrainingRequest) -> dict[str, str]:
    # One key: safetensors writes several in any order, and the same training is to give the same bytes.
    return {"training": json.dumps(_metadata(request), sort_keys=True)}


def _write_card(request: TrainingRequest, weights: Path, losses: Mapping[str, Any], tuned: Tuned | None) -> None:
    """Write everything about the training as JSON, whole or not at all."""
    stages = [stage for stage in get_args(Stage) if stage in losses]
    card = {
        **_metadata(request),
        "versions": versions(),
        "weights_sha256": file_sha256(weights),
        "settings": {stage: asdict(request.settings(stage)) for stage in stages},
        "final_losses": {stage: losses[stage][-1] for stage in stages},
        "tuned": None if tuned is None else asdict(tuned),
    }
    write(request.folder / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
