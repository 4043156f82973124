"""Asking a user's network for logits once, to learn how many classes and timesteps it has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import ConfigurationError, PcbenchError, UsageError, named
from pcbench.models.sizes import stated_size
from pcbench.network.function_probe import KEEPS_STATE, RANDOM, Ask, check_function, smaller
from pcbench.network.own_modules import computed_in, logits_of
from pcbench.network.seeding import put_back

logger = logging.getLogger("pcbench")

_SIDES = (32, 224, 64, 28)


def probe(module: nn.Module, name: str, stochastic: int | None = None) -> tuple[Tensor, Tensor]:
    """Return two black images and their logits, of the size that the module states or else of common sizes.

    Args:
        module: The module.
        name: Its name, for messages.
        stochastic: Over how many draws it is averaged, where the user says that it draws random numbers.

    Raises:
        ConfigurationError: The module fails on images of the size that it states, or of all common sizes.
        UsageError: It does not give one row of logits for each image, or `check_answers` refuses them.
    """
    stated = stated_size(module, name)
    first = next(module.parameters(), torch.empty(0))
    kind, reason, cause = computed_in(module), "", None
    for size in (stated,) if stated is not None else _sizes(module):
        black = torch.zeros(2, *size, dtype=kind, device=first.device)
        try:
            with torch.no_grad(), put_back(black.device):
                answer: Any = module(black)
        except PcbenchError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's own network may raise anything; it is reported
            reason = f" (with {'x'.join(map(str, size))}: {named(error)})"
            cause = error
            continue
        logits: Any = logits_of(answer)
        if isinstance(logits, Tensor) and _are_logits(logits):
            check_answers(name, lambda asked: logits_of(module(asked)), black, stochastic)
            return black, logits
        raise UsageError(
            f"{name} does not give logits: (batch, classes), or (T+1, batch, classes) for every timestep, as a tensor "
            f"or as the entry or attribute 'logits' of something else; it gives {_kind(answer)}"
        )
    if stated is not None:
        raise ConfigurationError(
            f"{name}: fails on images of the input_size that it states{reason}; correct one of the two"
        ) from cause
    raise ConfigurationError(
        f"{name}: state the size of its images in an attribute input_size = (channels, height, width){reason}"
    ) from cause


def _sizes(module: nn.Module) -> Iterator[tuple[int, int, int]]:
    """Yield the sizes that are tried: colours first, then as many channels as the first convolution takes, or grey."""
    first = next((layer.in_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)), 1)
    for channels in dict.fromkeys((3, first)):
        for side in _SIDES:
            yield channels, side, side


def check_answers(name: str, ask: Ask, like: Tensor, stochastic: int | None) -> None:
    """Ask about images of noise, and refuse answers that are not a function of one image.

    Args:
        name: The network's, for messages.
        ask: Asks the network about images in [0,1].
        like: (2, channels, height, width), of the type and on the device of the images that it takes.
        stochastic: Over how many draws it is averaged; None where it must answer alike each time.

    Raises:
        UsageError: An answer depends on other images, on what was asked before, or on random numbers that are not
            averaged; or it is to be averaged and depends on none.
    """
    images = torch.rand(like.shape, generator=torch.Generator().manual_seed(0)).to(like)
    with torch.no_grad():
        with put_back(images.device):
            images = smaller(ask, images)
        found = check_function(name, ask, images)
    if found == "state":
        raise UsageError(f"{name} {KEEPS_STATE}")
    if found == "random" and stochastic is None:
        raise UsageError(f"{name} {RANDOM}")
    if found == "draws" and stochastic is None:
        logger.warning(
            "%s draws random numbers, without effect on the images of noise that it was asked about: if they have one "
            "on other images, give stochastic=20 to measure the mean of 20 draws",
            name,
        )
    if found == "alike" and stochastic is not None:
        raise UsageError(
            f"{name} answers the same image alike each time: leave `stochastic` out, or, where dropout is to stay on, "
            "give the network in eval() and its dropout layers in train()"
        )


def _are_logits(answer: Tensor) -> bool:
    shape = answer.shape
    return len(shape) in (2, 3) and shape[-2] == 2 and shape[-1] > 0 and not answer.is_complex()


def _kind(answer: object) -> str:
    if not isinstance(answer, Tensor):
        return f"a {type(answer).__name__}"
    return f"{'complex numbers' if answer.is_complex() else 'a tensor'} {tuple(answer.shape)} for 2 images"
