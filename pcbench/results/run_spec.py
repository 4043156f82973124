"""The frozen description of a run, and its key."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

from pcbench.catalog import Definition

SPEC_VERSION = 1


class SuiteSpec(Definition):
    """A suite as it was run.

    Attributes:
        name: The suite's name.
        kind: The folder of the catalogue it comes from.
        version: The version its definition states.
        sha256: Hash over all its definition files.
        images: How many images it is run on.
        subset: Whether these are fewer than the data source holds.
    """

    name: str
    kind: Literal["corruptions", "attacks"]
    version: str
    sha256: str
    images: int
    subset: bool


class DataSpec(Definition):
    """The images and labels of a run.

    Attributes:
        name: The source as the user named it, without the path.
        split: Which part of it.
        fingerprint: Hash over ids, labels, bytes and preprocessing of the images that are run on.
        available: How many images the source holds.
        preprocessing: How files become images of the network's size.
        corrupted: Hash over the published corrupted files, where these are read instead of made.
    """

    name: str
    split: str
    fingerprint: str
    available: int
    preprocessing: dict[str, str | int | None]
    corrupted: str | None = None


class Settings(Definition):
    """The choices of a run that can change a number.

    Attributes:
        seed: Seed of all randomness.
        timesteps: T, the number of updates; every t of 0..T is scored.
        batch_size: Images in one pass (changes no image, but the last bits of logits).
        gradient: How attacks differentiate the error term.
        plain_sweep: Attack every image at every epsilon.
        bracketing: Whether budgets far out of an attack's reach were spared, and a tenth of them audited.
        epsilons: Overrides the suite's epsilons.
        corruption_backend: ``"fast"`` or ``"reference"``.
        jpeg_quality: Recompress on-the-fly images as the published files were.
        precision: Floating-point type of the network.
        compiled: Whether the network went through torch.compile.
        recompute: Whether the graphs of attacks were built one timestep at a time.
        device: Where the network ran.
        threads: CPU threads (they can change the last bits of a sum).
        checks: Whether the evidence about the gradients was collected.
        save_adversarials: Whether adversarial images were kept: no number depends on it, but a finished run without
            them must not be taken for one that has them.
    """

    seed: int
    timesteps: int
    batch_size: int
    gradient: Literal["exact", "stop_error"]
    plain_sweep: bool
    epsilons: tuple[float, ...] | None
    corruption_backend: Literal["fast", "reference"]
    jpeg_quality: int | None
    precision: str
    compiled: bool
    device: str
    threads: int
    checks: bool
    save_adversarials: bool = False
    recompute: bool = False
    bracketing: bool = False


class RunSpec(Definition):
    """Everything that can change a number of a run.

    Attributes:
        version: Version of this description.
        model: The model's own description: name, hashes of weights and configuration, normalisation, marks.
        data: The images.
        suites: What is measured.
        settings: The choices.
        versions: Versions of this package (with a hash of its code), of Python and of the libraries that compute.
    """

    version: int
    model: dict[str, str | int | float | bool | None]
    data: DataSpec
    suites: tuple[SuiteSpec, ...]
    settings: Settings
    versions: dict[str, str]

    def key(self) -> str:
        """Return twelve hexadecimal digits that differ whenever anything in the description does."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def name(self) -> str:
        """Return the name of the run's folder: ``<model>-<suites>-<key>``, fit for every file system."""
        name = "-".join([str(self.model["name"]), *(suite.name for suite in self.suites), self.key()])
        return re.sub(r"[^\w.+-]+", "-", name)
