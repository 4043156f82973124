"""The words that a model's options take, known before PyTorch is loaded, which takes seconds."""

from __future__ import annotations

import re

from pcbench.errors import UsageError

PRECISIONS = ("float32", "tf32", "bfloat16")
"""The number formats that a model can compute in."""
ABLATIONS = {"no-feedback": "feedback", "no-error": "error_weight"}
"""Ablations of a run, and the hyperparameter that each sets to 0."""
_DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|meta)(:(0|[1-9]\d?))?")


def refuse_unknown_device(name: str) -> None:
    """Refuse what is no name of a device; whether this machine has it is for PyTorch to say.

    Raises:
        UsageError: No machine has such a device.
    """
    if _DEVICE.fullmatch(name) is None:
        raise UsageError(f"there is no device {name!r}; known: auto, cpu, cuda, cuda:N")
