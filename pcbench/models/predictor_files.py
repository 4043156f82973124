"""The predictors' weights from files, in every layout that is in use.

Read are pcbench's own file, state dictionaries of a whole network of the reference's generated classes, and one
checkpoint a PCoder, as the reference's training scripts write them: of one epoch, or a folder of many.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pcbench.errors import WeightsError
from pcbench.files import is_file, is_folder, write
from pcbench.models.tensor_names import (
    HYPERPARAMETERS,
    SCALE,
    as_named,
    indices_of,
    predictors_of,
    without_place,
)
from pcbench.models.weights import BACKBONE, PREDICTORS, StateDict, fill, part, read_weights
from pcbench.network.network import PredictiveNetwork

SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors")
"""What files of weights end with."""
EPOCH = "@"
"""What stands between a path and the epoch that is wanted."""

_NUMBER = re.compile(r"(?:^|[_-])pc(?:oder)?[_-]?(\d+)(?=[_.-])(?:[_-](?:epoch|ep)?[_-]?(\d+)(?=[_.]))?", re.IGNORECASE)
_ONE = "_pmodule.pth"
_SAME = 2e-6
"""Hyperparameters that differ by less are the same number in 32 bits, of which six digits are told."""
_TOLD = 3
"""How many names a message tells."""

logger = logging.getLogger("pcbench")


@cache
def _say(level: int, line: str) -> None:
    """Log a line once in a process: a training, or a run with several workers' networks, loads one file often."""
    logger.log(level, line)


@dataclass(frozen=True)
class PredictorFile:
    """One checkpoint of one PCoder: ``…_pc1.pth``, ``…_pc1_pmodule.pth``, or of an epoch, ``…_pc1_012.pth``."""

    path: Path
    number: int
    """n, from 1."""
    epoch: int | None
    """None where the name states none."""
    run: str
    """What the names of the files that belong together have in common."""

    @classmethod
    def of(cls, path: Path) -> PredictorFile | None:
        """Return what a file's name says; None where it names no PCoder."""
        found = _NUMBER.search(path.name)
        if found is None or path.suffix not in SUFFIXES:
            return None
        epoch = None if found.group(2) is None else int(found.group(2))
        return cls(path, int(found.group(1)), epoch, path.name[: found.start()] + path.name[found.end() :])


def read_predictor_weights(path: Path, count: int) -> StateDict:
    """Read the weights of all predictors, whatever the layout.

    Args:
        path: A file of all predictors, or of a whole network; or checkpoints of one PCoder each: the folder that holds
            them, or any one of them. ``"FOLDER@12"`` takes those of epoch 12; without it, the newest epoch that is
            complete is taken, and one line names it.
        count: N, how many PCoders the network has.

    Returns:
        Tensors under ``predictors.{n}.…`` with n from 0, ``predictors.{n}.C_sqrt`` among them where a file holds it;
        and, where there is a backbone too, ``backbone.…``.

    Raises:
        WeightsError: A file is missing, damaged, refused, or holds no predictors; the message names the nearest layout.
    """
    path, epoch = without_epoch(path)
    if is_folder(path):
        held = sorted(child for child in path.iterdir() if child.suffix in SUFFIXES and is_file(child))
        numbered = [file for child in held if (file := PredictorFile.of(child)) is not None]
        if not numbered and len(held) == 1:
            return _of_whole(held[0], count)
        return _of_each(path, _complete_set(path, numbered, count, epoch), count)
    one = PredictorFile.of(path)
    if one is None:
        if epoch is not None:
            raise WeightsError(f"{path}{EPOCH}{epoch}: only a folder of checkpoints has epochs")
        return _of_whole(path, count)
    beside = [file for child in sorted(path.parent.glob("*")) if (file := PredictorFile.of(child)) is not None]
    same = {file.number: file for file in beside if (file.run, file.epoch) == (one.run, one.epoch)}
    for number in range(1, count + 1):
        if number not in same:
            if len(indices_of(part(predictors_of(read_weights(path), whole=True), PREDICTORS))) > 1:
                return _of_whole(path, count)  # its name may well have a number in it
            needed = path.with_name(_of_number(path.name, number))
            raise WeightsError(f"{needed}: is needed besides {path.name}; there is one checkpoint for each PCoder")
    return _of_each(path.parent, same, count)


def load_predictors(network: PredictiveNetwork, state: Mapping[str, Tensor], source: str) -> dict[str, str]:
    """Load predictors into their network; where a file states C, it decides the gradient scale, as in the reference.

    Args:
        network: Receives them.
        state: What `read_predictor_weights` read.
        source: The file, for messages.

    Returns:
        What the description of a model says of the scale; empty where the file states none.

    Raises:
        WeightsError: Names or shapes do not fit.
    """
    stated = fill_predictors(network.predictors, part(state, PREDICTORS), source)
    _tell_hyperparameters(network, part(state, HYPERPARAMETERS), source)
    scaled = network.configuration.table.gradient_scaling
    described = gradient_scale(state, scaled=scaled)
    if described:
        windows = network.error_windows
        network.error_windows = tuple(stated.get(index, window) for index, window in enumerate(windows))
        _say(logging.INFO, f"{source}: states C, which decides the gradient scale: {described['gradient_scale']}")
    elif stated:
        line = f"{source}: states C, which is not used: the configuration does not set gradient_scaling"
        _say(logging.WARNING, line)
    return described


def gradient_scale(state: Mapping[str, Tensor], *, scaled: bool) -> dict[str, str]:
    """Return what the description of a model says of C, where weights state it and the configuration asks for it.

    Args:
        state: What `read_predictor_weights` read.
        scaled: Whether the configuration asks for a gradient scale.

    Raises:
        WeightsError: What the weights state is no number.
    """
    held = part(state, PREDICTORS)
    stated = {
        index: window
        for index in indices_of(held)
        if (scale := held.get(f"{index}.{SCALE}")) is not None and (window := _window(scale, f"PCoder {index + 1}"))
    }
    if not scaled or not stated:
        return {}
    return {"gradient_scale": ", ".join(f"{value:.6g} for PCoder {index + 1}" for index, value in stated.items())}


def _tell_hyperparameters(network: PredictiveNetwork, state: Mapping[str, Tensor], source: str) -> None:
    """Say that a file was saved with other β, λ, α than those of the configuration, which count."""
    fed_back = [index for index, feeding in enumerate(network.targets.feedback) if feeding is not None]
    different: list[str] = []
    for short, name in (("ffm", "feedforward"), ("fbm", "feedback"), ("erm", "error_weight")):
        places = fed_back if name == "feedback" else list(range(len(network.hyperparameters)))
        given = {index: state.get(f"{short}{index + 1}", state.get(short)) for index in places}
        values = {index: round(float(value), 6) for index, value in given.items() if value is not None}
        own = {index: float(getattr(network.hyperparameters[index], name)) for index in values}
        others = [index for index, value in values.items() if abs(value - own[index]) > _SAME]
        if others and len(values) == len(places) and len(set(values.values())) == 1:
            different.append(f"{name}={values[others[0]]:g}")
        else:
            different += [f"pcoder{index + 1}.{name}={values[index]:g}" for index in others]
    if different:
        told = " ".join(f"--set {value}" for value in different)
        line = f"{source}: was saved with other hyperparameters; those of the configuration count, and these are taken"
        _say(logging.WARNING, f"{line} with {told}")


def write_one_a_pcoder(path: Path, folder: Path) -> list[Path]:
    """Write predictors as the reference's classes load them: one state dictionary a PCoder, ``…_pc1_pmodule.pth``.

    Args:
        path: As for `read_predictor_weights`.
        folder: Where the files go; they are named after the file.

    Returns:
        The files, by n.

    Raises:
        WeightsError: The file is missing, damaged, refused, or holds no predictors.
        WriteError: A file cannot be written.
    """
    state = read_predictor_weights(path, _held_count(path))
    if any(name.startswith(BACKBONE) for name in state):
        logger.warning("%s: its backbone is not written, only the predictors", path)
    state = part(state, PREDICTORS)
    if any(name.endswith(f".{SCALE}") for name in state):
        logger.warning("%s: its %s is not written, since a predictor has no place for it", path, SCALE)
    stem = _stem(path)
    written: list[Path] = []
    for index in indices_of(state):
        held = {name: tensor for name, tensor in part(state, f"{index}.").items() if name != SCALE}
        written.append(write(folder / f"{stem}_pc{index + 1}{_ONE}", partial(torch.save, held)))
    return written


def _held_count(path: Path) -> int:
    """Return how many PCoders the names of files state; 1 where they state none."""
    folder, _ = without_epoch(path)
    beside = folder.iterdir() if is_folder(folder) else folder.parent.glob("*")
    of_one = is_folder(folder) or PredictorFile.of(folder) is not None
    return max([file.number for child in beside if of_one and (file := PredictorFile.of(child))], default=1)


def _stem(path: Path) -> str:
    """Return a path's name without the number of a PCoder and without its ending; other dots are the user's."""
    one = PredictorFile.of(path)
    name = path.name if one is None else one.run
    while Path(name).suffix in SUFFIXES:
        name = Path(name).stem
    return name


def fill_predictors(predictors: nn.ModuleList, state: Mapping[str, Tensor], source: str) -> dict[int, float]:
    """Load weights into predictors, with or without the index that a Sequential puts before its only layer's names.

    Args:
        predictors: D_1 .. D_N.
        state: Tensors under ``{n}.…`` with n from 0.
        source: The file, for messages.

    Returns:
        C, the square of what a file calls `C_sqrt`, by n from 0, where the file holds it.

    Raises:
        WeightsError: Names or shapes do not fit.
    """
    windows: dict[int, float] = {}
    for index, predictor in enumerate(predictors):
        of_one = f"{source}, PCoder {index + 1}"
        given = part(state, f"{index}.")
        scale = given.pop(SCALE, None)
        if scale is not None and (window := _window(scale, of_one)) is not None:
            windows[index] = window
        given = as_named(given, list(predictor.state_dict()))
        fill(predictor, given, of_one)
        _check_values(given, of_one)
    known = {str(index) for index in range(len(predictors))}
    if rest := [name for name in state if name.partition(".")[0] not in known]:
        raise WeightsError(
            f"{source}: is made for another network: it holds the unknown {rest[0]!r}; this one has "
            f"{len(predictors)} PCoders, counted from 0"
        )
    return windows


def _window(scale: Tensor, source: str) -> float | None:
    """Return C, whose root a file states; None where the reference has not counted it yet, and wrote -1."""
    if scale.numel() != 1 or not bool(scale.isfinite()):
        raise WeightsError(f"{source}: {SCALE} is not one finite number; leave it out, and C is counted")
    return float(scale) ** 2 if float(scale) > 0 else None


def _check_values(given: Mapping[str, Tensor], source: str) -> None:
    for name, tensor in given.items():
        if not bool(tensor.isfinite().all()):
            raise WeightsError(f"{source}: {name!r} holds values that are not finite; its training has diverged")


def _of_number(name: str, number: int) -> str:
    """Return the name that the checkpoint of another PCoder has."""
    found = _NUMBER.search(name)
    return name if found is None else f"{name[: found.start(1)]}{number}{name[found.end(1) :]}"


def without_epoch(path: Path) -> tuple[Path, int | None]:
    """Part a path, ``"FOLDER@12"``, from the epoch that is wanted; a file may well have such a name itself."""
    start, sign, epoch = path.name.rpartition(EPOCH)
    if not sign or not epoch.isdigit() or path.exists():
        return path, None
    return path.with_name(start) if start else path.parent, int(epoch)


def _complete_set(folder: Path, files: list[PredictorFile], count: int, epoch: int | None) -> dict[int, PredictorFile]:
    """Return one file a PCoder by n: those of one epoch, or those that state none."""
    if epoch is not None:
        files = [file for file in files if file.epoch == epoch]
        if not files:
            raise WeightsError(f"{folder}: holds no checkpoints of epoch {epoch}, which are named …_pc1_{epoch}.pth")
    sets: dict[tuple[str, int | None], dict[int, PredictorFile]] = {}
    for file in files:
        sets.setdefault((file.run, file.epoch), {})[file.number] = file
    complete = {key: held for key, held in sets.items() if all(number in held for number in range(1, count + 1))}
    if not complete:
        raise WeightsError(_incomplete(folder, files, count, epoch))
    newest = max(complete, key=lambda key: -1 if key[1] is None else key[1])
    others = [key for key in complete if key[1] == newest[1] and key != newest]
    stated = [key for key in complete if key[1] is None]
    if others or (stated and newest[1] is not None):
        first = complete[newest][1].path.name
        second = complete[(others or stated)[0]][1].path.name
        raise WeightsError(f"{folder}: holds several sets of checkpoints ({first}, {second}); give one of the files")
    if len(complete) > 1 and epoch is None:
        line = f"{folder}: the weights are those of epoch {newest[1]}, the newest of {len(complete)} that are complete"
        _say(logging.INFO, f"{line}; {folder}{EPOCH}EPOCH takes another")
    return complete[newest]


def _incomplete(folder: Path, files: list[PredictorFile], count: int, epoch: int | None) -> str:
    of_epoch = "" if epoch is None else f" of epoch {epoch}"
    for number in range(1, count + 1):
        if not any(file.number == number for file in files):
            return (
                f"{folder}: holds no file named …_pc{number}….pth{of_epoch}; one for each of {count} PCoders is needed"
            )
    epochs = sorted({file.epoch for file in files if file.epoch is not None})
    told = f" ({', '.join(map(str, epochs[:8]))}{', …' if len(epochs) > 8 else ''})" if epochs else ""
    return f"{folder}: no epoch{told} has a checkpoint for each of {count} PCoders; give one of the files"


def _of_each(folder: Path, files: Mapping[int, PredictorFile], count: int) -> StateDict:
    if max(files) > count:
        line = f"{folder}: holds checkpoints of PCoders up to {max(files)}; the network has {count}"
        _say(logging.WARNING, f"{line}, and takes the first {count}")
    state: StateDict = {}
    for number in range(1, count + 1):
        for name, tensor in predictors_of(read_weights(files[number].path)).items():
            state[f"{PREDICTORS}{number - 1}.{name}"] = tensor
    return state


def _of_whole(path: Path, count: int) -> StateDict:
    """Read pcbench's own file, or the state of a network of the reference's generated classes."""
    given = read_weights(path)
    state = predictors_of(given, whole=True)
    if not any(name.startswith(PREDICTORS) for name in state):
        raise WeightsError(f"{path}: {_nearest(given, count)}")
    if rest := without_place(given):
        told = ", ".join(rest[:_TOLD]) + (", …" if len(rest) > _TOLD else "")
        line = f"{path}: {len(rest)} tensors are of no predictor and no backbone, and are not taken: {told}"
        _say(logging.WARNING, line)
    return state


def _nearest(given: Mapping[str, Tensor], count: int) -> str:
    first = next(iter(given), None)
    if first is None:
        return "holds no tensors"
    known = f"predictors are named predictors.0.… to predictors.{count - 1}.…, or pcoder1.pmodule.… and so on"
    if all(name.startswith("pmodule.") or "." not in name or name[0].isdigit() for name in given):
        return (
            f"holds one module ({first!r} is its first key), as the checkpoints of one PCoder do: name it …_pc1….pth, "
            f"with one file for each of {count} PCoders; in one file, {known}"
        )
    return f"holds no predictors ({first!r} is its first key); {known}"
