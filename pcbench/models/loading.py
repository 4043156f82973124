"""Loading a model by name, function or object, with its weights."""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import ConfigurationError, UnknownNameError, UsageError, WeightsError
from pcbench.models.answers import Answers, FeedforwardAnswers, PredictiveAnswers, RecurrentAnswers
from pcbench.models.backbones import call_function, class_names, open_backbone, published_weights
from pcbench.models.conversions import SEPARATOR, converted_entry
from pcbench.models.subject import Described, Subject
from pcbench.models.weights import (
    BACKBONE,
    PREDICTORS,
    file_sha256,
    fill,
    part,
    read_predictor_weights,
    read_weights,
    state_sha256,
)
from pcbench.models.zoo import CONTROL, ZooEntry, zoo_entry, zoo_names
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.network.predictors import initialise

#: Ablations of a run, and the hyperparameter that each sets to 0.
ABLATIONS = {"no-feedback": "feedback", "no-error": "error_weight"}
ROBUSTBENCH = "robustbench:"
_PROBE_SIZES = ((3, 32, 32), (3, 224, 224), (3, 64, 64), (3, 28, 28), (1, 28, 28))


@dataclass(frozen=True)
class _Options:
    timesteps: int | None
    backbone_weights: Path | None
    weights: Path | None
    random_predictors: int | None
    ablation: str | None
    device: torch.device


def load(
    model: str | nn.Module,
    *,
    timesteps: int | None = None,
    backbone_weights: Path | str | None = None,
    weights: Path | str | None = None,
    random_predictors: int | None = None,
    ablation: str | None = None,
    device: str | torch.device = "cpu",
) -> Subject:
    """Load a model.

    Args:
        model: A zoo name; ``"CONFIG.toml@BACKBONE"`` (see `converted_entry`); ``"robustbench:cifar10/Linf/Standard"``
            (weights in, or downloaded to, RobustBench's folder `models`); ``"module:function"``, a function
            without arguments that returns a network; or a `torch.nn.Module`: a predictive network, a classifier
            (batch, classes), or any network that gives logits (T+1, batch, classes) for images in [0,1]. A module may
            say more in its attributes `preprocessing`, `class_names`, `input_size` (channels, height, width) and
            `timesteps`. A module is copied.
        timesteps: T; None means the model's own.
        backbone_weights: File of the backbone's weights, safetensors or a PyTorch checkpoint of tensors.
        weights: File of the predictors' weights, or the reference's checkpoints (see `read_predictor_weights`).
        random_predictors: Seed of untrained predictors: the null control.
        ablation: ``"no-feedback"`` (λ = 0 everywhere) or ``"no-error"`` (α = 0 everywhere).
        device: Where the model computes.

    Raises:
        UnknownNameError: There is no such model or ablation.
        WeightsError: Weights are missing, damaged, or another network's; the message says how to give them.
        UsageError: Options that don't go together.
    """
    if ablation is not None and ablation not in ABLATIONS:
        raise UnknownNameError("ablation", ablation, ABLATIONS)
    if weights is not None and random_predictors is not None:
        raise UsageError("trained weights and random predictors exclude each other; give one of the two")
    options = _Options(
        timesteps,
        None if backbone_weights is None else Path(backbone_weights),
        None if weights is None else Path(weights),
        random_predictors,
        ablation,
        torch.device(device),
    )
    if isinstance(model, nn.Module):
        return _load_own(model, type(model).__name__, {}, options)
    if model.startswith(ROBUSTBENCH):
        from pcbench.models.robustbench_models import open_robustbench

        return _load_own(open_robustbench(model.removeprefix(ROBUSTBENCH)), model, {}, options)
    if SEPARATOR in model:
        return _load_entry(model, converted_entry(model), options)
    if ":" in model:
        made = call_function(model)
        if not isinstance(made, nn.Module):
            raise UsageError(f"{model} returns {type(made).__name__}; a model is a torch.nn.Module")
        return _load_own(made, model, {"code_sha256": _code_sha256(made)}, options)
    return _load_entry(model, zoo_entry(model), options)


def _load_entry(name: str, entry: ZooEntry, options: _Options) -> Subject:
    timesteps = entry.timesteps if options.timesteps is None else options.timesteps
    _check_zoo_options(name, entry, timesteps, options)
    state = _predictor_state(entry, options)
    backbone = open_backbone(entry.backbone)
    if options.backbone_weights is not None or not entry.backbone_has_weights:
        fill(backbone, *_backbone_state(name, entry, state, options))
    description: dict[str, Described] = {
        "model": name,
        "backbone": entry.backbone,
        "backbone_sha256": state_sha256(backbone),
        "mean": None if entry.mean is None else str(entry.mean),
        "std": None if entry.std is None else str(entry.std),
        "feedforward": True,
    }
    answers: Answers = FeedforwardAnswers(backbone, entry.mean, entry.std)
    if entry.configuration_path is not None and (timesteps > 0 or options.random_predictors is not None or state):
        network = predify(backbone, entry.configuration_path, mean=entry.mean, std=entry.std)
        _fill_predictors(network, state, entry, options)
        answers = PredictiveAnswers(_ablated(network, options.ablation))
        description.update(_described(network, options), feedforward=False)
    return Subject(
        name=name,
        timesteps=timesteps,
        classes=entry.classes,
        class_names=None if entry.class_names is None else class_names(entry.class_names),
        preprocessing=Preprocessing(**entry.preprocessing.model_dump()),
        default_data=entry.data,
        description=description,
        answers=answers.eval().to(options.device),
        device=options.device,
    )


def _check_zoo_options(name: str, entry: ZooEntry, timesteps: int, options: _Options) -> None:
    if timesteps < 0:
        raise UsageError(f"timesteps is {timesteps}; it counts updates and is at least 0")
    feedback = (options.weights, options.random_predictors, options.ablation)
    if entry.configuration is None and (timesteps > 0 or any(option is not None for option in feedback)):
        raise UsageError(f"{name} is a feedforward network: it has no predictors and answers at t = 0 only")
    if timesteps > 0 and entry.weights is None and options.weights is None and options.random_predictors is None:
        control = f"--model {name}{CONTROL}" if name in zoo_names() else f"its backbone {entry.backbone}"
        raise WeightsError(
            f"{name} has no trained predictors here: give them with --weights FILE, take untrained ones with "
            f"--random-predictors SEED, or run the feedforward control with --timesteps 0 (or {control})"
        )


def _predictor_state(entry: ZooEntry, options: _Options) -> Mapping[str, Tensor]:
    """Return what the file of predictors holds, the backbone's part too: the user's file, or the one in the zoo."""
    if options.weights is not None and entry.configuration_path is not None:
        return read_predictor_weights(options.weights, _pcoders(entry.configuration_path))
    path = entry.weights_path
    if path is None:
        return {}
    if not path.is_file() or file_sha256(path) != entry.weights_sha256:
        raise WeightsError(f"{path}: is missing or changed since it was published; install pcbench again")
    return read_weights(path)


def _pcoders(path: Path) -> int:
    from pcbench.network.configuration import read_configuration

    return len(read_configuration(path).table.pcoders)


def _backbone_state(
    name: str, entry: ZooEntry, state: Mapping[str, Tensor], options: _Options
) -> tuple[Mapping[str, Tensor], str]:
    if options.backbone_weights is not None:
        given = read_weights(options.backbone_weights)
        return part(given, BACKBONE) or given, str(options.backbone_weights)
    if part(state, BACKBONE):
        return part(state, BACKBONE), str(options.weights or entry.weights_path)
    if entry.weights_path is not None:
        return part(_predictor_state(entry, _without_weights(options)), BACKBONE), str(entry.weights_path)
    if entry.pretrained is not None:
        return published_weights(entry.backbone, entry.pretrained), f"{entry.backbone} ({entry.pretrained})"
    source = f" ({entry.backbone_weights_from})" if entry.backbone_weights_from else ""
    raise WeightsError(f"the backbone of {name} has no weights here: give them with --backbone-weights FILE{source}")


def _without_weights(options: _Options) -> _Options:
    return _Options(options.timesteps, None, None, None, options.ablation, options.device)


def _fill_predictors(
    network: PredictiveNetwork, state: Mapping[str, Tensor], entry: ZooEntry, options: _Options
) -> None:
    if options.random_predictors is not None:
        initialise(list(network.predictors), options.random_predictors)
        return
    fill(network.predictors, part(state, PREDICTORS), str(options.weights or entry.weights_path))


def _ablated(network: PredictiveNetwork, ablation: str | None) -> PredictiveNetwork:
    if ablation is not None:
        network.hyperparameters = tuple(weights.without(ABLATIONS[ablation]) for weights in network.hyperparameters)
    return network


def _described(network: PredictiveNetwork, options: _Options) -> dict[str, Described]:
    table = network.configuration.table
    return {
        "configuration": table.name,
        "configuration_sha256": hashlib.sha256(table.model_dump_json().encode()).hexdigest(),
        "predictors_sha256": state_sha256(network.predictors),
        "random_predictors": options.random_predictors,
        "ablation": options.ablation,
    }


def _load_own(module: nn.Module, name: str, described: dict[str, Described], options: _Options) -> Subject:
    """Load a network of the user's own."""
    module = copy.deepcopy(module).eval()
    if isinstance(module, PredictiveNetwork):
        return _load_own_predictive(module, name, described, options)
    if options.weights is not None or options.random_predictors is not None or options.ablation is not None:
        raise UsageError(f"{name} is no predictive network: it has no predictors to load, randomise or ablate")
    if options.backbone_weights is not None:
        fill(module, read_weights(options.backbone_weights), str(options.backbone_weights))
    logits = _probe(module, name)
    answers: Answers = FeedforwardAnswers(module)
    own = 0
    if logits.dim() == 3:
        own = int(getattr(module, "timesteps", len(logits) - 1))
        answers = RecurrentAnswers(module, len(logits) - 1)
    timesteps = own if options.timesteps is None else options.timesteps
    answers.check(timesteps)
    described = {"model": name, **described, "weights_sha256": state_sha256(module), "feedforward": logits.dim() == 2}
    return _own_subject(module, name, described, answers, (timesteps, int(logits.shape[-1])), options)


def _load_own_predictive(
    network: PredictiveNetwork, name: str, described: dict[str, Described], options: _Options
) -> Subject:
    if options.backbone_weights is not None:
        given = read_weights(options.backbone_weights)
        fill(network.backbone.module, part(given, BACKBONE) or given, str(options.backbone_weights))
    if options.weights is not None:
        state = read_predictor_weights(options.weights, len(network.predictors))
        fill(network.predictors, part(state, PREDICTORS), str(options.weights))
    if options.random_predictors is not None:
        initialise(list(network.predictors), options.random_predictors)
    network = _ablated(network, options.ablation)
    name = network.configuration.table.name if name == type(network).__name__ else name
    described = {
        "model": name,
        **described,
        "backbone_sha256": state_sha256(network.backbone.module),
        "mean": _channels(network.mean),
        "std": _channels(network.std),
        "feedforward": False,
        "hyperparameters": str(network.hyperparameters),
        **_described(network, options),
    }
    with torch.no_grad():
        first = next(network.parameters())
        size = network.configuration.table.input_size
        logits = network.unroll(torch.zeros(1, *size, dtype=first.dtype, device=first.device), 0).logits
    timesteps = int(getattr(network, "timesteps", 8)) if options.timesteps is None else options.timesteps
    return _own_subject(
        network, name, described, PredictiveAnswers(network), (timesteps, int(logits.shape[-1])), options
    )


def _channels(values: Tensor | None) -> str | None:
    return None if values is None else str(tuple(float(value) for value in values.flatten()))


def _own_subject(
    module: nn.Module,
    name: str,
    described: dict[str, Described],
    answers: Answers,
    sizes: tuple[int, int],
    options: _Options,
) -> Subject:
    preprocessing: Any = getattr(module, "preprocessing", None) or Preprocessing()
    if not isinstance(preprocessing, Preprocessing):
        raise UsageError(f"{name}: its attribute 'preprocessing' is no pcbench.data.preprocessing.Preprocessing")
    names: Any = getattr(module, "class_names", None)
    return Subject(
        name=name,
        timesteps=sizes[0],
        classes=sizes[1],
        class_names=None if names is None else tuple(str(entry) for entry in names),
        preprocessing=preprocessing,
        default_data=None,
        description=described,
        answers=answers.eval().to(options.device),
        device=options.device,
    )


def _probe(module: nn.Module, name: str) -> Tensor:
    """Return what the module makes of two black images, to learn the number of classes and timesteps."""
    stated: Any = getattr(module, "input_size", None)
    first = next(module.parameters(), torch.empty(0))
    for size in (tuple(stated),) if stated is not None else _PROBE_SIZES:
        try:
            with torch.no_grad():
                logits: Any = module(torch.zeros(2, *size, dtype=first.dtype, device=first.device))
        except (RuntimeError, ValueError):
            continue
        if isinstance(logits, Tensor) and logits.dim() in (2, 3) and logits.shape[-2] == 2:
            return logits
        raise UsageError(f"{name} gives no logits: (batch, classes), or (T+1, batch, classes) for every timestep")
    raise ConfigurationError(f"{name}: state the size of its images in an attribute input_size = (3, height, width)")


def _code_sha256(module: nn.Module) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(type(module)).encode()).hexdigest()
    except (OSError, TypeError):
        return None
