"""What a study stands on: its model, its backbone and its images. Each result is compared with what is given now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcbench import files
from pcbench.data.image_hashes import image_hashes
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import UsageError
from pcbench.limits.text import read_bytes, read_json
from pcbench.models.backbones import call_function
from pcbench.models.entries import described_entry
from pcbench.models.loading import model_facts
from pcbench.models.naming import CONVERTED, ROBUSTBENCH
from pcbench.network.network import PredictiveNetwork
from pcbench.options import resolved
from pcbench.studies.options import Given
from pcbench.studies.record import BasisPart, StudyRecord
from pcbench.studies.steps import Step
from pcbench.studies.study_file import StudyFile
from pcbench.training.options import TrainOptions
from pcbench.training.record import CARD
from pcbench.training.request import training_images

MODEL_FACTS = ("backbone", "code_sha256", "attributes_sha256", "mean", "std", "backbone_sha256", "weights_sha256")
"""What the description of a model says of its backbone: the same in every run of one study."""
_CONFIGURATION, _DEEPER, _DATA, _TRAINING = (
    "configuration_file_sha256",
    "deeper_sha256",
    "data_sha256",
    "training_data_sha256",
)
_MODEL = "model"
"""The folder of a study's copy of the configuration."""
_WORDS = {
    _CONFIGURATION: ("the file of the model's configuration", "put the former file back"),
    "backbone": ("the backbone's name", "name the former one"),
    "code_sha256": ("the code of the model", "put the former code back"),
    "attributes_sha256": ("the modules of the model", "put the former code and configuration back"),
    "mean": ("the mean that is taken off the images", "state the former one"),
    "std": ("the standard deviation that images are divided by", "state the former one"),
    "backbone_sha256": ("the weights of the backbone", "give the former ones with `backbone_weights`"),
    "weights_sha256": ("the weights of the network", "give the former ones"),
    _DEEPER: ("the network of the arm deeper", "give the former ones with `deeper_weights`"),
    _DATA: ("the content of the measured images", "give the former images with `data`"),
    _TRAINING: ("the content of the training images", "give the former images with `training_data`"),
}
"""By the first part of a key: what it is, and what mends that it differs."""


@dataclass(frozen=True)
class StudyImages:
    """The images of a study, read once, and the hash of what is stored of each."""

    measured: ImageSource
    digests: NDArray[np.uint8]
    """Of the measured ones, shape (images, 32)."""
    trained: Mapping[str, tuple[ImageSource, NDArray[np.uint8]]]
    """Those that each training learns from, by its step, with their hashes."""


def study_images(study: StudyFile, given: Given, steps: Sequence[Step]) -> StudyImages:
    """Read the stored bytes of all images of a study; none is decoded.

    Raises:
        DataError: They cannot be read.
    """
    measured = open_source(given.data or study.table.data, preprocessing=Preprocessing(), split="test")
    trained: dict[str, tuple[ImageSource, NDArray[np.uint8]]] = {}
    for step in steps:
        if step.kind == "train":
            images = training_images(resolved(TrainOptions, {**step.options, "allow_poor": True}))
            trained[step.name] = images, images.digests()
    return StudyImages(measured, measured.digests(), trained)


def refuse_shared_images(images: StudyImages) -> None:
    """Refuse images that are measured and were trained on; those that were tuned on are refused by each run.

    Raises:
        UsageError: There are some.
    """
    measured = set(image_hashes(images.digests))
    for name, (_, digests) in images.trained.items():
        shared = measured.intersection(image_hashes(digests))
        if shared:
            raise UsageError(
                f"{len(shared)} of the {len(measured)} images that are measured are among those that "
                f"{name} trains on: give other images with `data` or `training_data`"
            )


def basis_of(study: StudyFile, given: Given, images: StudyImages) -> dict[str, str]:
    """Return what all results of a study stand on, as it is given now: hashes, and what says how the backbone is asked.

    Args:
        study: The study.
        given: Where its weights lie.
        images: Its images.

    Returns:
        What a study's record and `about.json` hold: nothing of it is of this machine.

    Raises:
        UsageError, WeightsError: The model cannot be loaded.
    """
    found = {**configuration_hash(study), **_model_basis(study.table.model, given.backbone_weights)}
    if "deeper" in study.table.arms:
        deeper = _model_basis(study.table.of_arm("deeper").model or "", given.deeper_weights)
        found[_DEEPER] = (
            deeper.get("backbone_sha256") or hashlib.sha256(str(sorted(deeper.items())).encode()).hexdigest()
        )
    found[_DATA] = images.measured.fingerprint(images.digests)
    trained = {f"{_TRAINING}/{name}": one.fingerprint(digests) for name, (one, digests) in images.trained.items()}
    return {**found, **trained}


def _model_basis(model: str, weights: Path | None) -> dict[str, str]:
    described = model_facts(model, timesteps=0, backbone_weights=weights).description
    return {key: str(described[key]) for key in MODEL_FACTS if described.get(key) is not None}


def configuration_file(study: StudyFile) -> Path | None:
    """Return the file of the user's own that states the model's configuration; None where the model is not one."""
    head, separator, _ = study.table.model.partition(CONVERTED)
    return Path(f"{head}.toml") if separator else Path(head) if head.endswith(".toml") else None


def configuration_hash(study: StudyFile) -> dict[str, str]:
    """Return the part of the basis that is the configuration's file; empty where there is no such file here."""
    path = configuration_file(study)
    if path is None or not files.is_file(path):
        return {}
    return {_CONFIGURATION: hashlib.sha256(read_bytes(path)).hexdigest()}


def keep_configuration(study: StudyFile, out: Path) -> None:
    """Copy the file of the model's configuration to a study's folder, where the model is one.

    Raises:
        WriteError: It cannot be written.
    """
    path = configuration_file(study)
    if path is not None:
        files.make_folder(out / _MODEL)
        files.write(out / _MODEL / path.name, read_bytes(path))


def kept_configuration(study: StudyFile, out: Path) -> dict[str, bytes]:
    """Return name and content of the configuration's file: the study's copy of it, or the one that is here.

    Raises:
        UsageError: It has the name of the study's file, and both cannot lie in one folder.
    """
    path = configuration_file(study)
    if path is None:
        return {}
    if path.name == study.path.name:
        raise UsageError(f"{study.path}: the model's configuration has the same name; give one of them another")
    there = [one for one in (out / _MODEL / path.name, path) if files.is_file(one)]
    return {path.name: read_bytes(there[0])} if there else {}


def refuse_other_basis(record: StudyRecord, now: Mapping[str, str], out: Path) -> None:
    """Refuse to add to results, or to answer from them, where they stand on something else.

    Args:
        record: What the study's folder remembers. Of what it does not hold, the trainings' own records are asked.
        now: What is given now, or a part of it.
        out: The study's folder.

    Raises:
        UsageError: Something differs; it is named, with the first result that stands on the former.
    """
    there = {name for name in record.steps if (out / name).exists()}
    former = {**dict(_of_trainings(there, out)), **record.basis}
    for key, value in now.items():
        part, training = former.get(key), key.partition("/")[2]
        if part is not None and part.value != value and (training in there if training else there):
            values = f"{short_value(part.value)} then, {short_value(value)} now"
            raise UsageError(
                f"{out}: {what_is(key)} changed since {part.since} was made ({values}): {remedy_of(key)}, or give "
                "another folder with `out`"
            )


def _of_trainings(steps: Iterable[str], out: Path) -> Iterator[tuple[str, BasisPart]]:
    for name in steps:
        path = out / name / CARD
        if files.is_file(path):
            yield f"{_TRAINING}/{name}", BasisPart(value=str(read_json(path)["data_fingerprint"]), since=name)


def what_is(key: str) -> str:
    """Return in words what a key of the basis stands for."""
    return _WORDS[key.partition("/")[0]][0]


def remedy_of(key: str) -> str:
    """Return what mends that a part of the basis differs."""
    return _WORDS[key.partition("/")[0]][1]


def short_value(value: str) -> str:
    """Return a value of the basis as a message shows it: of a hash, its beginning."""
    return f"sha256 {value[:12]}" if len(value) == 64 else value


def refuse_unpredictive(study: StudyFile) -> None:
    """Refuse a model without predictors before anything is done.

    Raises:
        UsageError: It has none, or its function fails.
        UnknownNameError: There is no such model.
    """
    model = study.table.model
    if model.partition(":")[0] == ROBUSTBENCH:
        predictive = False
    else:
        entry = described_entry(model)
        predictive = isinstance(call_function(model), PredictiveNetwork) if entry is None else bool(entry.configuration)
    if not predictive:
        raise UsageError(
            f"{study.path}: model: {model} has no predictors, and a study asks about these: make a configuration with "
            f'`pcbench predify --backbone {model} > mine.toml`, and write model = "mine.toml"'
        )
