"""The adversarial images that a run kept, as a suite that another model can be measured by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pcbench import files
from pcbench.data.image_source import ImageSource
from pcbench.data.labels import as_labels
from pcbench.data.objects import to_pixels
from pcbench.data.preprocessing import Preprocessing
from pcbench.errors import DataError, UsageError
from pcbench.names import file_name, why_not
from pcbench.results.adversarials import Adversarials, load_adversarials
from pcbench.results.conditions import Condition

FOLDER = "adversarials"


@dataclasses.dataclass(frozen=True)
class SavedSuite:
    """The saved images of one suite of one run."""

    name: str
    """What tables call it: the suite they were made by, and the model they were made against."""
    version: int
    """Version of the way they are scored."""
    attacks: tuple[tuple[Condition, tuple[float, ...]], ...]
    """The attacks, as conditions of this suite, each with its budgets."""
    files: tuple[tuple[Path, ...], ...]
    """The files of each attack, one per block of images."""
    source: ImageSource
    """The clean images of all of them."""

    def sha256(self) -> str:
        """Return a hash over all files."""
        digest = hashlib.sha256()
        for paths in self.files:
            for path in paths:
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def images(self, condition: Condition, start: int, stop: int) -> list[Adversarials]:
        """Return the adversarial images of an attack for a range of the clean images, file by file."""
        index = [attack for attack, _ in self.attacks].index(condition)
        found: list[Adversarials] = []
        first = 0
        for path in self.files[index]:
            held = _loaded(path)
            last = first + len(held.ids)
            if first < stop and last > start:
                found.append(held.some(max(start - first, 0), min(stop, last) - first))
            first = last
        return found


@lru_cache(maxsize=2)
def _loaded(path: Path) -> Adversarials:
    return load_adversarials(path)


def open_saved(folder: Path) -> list[SavedSuite]:
    """Open what a run with `save_adversarials` kept.

    Args:
        folder: The run's folder, or the folder `adversarials` in it.

    Returns:
        One for each suite of attacks in that run.

    Raises:
        UsageError: There are no saved images.
        DataError: A file is damaged, or the files of a suite are of different images.
    """
    root = folder / FOLDER if files.is_folder(folder / FOLDER) else folder
    homes = sorted({path.parent for path in root.glob("*/*.safetensors")}) if files.is_folder(root) else []
    if not homes and any(folder.glob(f"*/{FOLDER}/*/*.safetensors")):
        setting = min(folder.glob(f"*/{FOLDER}")).parent
        raise UsageError(f"{folder} holds runs, and is not one: give one of them, such as {setting}")
    if not homes:
        raise UsageError(f"{folder}: holds no saved adversarial images; make them by a run with save_adversarials=True")
    return [_open_suite(home) for home in homes]


@dataclasses.dataclass(frozen=True)
class _CleanStore:
    """The clean images of an attack's files, read when they are asked for."""

    paths: tuple[Path, ...]
    starts: NDArray[np.int64]

    def read(self, position: int) -> NDArray[np.uint8]:
        number = int(np.searchsorted(self.starts, position, side="right")) - 1
        held = _loaded(self.paths[number])
        image = held.pool[held.index[0, position - int(self.starts[number])]]
        return to_pixels(image, self.locate(position), image.shape[0])

    def locate(self, position: int) -> str:
        number = int(np.searchsorted(self.starts, position, side="right")) - 1
        return f"{self.paths[number]}, image {position - int(self.starts[number])}"


def _open_suite(home: Path) -> SavedSuite:
    by_attack: dict[str, list[Path]] = {}
    described: dict[str, tuple[Condition, tuple[float, ...]]] = {}
    images: dict[str, list[tuple[tuple[str, ...], bytes]]] = {}
    first: Adversarials | None = None
    labels: list[int] = []
    for path in sorted(home.glob("*.safetensors")):
        held = load_adversarials(path)
        first = first or held
        name = _name(held)
        condition = dataclasses.replace(held.condition, suite=name, targeted=held.targets is not None)
        key = json.dumps(dataclasses.asdict(condition))
        described[key] = condition, held.epsilons
        by_attack.setdefault(key, []).append(path)
        clean = hashlib.sha256(held.images(0).numpy().tobytes()).digest()
        images.setdefault(key, []).append((held.ids, clean))
        if len(by_attack) == 1:
            labels += held.labels.tolist()
    if first is None:
        raise UsageError(f"{home}: holds no saved adversarial images")
    expected = next(iter(images.values()))
    for key, found in images.items():
        if found != expected:
            other, own = by_attack[key][0], next(iter(by_attack.values()))[0]
            raise DataError(f"{other}: is of other images than {own.name}; keep the files of one run together")
    paths = tuple(next(iter(by_attack.values())))
    source = _source(first, [ids for ids, _ in expected], labels, paths)
    return SavedSuite(
        _name(first),
        1,
        tuple(described.values()),
        tuple(tuple(found) for found in by_attack.values()),
        source,
    )


def _name(held: Adversarials) -> str:
    """Return what tables call the suite; a model's name is free text, and a suite's is not."""
    name = f"{held.condition.suite}-from-{held.model}"
    return name if why_not(name) is None else file_name(name)


def _source(first: Adversarials, ids: list[tuple[str, ...]], labels: list[int], paths: tuple[Path, ...]) -> ImageSource:
    starts = np.cumsum([0, *(len(part) for part in ids[:-1])]).astype(np.int64)
    return ImageSource(
        name=f"{FOLDER}:{first.data}",
        ids=tuple(name for part in ids for name in part),
        labels=as_labels(labels),
        store=_CleanStore(paths, starts),
        preprocessing=Preprocessing(channels=first.pool.shape[1]),
    )
