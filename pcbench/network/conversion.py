"""Conversion: any CNN and a configuration become a predictive network, or one line says what is wrong."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.arguments import listed, number, public, shown
from pcbench.errors import ConfigurationError, PcbenchError, UsageError, first_line, named
from pcbench.network.backbone import (
    Backbone,
    HookedBackbone,
    RepeatedModuleError,
    TracedBackbone,
    all_modules,
    cut_backbone,
)
from pcbench.network.configuration import NetworkConfiguration, read_configuration
from pcbench.network.expressions import build_module, imported_names
from pcbench.network.function_probe import KEEPS_STATE, RANDOM, check_function, smaller
from pcbench.network.gradient_probe import same_gradient
from pcbench.network.network import PredictiveNetwork
from pcbench.network.own_modules import check_network, private_copy, refuse_scripted, unwrapped
from pcbench.network.predictors import Shape, counted_error_window, inferred_predictor, predicted_shape
from pcbench.network.repeated_runs import Places, noted_runs, repeated
from pcbench.network.seeding import seeded

logger = logging.getLogger("pcbench")


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
        mean: Per channel, subtracted from images in [0,1] before they become e_0. Default: nothing is.
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
    normalisation = _normalisation(mean, std, configuration.table.input_size[0])
    _check_modules(backbone, configuration)
    cut, shapes = _cut(backbone, configuration, stochastic=stochastic)
    predictors = _predictors(configuration, shapes)
    windows = _error_windows(configuration, predictors, shapes)
    cut.refuse_hooks()
    network = PredictiveNetwork(cut, predictors, configuration, windows, normalisation)
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
            raise configuration.problem(index, _unknown_module(pcoder.path, modules))
        other = seen.setdefault(id(modules[pcoder.path]), index)
        if other != index:
            raise configuration.problem(index, f"PCoder {other + 1} sits on this module already; name another one")


def _unknown_module(path: str, modules: Mapping[str, nn.Module]) -> str:
    parent = path
    while parent and parent not in modules:
        parent = parent.rpartition(".")[0]
    prefix = f"{parent}." if parent else ""
    former = re.fullmatch(r"act(\d+)", path.removeprefix(prefix))
    if former is not None and f"{prefix}bn{former.group(1)}" in modules:
        return (
            f"the backbone has no such module; in today's timm '{prefix}bn{former.group(1)}' holds that activation: "
            "name it, as pefficientnet_b0_timm of the zoo does"
        )
    children = [prefix + name for name, _ in modules[parent].named_children()]
    return f"the backbone has no such module; {repr(parent) if parent else 'it'} holds {', '.join(children) or 'none'}"


def _cut(backbone: nn.Module, configuration: NetworkConfiguration, *, stochastic: bool) -> tuple[Backbone, list[Shape]]:
    """Cut the backbone at the PCoders, and learn the shapes of e_0 .. e_N from one probe image."""
    paths = [pcoder.path for pcoder in configuration.table.pcoders]
    shape = configuration.table.input_size
    first = next(backbone.parameters(), torch.empty(0))
    with torch.inference_mode(mode=False), torch.no_grad():
        try:
            probe = _probe(shape, first)
            output = configuration.table.output
            cut = cut_backbone(backbone, paths, output)
            # A backbone that draws random numbers draws the same ones.
            expected = _drawn_alike(cut.whole)(probe.clone())
            with noted_runs(cut.module, paths) as places:
                drives, logits = _drawn_alike(cut.observe)(probe.clone())
            _refuse_repeated(places)
            images = smaller(cut.whole, _two(probe))
            if not _same(logits, expected) or _loses_gradient(cut, images):
                # Its code depends on the order of its steps, or says itself what its gradient is; hooks keep both.
                cut = HookedBackbone(backbone, paths, output)
                drives, logits = _drawn_alike(cut.observe)(probe.clone())
        except RepeatedModuleError as error:
            ran = _places(backbone, paths, _probe(shape, first))[error.index]  # a trace names no module around it
            places_known = ran if len(ran) == error.runs else error.places
            raise configuration.problem(error.index, repeated(error.runs, places_known)) from None
        except PcbenchError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"{configuration.source}: the backbone cannot run on {shape}: {named(error)}"
            ) from error
        _check_outputs(configuration, drives, logits, expected)
        found = check_function(type(cut.module).__name__, cut.whole, images)
        if found == "state" or (found == "random" and not stochastic):
            why = RANDOM if found == "random" else KEEPS_STATE
            raise ConfigurationError(f"{configuration.source}: the backbone {why}")
    return cut, [shape, *(tuple(drives[index].shape[1:]) for index in range(len(paths)))]


def _probe(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return one image of a shape (channels, height, width): any fixed pattern that is not constant is suitable."""
    pattern = torch.linspace(-1, 1, math.prod(shape), dtype=like.dtype, device=like.device)
    return pattern.sin_().reshape(1, *shape)


def _drawn_alike(asked: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """Return what asks with the same random numbers each time."""

    def ask(images: Tensor) -> Any:
        with seeded(0, images.device):
            return asked(images)

    return ask


def _loses_gradient(cut: Backbone, images: Tensor) -> bool:
    """Return whether tracing has changed the gradient, and say so in one line."""
    # The second image is for where the gradient at the first one vanishes anyway.
    if not isinstance(cut, TracedBackbone) or same_gradient(
        _drawn_alike(cut.whole), _drawn_alike(cut), list(images[:, None])
    ):
        return False
    logger.warning(
        "%s says itself what its gradient is (an autograd.Function, no_grad, detach or a gradient hook), which a trace "
        "would lose: it runs whole at every timestep",
        type(cut.module).__name__,
    )
    return True


def _two(probe: Tensor) -> Tensor:
    """Return the probe image and one of noise."""
    return torch.cat([probe, torch.randn(probe.shape, generator=torch.Generator().manual_seed(0)).to(probe)])


def _same(logits: Any, expected: Any) -> bool:
    if not (isinstance(logits, Tensor) and isinstance(expected, Tensor)):
        return True
    return torch.equal(logits.nan_to_num(), expected.nan_to_num())


def _refuse_repeated(places: Places) -> None:
    """Refuse a module that runs again where a trace does not look: inside a module that it leaves whole.

    Raises:
        RepeatedModuleError: There is one.
    """
    for index, found in enumerate(places):
        if len(found) > 1:
            raise RepeatedModuleError(index, len(found), tuple(found))


def _places(backbone: nn.Module, paths: Sequence[str], probe: Tensor) -> Places:
    copied = private_copy(backbone)
    with noted_runs(copied, paths) as places:
        copied(probe.clone())
    return places


def _check_outputs(configuration: NetworkConfiguration, drives: dict[int, Any], logits: Any, expected: Any) -> None:
    order = list(drives)
    for index, drive in drives.items():
        if not isinstance(drive, Tensor) or drive.dim() < 2:
            raise configuration.problem(index, "the module does not give a tensor (batch, …); name one that does")
    if order != sorted(order):
        modules = ", ".join(configuration.table.pcoders[index].module for index in order)
        raise ConfigurationError(f"{configuration.source}: PCoders are listed in forward order; here: {modules}")
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        raise ConfigurationError(
            f"{configuration.source}: the backbone does not give logits (batch, classes); where it gives several, "
            "output = … names the output that counts"
        )
    if not _same(logits, expected):
        raise ConfigurationError(f"{configuration.source}: the backbone {KEEPS_STATE}")


def _predictors(configuration: NetworkConfiguration, shapes: Sequence[Shape]) -> list[nn.Module]:
    names = imported_names(configuration.table.imports)
    predictors: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for index, pcoder in enumerate(configuration.table.pcoders):
            shape, below = shapes[index + 1], shapes[index]
            if pcoder.predictor is None:
                if len(shape) != 3 or len(below) != 3:
                    raise configuration.problem(index, "a predictor can be inferred between images only; write one")
                predictors.append(inferred_predictor(shape, below))
                continue
            try:
                predictors.append(build_module(pcoder.predictor, names))
            except ConfigurationError as error:
                raise configuration.problem(index, f"predictor: {error}") from None
    for index, predictor in enumerate(predictors):
        _check_prediction(configuration, index, predictor, shapes)
    return predictors


def _check_prediction(
    configuration: NetworkConfiguration, index: int, predictor: nn.Module, shapes: Sequence[Shape]
) -> None:
    shape, below = shapes[index + 1], shapes[index]
    try:
        predicted = predicted_shape(predictor, shape)
    except Exception as error:  # layers are given whatever is written
        problem = first_line(error)
        raise configuration.problem(index, f"the predictor cannot take e_{index + 1} {shape}: {problem}") from error
    if predicted != below:
        raise configuration.problem(
            index,
            f"the predictor makes {predicted} of e_{index + 1} {shape}, but e_{index} is {below}; change the predictor",
        )


def _error_windows(
    configuration: NetworkConfiguration, predictors: Sequence[nn.Module], shapes: Sequence[Shape]
) -> list[float | None]:
    if not configuration.table.gradient_scaling:
        return [None] * len(predictors)
    return [
        pcoder.error_window or counted_error_window(predictor, shapes[index + 1])
        for index, (pcoder, predictor) in enumerate(zip(configuration.table.pcoders, predictors, strict=True))
    ]
