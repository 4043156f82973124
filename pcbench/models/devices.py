"""Where a model computes: the devices of this machine, by name."""

from __future__ import annotations

import torch

from pcbench.errors import UsageError
from pcbench.models.known_words import refuse_unknown_device


def read_device(name: str) -> str:
    """Return the name of a device of this machine; ``"auto"`` is a GPU where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    refuse_unknown_device(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cpu":
        return name
    here = {"cuda": torch.cuda, "mps": torch.mps}.get(device.type)
    count = here.device_count() if here is not None else 0
    if count == 0:
        raise UsageError(f"there is no {_called(device.type)} device here; use device='cpu'")
    if (device.index or 0) >= count:
        raise UsageError(f"there is no device {name!r} here; the last one is '{device.type}:{count - 1}'")
    return name


def _called(kind: str) -> str:
    return kind.upper() if kind in ("cuda", "mps", "xpu") else kind
