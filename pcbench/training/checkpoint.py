"""Checkpoints: the whole state of a training in one safetensors file, from which it is resumed as if never stopped."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn, optim

from pcbench.errors import UsageError, WeightsError, damage_refused
from pcbench.files import is_file, write
from pcbench.limits.tensors import check_safetensors
from pcbench.limits.text import parse_json
from pcbench.training.settings import TrainingSettings

_NEWER = frozenset({"configuration_sha256"})
"""What the identities of earlier versions do not hold."""
_MODEL, _OPTIMIZER = "model.", "optimizer."

logger = logging.getLogger("pcbench")


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int
    """The next step, counted from 0 over all epochs."""
    losses: list[list[float]]
    """Mean loss of each term, one list for each finished epoch."""
    unfinished: list[float]
    """Sum over the images of the epoch under way, of each term."""
    earlier: list[int] = field(default_factory=list[int])
    """The epochs of each schedule that was finished before the one under way. Where the rate depends on the number of
    epochs, a training that went on is not what all its epochs in one go would give."""
    r_squared: list[list[float]] = field(default_factory=list[list[float]])
    """Measurements on held-out images: the epochs before it, and R² of each term."""


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
    path: Path, learner: nn.Module, optimizer: optim.Optimizer, identity: Mapping[str, Any], steps: int | None
) -> Progress:
    """Restore a training from its checkpoint, to finish it or to go on for more epochs.

    Args:
        path: The file.
        learner: Filled in place.
        optimizer: Filled in place.
        identity: The identity that the checkpoint must have.
        steps: All that are asked for, over all epochs; the checkpoint may then be one of another number of epochs.
            None: it may not.

    Raises:
        WeightsError: The file is damaged, or is not a checkpoint.
        UsageError: It belongs to another training, or to one that is further than the epochs that are asked for.
    """
    what, remedy = "cannot be read as a checkpoint", "delete it to start again"
    with damage_refused(path, what, remedy, SafetensorError, RuntimeError, kind=WeightsError):
        check_safetensors(path)
        header, tensors = _read(path)
        held, saved = (parse_json(header[key], path) for key in ("optimizer", "identity"))
        progress = Progress(**parse_json(header["progress"], path))
        progress = _continued(path, progress, saved, json.loads(json.dumps(identity)), steps)
        targets = _learned(learner)
        for name, tensor in targets.items():
            tensor.data.copy_(tensors[_MODEL + name])
        optimizer.load_state_dict({"state": _optimizer_state(tensors, held["plain"]), "param_groups": held["groups"]})
        return progress


def earlier_schedules(path: Path) -> list[int]:
    """Return the epochs of each schedule that a training had finished before its last one; none where it has no file.

    Raises:
        WeightsError: The file is damaged, or is not a checkpoint.
    """
    if not is_file(path):
        return []
    what, remedy = "cannot be read as a checkpoint", "delete it to start again"
    with damage_refused(path, what, remedy, SafetensorError, RuntimeError, kind=WeightsError):
        check_safetensors(path)
        return Progress(**parse_json(_read(path)[0]["progress"], path)).earlier


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


def _continued(
    path: Path, progress: Progress, saved: Mapping[str, Any], wanted: Mapping[str, Any], steps: int | None
) -> Progress:
    """Return the progress with which a training goes on, perhaps for another number of epochs than it was begun for."""
    # Earlier versions wrote the folder of a configuration too, which may be another here, and no configuration.
    saved = {**{key: wanted[key] for key in _NEWER & wanted.keys()}, **saved}
    if isinstance(saved.get("model"), str):
        saved["model"] = _without_folder(saved["model"])
    begun, asked, done = saved.get("epochs"), wanted.get("epochs"), len(progress.losses)
    for key in sorted(saved.keys() | wanted.keys()):
        if saved.get(key) != wanted.get(key) and (key != "epochs" or steps is None):
            raise UsageError(
                f"{path} is a checkpoint of another training ({key} was {saved.get(key)!r}, now {wanted.get(key)!r}); "
                "choose another folder or delete it (in another folder, `weights` starts from what this one learned)"
            )
    if steps is None or begun == asked or begun is None or asked is None:
        return progress
    if progress.step > steps:
        raise UsageError(
            f"{path}: this training is past the {_epochs(asked)} that are asked for ({done} are done); ask for more, "
            "choose another folder or delete it"
        )
    if wanted.get("schedule") == "constant":
        return progress
    if done != begun:
        raise UsageError(
            f"{path}: this training has done {done} of {_epochs(begun)}, and its learning rate depends on their "
            f"number; finish it with epochs={begun} first, choose another folder or delete it"
        )
    logger.warning(
        "%s: goes on after %s with the learning rate of epoch %d of %d; %d epochs in one go would give other weights",
        path, _epochs(done), done + 1, asked, asked,
    )  # fmt: skip
    return replace(progress, earlier=[*progress.earlier, begun])


def _without_folder(model: str) -> str:
    head, separator, backbone = model.partition(".toml@")
    return f"{PureWindowsPath(head).name}{separator}{backbone}" if separator else model


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def describe(settings: TrainingSettings) -> dict[str, Any]:
    """Return settings as plain values for a checkpoint's identity; what is newer and not used is left out.

    So the checkpoints of earlier versions stay those of the same training.
    """
    plain = asdict(settings)
    unused = {
        "noise": (),
        "noise_target": "noisy",
        "shuffle": None,
        "warm_up": 0.0,
        "noise_seed": None,
        "augmentation": False,
    }
    known = {name: value for name, value in plain.items() if name not in unused or value != unused[name]}
    return {**known, "shift": 0}  # of former versions; predictors' trainings, which may go on, never had another
