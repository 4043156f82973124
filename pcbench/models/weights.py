"""Weights from files: safetensors, and Predify's checkpoints; nothing in a file is ever executed."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError

# safetensors leaves a path's type open.
from safetensors.torch import load_file, save  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from pcbench.errors import UsageError, WeightsError, damage_refused
from pcbench.files import file_sha256, is_file, write
from pcbench.limits.tensors import check_checkpoint, check_safetensors

StateDict = dict[str, Tensor]
BACKBONE, PREDICTORS = "backbone.", "predictors."
_WRAPPERS = ("pcoderweights", "state_dict", "model_state_dict", "model")
_SCALAR: Any = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,
    codecs.encode,
    np.dtype,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")),
]
"""What may stand beside tensors in a checkpoint, such as the arguments of a script: making one runs nothing."""


def state_sha256(module: nn.Module) -> str:
    """Return the sha256 over names, types, shapes and bytes of a module's state, in the order of their names."""
    return tensors_sha256(module.state_dict())


def tensors_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, types, shapes and bytes of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        if not isinstance(tensor, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]  # PyTorch takes anything
            kind = type(tensor).__name__
            raise UsageError(f"the state of the network holds {name}, a {kind}, not a tensor; give it unquantised")
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name}|{plain.dtype}|{tuple(plain.shape)}|".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path) -> StateDict:
    """Read tensors by name from a safetensors file, or from a PyTorch checkpoint that holds nothing but tensors.

    Raises:
        WeightsError: The file is missing, damaged, or a pickle that would run code.
    """
    if not is_file(path):
        raise WeightsError(f"{path}: there is no such weights file")
    if path.suffix == ".safetensors":
        what, remedy = "is not a readable safetensors file", "fetch it again"
        with damage_refused(path, what, remedy, SafetensorError, kind=WeightsError):
            check_safetensors(path)
            return load_file(path)
    return _read_checkpoint(path)


def _read_checkpoint(path: Path) -> StateDict:
    what, remedy = "is not a readable checkpoint", "save the tensors alone, or fetch it again"
    # A length in a damaged pickle may be more than any memory; PyTorch asserts that a tensor that is named is there.
    expected = (RuntimeError, BadZipFile, MemoryError, AssertionError)
    told = damage_refused(path, what, remedy, *expected, kind=WeightsError)
    with told, warnings.catch_warnings():
        # PyTorch warns of pickles that it did not write, before it refuses what it cannot read safely.
        warnings.simplefilter("ignore", UserWarning)
        check_checkpoint(path)
        try:
            with torch.serialization.safe_globals(_HARMLESS):
                held: Any = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            told = "is refused, because reading it could run code; save the tensors alone"
            raise WeightsError(f"{path}: {told}") from None
    for wrapper in _WRAPPERS:
        if isinstance(held, Mapping) and wrapper in held:
            held = cast("Mapping[str, Any]", held)[wrapper]
    if not isinstance(held, Mapping):
        raise WeightsError(f"{path}: holds no tensors by name; save a state_dict")
    state = cast("Mapping[Any, Any]", held)
    if not all(isinstance(name, str) for name in state):
        raise WeightsError(f"{path}: holds no tensors by name; save a state_dict")
    tensors = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path}: holds no tensors by name; save a state_dict")
    return tensors


def part(state: Mapping[str, Tensor], prefix: str) -> StateDict:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load tensors into a module; every tensor must fit, none may be missing.

    Raises:
        WeightsError: Names or shapes do not fit; the message names the first.
    """
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    # Old checkpoints lack the batch counters, which evaluation never reads.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        problem = f"lacks {missing[0]!r}" if missing else f"holds the unknown {unknown[0]!r}"
        raise WeightsError(f"{source}: is made for another network: it {problem}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)} where {tuple(own[name].shape)} is needed"
            raise WeightsError(f"{source}: is made for another network: {name!r} is {shapes}")
    module.load_state_dict(state, strict=False)


def save_weights(
    path: Path,
    *,
    backbone: nn.Module | None,
    predictors: Sequence[nn.Module],
    metadata: Mapping[str, str],
    more: Mapping[str, Tensor] | None = None,
) -> str:
    """Write backbone and predictors as one safetensors file, whole or not at all.

    Args:
        path: The file.
        backbone: Its state goes under ``backbone.…``; None leaves it out.
        predictors: Their states go under ``predictors.{n}.…``.
        metadata: How they came to be; it is written beside the tensors.
        more: Tensors that belong to no module, by their whole names, such as ``predictors.0.C_sqrt``.

    Returns:
        The file's sha256.

    Raises:
        WriteError: It cannot be written.
    """
    state: StateDict = dict(more or {})
    if backbone is not None:
        state.update({f"{BACKBONE}{name}": tensor for name, tensor in backbone.state_dict().items()})
    for number, predictor in enumerate(predictors):
        state.update({f"{PREDICTORS}{number}.{name}": tensor for name, tensor in predictor.state_dict().items()})
    # As bytes first: safetensors' own writer raises an error of its own when the disk is full.
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, dict(metadata))
    return file_sha256(write(path, content))
