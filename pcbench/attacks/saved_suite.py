"""The adversarial images that a run kept, as a suite that another model can be measured by."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import torch

from pcbench.attacks.saved import Adversarials, load_adversarials
from pcbench.data.image_source import ImageSource
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError

FOLDER = "adversarials"


@dataclasses.dataclass(frozen=True)
class SavedSuite:
    """The saved images of one suite of one run.

    Attributes:
        name: What tables call it: the suite they were made by, and the model they were made against.
        version: Of the way they are scored.
        files: One for each attack and attacked timestep.
        source: The clean images of all of them.
    """

    name: str
    version: int
    files: tuple[Path, ...]
    source: ImageSource

    def sha256(self) -> str:
        """Return a hash over all files."""
        digest = hashlib.sha256()
        for path in self.files:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()


def open_saved(folder: Path) -> list[SavedSuite]:
    """Open what a run with `--save-adversarials` kept.

    Args:
        folder: The run's folder, or the folder `adversarials` in it.

    Returns:
        One for each suite of attacks in that run.

    Raises:
        UsageError: There are no saved images.
        DataError: A file is damaged, or the files of a suite are of different images.
    """
    root = folder / FOLDER if (folder / FOLDER).is_dir() else folder
    homes = sorted({path.parent for path in root.glob("*/*.safetensors")})
    if not homes:
        raise UsageError(f"{folder}: holds no saved adversarial images; make them with pcbench run --save-adversarials")
    return [_open_suite(home) for home in homes]


def _open_suite(home: Path) -> SavedSuite:
    files = tuple(sorted(home.glob("*.safetensors")))
    first = load_adversarials(files[0])
    for path in files[1:]:
        other = load_adversarials(path)
        if other.ids != first.ids or not torch.equal(other.images(0), first.images(0)):
            raise DataError(f"{path}: is of other images than {files[0].name}; keep the files of one run together")
    source = open_source(_Clean(first), preprocessing=Preprocessing())
    return SavedSuite(f"{first.origin.suite}-from-{first.origin.model}", 1, files, source)


class _Clean:
    """The clean images of a file, as the object that a source is made of."""

    def __init__(self, adversarials: Adversarials) -> None:
        self.name = f"{FOLDER}:{adversarials.origin.data}"
        self.ids = adversarials.ids
        self.labels = adversarials.labels.numpy()
        self.images = adversarials.images(0).numpy()
