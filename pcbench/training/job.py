"""A whole training: backbone where the project trains its own, feedback weights, and the files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from pcbench.arguments import a_word, public
from pcbench.data.image_source import ImageSource
from pcbench.errors import UsageError, damage_refused
from pcbench.files import file_sha256, is_file, try_folder
from pcbench.limits.text import read_json
from pcbench.models.backbones import open_backbone
from pcbench.models.devices import read_device
from pcbench.models.facts import refuse_other_size
from pcbench.models.predictor_files import fill_predictors
from pcbench.models.weights import (
    BACKBONE,
    PREDICTORS,
    StateDict,
    fill,
    part,
    read_weights,
    state_sha256,
    tensors_sha256,
)
from pcbench.network.network import PredictiveNetwork
from pcbench.network.predictors import initialise
from pcbench.options import resolved
from pcbench.training.fitted import Fitted, measured_on, names_of
from pcbench.training.linear_parts import learns_more
from pcbench.training.loop import Fabric, Reporter, TrainingPlan, fit
from pcbench.training.objectives import Classification, Reconstruction
from pcbench.training.options import DEVICES, TrainOptions, folder_of, model_name, weights_of_training
from pcbench.training.processes import launch
from pcbench.training.reconstructing import Images, r_squared
from pcbench.training.record import CARD, Losses, TrainingRecord
from pcbench.training.request import (
    entry_of,
    held_out_images,
    is_feedforward,
    method_of,
    network_facts,
    open_network,
    predicted_by,
    seed_of,
    settings_of,
    start_of,
    training_images,
    trains_backbone,
)
from pcbench.training.solving import ClosedForm, closed_form

logger = logging.getLogger("pcbench")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Trained:
    """What a training left."""

    weights: Path
    """The safetensors file."""
    sha256: str
    """Hash of that file."""
    network: PredictiveNetwork | None
    """The trained predictive network; None for a feedforward model."""
    fitted: Fitted | None = None
    """How well the predictors predict; None for a feedforward model, and for a training of a version before R²."""


class Watcher:
    """Receives the progress of each stage; the command line draws bars, and this base class ignores it."""

    def steps(self, stage: str) -> Reporter | None:
        """Return a function that is called after each step of one stage, in the first process only."""
        del stage
        return None


@public()
def train_model(options: TrainOptions, watcher: Watcher | None = None) -> Trained:
    """Train what the options ask for and write it down.

    First the backbone on labels (the project's own backbones only), then the predictors without labels by
    reconstruction of the layer below at t = 0, with the backbone frozen. A stopped training is resumed from its folder,
    and a finished one is not repeated. β, λ and α are not trained: that is `tune_model`.

    Raises:
        UsageError, DataError, WeightsError: It is not possible as asked for, or files cannot be written there.
        DivergenceError: A training diverged.
        WriteError: A file could not be written; the same request resumes from the folder.
    """
    # What is wrong is refused before a folder is made.
    options = resolved(TrainOptions, options)
    a_word("device", options["device"], DEVICES)
    read_device(options["device"])
    for stage in ("backbone", "predictors"):
        settings_of(options, stage)
    record = TrainingRecord(options, start_of(options))
    finished = _finished(record)
    if finished is not None:
        return finished
    watcher = watcher or Watcher()
    try_folder(folder_of(options), "give another with `out` (a study's with `work`)")
    losses: dict[str, list[list[float]]] = {}
    backbone: StateDict | None = None
    if trains_backbone(options):
        backbone, losses["backbone"] = _launch(_fit_backbone, options, None, watcher.steps("backbone"))
    if is_feedforward(options):
        return _write_feedforward(record, backbone, losses)
    network = open_network(options, backbone)
    refuse_other_size(model_name(options), training_images(options).shape(), network.configuration.table.input_size)
    solved, losses_of_steps = _learn_predictors(options, network, backbone, watcher)
    if losses_of_steps is not None:
        losses["predictors"] = losses_of_steps
    fitted = _measured(options, network, solved)
    return _write(record, network, losses, fitted)


def _finished(record: TrainingRecord) -> Trained | None:
    """Return what the folder holds, if the same command finished there."""
    options = record.options
    path, weights = folder_of(options) / CARD, weights_of_training(options)
    if not (is_file(path) and is_file(weights)):
        return None
    with damage_refused(path, "is damaged", "delete it to train again"):
        card = read_json(path)
        same = all(card.get(key) == value for key, value in record.metadata.items() if key != "versions")
        if not same or card["weights_sha256"] != file_sha256(weights):
            return None
    if is_feedforward(options):
        return Trained(weights, card["weights_sha256"], None)
    state = read_weights(weights)
    network = open_network(options, part(state, BACKBONE) or None)
    # A configuration, or a function, that was changed since then makes another network under the same name.
    if any(card.get(key, value) != value for key, value in network_facts(network).items()):
        return None
    fill_predictors(network.predictors, part(state, PREDICTORS), str(weights))
    network.eval()
    return Trained(weights, card["weights_sha256"], network, Fitted.from_record(card))


def _launch(
    work: Any,
    options: TrainOptions,
    backbone: StateDict | None,
    report: Reporter | None,
    start: StateDict | None = None,
) -> tuple[StateDict, list[list[float]]]:
    # A bar cannot be sent to another process.
    alone = options["processes"] == 1
    given = (options, backbone, report if alone else None, *(() if start is None else (start,)))
    arrays, losses = launch(work, *given, processes=options["processes"], device=options["device"])
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, losses


def _fit_backbone(
    fabric: Fabric, options: TrainOptions, backbone: StateDict | None, report: Reporter | None
) -> tuple[Arrays, list[list[float]]]:
    del backbone
    entry = entry_of(options)
    if entry is None:
        raise UsageError(f"{options['model']}: only the zoo's own backbones are trained")
    module = open_backbone(entry.backbone)
    initialise([module], seed_of(options, "initialisation"))
    objective = Classification(module, entry.mean or (0.0, 0.0, 0.0), entry.std or (1.0, 1.0, 1.0))
    source = training_images(options)
    plan = _plan(options, "backbone", report, _identity(options, "backbone", source))
    losses = fit(objective, source, settings_of(options, "backbone"), fabric, plan)
    return _plain(module), losses


def _learn_predictors(
    options: TrainOptions, network: PredictiveNetwork, backbone: StateDict | None, watcher: Watcher
) -> tuple[ClosedForm | None, list[list[float]] | None]:
    """Fill a network's predictors by the method asked for; return the closed form, and the losses of the steps."""
    solved, start = None, None
    if method_of(options) == "ridge":
        solved = _solve(options, network, watcher.steps("closed form"))
        start = solved.state
        if not any(learns_more(predictor) for predictor in network.predictors):
            if options["epochs"] is not None:
                logger.warning("all predictors are linear and were solved in closed form: `epochs` changes nothing")
            return solved, None
    state, losses = _launch(_fit_predictors, options, backbone, watcher.steps("predictors"), start)
    fill(network.predictors, state, "the training")
    return solved, losses


def _solve(options: TrainOptions, network: PredictiveNetwork, report: Reporter | None) -> ClosedForm:
    settings, source, held = settings_of(options, "predictors"), training_images(options), held_out_images(options)
    if held is None:
        raise UsageError(f"{options['model']} has no predictors to train")
    device = read_device(options["device"])
    identity = {
        **_identity(options, "predictors", source, network),
        "held_out": held.fingerprint(),
        "initialisation": str(seed_of(options, "initialisation")),
    }
    network.to(device)
    fit_on, held_on = (Images(images, settings, options["workers"], device) for images in (source, held))
    found = closed_form(network, fit_on, held_on, folder_of(options) / "predictors", identity, report)
    network.to("cpu")
    return found


def _measured(options: TrainOptions, network: PredictiveNetwork, solved: ClosedForm | None) -> Fitted:
    """Return what the predictors reach on held-out images; one that steps have made worse goes back to its start."""
    settings, held = settings_of(options, "predictors"), held_out_images(options)
    if held is None:
        raise UsageError(f"{options['model']} has no predictors to measure")
    images = Images(held, settings, options["workers"], read_device(options["device"]))
    reached = r_squared(network.to(images.device), images)
    network.to("cpu")
    if solved is not None:
        _keep_better(network, solved, reached, settings.epochs)
    words = measured_on(len(held), held.name, settings.noise)
    fitted = Fitted(
        method_of(options),
        names_of(network),
        tuple(reached),
        words,
        () if solved is None else tuple(solved.solved),
        settings.denoising,
    )
    for name, value in zip(fitted.names, fitted.r_squared, strict=True):
        if name in fitted.poor:
            logger.warning("%s predicts worse than the mean of each channel: R² %.3f on %s", name, value, words)
    return fitted


def _keep_better(network: PredictiveNetwork, solved: ClosedForm, reached: list[float], epochs: int) -> None:
    """Put back the closed form of predictors whose R² steps have made lower."""
    for index, predictor in enumerate(network.predictors):
        if not learns_more(predictor):
            continue
        if reached[index] > solved.r_squared[index]:
            solved.solved[index].epochs = epochs
        else:
            fill(predictor, part(solved.state, f"{index}."), "the closed form")
            reached[index] = solved.r_squared[index]


def _fit_predictors(
    fabric: Fabric,
    options: TrainOptions,
    backbone: StateDict | None,
    report: Reporter | None,
    start: StateDict | None = None,
) -> tuple[Arrays, list[list[float]]]:
    network = open_network(options, backbone)
    source, held = training_images(options), held_out_images(options)
    identity = _identity(options, "predictors", source, network)
    if start is not None:
        identity["predictors_sha256"] = tensors_sha256(start)
        fill(network.predictors, start, "the closed form")
        for predictor in network.predictors:
            predictor.requires_grad_(learns_more(predictor))
    elif options["weights"] is not None:
        identity["predictors_sha256"] = state_sha256(network.predictors)
    settings = settings_of(options, "predictors")
    plan = _plan(options, "predictors", report, identity)
    if held is not None:
        images = Images(held, settings, options["workers"], fabric.device)
        plan = replace(plan, measure=partial(r_squared, network, images))
    losses = fit(Reconstruction(network, settings.noise_target), source, settings, fabric, plan)
    return _plain(network.predictors), losses


def _plain(module: nn.Module) -> Arrays:
    # As arrays: a tensor of another process is gone when that process ends.
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in module.state_dict().items()}


def _identity(
    options: TrainOptions, stage: str, source: ImageSource, network: PredictiveNetwork | None = None
) -> dict[str, str]:
    found = {"model": model_name(options), "stage": stage, "data": source.fingerprint()}
    return found if network is None else {**found, **network_facts(network), **predicted_by(options)}


def _plan(options: TrainOptions, stage: str, report: Reporter | None, identity: dict[str, str]) -> TrainingPlan:
    return TrainingPlan(
        folder=folder_of(options) / stage,
        identity=identity,
        # Predictors that were trained on a backbone would not fit it once it had gone on.
        goes_on=stage == "predictors" or is_feedforward(options),
        workers=options["workers"],
        report=report,
    )


def _write(record: TrainingRecord, network: PredictiveNetwork, losses: Losses, fitted: Fitted) -> Trained:
    options, start = record.options, record.start
    kept = trains_backbone(options) or (start is not None and start.has_backbone)
    backbone = network.backbone.module if kept else None
    sha256 = record.save(losses, backbone, network, fitted)
    network.eval()
    return Trained(weights_of_training(options), sha256, network, fitted)


def _write_feedforward(record: TrainingRecord, backbone: StateDict | None, losses: Losses) -> Trained:
    options = record.options
    entry = entry_of(options)
    if entry is None or backbone is None:
        raise UsageError(f"{options['model']} is feedforward and its backbone is not one that pcbench trains")
    module = open_backbone(entry.backbone)
    fill(module, backbone, "the training")
    return Trained(weights_of_training(options), record.save(losses, module, None), None)
