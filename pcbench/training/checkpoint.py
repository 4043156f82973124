"""Checkpoints: the whole state of a training in one safetensors file, from which it is resumed as if never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn, optim

from pcbench.errors import UsageError, WeightsError, damage_refused
from pcbench.files import write
from pcbench.limits.tensors import check_safetensors
from pcbench.limits.text import parse_json
from pcbench.training.settings import TrainingSettings

_MODEL, _OPTIMIZER = "model.", "optimizer."


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int
    """The next step, counted from 0 over all epochs."""
    losses: list[list[float]]
    """Mean loss of each term, one list for each finished epoch."""
    unfinished: list[float]
    """Sum over the images of the epoch under way, of each term."""


def save_checkpoint(
    path: Path, learner: nn.Module, optimizer: optim.Optimizer, progress: Progress, identity: Mapping[str, Any]
) -> None:
    """Write a checkpoint, completely or not at all.

    Args:
        path: The file.
        learner: Its parameters that require gradients, and its buffers, are saved.
        optimizer: Its state is saved too.
        progress: How far the training is.
        identity: What is being trained, from what and how; only the same training resumes from its checkpoint.

    Raises:
        WriteError: It cannot be written; the previous one is unchanged.
    """
    tensors = {_MODEL + name: tensor for name, tensor in _learned(learner).items()}
    state = optimizer.state_dict()
    plain: dict[str, Any] = {}
    for index, entries in state["state"].items():
        for name, value in entries.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}.{name}"] = value
            else:
                plain[f"{index}.{name}"] = value
    header = {
        "progress": json.dumps(asdict(progress)),
        "optimizer": json.dumps({"plain": plain, "groups": state["param_groups"]}),
        "identity": json.dumps(identity, sort_keys=True),
    }
    # As bytes first: safetensors' own writer raises another error when the disk is full.
    write(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, header))


def load_checkpoint(
    path: Path, learner: nn.Module, optimizer: optim.Optimizer, identity: Mapping[str, Any]
) -> Progress:
    """Restore a training from its checkpoint.

    Args:
        path: The file.
        learner: Filled in place.
        optimizer: Filled in place.
        identity: The identity that the checkpoint must have.

    Raises:
        WeightsError: The file is damaged, or is not a checkpoint.
        UsageError: It belongs to another training; the message names the first difference.
    """
    what, remedy = "cannot be read as a checkpoint", "delete it to start again"
    with damage_refused(path, what, remedy, SafetensorError, RuntimeError, kind=WeightsError):
        check_safetensors(path)
        header, tensors = _read(path)
        progress, held, saved = (parse_json(header[key], path) for key in ("progress", "optimizer", "identity"))
        _check_identity(path, saved, json.loads(json.dumps(identity)))
        targets = _learned(learner)
        for name, tensor in targets.items():
            tensor.data.copy_(tensors[_MODEL + name])
        optimizer.load_state_dict({"state": _optimizer_state(tensors, held["plain"]), "param_groups": held["groups"]})
        return Progress(**progress)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    opened: Any = safe_open(path, framework="pt")
    with opened as file:
        return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # a file, not a mapping


def _learned(learner: nn.Module) -> dict[str, Tensor]:
    parameters = {name: tensor for name, tensor in learner.named_parameters() if tensor.requires_grad}
    return parameters | dict(learner.named_buffers())


def _optimizer_state(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    entries = {name.removeprefix(_OPTIMIZER): value for name, value in tensors.items() if name.startswith(_OPTIMIZER)}
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**entries, **plain}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return state


def _check_identity(path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for key in sorted(saved.keys() | wanted.keys()):
        if saved.get(key) != wanted.get(key):
            raise UsageError(
                f"{path} is a checkpoint of another training ({key} was {saved.get(key)!r}, now {wanted.get(key)!r}); "
                "choose another folder or delete it"
            )


def describe(settings: TrainingSettings) -> dict[str, Any]:
    """Return settings as plain values for a checkpoint's identity or a file's metadata."""
    return asdict(settings)
