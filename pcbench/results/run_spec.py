"""The frozen description of a run, and its key."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from pydantic import field_validator

from pcbench.catalog import Definition, PathName
from pcbench.data.data_set import DataSet
from pcbench.errors import UsageError
from pcbench.network.gradient import Gradient
from pcbench.network.grid import Grid, Setting, texts_of, value_text
from pcbench.results.conditions import slug

SPEC_VERSION = 2
EXTRACTION = "extraction"
_NAMED = {"suites": ("suite", "run"), "extraction.arrays": ("array", "written")}
_FORMER_SUITES = Path(__file__).with_name("former_suites.json")


Checks = bool | Literal["cheap"]
"""The form of the checks: True is the full one, False none."""


class SuiteSpec(Definition):
    """A suite as it was run."""

    name: PathName
    """The suite's name."""
    kind: Literal["corruptions", "attacks"]
    """The folder of the catalogue it comes from."""
    version: str
    """The version its definition states."""
    sha256: str
    """Hash of what in its definition can change a number."""
    images: int
    """How many images it is run on, before a rule that needs the network."""
    subset: bool
    """Whether these are fewer than the data source holds."""
    rule: str | None = None
    """``"correct_at_every_timestep"`` where the network's answers choose among these images."""
    former_sha256: str | None = None
    """Hash over its definition files, by which pcbench's specs of version 1 named a suite."""


class DataSpec(Definition):
    """The images and labels of a run."""

    name: str
    """The source as the user named it, without the path."""
    split: str
    """Which part of it."""
    fingerprint: str
    """Hash over ids, labels, bytes and preprocessing of the images that are run on."""
    available: int
    """How many images the source holds."""
    data_set: DataSet | None = None
    """Which of ImageNet's data sets the images are of; None where nothing says that they are of one."""
    preprocessing: dict[str, str | int | None]
    """How files become images of the network's size."""
    corrupted: str | None = None
    """Hash over the published corrupted files, where these are read instead of made."""
    leave_out: str | None = None
    """How many images were left out because hyperparameters were tuned on them, and the seed."""
    damaged: tuple[str, ...] = ()
    """Ids of the images that were left out because their files are damaged."""
    former_fingerprint: str | None = None
    """The same hash over all images that the source holds, as specs of version 1 had it; None where the run is on a
    part of them, because then the others are not read."""


class Settings(Definition):
    """The choices of a run that can change a number: options of `pcbench run`, each with the value that was used.

    What an option means stands in its declaration, `RunOptions` in `pcbench/harness/request.py`, and in
    docs/reference/options.md. Only what is said of a description alone stands here.
    """

    seed: int
    timesteps: int
    batch_size: int
    """It changes no image, but the last bits of logits."""
    gradient: Gradient
    plain_sweep: bool
    epsilons: tuple[float, ...] | None
    corruption_backend: Literal["fast", "reference"]
    """The option `backend`."""
    jpeg_quality: int | None
    precision: str
    compiled: bool
    device: str
    """The kind alone: ``"cpu"`` or ``"cuda"``."""
    threads: int
    checks: Checks
    save_adversarials: bool = False
    """No number depends on it, but a finished run without these images must not be taken for one that has them."""
    recompute: bool = False
    bracketing: bool = False
    block_size: int | None = None
    """None in specs of version 1."""
    stochastic: int | None = None
    """As the three below not in the key where it is None: keys of runs that don't have it are those of former
    versions."""
    severities: tuple[int, ...] | None = None
    attacked_timesteps: tuple[int, ...] | None = None
    hyperparameters: tuple[str, ...] | None = None
    """Values given in place of the network's own, as `pcbench.network.grid.texts_of` writes them."""

    @field_validator("hyperparameters")
    @classmethod
    def _are_hyperparameters(cls, texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            written = texts_of(texts)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if written != texts:
            raise ValueError("its hyperparameters are not written as a run writes them")
        return texts

    @property
    def attacked(self) -> tuple[int, ...]:
        """The timesteps that are attacked by themselves: those that are named, else all."""
        return tuple(range(self.timesteps + 1)) if self.attacked_timesteps is None else self.attacked_timesteps

    @property
    def grid(self) -> Grid:
        """The settings of hyperparameters that are measured."""
        return Grid.of(self.hyperparameters)


class ArraySpec(Definition):
    """One array of an extraction: (images, timesteps, *shape)."""

    name: str
    """``logits``, ``representations/1``, ``predictions/1``, ``errors/1`` or ``modules/layer2``."""
    module: str | None
    """The module of the backbone that it is of, a PCoder's where it is of one; None for logits."""
    shape: tuple[int, ...]
    """Of one image at one timestep, as it is written."""
    computed: tuple[int, ...]
    """The same, as the network gives it."""
    projected: bool
    """Whether a random projection made it of the pooled values."""


class ExtractionSpec(Definition):
    """What an extraction writes."""

    images: int
    """How many images."""
    subset: bool
    """Whether these are fewer than the data source holds."""
    arrays: tuple[ArraySpec, ...]
    """What is written, in order."""
    pool: Literal["mean", "max", "mean_square"] | None
    """What is made of values over height and width."""
    project: int | None
    """The number of values that a random projection leaves."""
    dtype: Literal["float32", "float16"]
    format: Literal["npy", "hdf5"]

    @property
    def name(self) -> str:
        """What stands for the name of a suite."""
        return EXTRACTION

    def image_bytes(self, timesteps: int) -> int:
        """Return the bytes that one image takes."""
        values = sum(math.prod(array.shape) for array in self.arrays)
        return (timesteps + 1) * values * np.dtype(self.dtype).itemsize


class RunSpec(Definition):
    """What is run: everything that can change a number, and nothing about where things lie."""

    version: int
    """Version of this description."""
    model: dict[str, str | int | float | bool | None]
    """The model's own description: name, hashes of weights, code and configuration, normalisation, marks."""
    data: DataSpec
    """The images."""
    suites: tuple[SuiteSpec, ...]
    """What is measured."""
    settings: Settings
    """The choices."""
    extraction: ExtractionSpec | None = None
    """What is written, where nothing is measured; then there are no suites."""
    versions: dict[str, str]
    """Versions of this package (with a hash of the code that makes parts), of Python and of the libraries that this run
    uses."""

    @field_validator("model")
    @classmethod
    def _is_named(cls, model: dict[str, Any]) -> dict[str, Any]:
        if not (isinstance(model.get("name"), str) and model["name"]):
            raise ValueError("the model has no name")
        return model

    def key(self) -> str:
        """Return twelve hexadecimal digits that differ whenever anything that can change a number does."""
        return hashlib.sha256(json.dumps(self.counting(), sort_keys=True).encode()).hexdigest()[:12]

    def counting(self) -> dict[str, Any]:
        """Return the fields that the key is made of.

        Without names of folders, stated versions, former hashes, and what decides over baselines alone: tables whose
        baseline changed are made again.
        """
        exclude: dict[str, Any] = {
            "data": {"name", "split", "data_set", "former_fingerprint"},
            "suites": {"__all__": {"version", "former_sha256"}},
            "versions": {"pcbench"},
        }
        # Keys of runs that don't have these are those of former versions.
        later = {"stochastic", "hyperparameters", "severities", "attacked_timesteps"}
        exclude["settings"] = {name for name in later if getattr(self.settings, name) is None}
        if self.extraction is None:
            exclude["extraction"] = True
        return self.model_dump(mode="json", exclude=exclude)

    def of_setting(self, setting: Setting) -> RunSpec:
        """Return the description of the run of one setting alone."""
        name = str(self.model["name"]).removesuffix(_marks(self.settings.grid.fixed)) + _marks(setting.values)
        settings = self.settings.model_copy(update={"hyperparameters": setting.texts})
        return self.model_copy(update={"model": {**self.model, "name": name}, "settings": settings})

    def name(self) -> str:
        """Return the name of the run's folder: ``<model>-<suites>-<key>``, fit for every file system."""
        what = (suite.name for suite in self.suites) if self.extraction is None else (EXTRACTION,)
        name = "-".join([str(self.model["name"]), *what])
        # A file's name has at most 255 bytes everywhere, and the folder of an unfinished run adds to it.
        return f"{slug(name).encode()[:180].decode(errors='ignore')}-{self.key()}"


def marked_name(model: str, hyperparameters: Grid) -> str:
    """Return a model's name as every row carries it: with the hyperparameters that are given for a run.

    Args:
        model: Its name.
        hyperparameters: Those of a run; where one has several values, it is a column of its own.
    """
    return model + _marks(hyperparameters.fixed)


def _marks(values: Mapping[str, float]) -> str:
    return "".join(f"+{name}={value_text(value)}" for name, value in values.items())


@dataclass(frozen=True)
class SpecDifference:
    """A field of two descriptions that differs."""

    field: str
    """Its path, such as ``settings.seed``."""
    first: Any
    """Its value in the first run (or the reference)."""
    second: Any
    """Its value in the second."""

    def __str__(self) -> str:
        return f"{self.field}: {_short(self.first)} -> {_short(self.second)}"


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[SpecDifference]:
    """Return every field that differs between two descriptions, such as `RunSpec.counting` gives."""
    return list(_walk("", first, second))


def read_spec(table: Mapping[str, Any]) -> RunSpec:
    """Read a description of this version or of version 1.

    Args:
        table: As `RunSpec.model_dump` or a JSON file gives it.

    Raises:
        ValidationError: It is something else.
    """
    content = {**table}
    # One of version 1 that was read and written again, as into a reference, says all this already.
    if content.get("version") == 1 and "former_fingerprint" not in content["data"]:
        suites: list[dict[str, Any]] = [{**suite} for suite in content["suites"]]
        for suite in suites:
            suite["former_sha256"] = suite["sha256"]
            suite["sha256"] = former_suites().get(suite["sha256"], suite["sha256"])
        whole = max((suite["images"] for suite in suites), default=0) == content["data"]["available"]
        content["suites"] = suites
        former = content["data"]["fingerprint"]
        content["data"] = {**content["data"], "fingerprint": former if whole else "", "former_fingerprint": former}
    return RunSpec.model_validate_json(json.dumps(content))


@functools.cache
def former_suites() -> Mapping[str, str]:
    """Return the hash that each shipped suite has, by the hash over its files that specs of version 1 held."""
    return cast("dict[str, str]", json.loads(_FORMER_SUITES.read_text(encoding="utf-8")))


def _walk(path: str, first: Any, second: Any) -> Iterator[SpecDifference]:
    if first == second:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        one, other = cast("dict[str, Any]", first), cast("dict[str, Any]", second)
        for key in dict.fromkeys([*one, *other]):
            yield from _walk(f"{path}.{key}" if path else key, one.get(key), other.get(key))
    elif isinstance(first, list) and isinstance(second, list) and path in _NAMED:
        yield from _walk_named(path, cast("list[dict[str, Any]]", first), cast("list[dict[str, Any]]", second))
    else:
        yield SpecDifference(path, first, second)


def _walk_named(path: str, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Iterator[SpecDifference]:
    """Compare lists of things that have names: suites of a run, arrays of an extraction."""
    what, done = _NAMED[path]
    one, other = ({thing["name"]: thing for thing in things} for things in (first, second))
    for name in dict.fromkeys([*one, *other]):
        if name in one and name in other:
            yield from _walk(f"{what} {name}", one[name], other[name])
        else:
            words = (done if name in things else f"not {done}" for things in (one, other))
            yield SpecDifference(f"{what} {name}", *words)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    # A hash is recognised by its first digits.
    return text[:12] if len(text) == 64 and " " not in text else text
