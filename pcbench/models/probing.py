"""Asking a user's network for logits once, to learn how many classes and timesteps it has."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import ConfigurationError, PcbenchError, UsageError, named
from pcbench.models.sizes import stated_size
from pcbench.network.function_probe import check_function, smaller
from pcbench.network.own_modules import computed_in, logits_of

logger = logging.getLogger("pcbench")

_PROBE_SIZES = ((3, 32, 32), (3, 224, 224), (3, 64, 64), (3, 28, 28), (1, 28, 28))


def probe(module: nn.Module, name: str) -> Tensor:
    """Return the logits of two black images, of the size that the module states or else of common sizes.

    One line says where the module answers the same images differently each time.

    Raises:
        ConfigurationError: The module fails on images of the size that it states, or of all common sizes.
        UsageError: It does not give one row of logits for each image, or a row depends on the other images.
    """
    stated = stated_size(module, name)
    first = next(module.parameters(), torch.empty(0))
    kind, reason, cause = computed_in(module), "", None
    for size in (stated,) if stated is not None else _PROBE_SIZES:
        try:
            with torch.no_grad():
                answer: Any = module(torch.zeros(2, *size, dtype=kind, device=first.device))
        except PcbenchError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's own network may raise anything; it is reported
            reason = f" (with {'x'.join(map(str, size))}: {named(error)})"
            cause = error
            continue
        logits: Any = logits_of(answer)
        if isinstance(logits, Tensor) and _are_logits(logits):
            _ask_again(module, name, torch.zeros(2, *size, dtype=kind, device=first.device))
            return logits
        raise UsageError(
            f"{name} does not give logits: (batch, classes), or (T+1, batch, classes) for every timestep, as a tensor "
            f"or as the entry or attribute 'logits' of something else; it gives {_kind(answer)}"
        )
    if stated is not None:
        raise ConfigurationError(
            f"{name}: fails on images of the input_size that it states{reason}; correct one of the two"
        ) from cause
    raise ConfigurationError(
        f"{name}: state the size of its images in an attribute input_size = (3, height, width){reason}"
    ) from cause


def _ask_again(module: nn.Module, name: str, like: Tensor) -> None:
    """Find out whether answers to images of noise depend on anything but the image."""
    # A network that draws random numbers goes on with those that it would have drawn.
    with torch.no_grad(), torch.random.fork_rng():
        images = torch.rand(like.shape, generator=torch.Generator().manual_seed(0)).to(like)
        if not check_function(name, lambda asked: logits_of(module(asked)), smaller(module, images)):
            logger.warning(
                "%s answers the same image differently each time (dropout, noise, or a state that it keeps): its "
                "numbers are those of one draw",
                name,
            )


def _are_logits(answer: Tensor) -> bool:
    shape = answer.shape
    return len(shape) in (2, 3) and shape[-2] == 2 and shape[-1] > 0 and not answer.is_complex()


def _kind(answer: object) -> str:
    if not isinstance(answer, Tensor):
        return f"a {type(answer).__name__}"
    return f"{'complex numbers' if answer.is_complex() else 'a tensor'} {tuple(answer.shape)} for 2 images"
