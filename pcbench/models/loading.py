"""Loading a model by name, function or object, with its weights."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from pcbench.arguments import a_word, public
from pcbench.data.class_names import as_class_names
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import UsageError, WeightsError
from pcbench.files import file_sha256
from pcbench.models.backbones import call_function, class_names, open_backbone, published_weights
from pcbench.models.conversions import SEPARATOR, converted_entry
from pcbench.models.devices import read_device
from pcbench.models.facts import Described, LoadOptions, ModelFacts
from pcbench.models.identity import model_identity
from pcbench.models.model import Model
from pcbench.models.probing import probe
from pcbench.models.sizes import stated_size
from pcbench.models.timestep_model import FeedforwardModel, RecurrentModel
from pcbench.models.weights import (
    BACKBONE,
    PREDICTORS,
    fill,
    part,
    read_predictor_weights,
    read_weights,
    state_sha256,
    tensors_sha256,
)
from pcbench.models.zoo import CONTROL, ZooEntry, zoo_entry, zoo_names
from pcbench.network.configuration import read_configuration
from pcbench.network.conversion import predify
from pcbench.network.network import PredictiveNetwork
from pcbench.network.own_modules import check_network, computed_in, private_copy, unwrapped
from pcbench.network.predictors import initialise
from pcbench.network.timestep_model import TimestepModel
from pcbench.options import resolved

#: Ablations of a run, and the hyperparameter that each sets to 0.
ABLATIONS = {"no-feedback": "feedback", "no-error": "error_weight"}
ROBUSTBENCH = "robustbench:"
_LIBRARIES = ("torchvision", "timm")


@dataclass(frozen=True)
class _Options:
    timesteps: int | None = None
    backbone_weights: Path | None = None
    weights: Path | None = None
    random_predictors: int | None = None
    ablation: str | None = None
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    model_version: str | None = None


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

    Raises:
        UnknownNameError: There is no such model or ablation.
        WeightsError: Weights are missing, damaged, or another network's; the message says how to give them.
        UsageError: Options that don't go together, or a model that cannot be measured as it is.
    """
    check_network(model)
    checked = _checked(options)
    if isinstance(model, nn.Module):
        inside = unwrapped(model)
        return _load_own(inside, type(inside).__name__, {}, checked)
    if model.startswith(ROBUSTBENCH):
        from pcbench.models.robustbench_models import open_robustbench

        return _load_own(open_robustbench(model.removeprefix(ROBUSTBENCH)), model, {}, checked)
    if SEPARATOR in model:
        return _load_entry(_gather(_without_folder(model), converted_entry(model), checked))
    if ":" in model:
        made = call_function(model)
        if not isinstance(made, nn.Module):
            raise UsageError(f"{model} returns {type(made).__name__}; a model is a torch.nn.Module")
        check_network(made)
        return _load_own(unwrapped(made), model, {"function": model}, checked)
    return _load_entry(_gather(model, zoo_entry(model), checked))


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
    checked = _checked(options)
    if isinstance(model, str) and SEPARATOR in model:
        return _gather(_without_folder(model), converted_entry(model), checked).facts
    if isinstance(model, str) and ":" not in model:
        return _gather(model, zoo_entry(model), checked).facts
    return load(model, **options)


def _checked(given: LoadOptions) -> _Options:
    options: dict[str, Any] = {**resolved(LoadOptions, given)}
    if options["ablation"] is not None:
        a_word("ablation", options["ablation"], ABLATIONS)
    if options["weights"] is not None and options["random_predictors"] is not None:
        raise UsageError("trained weights and random predictors exclude each other; give one of the two")
    for name in ("backbone_weights", "weights"):
        options[name] = None if options[name] is None else Path(options[name])
    options["device"] = torch.device(read_device(options["device"]))
    return _Options(**options)


def _without_folder(model: str) -> str:
    head, _, backbone = model.partition(SEPARATOR)
    return f"{Path(head).name}{SEPARATOR}{backbone}"


@dataclass(frozen=True)
class _Gathered:
    """A model of the zoo with all its weights, not yet built."""

    entry: ZooEntry
    options: _Options
    facts: ModelFacts
    backbone: nn.Module | None
    backbone_state: Mapping[str, Tensor] | None
    state: Mapping[str, Tensor]
    source: str


def _gather(name: str, entry: ZooEntry, options: _Options) -> _Gathered:
    """Read the weights of a model of the zoo and say what is known of it; nothing of the zoo's own is built."""
    timesteps = entry.timesteps if options.timesteps is None else options.timesteps
    _check_zoo_options(name, entry, timesteps, options)
    state = _predictor_state(entry, options)
    own_code = entry.backbone_has_weights
    backbone = open_backbone(entry.backbone) if own_code else None
    identity = {} if backbone is None else _identity(backbone, entry.backbone, options)
    filled, source = None, entry.backbone
    if options.backbone_weights is not None or backbone is None:
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
    path = entry.configuration_path
    predictive = path is not None and bool(timesteps > 0 or options.random_predictors is not None or state)
    if predictive:
        description.update(_described(entry, state, options), feedforward=False)
    facts = ModelFacts(
        name=name,
        timesteps=timesteps,
        classes=entry.classes,
        class_names=None if entry.class_names is None else class_names(entry.class_names),
        preprocessing=Preprocessing(**entry.preprocessing.model_dump()),
        default_data=entry.data,
        description=description,
        input_size=None if path is None else read_configuration(path).table.input_size,
        predictive=predictive,
        modules=_modules(entry.backbone),
    )
    return _Gathered(entry, options, facts, backbone, filled, state, source)


def _load_entry(gathered: _Gathered) -> Model:
    entry, options = gathered.entry, gathered.options
    backbone = gathered.backbone or open_backbone(entry.backbone)
    if gathered.backbone_state is not None:
        fill(backbone, gathered.backbone_state, gathered.source)
    timestep_model: TimestepModel = FeedforwardModel(backbone, entry.mean, entry.std)
    if gathered.facts.predictive and entry.configuration_path is not None:
        network = predify(backbone, entry.configuration_path, mean=entry.mean, std=entry.std)
        _fill_predictors(network, gathered.state, entry, options)
        timestep_model = _ablated(network, options.ablation)
    return Model.of(gathered.facts, timestep_model.eval().to(options.device), options.device)


def _check_zoo_options(name: str, entry: ZooEntry, timesteps: int, options: _Options) -> None:
    if timesteps < 0:
        raise UsageError(f"timesteps is {timesteps}; it counts updates and is at least 0")
    feedback = (options.weights, options.random_predictors, options.ablation)
    if entry.configuration is None and (timesteps > 0 or any(option is not None for option in feedback)):
        raise UsageError(f"{name} is a feedforward network: it has no predictors and answers at t = 0 only")
    if timesteps > 0 and entry.weights is None and options.weights is None and options.random_predictors is None:
        control = f"model='{name}{CONTROL}'" if name in zoo_names() else f"its backbone {entry.backbone}"
        raise WeightsError(
            f"{name} has no trained predictors here: give them with weights='FILE', take untrained ones with "
            f"random_predictors=SEED, or run the feedforward control with timesteps=0 (or {control})"
        )


def _predictor_state(entry: ZooEntry, options: _Options) -> Mapping[str, Tensor]:
    """Return what the file of predictors holds, the backbone's part too: the user's file, or the one in the zoo."""
    if options.weights is not None and entry.configuration_path is not None:
        return read_predictor_weights(options.weights, len(read_configuration(entry.configuration_path).table.pcoders))
    path = entry.weights_path
    if path is None:
        return {}
    if not path.is_file() or file_sha256(path) != entry.weights_sha256:
        raise WeightsError(f"{path}: is missing or changed since it was published; install pcbench again")
    return read_weights(path)


def _backbone_state(
    name: str, entry: ZooEntry, state: Mapping[str, Tensor], options: _Options
) -> tuple[Mapping[str, Tensor], str]:
    if options.backbone_weights is not None:
        given = read_weights(options.backbone_weights)
        return part(given, BACKBONE) or given, str(options.backbone_weights)
    if part(state, BACKBONE):
        return part(state, BACKBONE), str(options.weights or entry.weights_path)
    if entry.weights_path is not None:
        return part(_predictor_state(entry, _Options()), BACKBONE), str(entry.weights_path)
    if entry.pretrained is not None:
        return published_weights(entry.backbone, entry.pretrained), f"{entry.backbone} ({entry.pretrained})"
    source = f" ({entry.backbone_weights_from})" if entry.backbone_weights_from else ""
    raise WeightsError(f"the backbone of {name} has no weights here: give them with backbone_weights='FILE'{source}")


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


def _described(entry: ZooEntry, state: Mapping[str, Tensor], options: _Options) -> dict[str, Described]:
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
    }


def _modules(backbone: str) -> tuple[str, ...]:
    """Return the modules whose libraries make a backbone."""
    library = backbone.partition(":")[0]
    return ("pcbench.network.conversion", library if library in _LIBRARIES else "torch")


def _identity(module: nn.Module, function: str | None, options: _Options) -> dict[str, Described]:
    """Return what the description says of a network that the user's own code makes, before it is first run."""
    home = function.partition(":")[0] if function is not None and ":" in function else None
    if home is not None and (home in _LIBRARIES or home.partition(".")[0] == "pcbench"):
        home = None
    found = model_identity(module, home)
    return {
        "code_sha256": found.code_sha256,
        "attributes_sha256": found.attributes_sha256,
        "code_packages": ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items())),
        **({"code_unreadable": ", ".join(found.unreadable)} if found.unreadable else {}),
        **({} if options.model_version is None else {"model_version": options.model_version}),
    }


def _load_own(module: nn.Module, name: str, described: dict[str, Described], options: _Options) -> Model:
    """Load a network of the user's own."""
    function = described.pop("function", None)
    described = {**described, **_identity(module, None if function is None else str(function), options)}
    module = private_copy(module)
    if isinstance(module, PredictiveNetwork):
        return _load_own_predictive(module, name, described, options)
    if options.weights is not None or options.random_predictors is not None or options.ablation is not None:
        raise UsageError(f"{name} is not a predictive network: it has no predictors to load, randomise or ablate")
    if options.backbone_weights is not None:
        fill(module, read_weights(options.backbone_weights), str(options.backbone_weights))
    described = {"model": name, **described, "weights_sha256": state_sha256(module)}
    logits = probe(module, name)
    timestep_model: TimestepModel = FeedforwardModel(module)
    own = 0
    if logits.dim() == 3:
        own = int(getattr(module, "timesteps", len(logits) - 1))
        timestep_model = RecurrentModel(module, len(logits) - 1)
    timesteps = own if options.timesteps is None else options.timesteps
    timestep_model.check(timesteps)
    described["feedforward"] = logits.dim() == 2
    return _own_model(module, described, timestep_model, (timesteps, int(logits.shape[-1])), options)


def _load_own_predictive(
    network: PredictiveNetwork, name: str, described: dict[str, Described], options: _Options
) -> Model:
    if options.backbone_weights is not None:
        given = read_weights(options.backbone_weights)
        fill(network.backbone.module, part(given, BACKBONE) or given, str(options.backbone_weights))
    if options.weights is not None:
        state = read_predictor_weights(options.weights, len(network.predictors))
        fill(network.predictors, part(state, PREDICTORS), str(options.weights))
    if options.random_predictors is not None:
        initialise(list(network.predictors), options.random_predictors)
    network = _ablated(network, options.ablation)
    table = network.configuration.table
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
    with torch.no_grad():
        first = next(network.parameters())
        black = torch.zeros(1, *table.input_size, dtype=first.dtype, device=first.device)
        logits = network.unroll(black, 0).logits
    timesteps = int(getattr(network, "timesteps", 8)) if options.timesteps is None else options.timesteps
    sizes = (timesteps, int(logits.shape[-1]))
    return _own_model(network, described, network, sizes, options)


def _channels(values: Tensor | None) -> str | None:
    return None if values is None else str(tuple(float(value) for value in values.flatten()))


def _own_model(
    module: nn.Module,
    described: dict[str, Described],
    timestep_model: TimestepModel,
    sizes: tuple[int, int],
    options: _Options,
) -> Model:
    name = str(described["model"])
    computed_in(module)
    preprocessing: Any = getattr(module, "preprocessing", None) or Preprocessing()
    if not isinstance(preprocessing, Preprocessing):
        raise UsageError(f"{name}: its attribute 'preprocessing' is not a pcbench.data.preprocessing.Preprocessing")
    stated: Any = getattr(module, "class_names", None)
    names = as_class_names(stated)
    if stated is not None and names is None:
        raise UsageError(f"{name}: its attribute 'class_names' is not a list of names, one for each output")
    facts = ModelFacts(
        name=name,
        timesteps=sizes[0],
        classes=sizes[1],
        class_names=names,
        preprocessing=preprocessing,
        default_data=None,
        description=described,
        input_size=stated_size(module, name),
        predictive=isinstance(timestep_model, PredictiveNetwork),
        modules=_modules(""),
    )
    return Model.of(facts, timestep_model.eval().to(options.device), options.device)
