"""The predictors' weights from files, in every layout that is in use.

Read are pcbench's own file, state dictionaries of a whole network of the reference's generated classes, and one
checkpoint a PCoder, as the reference's training scripts write them: of one epoch, or a folder of many.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pcbench.errors import WeightsError
from pcbench.files import is_file, is_folder, write
from pcbench.models.weights import BACKBONE, PREDICTORS, StateDict, fill, part, read_weights
from pcbench.network.network import PredictiveNetwork

SCALE = "C_sqrt"
"""What the reference calls the root of C, the number in its gradient scale; a tensor beside a predictor's weights."""
SUFFIXES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors")
"""What files of weights end with."""
EPOCH = "@"
"""What stands between a path and the epoch that is wanted."""

_NUMBER = re.compile(r"_pc(\d+)(?:_(\d+))?(?=[_.])")
_WHOLE = re.compile(r"pcoder_?(\d+)\.(.+)")
_ONE = "_pmodule.pth"
_PARALLEL, _MODULE = "module.", "pmodule."

logger = logging.getLogger("pcbench")


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
    path, epoch = _split(path)
    if is_folder(path):
        held = sorted(child for child in path.iterdir() if child.suffix in SUFFIXES and is_file(child))
        numbered = [file for child in held if (file := PredictorFile.of(child)) is not None]
        if not numbered and len(held) == 1:
            return _of_whole(held[0], count)
        return _of_each(_complete_set(path, numbered, count, epoch))
    one = PredictorFile.of(path)
    if one is None:
        if epoch is not None:
            raise WeightsError(f"{path}{EPOCH}{epoch}: only a folder of checkpoints has epochs")
        return _of_whole(path, count)
    beside = [file for child in sorted(path.parent.glob("*")) if (file := PredictorFile.of(child)) is not None]
    same = {file.number: file for file in beside if (file.run, file.epoch) == (one.run, one.epoch)}
    for number in range(1, count + 1):
        if number not in same:
            needed = path.with_name(path.name.replace(f"_pc{one.number}", f"_pc{number}"))
            raise WeightsError(f"{needed}: is needed besides {path.name}; there is one checkpoint for each PCoder")
    return _of_each([same[number] for number in range(1, count + 1)])


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
    if not stated or not network.configuration.table.gradient_scaling:
        return {}
    windows = network.error_windows
    network.error_windows = tuple(stated.get(index, window) for index, window in enumerate(windows))
    told = ", ".join(f"{value:.6g} for PCoder {index + 1}" for index, value in stated.items())
    logger.info("%s: states C, which decides the gradient scale: %s", source, told)
    return {"gradient_scale": told}


def write_one_a_pcoder(path: Path, folder: Path) -> list[Path]:
    """Write predictors as the reference's classes load them: one state dictionary a PCoder, ``…_pc1_pmodule.pth``.

    Args:
        path: A file of all predictors, or of a whole network.
        folder: Where the files go; they are named after the file.

    Returns:
        The files, by n.

    Raises:
        WeightsError: The file is missing, damaged, refused, or holds no predictors.
        WriteError: A file cannot be written.
    """
    state = part(_of_whole(path, count=1), PREDICTORS)
    written: list[Path] = []
    for index in indices_of(state):
        held = {name: tensor for name, tensor in part(state, f"{index}.").items() if name != SCALE}
        target = folder / f"{path.name.partition('.')[0]}_pc{index + 1}{_ONE}"
        written.append(write(target, partial(torch.save, held)))
    return written


def indices_of(state: Mapping[str, Tensor]) -> list[int]:
    """Return n from 0 of all predictors whose tensors a state holds under ``{n}.…``, ascending."""
    first = {name.partition(".")[0] for name in state}
    return sorted(int(number) for number in first if number.isdecimal())


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
    aligned: StateDict = {}
    windows: dict[int, float] = {}
    for index, predictor in enumerate(predictors):
        own = predictor.state_dict().keys()
        given = part(state, f"{index}.")
        scale = given.pop(SCALE, None)
        if scale is not None and scale.numel() == 1 and float(scale) > 0:  # below 0: the reference has not counted yet
            windows[index] = float(scale) ** 2
        aligned.update({f"{index}.{name}": tensor for name, tensor in _as_named(given, list(own)).items()})
    known = {str(index) for index in range(len(predictors))}
    rest = {name: tensor for name, tensor in state.items() if name.partition(".")[0] not in known}
    fill(predictors, {**aligned, **rest}, source)
    return windows


def _split(path: Path) -> tuple[Path, int | None]:
    """Part a path from the epoch that is wanted; a file may well have such a name itself."""
    start, sign, epoch = path.name.rpartition(EPOCH)
    if not sign or not epoch.isdigit() or path.exists():
        return path, None
    return path.with_name(start) if start else path.parent, int(epoch)


def _complete_set(folder: Path, files: list[PredictorFile], count: int, epoch: int | None) -> list[PredictorFile]:
    """Return one file a PCoder: those of one epoch, or those that state none."""
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
        logger.info(
            "%s: the weights are those of epoch %d, the newest of %d that are complete; %s%sEPOCH takes another",
            folder, newest[1], len(complete), folder, EPOCH,
        )  # fmt: skip
    return [complete[newest][number] for number in range(1, count + 1)]


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


def _of_each(files: list[PredictorFile]) -> StateDict:
    state: StateDict = {}
    for index, file in enumerate(files):
        for name, tensor in predictors_of(read_weights(file.path)).items():
            state[f"{PREDICTORS}{index}.{name}"] = tensor
    return state


def predictors_of(given: StateDict, *, whole: bool = False) -> StateDict:
    """Return the tensors of a checkpoint under the names that pcbench gives them.

    Args:
        given: What the file holds.
        whole: It is one of all predictors, or of a whole network, not of one PCoder.

    Returns:
        Of one PCoder: its predictor's own names, and `C_sqrt`. Else ``predictors.{n}.…`` and ``backbone.…``, without
        what belongs to neither.
    """
    given = _without(given, _PARALLEL)
    if not whole:
        return {name.removeprefix(_MODULE): tensor for name, tensor in given.items()}
    state: StateDict = {}
    for name, tensor in given.items():
        found = _WHOLE.fullmatch(name)
        if found is not None:
            inner = found.group(2)
            if inner.startswith(_MODULE) or inner == SCALE:  # the rest are the reference's own states
                state[f"{PREDICTORS}{int(found.group(1)) - 1}.{inner.removeprefix(_MODULE)}"] = tensor
        elif name.startswith((PREDICTORS, BACKBONE)):
            state[name] = tensor
    # The state of a network of our own holds its backbone under `backbone.module.…`.
    backbone = _without(part(state, BACKBONE), _PARALLEL)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(BACKBONE)}
    return {**kept, **{f"{BACKBONE}{name}": tensor for name, tensor in backbone.items()}}


def _of_whole(path: Path, count: int) -> StateDict:
    """Read pcbench's own file, or the state of a network of the reference's generated classes."""
    given = read_weights(path)
    state = predictors_of(given, whole=True)
    if not any(name.startswith(PREDICTORS) for name in state):
        raise WeightsError(f"{path}: {_nearest(given, count)}")
    return state


def _nearest(given: Mapping[str, Tensor], count: int) -> str:
    first = next(iter(given), None)
    if first is None:
        return "holds no tensors"
    known = f"predictors are named predictors.0.… to predictors.{count - 1}.…, or pcoder1.pmodule.… and so on"
    if all(name.startswith(_MODULE) or "." not in name or name[0].isdigit() for name in given):
        return (
            f"holds one module ({first!r} is its first key), as the checkpoints of one PCoder do: name it …_pc1….pth, "
            f"with one file for each of {count} PCoders; in one file, {known}"
        )
    return f"holds no predictors ({first!r} is its first key); {known}"


def _without(state: Mapping[str, Tensor], prefix: str) -> StateDict:
    """Return tensors without a prefix that all of their names have."""
    if not state or not all(name.startswith(prefix) for name in state):
        return dict(state)
    return part(state, prefix)


def _as_named(given: StateDict, own: list[str]) -> StateDict:
    """Return a predictor's tensors under its own names, where an index in front is all that differs."""
    if given.keys() == set(own) or not given:
        return given
    for changed in _other_names(given):
        if changed.keys() == set(own):
            return changed
    return given


def _other_names(given: StateDict) -> Iterator[StateDict]:
    yield _without(given, "0.")
    yield {f"0.{name}": tensor for name, tensor in given.items()}
