"""What a worker makes once, from a run's description and its locations: network, images, definitions."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

import pyarrow as pa
import torch

from pcbench import models
from pcbench.attacks.definitions import AttackSuite
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.data.image_source import Batch, ImageSource
from pcbench.errors import RunError, UsageError, first_line
from pcbench.harness.blocks import Unit
from pcbench.harness.decoded import DecodedBlock
from pcbench.harness.images import images_again
from pcbench.harness.locations import Locations, Objects
from pcbench.harness.scoring import to_unit_range
from pcbench.harness.suites import MeasuredSuite, list_sha256, open_corrupted, read_definition
from pcbench.models.loading import tuned_hashes
from pcbench.models.model import Model
from pcbench.network.grid import Setting
from pcbench.network.update import Hyperparameters
from pcbench.results.run_spec import RunSpec, SuiteSpec, differences, marked_name
from pcbench.results.saved_suite import open_saved

WATCHED_IMAGES = 256
"""How many images' representations are watched for growth, and decisions for what a low precision changes."""
CHECKED_IMAGES = 128
"""On how many images the gradients are judged: enough to distinguish broken ones; more only cost time."""
FEW_CHECKED_IMAGES = 64
"""The same where a suite is run on its own number of images, as in the default run, which a newcomer waits for."""
SHOWN_IMAGES = 3
"""How many images are kept as pictures."""
ASKED_IMAGES = 4
"""By how many images' logits a network of the user's own is recognised."""


class Meter(Protocol):
    """Receives the progress of the work inside a unit."""

    def step(self, work: float, images: int) -> None:
        """Count work, in passes of one image through one timestep of the network, and images that are done."""
        ...

    def wait(self, waited: float, elapsed: float) -> None:
        """Count the seconds that the network waited for images, out of those that passed."""
        ...


class SilentMeter:
    """Ignores all progress."""

    def step(self, work: float, images: int) -> None:
        """Do nothing."""

    def wait(self, waited: float, elapsed: float) -> None:
        """Do nothing."""


_PUT_BACK = "put the images back, or plan again"


@dataclass(frozen=True)
class Made:
    """What a unit's `compute` gives: rows, and files that belong to them, by name."""

    table: pa.Table
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])


Inputs = Mapping[str, pa.Table]
"""The tables of the units that a unit comes after, by their paths."""


@dataclass(frozen=True)
class Job:
    """All that a worker receives: what is run, the paths, and the user's Python objects, in this process only."""

    spec: RunSpec
    locations: Locations
    objects: Objects = field(default_factory=Objects)
    lists: Mapping[str, str] = field(default_factory=dict[str, str])
    """For each suite the hash over the ids and labels of its images; suites that it does not name are not compared."""


class Context:
    """One worker's network, images and definitions; what changes while it works lives here.

    Args:
        job: What is run, and where.
        model: The network, where this process has already loaded it.
        meter: Receives the progress.

    Raises:
        RunError: The network or a suite is not the one that was planned.
        UsageError: Something cannot be opened here.
    """

    def __init__(self, job: Job, model: Model | None = None, meter: Meter | None = None) -> None:
        self.spec, self.locations, self._objects, self._planned = job.spec, job.locations, job.objects, job.lists
        self.settings = job.spec.settings
        self.meter: Meter = meter or SilentMeter()
        self._base = self._load() if model is None else model
        grid = self.settings.grid
        self.labels = grid.labels
        """The settings of hyperparameters, where there are several."""
        self.model = self._base if self.labels or not grid.values else self._given(grid.settings[0])
        """The network, with the hyperparameters of the run, or of the setting where `at` gave this."""
        self._at: dict[str, Context] = {}
        self._suites: dict[str, MeasuredSuite] = {}
        self._models: dict[str, Model] = {}
        self._lists: dict[tuple[str, str], ImageSource] = {}
        self.decoded = DecodedBlock()
        """The images of the last block, for the units that follow on it."""

    def _load(self) -> Model:
        model = load_model(self.locations, self._objects, self.spec)
        return configured(model, self.spec)

    def _given(self, setting: Setting) -> Model:
        network = self._base.network
        if network is None:
            raise RunError(f"{self._base.name} has no PCoders, and the run gives hyperparameters")
        return self._base.with_given(setting.of_pcoders(network.targets.feedback))

    def at(self, label: str) -> Context:
        """Return the same with the network as one setting of hyperparameters has it; an empty label changes nothing."""
        if not label:
            return self
        if label not in self._at:
            setting = self.settings.grid.setting(label)
            spec, made = self.spec.of_setting(setting), copy.copy(self)
            vars(made).update(spec=spec, settings=spec.settings, model=self._given(setting), labels=(), _models={})
            self._at[label] = made
        self._at[label].meter = self.meter
        return self._at[label]

    def models_of(self, name: str) -> list[Model]:
        """Return the network as a suite sets it, once for each setting of hyperparameters."""
        return [self.at(label).model_of(name) for label in self.labels] or [self.model_of(name)]

    @cached_property
    def _source(self) -> ImageSource:
        data = self._objects.data if self.locations.data is None else self.locations.data
        model = self._objects.model if self.locations.model is None else self.locations.model
        hashes = tuned_hashes(model, self.model, self.locations.configuration)
        return images_again(data, self.model, self.spec.data, hashes=hashes, labelled=self.spec.extraction is None)

    def suite(self, name: str) -> MeasuredSuite:
        """Return a suite and its images, opened when it is first asked for."""
        if name not in self._suites and self.spec.extraction is not None:
            extraction = self.spec.extraction
            self._suites[name] = MeasuredSuite(extraction, self._images_of(name, extraction.images))
        if name not in self._suites:
            stated = next(suite for suite in self.spec.suites if suite.name == name)
            self._suites[name] = self._saved(stated) if self.locations.adversarials else self._opened(stated)
        return self._suites[name]

    def _opened(self, stated: SuiteSpec) -> MeasuredSuite:
        given = self._objects.suites.get(stated.name)
        definition = given or read_definition(stated.kind, self.locations.suite(stated.name))
        if definition.identity() != stated.sha256:
            where = "" if given is not None else f" in {self.locations.suite(stated.name)}"
            raise RunError(f"the suite {stated.name}{where} changed since the plan")
        source = self._images_of(stated.name, stated.images)
        published = None
        if isinstance(definition, CorruptionSuite):
            published = open_corrupted(
                definition,
                self.locations.corrupted,
                source,
                subset=stated.subset,
                severities=self.settings.severities,
            )
        return MeasuredSuite(definition, source, published)

    def _images_of(self, name: str, count: int) -> ImageSource:
        whole = self._source
        if len(whole) < count:
            there = f"{whole.name} holds {len(whole)} images, and {count} when the run was planned"
            raise RunError(f"{there}; {_PUT_BACK}")
        source = whole.take(count)
        if self._planned.get(name) not in (None, list_sha256(source)):
            what = "its images have other names or labels than when the run was planned"
            raise RunError(f"{source.name}: {what}; {_PUT_BACK}")
        return source

    def _saved(self, stated: SuiteSpec) -> MeasuredSuite:
        for saved in open_saved(self.locations.adversarials or self.locations.suite(stated.name)):
            if saved.name == stated.name and saved.sha256() == stated.sha256:
                _refuse_other_sizes(self.model, saved.source, self.settings.timesteps)
                return MeasuredSuite(saved, saved.source)
        raise RunError(f"the saved images of {stated.name} changed since the plan")

    def model_of(self, name: str) -> Model:
        """Return the network as a suite sets it: some published attacks state hyperparameters of their own."""
        if name not in self._models:
            definition, model = self.suite(name).definition, self.model
            if isinstance(definition, AttackSuite) and definition.network is not None and model.network is not None:
                stated = definition.network
                weights = Hyperparameters(stated.feedforward, stated.feedback, stated.error_weight)
                model = model.with_hyperparameters(weights)
            self._models[name] = model
        return self._models[name]

    def images(self, unit: Unit) -> ImageSource:
        """Return the list of images that a unit's block is cut from."""
        key = unit.work, unit.condition.suite
        if key not in self._lists:
            self._lists[key] = image_list(unit.work, self.suite(unit.condition.suite))
        return self._lists[key]

    def batches(self, unit: Unit, source: ImageSource | None = None) -> Iterator[Batch]:
        """Yield the images of a unit's block, batch by batch, and check at the end that they are those planned.

        Args:
            unit: The unit.
            source: The list that the block is cut from, where it is not that of `images`.

        Raises:
            RunError: They are not: somebody changed them since the run was planned.
        """
        block, digest = unit.block, hashlib.sha256()
        chosen = self.images(unit) if source is None else source
        kept = self.decoded.holds(chosen, block, self.settings.batch_size)

        def seen(_: int, content: bytes) -> None:
            digest.update(content)

        yield from self.decoded.batches(chosen, block, self.settings.batch_size, seen)
        if not kept and digest.hexdigest() != block.sha256:
            self.decoded.forget()
            remedy = "put the images back, start again with again=True, or, for a saved plan, plan again"
            if self._objects.data is not None:
                remedy = "a data set must give the same images each time it is read: leave out random augmentation"
            what = f"{chosen.name}: {block.words} of {unit.condition.title}"
            raise RunError(f"{what} were changed since the run was planned; {remedy}")


def _refuse_other_sizes(model: Model, source: ImageSource, timesteps: int) -> None:
    """Refuse saved images of a size that the network does not take."""
    image = to_unit_range(source.load([0]), model.device)
    try:
        with torch.no_grad():
            model.answer(image, timesteps)
    except RuntimeError as error:
        size = " x ".join(str(side) for side in image.shape[2:])
        raise UsageError(
            f"{source.name}: {model.name} does not take images of {size} px ({first_line(error)}); "
            "score them by a model of their size"
        ) from error


def image_list(work: str, suite: MeasuredSuite) -> ImageSource:
    """Return the images of a suite that a kind of work looks at: all of them, or a fixed few."""
    source = suite.source
    if work == "evidence":
        few = isinstance(suite.definition, AttackSuite) and suite.definition.default_images == len(source)
        return source.take(min(FEW_CHECKED_IMAGES if few else CHECKED_IMAGES, len(source)))
    first = {
        "growth": WATCHED_IMAGES,
        "precision": WATCHED_IMAGES,
        "pictures": SHOWN_IMAGES,
        "answers": ASKED_IMAGES,
    }.get(work)
    if first is None or first >= len(source):
        return source
    return source.select(range(first), f"the first {first} images")


def load_model(locations: Locations, objects: Objects, spec: RunSpec) -> Model:
    """Load the network that a run's description names, from where it lies.

    Raises:
        RunError: It is another one.
    """
    model = objects.model if locations.model is None else locations.model
    if model is None:
        raise RunError("the model was given as a Python object, which only exists in the process that made it")
    described = cast("Mapping[str, Any]", spec.model)
    loaded = models.load(
        model,
        timesteps=spec.settings.timesteps,
        backbone_weights=locations.backbone_weights,
        configuration=locations.configuration,
        weights=locations.weights,
        random_predictors=described.get("random_predictors"),
        ablation=described.get("ablation"),
        stochastic=spec.settings.stochastic,
        device=locations.device,
        model_version=described.get("model_version"),
    ).choosing_among(spec.data.name)
    found = differences(
        dict(described), {"name": marked_name(loaded.marked_name, spec.settings.grid), **loaded.description}
    )
    if found:
        what = "; ".join(map(str, found))
        raise RunError(f"the model here is not the one that was planned ({what}); give that one, or plan again")
    return loaded


def configured(model: Model, spec: RunSpec) -> Model:
    """Return the network computed as a run's settings say."""
    settings = spec.settings
    return model.configured(precision=settings.precision, compiled=settings.compiled, recompute=settings.recompute)
