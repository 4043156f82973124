"""Conversion: any CNN and a configuration become a predictive network, or one line says what is wrong."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pcbench.arguments import listed, number, public, shown
from pcbench.errors import ConfigurationError, UsageError, first_line
from pcbench.network.backbone import all_modules
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.cutting import Cut, cut_network
from pcbench.network.expressions import build_module, imported_names
from pcbench.network.network import PredictiveNetwork
from pcbench.network.normalisation import normalisation_of
from pcbench.network.own_modules import check_network, refuse_scripted, unwrapped
from pcbench.network.predictors import Shape, counted_error_window, inferred_predictor, predicted_shape
from pcbench.network.targets import no_such_module

logger = logging.getLogger("pcbench")
_TOLD: set[str] = set()


@public()
def predify(
    backbone: nn.Module,
    config: str | Path | Mapping[str, Any],
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    stochastic: bool = False,
) -> PredictiveNetwork:
    """Give a CNN predictive-coding dynamics.

    Args:
        backbone: Any CNN that maps images (batch, channels, height, width) to logits (batch, classes). It is copied;
            the original is not modified.
        config: A TOML file in Predify's format, or a mapping with the same keys.
        mean: Per channel, subtracted from images in [0,1] before they become e_0. Where neither is given, what the
            backbone states in its attributes `mean` and `std` counts; else nothing is.
        std: Per channel, what the difference is divided by.
        stochastic: Whether the backbone may draw random numbers; it is refused otherwise. The network draws anew at
            every pass; `pcbench.run(…, stochastic=20)` measures the mean of 20 draws.

    Returns:
        The predictive network, in evaluation mode; its predictors hold reproducible random weights until trained
        ones are loaded.

    Raises:
        UsageError: The backbone is not a network, or one that can't be taken apart, such as TorchScript.
        DefinitionError: The configuration is missing, broken, or holds an unknown key.
        ConfigurationError: The configuration and the backbone do not fit; the message names the PCoder and the fix.

    Source:
        Choksi et al., NeurIPS 2021, arXiv 2106.02749.
    """
    if isinstance(backbone, str):
        raise UsageError(f"a backbone is a torch.nn.Module, not {shown(backbone)}; build it first")
    check_network(backbone)
    backbone = unwrapped(backbone)
    refuse_scripted(backbone)
    configuration = read_configuration(config)
    _check_modules(backbone, configuration)
    if mean is None and std is None:
        size, output = configuration.table.input_size, configuration.table.output
        mean, std = normalisation_of(backbone, type(backbone).__name__, size, output) or (None, None)
    normalisation = _normalisation(mean, std, configuration.table.input_size[0])
    made = cut_network(backbone, configuration, stochastic=stochastic)
    predictors = _predictors(configuration, made)
    windows = _error_windows(configuration, predictors, made)
    made.backbone.refuse_hooks()
    network = PredictiveNetwork(made.backbone, predictors, configuration, windows, normalisation, made.targets)
    _tell_of_unused_feedback(network)
    first = next(backbone.parameters(), None)
    return network if first is None else network.to(device=first.device, dtype=first.dtype)


def _normalisation(
    mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> tuple[Sequence[float], Sequence[float]] | None:
    if mean is None and std is None:
        return None
    means, deviations = _by_channel(mean, channels, 0.0), _by_channel(std, channels, 1.0)
    if min(deviations) <= 0:
        raise UsageError("std is above 0 in every channel")
    return means, deviations


def _by_channel(values: object, channels: int, default: float) -> list[float]:
    if values is None:
        return [default] * channels
    found = [entry for value in listed(values) or () if isinstance(entry := number(value), float)]
    if len(found) != channels or not all(map(math.isfinite, found)):
        raise UsageError(f"mean and std hold one number for each of the {channels} channels (got {shown(values)})")
    return found


def _check_modules(backbone: nn.Module, configuration: NetworkConfiguration) -> None:
    """Refuse modules that the backbone does not have, or that stand for two PCoders."""
    modules = all_modules(backbone)
    seen: dict[int, int] = {}
    for index, pcoder in enumerate(configuration.table.pcoders):
        if not pcoder.path or pcoder.path not in modules:
            raise configuration.problem(index, no_such_module(pcoder.path, modules))
        other = seen.setdefault(id(modules[pcoder.path]), index)
        if other != index:
            raise configuration.problem(index, f"PCoder {other + 1} sits on this module already; name another one")


def tell_unused(configuration: NetworkConfiguration) -> None:
    """Say, once in a process, what is written in a configuration and not used."""
    line = configuration.unused
    if line is not None and line not in _TOLD:
        _TOLD.add(line)
        logger.warning("%s", line)


def _tell_of_unused_feedback(network: PredictiveNetwork) -> None:
    pcoders = network.configuration.table.pcoders[:-1]  # of the last one nobody expects feedback
    stated = network.configuration.hyperparameters
    tell_unused(network.configuration)
    for index, pcoder in enumerate(pcoders):
        if network.targets.feedback[index] is None and stated[index].feedback != 0:
            logger.info(
                "PCoder %d (%s): no other predicts its representation, so its feedback weight is not used",
                index + 1,
                pcoder.module,
            )


def _predictors(configuration: NetworkConfiguration, made: Cut) -> list[nn.Module]:
    names = imported_names(configuration.table.imports)
    predictors: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for index, pcoder in enumerate(configuration.table.pcoders):
            shape, below = made.shape(index), made.predicted_shape(index)
            if pcoder.predictor is None:
                if len(shape) != 3 or len(below) != 3:
                    raise configuration.problem(index, _no_inference(shape, below))
                predictors.append(inferred_predictor(shape, below))
                continue
            try:
                predictors.append(build_module(pcoder.predictor, names))
            except ConfigurationError as error:
                raise configuration.problem(index, f"predictor: {error}") from None
    for index, predictor in enumerate(predictors):
        _check_prediction(configuration, index, predictor, made)
    return predictors


def _no_inference(shape: Shape, below: Shape) -> str:
    vectors = len(shape) == len(below) == 1
    such = f', such as predictor = "Linear({shape[0]}, {below[0]})"' if vectors else ""
    return f"a predictor can be inferred between images only; write one{such}"


def _check_prediction(configuration: NetworkConfiguration, index: int, predictor: nn.Module, made: Cut) -> None:
    shape, below = made.shape(index), made.predicted_shape(index)
    predicts = configuration.table.pcoders[index].predicts
    what = f"e_{made.targets.of[index]}" if predicts is None else f"what it predicts ({predicts})"
    try:
        predicted = predicted_shape(predictor, shape)
    except Exception as error:  # layers are given whatever is written
        problem = first_line(error)
        raise configuration.problem(index, f"the predictor cannot take e_{index + 1} {shape}: {problem}") from error
    if predicted != below:
        raise configuration.problem(
            index,
            f"the predictor makes {predicted} of e_{index + 1} {shape}, but {what} is {below}; change the predictor",
        )


def _error_windows(
    configuration: NetworkConfiguration, predictors: Sequence[nn.Module], made: Cut
) -> list[float | None]:
    if not configuration.table.gradient_scaling:
        return [None] * len(predictors)
    return [
        pcoder.error_window or counted_error_window(predictor, made.shape(index))
        for index, (pcoder, predictor) in enumerate(zip(configuration.table.pcoders, predictors, strict=True))
    ]
