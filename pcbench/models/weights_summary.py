"""What a file or folder of weights holds, told without a network that it would have to fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pcbench.errors import WeightsError
from pcbench.files import is_file, is_folder
from pcbench.models.predictor_files import SUFFIXES, PredictorFile, without_epoch
from pcbench.models.tensor_names import SCALE, indices_of, predictors_of
from pcbench.models.weights import BACKBONE, PREDICTORS, StateDict, part, read_weights


@dataclass(frozen=True)
class HeldPredictor:
    """The weights of one predictor."""

    number: int
    """n, from 1."""
    file: str
    """The name of the file that holds it."""
    shapes: Mapping[str, tuple[int, ...]]
    """The shapes of its tensors by name, in the names of its own module."""
    parameters: int
    """How many numbers these are."""
    scale: float | None
    """C, the square of what the file calls `C_sqrt`, where it holds it."""


@dataclass(frozen=True)
class WeightsSummary:
    """What a file or folder holds."""

    path: Path
    """What was looked at."""
    predictors: tuple[HeldPredictor, ...]
    """By n."""
    backbone: int
    """How many tensors of a backbone there are."""
    others: tuple[str, ...]
    """The keys that belong to neither."""
    epochs: tuple[int, ...]
    """The epochs of which a folder holds a checkpoint of each PCoder, ascending."""
    epoch: int | None
    """The epoch that is summarised."""


def looks_like_weights(path: Path) -> bool:
    """Return whether a path is a file of weights, or a folder that holds some and is not a run."""
    path, _ = without_epoch(path)
    if is_file(path):
        return path.suffix in SUFFIXES
    return is_folder(path) and not (path / "manifest.json").exists() and bool(_files(path))


def summarise_weights(path: Path) -> WeightsSummary:
    """Look at a file of weights, or at a folder of checkpoints of one PCoder each.

    Of a folder the newest epoch counts, or the one that ``"FOLDER@12"`` names.

    Raises:
        WeightsError: There is none, or it cannot be read.
    """
    path, wanted = without_epoch(path)
    files = [path] if is_file(path) else _files(path)
    if not files:
        raise WeightsError(f"{path}: is no file of weights, and no folder that holds some")
    numbered = [file for child in files if (file := PredictorFile.of(child)) is not None]
    if not numbered or (is_file(path) and PredictorFile.of(path) is None):
        return _of_whole(files[0])
    complete = _complete_epochs(numbered)
    epoch = numbered[0].epoch if is_file(path) else next(iter(reversed(complete)), None)
    if wanted is not None and wanted not in {file.epoch for file in numbered}:
        raise WeightsError(f"{path}: holds no checkpoints of epoch {wanted}")
    epoch = epoch if wanted is None else wanted
    chosen = sorted((file for file in numbered if file.epoch == epoch), key=lambda file: file.number)
    held = tuple(_held(file.number, file.path.name, predictors_of(read_weights(file.path))) for file in chosen)
    return WeightsSummary(path, held, 0, (), complete, epoch)


def _files(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.suffix in SUFFIXES and is_file(child))


def _complete_epochs(files: list[PredictorFile]) -> tuple[int, ...]:
    numbers = {file.number for file in files}
    epochs = sorted({file.epoch for file in files if file.epoch is not None})
    return tuple(one for one in epochs if {file.number for file in files if file.epoch == one} == numbers)


def _of_whole(path: Path) -> WeightsSummary:
    given = read_weights(path)
    named = predictors_of(given, whole=True)
    state = part(named, PREDICTORS)
    backbone = part(named, BACKBONE)
    held = tuple(_held(index + 1, path.name, part(state, f"{index}.")) for index in indices_of(state))
    others = () if held or backbone else tuple(given)
    return WeightsSummary(path, held, len(backbone), others, (), None)


def _held(number: int, file: str, tensors: StateDict) -> HeldPredictor:
    scale: Tensor | None = tensors.pop(SCALE, None)
    stated = None if scale is None or scale.numel() != 1 or float(scale) <= 0 else float(scale) ** 2
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return HeldPredictor(number, file, shapes, sum(tensor.numel() for tensor in tensors.values()), stated)
