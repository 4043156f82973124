"""What a file of weights says of the training that made it: R² of its predictors, and what they were trained for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from pcbench.errors import DataError
from pcbench.files import is_file, is_folder
from pcbench.limits.tensors import check_safetensors
from pcbench.limits.text import parse_json
from pcbench.models.facts import DENOISING
from pcbench.models.predictor_files import SUFFIXES

NOTES = "training"
"""The key of the file's header."""


@dataclass(frozen=True)
class TrainingNotes:
    """What `pcbench train` wrote beside the tensors."""

    r_squared: tuple[float, ...] = ()
    """Of each predictor, on held-out images; none where it was not measured."""
    sentences: tuple[str, ...] = ()
    """What a reader must know: what R² was measured on, and that predictors denoise."""
    denoising: bool = False
    """Whether the predictors were trained to remove noise, which is not the paper's method."""


def training_notes(path: Path) -> TrainingNotes:
    """Return what a file of weights, or a folder with one, says of its training; nothing where that is unclear.

    Raises:
        WeightsError: The file's header is too long.
    """
    return _understood(training_header(path))


def training_header(path: Path) -> Mapping[str, Any]:
    """Return the metadata that `pcbench train` wrote beside the tensors; nothing where there is none to understand.

    Args:
        path: The file, or the folder of a training, as a model takes it for `weights`.

    Raises:
        WeightsError: The file's header is too long.
    """
    if is_folder(path):
        held = [child for child in path.iterdir() if child.suffix in SUFFIXES and is_file(child)]
        path = held[0] if len(held) == 1 else path
    if path.suffix != ".safetensors" or not is_file(path):
        return {}
    check_safetensors(path)
    try:
        opened: Any = safe_open(path, framework="pt")
        with opened as file:
            header: dict[str, str] = file.metadata() or {}
        found = parse_json(header.get(NOTES, "{}"), path)
    except (SafetensorError, DataError, ValueError):
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def denoising_facts(weights: Path | None) -> dict[str, bool]:
    """Return what a model's description says of the file of its predictors; nothing where they are ordinary ones."""
    return {DENOISING: True} if weights is not None and training_notes(weights).denoising else {}


def _understood(found: Mapping[str, Any]) -> TrainingNotes:
    values: Any = found.get("r_squared")
    numbers = cast("list[Any]", values) if isinstance(values, list) else []
    if not all(_is_number(one) for one in numbers):
        numbers = []
    told, denoising = found.get("r_squared_on"), found.get("denoising")
    said = [f"R² on {told}"] if isinstance(told, str) and numbers else []
    said += [denoising] if isinstance(denoising, str) else []
    return TrainingNotes(tuple(float(one) for one in numbers), tuple(said), isinstance(denoising, str))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
