"""Networks made from a configuration and a backbone that the user names: ``CONFIG.toml@BACKBONE``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcbench.arguments import shown
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import ConfigurationError, UsageError
from pcbench.models.backbones import open_backbone
from pcbench.models.hub import hub_model
from pcbench.models.libraries import STATING
from pcbench.models.naming import CONVERTED
from pcbench.models.probing import probe
from pcbench.models.sizes import stated_size
from pcbench.models.zoo import PreprocessingTable, ZooEntry
from pcbench.network.configuration import NetworkTable, read_configuration
from pcbench.network.conversion import predify
from pcbench.network.normalisation import stated_normalisation
from pcbench.network.outputs import picked_logits
from pcbench.network.own_modules import computed_in, own_code
from pcbench.network.proposal import proposed_configuration
from pcbench.network.traced import TracedBackbone

_TIMESTEPS = 8


@dataclass(frozen=True)
class PCoderFacts:
    """One PCoder of a converted network."""

    number: int
    """n, from 1."""
    module: str
    """Where it sits in the backbone."""
    representation: tuple[int, ...]
    """Shape of e_n for one image."""
    prediction: tuple[int, ...]
    """Shape of d_n, which is that of what it predicts."""
    predicts: str | None
    """What that is, where it is not the layer below."""
    predictor: str
    """D_n in PyTorch's words, on one line."""
    parameters: int
    """How many weights D_n has."""
    hyperparameters: tuple[float, float, float]
    """β, λ and α."""
    error_window: float | None
    """C of the gradient scale; None where errors are not scaled."""


@dataclass(frozen=True)
class NetworkFacts:
    """A converted network."""

    name: str
    """From the configuration."""
    backbone: str
    """The backbone as the user named it."""
    classes: int
    """How many classes the logits have."""
    traced: bool
    """What no PCoder changes is computed once for all timesteps; otherwise the whole backbone runs at each."""
    pcoders: tuple[PCoderFacts, ...]
    """From the first to the last."""


def inspect_network(config: str | Path, backbone: str) -> NetworkFacts:
    """Convert a backbone as a configuration says, and describe the result: the verb `pcbench predify`.

    Args:
        config: A TOML file in Predify's format.
        backbone: As for `open_backbone`; its weights don't matter here.

    Raises:
        UsageError: The configuration and the backbone do not fit; the message names the PCoder and the fix.
    """
    network = predify(open_backbone(backbone), config, stochastic=True)
    size = network.configuration.table.input_size
    images = torch.rand(1, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = network.unroll(images, 0, keep=("representations", "predictions"))
    facts = tuple(
        PCoderFacts(
            number + 1,
            table.module,
            tuple(out.representations[0][number].shape[1:]),
            tuple(out.predictions[0][number].shape[1:]),
            table.predicts,
            " ".join(str(predictor).split()),
            sum(parameter.numel() for parameter in predictor.parameters()),
            (float(weights.feedforward), float(weights.feedback), float(weights.error_weight)),
            window,
        )
        for number, (table, predictor, weights, window) in enumerate(
            zip(
                network.configuration.table.pcoders,
                network.predictors,
                network.hyperparameters,
                network.error_windows,
                strict=True,
            )
        )
    )
    traced = isinstance(network.backbone, TracedBackbone)
    return NetworkFacts(network.configuration.table.name, backbone, int(out.logits.shape[-1]), traced, facts)


def starting_configuration(backbone: str) -> str:
    """Return the text of a configuration to start from; see `proposed_configuration`.

    Args:
        backbone: As for `open_backbone`; its weights don't matter here.

    Raises:
        UsageError: There is no such backbone, it does not say which images it takes, or nothing can be proposed for it.
    """
    module = open_backbone(backbone).eval()
    library, _, name = backbone.partition(":")
    if library not in STATING:
        tried = stated_size(module, backbone) is None
        return proposed_configuration(backbone, module, probe(module, backbone)[0], tried=tried)
    stated = STATING[library](name, None)
    side = stated["preprocessing"].crop
    return proposed_configuration(backbone, module, torch.zeros(1, len(stated["mean"]), side, side))


def converted_entry(model: str) -> ZooEntry:
    """Describe the network that ``CONFIG.toml@BACKBONE`` names, as if the zoo held it.

    Normalisation, preprocessing and published weights are those that torchvision or timm state. A function's backbone
    brings its own weights, and may state more in attributes `mean`, `std`, `preprocessing` and `class_names`.

    Raises:
        UsageError: The file or the backbone does not exist.
    """
    head, _, backbone = model.partition(CONVERTED)
    path = Path(f"{head}.toml").resolve()
    table = read_configuration(path).table
    size = table.input_size
    if not backbone:
        raise UsageError(
            f"{model!r} does not name a backbone; write CONFIG.toml@torchvision:NAME, @timm:NAME, @hf:OWNER/REPO or "
            "@module:function"
        )
    library, _, name = backbone.partition(":")
    stated = STATING[library](name, size[1]) if library in STATING else _from_function(backbone, table)
    if library == "hf":
        backbone = hub_model(name).pinned
    for key in ("mean", "std"):
        if stated.get(key) is not None and len(stated[key]) != size[0]:
            raise UsageError(
                f"{model}: its {key} is {shown(stated[key])}; give one number for each of the {size[0]} channels that "
                f"{path.name} states in input_size"
            )
    return ZooEntry(
        title=model,
        source="the user's own",
        backbone=backbone,
        configuration=str(path),
        timesteps=_TIMESTEPS,
        **stated,
    )


def _from_function(backbone: str, table: NetworkTable) -> dict[str, Any]:
    module = open_backbone(backbone).eval()
    first = next(module.parameters(), torch.empty(0))
    black = torch.zeros(1, *table.input_size, dtype=computed_in(module), device=first.device)
    size = "x".join(map(str, table.input_size))
    with torch.no_grad(), own_code(f"{backbone}: fails on an image of {size}, the input_size of its configuration"):
        answer: Any = module(black)
    logits = picked_logits(answer, table.output)
    if not isinstance(logits, torch.Tensor) or logits.dim() != 2:
        raise ConfigurationError(
            f"{backbone}: gives {type(answer).__name__}, not logits (batch, classes); where it has several outputs, "
            "`output` in the configuration names the one that counts"
        )
    stated: dict[str, Any] = {"classes": int(logits.shape[-1]), "backbone_has_weights": True, "class_names": None}
    # One that normalises images itself states nothing.
    stated["mean"], stated["std"] = stated_normalisation(module, backbone, black, table.output) or (None, None)
    preprocessing: Any = getattr(module, "preprocessing", None)
    if isinstance(preprocessing, Preprocessing):
        stated["preprocessing"] = PreprocessingTable(
            resize=preprocessing.resize, crop=preprocessing.crop, interpolation=preprocessing.interpolation
        )
    return stated
