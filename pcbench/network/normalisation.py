"""The normalisation that a network of the user's own states in its attributes `mean` and `std`."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.arguments import listed, number, shown
from pcbench.errors import ConfigurationError
from pcbench.network.outputs import Output, picked_logits
from pcbench.network.own_modules import computed_in
from pcbench.network.seeding import seeded

Channels = tuple[float, ...]

logger = logging.getLogger("pcbench")
_TOLD: set[str] = set()


def tell_unstated(module: nn.Module, name: str) -> None:
    """Say, once for each name, what is assumed of a network that says nothing of mean and std."""
    if name in _TOLD or any(getattr(module, attribute, None) is not None for attribute in ("mean", "std")):
        return
    _TOLD.add(name)
    library = type(module).__module__.partition(".")[0]
    named = f", or name it as {library}:NAME" if library in ("torchvision", "timm") else ""
    logger.warning(
        "%s states no mean and std: images in [0,1] reach it as they are, as with mean 0 and std 1. If it was trained "
        "on normalised images, give it attributes mean and std, one number a channel (docs/reference/models.md)%s",
        name,
        named,
    )


def stated_normalisation(
    module: nn.Module, name: str, images: Tensor, output: Output = None
) -> tuple[Sequence[float], Sequence[float]] | tuple[()]:
    """Return the mean and the standard deviation that pcbench is to normalise images by; nothing where none is stated.

    They are numbers, one for each channel. A network that uses its attributes, or holds the same numbers in a tensor
    or in a part of it, normalises images itself, and so does one whose attributes are tensors: it states nothing.

    Args:
        module: The network.
        name: Its name, for messages.
        images: Some that it takes.
        output: Which of its outputs are the logits.

    Raises:
        ConfigurationError: What it states is not a normalisation.
    """
    mean, std = (_channels(module, name, attribute) for attribute in ("mean", "std"))
    if mean is None and std is None:
        return ()
    channels = len(mean or std or ())
    mean, std = mean or (0.0,) * channels, std or (1.0,) * channels
    if len(mean) != len(std) or min(std) <= 0 or len(mean) not in (1, images.shape[1]):
        raise ConfigurationError(
            f"{name}: its attributes mean and std are {shown(mean)} and {shown(std)}; give one number for each of the "
            f"{images.shape[1]} channels in both, above 0 in std"
        )
    return () if _holds(module, mean, std) or _uses(module, images, output) else (mean, std)


def normalisation_of(
    backbone: nn.Module, name: str, input_size: Sequence[int], output: Output = None
) -> tuple[Sequence[float], Sequence[float]] | tuple[()]:
    """Return what `stated_normalisation` does of a network that may be in training mode; a copy of it is asked.

    Args:
        backbone: The network.
        name: Its name, for messages.
        input_size: Channels, height and width of its images.
        output: Which of its outputs are the logits.

    Raises:
        ConfigurationError: What it states is not a normalisation.
    """
    if not any(hasattr(backbone, attribute) for attribute in ("mean", "std")):
        return ()
    asked = copy.deepcopy(backbone).eval()
    first = next(asked.parameters(), torch.empty(0))
    black = torch.zeros(1, *input_size, dtype=computed_in(asked), device=first.device)
    return stated_normalisation(asked, name, black, output)


def _channels(module: nn.Module, name: str, attribute: str) -> Channels | None:
    stated: Any = getattr(module, attribute, None)
    if stated is None or isinstance(stated, Tensor | nn.Module) or callable(stated):
        return None
    given = listed(stated) or ()
    values = [value for entry in given if isinstance(value := number(entry), float) and math.isfinite(value)]
    if not values or len(values) < len(given):
        raise ConfigurationError(
            f"{name}: its attribute {attribute} is {shown(stated)}; write one number for each channel"
        )
    return tuple(values)


def _holds(module: nn.Module, mean: Channels, std: Channels) -> bool:
    """Return whether the network holds these numbers in a tensor or in a part, where its code normalises with them."""
    # Zeros and ones stand in many layers, and change nothing.
    wanted = [torch.tensor(values, dtype=torch.float64) for values in (mean, std) if set(values) - {0.0, 1.0}]
    held: list[Tensor] = []
    for part in module.modules():
        found: list[Any] = [*part.buffers(recurse=False), *part.parameters(recurse=False)]
        if part is not module:
            found += [vars(part).get("mean"), vars(part).get("std")]
        for value in found:
            try:
                held.append(torch.as_tensor(value, dtype=torch.float64, device="cpu").detach().flatten())
            except (TypeError, ValueError, RuntimeError):
                continue  # not numbers
    same = [one for one in held if len(one) == len(mean)]
    return any(torch.allclose(one, other, rtol=1e-5, atol=1e-7) for one in same for other in wanted)


def _uses(module: nn.Module, images: Tensor, output: Output) -> bool:
    """Return whether the network's answer changes with its attributes `mean` and `std`."""
    expected = _answer(module, images, output)
    kept = {name: vars(module)[name] for name in ("mean", "std") if name in vars(module)}
    try:
        for name, value in (("mean", 7.0), ("std", 3.0)):
            vars(module)[name] = [value] * images.shape[1]
        changed = _answer(module, images, output)
    finally:
        for name in ("mean", "std"):
            del vars(module)[name]
        vars(module).update(kept)
    return expected is None or changed is None or not torch.equal(expected, changed)


def _answer(module: nn.Module, images: Tensor, output: Output) -> Tensor | None:
    """Return the logits of the same draws each time; None where the network fails."""
    with torch.no_grad(), seeded(0, images.device):
        try:
            return picked_logits(module(images), output).nan_to_num()
        except Exception:  # noqa: BLE001 - the user's own network may raise anything
            return None
