"""Weights from files: safetensors, and Predify's checkpoints; nothing in a file is ever executed."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import os
import pickle
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath
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
from pcbench.models.naming import no_such_weights

StateDict = dict[str, Tensor]
BACKBONE, PREDICTORS = "backbone.", "predictors."
_WRAPPERS = ("pcoderweights", "state_dict", "model_state_dict", "model")
_SCALAR: Any = np.float64(0).__reduce__()[0]
_PATHS = ("pathlib", "pathlib._local")
"""Where Python keeps its classes of paths; those of another system cannot be made, so plain ones stand in."""
_ARRAY: Any = np.zeros(0).__reduce__()[0]
_NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
_HARMLESS: list[Any] = [
    argparse.Namespace,
    codecs.encode,
    np.dtype,
    np.ndarray,
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    _ARRAY,
    (_ARRAY, "numpy.core.multiarray._reconstruct"),
    *(type(np.dtype(name)) for name in _NUMBERS),
    date,
    datetime,
    timedelta,
    *((PurePosixPath, f"{module}.{name}") for module in _PATHS for name in ("PosixPath", "PurePosixPath", "Path")),
    *((PureWindowsPath, f"{module}.{name}") for module in _PATHS for name in ("WindowsPath", "PureWindowsPath")),
]
"""What may stand beside tensors in a checkpoint, such as the arguments of a script: making one runs nothing."""
_FORCING = ("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
"""The variables by which PyTorch reads tensors alone whatever it is asked for, and the contrary."""
_COUNTER = "num_batches_tracked"
"""What the names of batch counters end with."""
_NOT_ALLOWED = re.compile(r"GLOBAL ([\w.]+) was not an allowed")


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


def values_sha256(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of tensors that are equal once they are loaded: as float32, without the batch counters."""
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(_COUNTER)}
    return tensors_sha256({name: tensor.detach().to(torch.float32) for name, tensor in kept.items()})


def read_weights(path: Path) -> StateDict:
    """Read tensors by name from a safetensors file, or from a PyTorch checkpoint that holds nothing but tensors.

    Raises:
        WeightsError: The file is missing, damaged, or a pickle that would run code.
    """
    if not is_file(path):
        raise no_such_weights(path)
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
        except pickle.UnpicklingError as error:
            raise WeightsError(f"{path}: {_refused(path, str(error))}") from None
    tensors = _by_name(held)
    if not tensors:
        keys = ", ".join(repr(str(key)) for key in list(cast("Mapping[Any, Any]", held))[:8]) if _is_named(held) else ""
        what = f" (its keys are {keys})" if keys else ""
        raise WeightsError(f"{path}: holds no tensors by name{what}; save a state_dict")
    _check_kinds(path, tensors)
    return tensors


@contextmanager
def tensors_alone() -> Generator[None]:
    """Let PyTorch read nothing but tensors, and what may stand beside them, whatever a library asks of `torch.load`."""
    before = {name: value for name in _FORCING if (value := os.environ.pop(name, None)) is not None}
    os.environ[_FORCING[0]] = "1"
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            yield
    finally:
        del os.environ[_FORCING[0]]
        os.environ.update(before)


def _refused(path: Path, said: str) -> str:
    """Return why PyTorch does not read a file."""
    with path.open("rb") as file:
        first = file.read(1)
    if first not in (b"P", b"\x80"):  # of a ZIP archive, and of a pickle
        return "is not a checkpoint of PyTorch, but perhaps a page or a pointer to it; fetch it again"
    found = _NOT_ALLOWED.search(said)
    what = "" if found is None else f" (it holds {found.group(1)})"
    return f"is refused, because reading it could run code{what}; save the tensors alone"


def _by_name(held: Any) -> StateDict:
    """Return the tensors of a checkpoint, whatever they are wrapped in; of several parts, after the name of each."""
    for wrapper in _WRAPPERS:
        if _is_named(held) and _is_named(held.get(wrapper)):
            held = held[wrapper]
    tensors = _tensors(held)
    if tensors or not _is_named(held):
        return tensors
    parts = {str(name): found for name, value in held.items() if (found := _tensors(value))}
    if len(parts) == 1:
        return next(iter(parts.values()))
    return {f"{name}.{inner}": tensor for name, found in parts.items() for inner, tensor in found.items()}


def _is_named(held: Any) -> bool:
    return isinstance(held, Mapping) and all(isinstance(name, str) for name in cast("Mapping[Any, Any]", held))


def _tensors(held: Any) -> StateDict:
    found = held.items() if _is_named(held) else ()
    return {name: value.detach() for name, value in found if isinstance(value, Tensor)}


def _check_kinds(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        kinds = (
            (tensor.is_meta, "without values (of the device meta)"),
            (tensor.is_quantized, "quantised"),
            (tensor.layout != torch.strided, "sparse"),
            (tensor.is_complex(), "complex"),
        )
        for is_kind, kind in kinds:
            if is_kind:
                raise WeightsError(f"{path}: {name!r} is {kind}; save it as an ordinary tensor of real numbers")


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
    missing = [name for name in missing if not name.endswith(_COUNTER)]
    if missing or unknown:
        problems = [f"lacks {missing[0]!r}"] if missing else []
        problems += [f"holds the unknown {unknown[0]!r}"] if unknown else []
        problem = " and ".join(problems)
        raise WeightsError(f"{source}: is made for another network: it {problem}")
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)} where {tuple(own[name].shape)} is needed"
            raise WeightsError(f"{source}: is made for another network: {name!r} is {shapes}")
        if own[name].is_floating_point() and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise WeightsError(f"{source}: {name!r} holds whole numbers ({kind}), not weights; save it as float32")
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
