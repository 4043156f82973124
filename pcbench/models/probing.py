"""Asking a user's network for logits once, to learn how many classes and timesteps it has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pcbench.errors import ConfigurationError, PcbenchError, UsageError, named

_PROBE_SIZES = ((3, 32, 32), (3, 224, 224), (3, 64, 64), (3, 28, 28), (1, 28, 28))


def probe(module: nn.Module, name: str) -> Tensor:
    """Return the logits of two black images, of the size that the module states or else of common sizes."""
    stated: Any = getattr(module, "input_size", None)
    first = next(module.parameters(), torch.empty(0))
    reason, cause = "", None
    for size in (tuple(stated),) if stated is not None else _PROBE_SIZES:
        try:
            with torch.no_grad():
                logits: Any = module(torch.zeros(2, *size, dtype=first.dtype, device=first.device))
        except PcbenchError:
            raise
        except Exception as error:  # noqa: BLE001 - the user's own network may raise anything; it is reported
            reason = f" (with {'x'.join(map(str, size))}: {named(error)})"
            cause = error
            continue
        if isinstance(logits, Tensor) and logits.dim() in (2, 3) and logits.shape[-2] == 2:
            return logits
        raise UsageError(f"{name} does not give logits: (batch, classes), or (T+1, batch, classes) for every timestep")
    if stated is not None:
        raise ConfigurationError(
            f"{name}: fails on images of the input_size that it states{reason}; correct one of the two"
        ) from cause
    raise ConfigurationError(
        f"{name}: state the size of its images in an attribute input_size = (3, height, width){reason}"
    ) from cause
