"""The options by which a model is loaded, as they are once they are checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pcbench.arguments import a_word
from pcbench.errors import UsageError
from pcbench.models.devices import read_device
from pcbench.models.facts import LoadOptions
from pcbench.models.known_words import ABLATIONS
from pcbench.network.network import PredictiveNetwork
from pcbench.options import resolved


@dataclass(frozen=True)
class CheckedOptions:
    """The options of `pcbench.models.load`; `LoadOptions` says what each means."""

    timesteps: int | None = None
    backbone_weights: Path | None = None
    configuration: Path | None = None
    weights: Path | None = None
    random_predictors: int | None = None
    ablation: str | None = None
    stochastic: int | None = None
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    model_version: str | None = None


def checked_options(given: LoadOptions) -> CheckedOptions:
    """Return the values of all options.

    Raises:
        UnknownNameError, UsageError: A value is not one that a model can have, or two exclude each other.
    """
    options: dict[str, Any] = {**resolved(LoadOptions, given)}
    if options["ablation"] is not None:
        a_word("ablation", options["ablation"], ABLATIONS)
    if options["weights"] is not None and options["random_predictors"] is not None:
        raise UsageError("trained weights and random predictors exclude each other; give one of the two")
    for name in ("backbone_weights", "configuration", "weights"):
        options[name] = None if options[name] is None else Path(options[name])
    if options["configuration"] is not None and options["configuration"].suffix != ".toml":
        raise UsageError(f"{options['configuration']}: a configuration is a TOML file; let its name end in .toml")
    options["device"] = torch.device(read_device(options["device"]))
    return CheckedOptions(**options)


def ablated(network: PredictiveNetwork, ablation: str | None) -> PredictiveNetwork:
    """Return a network without what an ablation takes out, if one is named."""
    if ablation is not None:
        network.hyperparameters = tuple(weights.without(ABLATIONS[ablation]) for weights in network.hyperparameters)
    return network
