"""Networks of the user's own: probed, described, and made into models."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.data.class_names import as_class_names
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import UsageError
from pcbench.models.facts import CONFIGURED, NETWORK_CONTROL, Described, ModelFacts
from pcbench.models.given_configuration import configured_module
from pcbench.models.load_options import CheckedOptions, ablated
from pcbench.models.model import Model
from pcbench.models.naming import MODEL_LIBRARIES, ROBUSTBENCH
from pcbench.models.predictor_files import load_predictors, read_predictor_weights
from pcbench.models.probing import check_answers, probe
from pcbench.models.sizes import stated_size
from pcbench.models.tensor_names import backbone_of
from pcbench.models.timestep_model import FeedforwardModel, RecurrentModel
from pcbench.models.training_notes import denoising_facts
from pcbench.models.weights import (
    BACKBONE,
    fill,
    part,
    read_weights,
    state_sha256,
)
from pcbench.network.function_probe import LARGE
from pcbench.network.identity import model_identity
from pcbench.network.network import PredictiveNetwork
from pcbench.network.normalisation import stated_normalisation, tell_unstated
from pcbench.network.own_modules import computed_in, private_copy
from pcbench.network.predictors import initialise
from pcbench.network.seeding import put_back, states
from pcbench.network.timestep_model import TimestepModel
from pcbench.plugins import find_plugin


def stated_class_names(module: nn.Module, name: str) -> tuple[str, ...] | None:
    """Return the names of the classes that a network states in its attribute `class_names`; None where there is none.

    Raises:
        UsageError: It states something else.
    """
    stated: Any = getattr(module, "class_names", None)
    names = as_class_names(stated)
    if stated is not None and names is None:
        raise UsageError(f"{name}: its attribute 'class_names' is not a list of names, one for each output")
    return names


def modules_of(backbone: str) -> tuple[str, ...]:
    """Return the modules whose libraries make a backbone."""
    library = backbone.partition(":")[0]
    if library not in MODEL_LIBRARIES:
        library = "torch"
    return ("pcbench.network.conversion", "timm" if library == "hf" else library)


def identity_facts(module: nn.Module, function: str | None, options: CheckedOptions) -> dict[str, Described]:
    """Return what the description says of a network that the user's own code makes, before it is first run."""
    plugin = None if function is None else find_plugin("models", function)
    function = function if plugin is None else plugin.target
    home = function.partition(":")[0] if function is not None and ":" in function else None
    if home is not None and (home in (*MODEL_LIBRARIES, ROBUSTBENCH) or home.partition(".")[0] == "pcbench"):
        home = None
    found = model_identity(module, home)
    return {
        "code_sha256": found.code_sha256,
        "attributes_sha256": found.attributes_sha256,
        "code_packages": ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items())),
        **({"code_unreadable": ", ".join(found.unreadable)} if found.unreadable else {}),
        **({} if options.model_version is None else {"model_version": options.model_version}),
    }


def load_own(module: nn.Module, name: str, described: dict[str, Described], options: CheckedOptions) -> Model:
    """Load a network of the user's own."""
    function = described.pop("function", None)
    described = {**described, **identity_facts(module, None if function is None else str(function), options)}
    module = private_copy(module)
    if options.configuration is not None:
        module = configured_module(module, name, options.configuration)
        described[CONFIGURED] = options.configuration.stem
    if isinstance(module, PredictiveNetwork):
        return _load_own_predictive(module, name, described, options)
    if options.weights is not None or options.random_predictors is not None or options.ablation is not None:
        raise UsageError(f"{name} is not a predictive network: it has no predictors to load, randomise or ablate")
    if options.backbone_weights is not None:
        fill(module, backbone_of(read_weights(options.backbone_weights)), str(options.backbone_weights))
    described = {"model": name, **described, "weights_sha256": state_sha256(module)}
    black, logits = probe(module, name, options.stochastic)
    stated = stated_normalisation(module, name, black)
    timestep_model: TimestepModel = FeedforwardModel(module, *stated)
    own = 0
    if logits.dim() == 3:
        own = int(getattr(module, "timesteps", len(logits) - 1))
        timestep_model = RecurrentModel(module, len(logits) - 1, *stated)
    timesteps = own if options.timesteps is None else options.timesteps
    timestep_model.check(timesteps)
    described["feedforward"] = logits.dim() == 2
    if stated:
        described.update(mean=str(stated[0]), std=str(stated[1]))
    tell_unstated(module, name)
    return _own_model(
        module, described, timestep_model, _Sizes(timesteps, int(logits.shape[-1]), black.shape[1]), options
    )


def _load_own_predictive(
    network: PredictiveNetwork, name: str, described: dict[str, Described], options: CheckedOptions
) -> Model:
    if options.backbone_weights is not None:
        given = backbone_of(read_weights(options.backbone_weights))
        fill(network.backbone.module, given, str(options.backbone_weights))
    if options.weights is not None:
        state = read_predictor_weights(options.weights, len(network.predictors))
        described = {**described, **load_predictors(network, state, str(options.weights))}
        described |= denoising_facts(options.weights)
        if part(state, BACKBONE) and options.backbone_weights is None:
            fill(network.backbone.module, part(state, BACKBONE), str(options.weights))
    if options.random_predictors is not None:
        initialise(list(network.predictors), options.random_predictors)
    network = ablated(network, options.ablation)
    table = network.configuration.table
    if table.control is not None:
        described = {**described, NETWORK_CONTROL: table.control.text}
    described = {
        "model": table.name if name == type(network).__name__ else name,
        **described,
        "backbone_sha256": state_sha256(network.backbone.module),
        "mean": _channels(network.mean),
        "std": _channels(network.std),
        "feedforward": False,
        "hyperparameters": str(network.hyperparameters),
        "configuration": table.name,
        "configuration_sha256": hashlib.sha256(table.model_dump_json().encode()).hexdigest(),
        "predictors_sha256": state_sha256(network.predictors),
        "random_predictors": options.random_predictors,
        "ablation": options.ablation,
    }
    timesteps = int(getattr(network, "timesteps", 8)) if options.timesteps is None else options.timesteps
    classes = check_model(name, network, table.input_size, timesteps, options.stochastic)
    sizes = _Sizes(timesteps, classes, table.input_size[0])
    return _own_model(network, described, network, sizes, options)


def check_model(
    name: str, model: TimestepModel, size: tuple[int, int, int], timesteps: int, stochastic: int | None
) -> int:
    """Ask a model that is made of the user's own backbone about images, as `check_answers` does.

    Of a predictive network of large images, whose backbone `predify` has asked already, only the predictors are new:
    one pass says whether they draw random numbers.

    Returns:
        The number of classes.

    Raises:
        UsageError: As for `check_answers`.
    """
    steps, first = min(1, timesteps), next(model.parameters(), torch.empty(0))
    black = torch.zeros(2, *size, dtype=first.dtype, device=first.device)
    with torch.no_grad(), put_back(black.device):
        before = states(black.device)
        logits = model(black[:1], steps)
        draws = states(black.device) != before
    if draws or stochastic is not None or max(size) < LARGE or not isinstance(model, PredictiveNetwork):
        check_answers(name, lambda asked: model(asked, steps), black, stochastic)
    return int(logits.shape[-1])


def _channels(values: Tensor | None) -> str | None:
    return None if values is None else str(tuple(float(value) for value in values.flatten()))


@dataclass(frozen=True)
class _Sizes:
    """What asking a network has shown."""

    timesteps: int
    """T where the user names none."""
    classes: int
    """How many classes the logits have."""
    channels: int
    """How many channels its images have."""


def _own_model(
    module: nn.Module,
    described: dict[str, Described],
    timestep_model: TimestepModel,
    sizes: _Sizes,
    options: CheckedOptions,
) -> Model:
    name = str(described["model"])
    computed_in(module)
    preprocessing: Any = getattr(module, "preprocessing", None) or Preprocessing()
    if not isinstance(preprocessing, Preprocessing):
        raise UsageError(f"{name}: its attribute 'preprocessing' is not a pcbench.data.preprocessing.Preprocessing")
    if preprocessing.channels not in (3, sizes.channels):
        raise UsageError(
            f"{name}: its preprocessing states {preprocessing.channels} channels, and it takes images of "
            f"{sizes.channels}; leave `channels` out of it, or state the size of its images in input_size"
        )
    facts = ModelFacts(
        name=name,
        timesteps=sizes.timesteps,
        classes=sizes.classes,
        class_names=stated_class_names(module, name),
        preprocessing=replace(preprocessing, channels=sizes.channels),
        default_data=None,
        description=described,
        input_size=stated_size(module, name),
        predictive=isinstance(timestep_model, PredictiveNetwork),
        modules=modules_of(""),
    )
    return measured_model(facts, timestep_model, options)


def measured_model(facts: ModelFacts, timestep_model: TimestepModel, options: CheckedOptions) -> Model:
    """Return the model that is measured: the network, or the mean of its draws."""
    model = Model.of(facts, timestep_model.eval().to(options.device), options.device)
    return model if options.stochastic is None else model.with_draws(options.stochastic)
