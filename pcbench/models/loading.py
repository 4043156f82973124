"""Loading a model by name, function or object, with its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from torch import Tensor, nn

from pcbench.arguments import public
from pcbench.errors import UsageError, WeightsError
from pcbench.files import is_file, is_folder
from pcbench.models.backbones import call_function, class_names, open_backbone
from pcbench.models.entries import described_entry, full_name
from pcbench.models.facts import CONFIGURED, NETWORK_CONTROL, Described, LoadOptions, ModelFacts
from pcbench.models.known_words import ABLATIONS
from pcbench.models.libraries import in_present_names, published_weights
from pcbench.models.load_options import CheckedOptions, ablated, checked_options
from pcbench.models.model import Model
from pcbench.models.naming import CONVERTED, ROBUSTBENCH
from pcbench.models.own import (
    check_model,
    identity_facts,
    load_own,
    measured_model,
    modules_of,
    stated_class_names,
)
from pcbench.models.predictor_files import gradient_scale, load_predictors, read_predictor_weights
from pcbench.models.robustbench_models import open_robustbench
from pcbench.models.shipped import OTHER_BACKBONE, is_of_other_backbone, shipped_weights, tell_other_backbone
from pcbench.models.sizes import entry_preprocessing
from pcbench.models.tensor_names import backbone_of
from pcbench.models.timestep_model import FeedforwardModel
from pcbench.models.training_notes import denoising_facts
from pcbench.models.weights import (
    BACKBONE,
    PREDICTORS,
    fill,
    part,
    read_weights,
    tensors_sha256,
)
from pcbench.models.zoo import CONTROL, ZooEntry, zoo_names
from pcbench.network.configuration import read_configuration
from pcbench.network.conversion import predify, tell_unused
from pcbench.network.network import PredictiveNetwork
from pcbench.network.normalisation import tell_unstated
from pcbench.network.own_modules import check_network, unwrapped
from pcbench.network.predictors import initialise
from pcbench.network.targets import Targets
from pcbench.network.timestep_model import TimestepModel
from pcbench.network.update import Hyperparameters


@public(LoadOptions)
def load(model: str | nn.Module, **options: Unpack[LoadOptions]) -> Model:
    """Load a model.

    Args:
        model: A zoo name; ``"CONFIG.toml@BACKBONE"`` (see `converted_entry`); ``"robustbench:cifar10/Linf/Standard"``
            (weights in, or downloaded to, RobustBench's folder `models`); ``"module:function"``, a function
            without arguments that returns a network; or a `torch.nn.Module`: a predictive network, a classifier
            (batch, classes), or any network that gives logits (T+1, batch, classes) for images in [0,1]. A module may
            say more in its attributes `preprocessing`, `class_names`, `input_size` (channels, height, width) and
            `timesteps`. A module is copied.
        **options: See `LoadOptions`.

    Returns:
        The model, in evaluation mode: `.logits(images)` are (T+1, batch, classes), `.at(t)` is a classifier, and
        `.network` is the predictive network, where it is one.

    Raises:
        UnknownNameError: There is no such model or ablation.
        WeightsError: Weights are missing, damaged, or another network's; the message says how to give them.
        UsageError: Options that don't go together, or a model that cannot be measured as it is.
    """
    check_network(model)
    given = checked_options(options)
    if isinstance(model, nn.Module):
        inside = unwrapped(model)
        return load_own(inside, type(inside).__name__, {}, given)
    entry = _entry(model, given)
    if entry is not None:
        return _load_entry(_gather(_without_folder(full_name(model)), entry, given))
    prefix, _, name = model.partition(":")
    if prefix == ROBUSTBENCH:
        return load_own(open_robustbench(name), model, {}, given)
    made = call_function(model)
    if not isinstance(made, nn.Module):
        raise UsageError(f"{model} returns {type(made).__name__}; a model is a torch.nn.Module")
    check_network(made)
    return load_own(unwrapped(made), model, {"function": model}, given)


def model_facts(model: str | nn.Module, **options: Unpack[LoadOptions]) -> ModelFacts:
    """Return what is known of a model; networks of the zoo, and those made from a configuration, are not built or run.

    Others are loaded, because only they say how many classes and timesteps they have: the result is a `Model`.

    Args:
        model: As for `load`.
        **options: As for `load`.

    Raises:
        UnknownNameError, WeightsError, UsageError: As `load`.
    """
    check_network(model)
    given = checked_options(options)
    entry = _entry(model, given) if isinstance(model, str) else None
    if isinstance(model, str) and entry is not None:
        found = _gather(_without_folder(full_name(model)), entry, given)
        if given.configuration is not None:
            # Whether the file fits the backbone is seen once the two are joined.
            predify(found.backbone or open_backbone(found.entry.backbone), given.configuration, stochastic=True)
        return found.facts
    return load(model, **options)


def _entry(model: str, options: CheckedOptions) -> ZooEntry | None:
    shipped = options.weights is None and options.random_predictors is None
    return described_entry(model, options.configuration, shipped_predictors=shipped)


def own_hyperparameters(
    model: str | nn.Module, facts: ModelFacts, ablation: str | None, configuration: Path | str | None = None
) -> tuple[tuple[Hyperparameters, ...], tuple[int | None, ...]]:
    """Return β, λ, α of each PCoder as a model is loaded, and which feeds back to each (see `Targets.feedback`).

    Networks of the zoo, and those made from a configuration, are not built: of these, each but the last counts as fed
    back to.

    Args:
        model: As for `load`.
        facts: What is known of it.
        ablation: What is left out of it.
        configuration: The file that stands in place of its own configuration.

    Returns:
        Two empty ones where it answers without PCoders.
    """
    if isinstance(facts, Model):
        return ((), ()) if facts.network is None else (facts.network.hyperparameters, facts.network.targets.feedback)
    if not facts.predictive or not isinstance(model, str):
        return (), ()
    entry = _entry(model, checked_options({"configuration": configuration}))
    path = None if entry is None else entry.configuration_path
    own = () if path is None else read_configuration(path).hyperparameters
    own = own if ablation is None else tuple(weights.without(ABLATIONS[ablation]) for weights in own)
    return own, Targets.below(len(own)).feedback


def tuned_hashes(
    model: str | nn.Module | None, facts: ModelFacts, configuration: Path | str | None = None
) -> frozenset[str]:
    """Return the hashes of the images that a model's hyperparameters were tuned on, as its configuration states them.

    Args:
        model: As for `load`.
        facts: What is known of it.
        configuration: The file that stands in place of its own configuration.
    """
    if isinstance(facts, Model) and facts.network is not None:
        return frozenset(facts.network.configuration.table.tuned_on)
    options = checked_options({"configuration": configuration})
    entry = _entry(model, options) if isinstance(model, str) else None
    path = None if entry is None else entry.configuration_path
    return frozenset(() if path is None else read_configuration(path).table.tuned_on)


def _without_folder(model: str) -> str:
    if CONVERTED not in model:
        return model
    head, _, backbone = model.partition(CONVERTED)
    return f"{Path(head).name}{CONVERTED}{backbone}"


@dataclass(frozen=True)
class _Gathered:
    """A model of the zoo with all its weights, not yet built."""

    entry: ZooEntry
    options: CheckedOptions
    facts: ModelFacts
    backbone: nn.Module | None
    backbone_state: Mapping[str, Tensor] | None
    state: Mapping[str, Tensor]
    source: str


def _gather(name: str, entry: ZooEntry, options: CheckedOptions) -> _Gathered:
    """Read the weights of a model of the zoo and say what is known of it; nothing of the zoo's own is built."""
    timesteps = entry.timesteps if options.timesteps is None else options.timesteps
    _check_zoo_options(name, entry, timesteps, options)
    state = _predictor_state(entry, options, timesteps)
    own_code = entry.backbone_has_weights
    backbone = open_backbone(entry.backbone) if own_code else None
    identity = {} if backbone is None else identity_facts(backbone, entry.backbone, options)
    filled, source = None, entry.backbone
    # A backbone beside the predictors is the one that they were trained on: it counts before the function's own.
    if options.backbone_weights is not None or backbone is None or part(state, BACKBONE):
        filled, source = _backbone_state(name, entry, state, options)
    held = backbone.state_dict() if filled is None and backbone is not None else filled or {}
    description: dict[str, Described] = {
        "model": name,
        "backbone": entry.backbone,
        "backbone_sha256": tensors_sha256(held),
        "mean": None if entry.mean is None else str(entry.mean),
        "std": None if entry.std is None else str(entry.std),
        "feedforward": True,
        **identity,
    }
    if options.configuration is not None:
        description[CONFIGURED] = options.configuration.stem
    path = entry.configuration_path
    configuration = None if path is None else read_configuration(path)
    table = None if configuration is None else configuration.table
    if table is not None and table.control is not None:
        description[NETWORK_CONTROL] = table.control.text
    predictive = configuration is not None and bool(timesteps > 0 or options.random_predictors is not None or state)
    if configuration is not None and predictive:
        tell_unused(configuration)
        description.update(_described(entry, state, options), feedforward=False)
        if is_of_other_backbone(entry, held, options):
            tell_other_backbone(name, entry)
            description[OTHER_BACKBONE] = True
    facts = ModelFacts(
        name=name,
        timesteps=timesteps,
        classes=entry.classes,
        class_names=_class_names(name, entry, backbone),
        preprocessing=entry_preprocessing(entry),
        default_data=entry.data,
        description=description,
        input_size=None if table is None else table.input_size,
        predictive=predictive,
        modules=modules_of(entry.backbone),
    )
    return _Gathered(entry, options, facts, backbone, filled, state, source)


def _class_names(name: str, entry: ZooEntry, backbone: nn.Module | None) -> tuple[str, ...] | None:
    """Return the names of the classes; a backbone of the user's own states them itself."""
    if backbone is not None and entry.class_names is None:
        tell_unstated(backbone, name)
        return stated_class_names(backbone, name)
    stated = entry.class_names
    return class_names(stated) if isinstance(stated, str) else stated


def _load_entry(gathered: _Gathered) -> Model:
    entry, options = gathered.entry, gathered.options
    backbone = gathered.backbone or open_backbone(entry.backbone)
    if gathered.backbone_state is not None:
        fill(backbone, gathered.backbone_state, gathered.source)
    path = entry.configuration_path
    table = None if path is None else read_configuration(path).table
    output, control = (None, None) if table is None else (table.output, table.control)
    timestep_model: TimestepModel = FeedforwardModel(
        backbone.eval(), entry.mean, entry.std, output=output, control=control
    )
    if gathered.facts.predictive and path is not None:
        network = predify(
            backbone,
            path,
            mean=entry.mean,
            std=entry.std,
            stochastic=options.stochastic is not None,
        )
        _fill_predictors(network, gathered.state, entry, options)
        timestep_model = ablated(network, options.ablation)
    if gathered.facts.own_code:
        facts, size = gathered.facts, gathered.facts.input_size or (3, 32, 32)
        check_model(facts.name, timestep_model.eval(), size, facts.timesteps, options.stochastic)
    return measured_model(gathered.facts, timestep_model, options)


def _check_zoo_options(name: str, entry: ZooEntry, timesteps: int, options: CheckedOptions) -> None:
    if options.stochastic is not None and not entry.backbone_has_weights:
        raise UsageError(f"{name} draws no random numbers: leave `stochastic` out")
    if timesteps < 0:
        raise UsageError(f"timesteps is {timesteps}; it counts updates and is at least 0")
    feedback = (options.weights, options.random_predictors, options.ablation)
    if entry.configuration is None and (timesteps > 0 or any(option is not None for option in feedback)):
        more = "" if name in zoo_names() else "; a configuration makes it predictive: configuration='FILE.toml'"
        if more and options.weights is not None and not (is_file(options.weights) or is_folder(options.weights)):
            more = f"; weights that a library publishes are part of the name: {_with_tag(entry, options.weights.name)}"
        raise UsageError(f"{name} is a feedforward network: it has no predictors and answers at t = 0 only{more}")
    if timesteps > 0 and entry.weights is None and options.weights is None and options.random_predictors is None:
        control = f"model='{name}{CONTROL}'" if name in zoo_names() else f"its backbone {entry.backbone}"
        raise WeightsError(
            f"{name} has no trained predictors here: give them with weights='FILE', take untrained ones with "
            f"random_predictors=SEED, or run the feedforward control with timesteps=0 (or {control})"
        )


def _with_tag(entry: ZooEntry, tag: str) -> str:
    """Return how published weights of a library's model are named."""
    mark = "." if entry.backbone.startswith("timm:") else "@"
    return f"{entry.backbone.partition(mark)[0]}{mark}{tag.rpartition('.')[2]}"


def _predictor_state(entry: ZooEntry, options: CheckedOptions, timesteps: int) -> Mapping[str, Tensor]:
    """Return what the file of predictors holds, the backbone's part too: the user's file, or the one in the zoo."""
    if options.weights is not None and entry.configuration_path is not None:
        return read_predictor_weights(options.weights, len(read_configuration(entry.configuration_path).table.pcoders))
    # A file without a backbone has nothing that a feedforward network, or one with random predictors, is made of.
    unused = timesteps == 0 or options.random_predictors is not None
    return {} if unused and entry.trained_on_backbone is not None else shipped_weights(entry)


def _backbone_state(
    name: str, entry: ZooEntry, state: Mapping[str, Tensor], options: CheckedOptions
) -> tuple[Mapping[str, Tensor], str]:
    if options.backbone_weights is not None:
        given = backbone_of(read_weights(options.backbone_weights))
        return in_present_names(entry.backbone, given), str(options.backbone_weights)
    if part(state, BACKBONE):
        return part(state, BACKBONE), str(options.weights or entry.weights_path)
    if entry.weights_path is not None and entry.trained_on_backbone is None:
        return part(shipped_weights(entry), BACKBONE), str(entry.weights_path)
    if entry.pretrained is not None:
        published = published_weights(entry.backbone, entry.pretrained)
        return in_present_names(entry.backbone, dict(published)), f"{entry.backbone} ({entry.pretrained})"
    source = f" ({entry.backbone_weights_from})" if entry.backbone_weights_from else ""
    raise WeightsError(f"the backbone of {name} has no weights here: give them with backbone_weights='FILE'{source}")


def _fill_predictors(
    network: PredictiveNetwork, state: Mapping[str, Tensor], entry: ZooEntry, options: CheckedOptions
) -> None:
    if options.random_predictors is not None:
        initialise(list(network.predictors), options.random_predictors)
        return
    load_predictors(network, state, str(options.weights or entry.weights_path))


def _described(entry: ZooEntry, state: Mapping[str, Tensor], options: CheckedOptions) -> dict[str, Described]:
    """Return what the description says of a predictive network's configuration and predictors."""
    if entry.configuration_path is None:
        return {}
    table = read_configuration(entry.configuration_path).table
    random = options.random_predictors is not None
    return {
        "configuration": table.name,
        "configuration_sha256": hashlib.sha256(table.model_dump_json().encode()).hexdigest(),
        # Random ones follow from their seed and the configuration, and are not drawn to be described.
        "predictors_sha256": None if random else tensors_sha256(part(state, PREDICTORS)),
        "random_predictors": options.random_predictors,
        "ablation": options.ablation,
        **({} if random else denoising_facts(options.weights)),
        **({} if random else gradient_scale(state, scaled=table.gradient_scaling)),
    }
