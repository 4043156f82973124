"""From a request to a plan: names become definitions, images and a network's facts, and all of it one frozen RunSpec.

Everything that can be wrong with a request is found here, before a network is run or an image decoded. A plan says
what is run, where things lie, and which units of work that makes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from pcbench import models
from pcbench.attacks.definitions import AttackSuite
from pcbench.catalog import SUITE_KINDS, SuiteKind, suite_folder, suite_names
from pcbench.corruptions.definitions import CorruptionSuite
from pcbench.data.counted_classes import counted_classes
from pcbench.data.data_set import DataSet, known_data_set
from pcbench.data.image_source import ImageSource
from pcbench.data.sources import check_source
from pcbench.errors import DataError, UnknownNameError, UsageError
from pcbench.harness.blocks import Unit, default_batch_size, default_block_size, default_threads
from pcbench.harness.checks import chosen_checks
from pcbench.harness.choices import refuse_absent
from pcbench.harness.digests import Digests
from pcbench.harness.grids import by_setting, refuse_impossible
from pcbench.harness.images import ChosenImages, choose_images, tuned_note
from pcbench.harness.locations import Locations, Objects, locations_of, objects_of
from pcbench.harness.named_suites import NamedSuite
from pcbench.harness.request import RunOptions
from pcbench.harness.saved_options import record
from pcbench.harness.suites import (
    MeasuredSuite,
    is_subset,
    list_sha256,
    read_definition,
    refuse_unused,
)
from pcbench.harness.units import question, units_of
from pcbench.harness.used_code import UsedCode, used_code
from pcbench.models.devices import read_device
from pcbench.models.facts import LoadOptions, ModelFacts
from pcbench.models.known_words import PRECISIONS
from pcbench.models.loading import model_facts
from pcbench.models.model import Model
from pcbench.norms import parse_epsilons, read_epsilons
from pcbench.options import declared
from pcbench.results.environment import folder_hash
from pcbench.results.run_spec import (
    SPEC_VERSION,
    Checks,
    DataSpec,
    ExtractionSpec,
    RunSpec,
    Settings,
    SuiteSpec,
    marked_name,
)
from pcbench.results.saved_suite import open_saved

_OF_IMAGES = (
    *("suites", "attacks", "corruptions", "data", "images", "leave_out", "corrupted", "baseline", "epsilons"),
    *("severities", "attacked_timesteps", "skip_damaged", "resize", "crop"),
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A request with every name resolved."""

    spec: RunSpec
    """What is run."""
    locations: Locations
    """Where things lie."""
    objects: Objects
    """What the user gave as Python objects."""
    units: tuple[Unit, ...]
    """The work, in order."""
    images: pa.Table
    """The images of the run with their hashes, as the table `images`."""
    notes: tuple[str, ...]
    """What a reader of the numbers must know about images and labels."""
    facts: ModelFacts
    """What is known of the network; it is the network itself where that had to be loaded."""
    question: Unit | None
    """The unit that asks a network of the user's own about a few images, so that it can be recognised."""
    options: Mapping[str, Any]
    """What was asked for, without places; see `pcbench.harness.saved_options`."""
    used: UsedCode
    """The code that does the work."""
    lists: Mapping[str, str]
    """For each suite the hash over the ids and labels of its images, by which a worker knows that it has the same."""

    @property
    def model(self) -> Model | None:
        """The network, where it is loaded already."""
        return self.facts if isinstance(self.facts, Model) else None


def make_plan(request: RunOptions) -> Plan:
    """Resolve a request.

    Raises:
        UsageError: A name is unknown, a definition broken, images or weights missing or not made for each other.
            Where both images and weights are missing, one message names both.
    """
    objects = objects_of(request)
    objects.refuse_workers(request["workers"], request["engine"])
    device = read_device(request["device"])
    _check_precision(request["precision"], device)
    if request["adversarials"] is not None:
        return _plan_of_saved(request, objects, _facts(request, device))
    named = [NamedSuite.read(name) for name in request["suites"]]
    named += [NamedSuite.given(suite) for suite in objects.suites.values()]
    _epsilons(request, [one.definition for one in named], None)
    problems: list[UsageError] = []
    facts: ModelFacts | None = None
    try:
        facts = _facts(request, device)
    except UnknownNameError:
        raise
    except UsageError as error:
        problems.append(error)
    data = request["data"] if request["data"] is not None else models.default_data(request["model"])
    if data is None:
        problems.append(UsageError(_data_needed(named)))
    if len(problems) == 1:
        raise problems[0]  # with the user's own exception as its cause
    if problems or facts is None:
        raise UsageError("; ".join(map(str, problems))) from problems[0].__cause__
    facts = facts.choosing_among(data)
    if request["save_adversarials"] and counted_classes(data) is not None:
        raise UsageError(f"images kept of {data} would be scored among all classes; leave `save_adversarials` out")
    refuse_impossible(request, facts, [entry.definition for entry in named])
    chosen = choose_images(data, request, facts)
    if not isinstance(data, str):
        # Opened once: a stream cannot be read again.
        objects = dataclasses.replace(objects, data=chosen.opened)
    source = chosen.source
    facts.check_size(source.shape())
    if not named:
        named = [NamedSuite.read(name) for name in _default_suites(source)]
    _refuse_repeated([entry.definition.name for entry in named])
    named = [entry.fitting(source) for entry in named]
    suites = [entry.measured(source, request, facts) for entry in named]
    locations = dataclasses.replace(
        locations_of(request, device),
        data=data if isinstance(data, str) else None,
        suites=tuple((entry.definition.name, entry.folder) for entry in named if entry.folder is not None),
    )
    former = [None if entry.folder is None else folder_hash(entry.folder) for entry in named]
    return _finish(Draft(request, device, facts, objects, locations, suites, former), chosen)


def _plan_of_saved(request: RunOptions, objects: Objects, facts: ModelFacts) -> Plan:
    """Plan the scoring of saved images, which are a suite and its data in one."""
    given = {**request, "resize": request["resize"] is not True}
    for option in _OF_IMAGES:
        if given[option]:
            raise UsageError(f"saved adversarial images are scored as they are: leave {option} out")
    suites: list[MeasuredSuite] = []
    for saved in open_saved(Path(str(request["adversarials"]))):
        check_source(saved.source, classes=facts.classes)
        suites.append(MeasuredSuite(saved, saved.source))
    first = suites[0].source
    if any(suite.source.ids != first.ids for suite in suites):
        raise DataError(f"{request['adversarials']}: its suites are of different images; score one folder at a time")
    device = read_device(request["device"])
    refuse_impossible(request, facts, [])
    draft = Draft(request, device, facts, objects, locations_of(request, device), suites, [None] * len(suites))
    return _finish(draft, ChosenImages(first, first))


def _check_precision(precision: str, device: str) -> None:
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision == "tf32" and not device.startswith("cuda"):
        raise UsageError("tf32 is a mode of NVIDIA GPUs; use precision='float32' or precision='bfloat16' here")


def _facts(request: RunOptions, device: str) -> ModelFacts:
    return model_facts(request["model"], **model_options(request, device))


def model_options(request: RunOptions, device: str) -> LoadOptions:
    """Return the options with which a request's network is loaded."""
    return {
        "timesteps": request["timesteps"],
        "backbone_weights": request["backbone_weights"],
        "configuration": request["configuration"],
        "weights": request["weights"],
        "random_predictors": request["random_predictors"],
        "ablation": request["ablation"],
        "stochastic": request["stochastic"],
        "device": device,
        "model_version": request["model_version"],
    }


def _refuse_repeated(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"the suite {name} is named twice; name it once")


def _data_needed(named: list[NamedSuite]) -> str:
    imagenet = any(entry.definition.data == "imagenet" for entry in named)
    example = "'imagenet:PATH', the folder that holds ImageNet's val/" if imagenet else "'imagefolder:PATH'"
    return f"images are needed: give data={example}"


def _default_suites(source: ImageSource) -> tuple[str, ...]:
    """Return the suites that are measured where the user names none: those made for the source's images."""
    data = source.name.partition(":")[0]
    catalogue: list[tuple[SuiteKind, str]] = [(kind, name) for kind in SUITE_KINDS for name in suite_names(kind)]
    headers = {name: read_definition(kind, suite_folder(name)[1]) for kind, name in catalogue}
    chosen = tuple(name for name, header in headers.items() if header.default and header.data == data)
    if chosen:
        return chosen
    known = [name for _, name in catalogue]
    raise UsageError(f"name what to measure with `suites`; known: {', '.join(known)}")


@dataclasses.dataclass(frozen=True)
class Draft:
    """What a plan is made of, once all names are resolved."""

    request: RunOptions
    device: str
    facts: ModelFacts
    objects: Objects
    locations: Locations
    suites: list[MeasuredSuite]
    former: Sequence[str | None]


def _finish(draft: Draft, chosen: ChosenImages) -> Plan:
    request, facts, suites, source = draft.request, draft.facts, draft.suites, chosen.source
    digests = Digests.read(source, suites, request["severities"])
    checks = chosen_checks(request, suites, source)
    settings = run_settings(draft, source, checks=checks)
    refuse_absent(settings, settings.timesteps, [suite.definition for suite in suites])
    used = used_code(request, facts, suites, checks=checks is True)
    data = data_spec(request, chosen, digests, known_data_set(digests.source, facts.classes))
    held = zip(suites, draft.former, strict=True)
    spec = RunSpec(
        version=SPEC_VERSION,
        model={"name": marked_name(facts.marked_name, settings.grid), **facts.description},
        data=data,
        suites=tuple(_suite_spec(suite, source, former, data.data_set) for suite, former in held),
        settings=settings,
        versions=used.versions(),
    )
    units = tuple(by_setting(units_of(spec, suites, digests, predictive=facts.predictive), settings.grid.labels))
    asked = question(spec, suites, digests) if facts.own_code else None
    if isinstance(facts, Model):
        facts = facts.configured(
            precision=request["precision"], compiled=request["compiled"], recompute=request["recompute"]
        )
    marked = tuned_note(request, facts, digests.rows)
    notes = (*source.notes, *digests.remarks, *([] if marked is None else [marked]))
    lists = {suite.name: list_sha256(suite.source) for suite in suites}
    return Plan(
        spec, draft.locations, draft.objects, units, digests.table(), notes, facts, asked, record(request), used, lists
    )


def run_settings(draft: Draft, source: ImageSource, *, checks: Checks) -> Settings:
    """Return the settings of a run."""
    request = draft.request
    side, device = max(source.size()), torch.device(draft.device).type
    batch_size = request["batch_size"] or default_batch_size(side)
    block_size = request["block_size"] or default_block_size(batch_size)
    if block_size % batch_size:
        raise UsageError(
            f"`block_size` is a multiple of `batch_size`, so that batches fit (got {block_size} and {batch_size})"
        )
    found = {
        "timesteps": draft.facts.timesteps if request["timesteps"] is None else request["timesteps"],
        "batch_size": batch_size,
        "block_size": block_size,
        "threads": request["threads"] or default_threads(side, device, shared=not draft.objects),
        "epsilons": _epsilons(request, [suite.definition for suite in draft.suites], source.shape()),
        "device": device,
        "checks": checks,
    }
    values = {**request, **found}
    fields = {name: one.setting for name, one in declared(RunOptions).items()}
    return Settings.model_validate({field: values[name] for name, field in fields.items() if field is not None})


def _epsilons(
    request: RunOptions, definitions: Sequence[object], size: tuple[int, int, int] | None
) -> tuple[float, ...] | None:
    """Return the budgets that replace the suites'; each attack's norm decides which are possible.

    Args:
        request: What is asked for.
        definitions: Of the suites.
        size: Channels, height and width of the images; None while they are not known.

    Raises:
        UsageError: One is not a number, or out of range under the norm of one of the attacks.
    """
    given = request["epsilons"]
    refuse_unused(request, definitions)
    if given is None:
        return None
    suites = [suite for suite in definitions if isinstance(suite, AttackSuite)]
    for norm in dict.fromkeys(attack.ball for suite in suites for attack in suite.attacks):
        read_epsilons(given, norm, size)
    return parse_epsilons(given)


def data_spec(request: RunOptions, chosen: ChosenImages, digests: Digests, data_set: DataSet | None) -> DataSpec:
    """Return what a run's description says of its images."""
    source = chosen.source
    name, _, split = source.name.partition(":")
    return DataSpec(
        name=name,
        split=split,
        fingerprint=digests.fingerprint,
        available=len(source),
        data_set=data_set,
        preprocessing=source.preprocessing.stated(),
        corrupted=digests.corrupted,
        leave_out=request["leave_out"],
        damaged=chosen.damaged,
        former_fingerprint=digests.fingerprint if digests.whole else None,
    )


def _suite_spec(suite: MeasuredSuite, source: ImageSource, former: str | None, data_set: DataSet | None) -> SuiteSpec:
    definition = suite.definition
    if isinstance(definition, ExtractionSpec):
        raise UsageError("an extraction measures nothing, and is no suite")
    attacks = not isinstance(definition, CorruptionSuite)
    sha256 = definition.identity() if isinstance(definition, CorruptionSuite | AttackSuite) else definition.sha256()
    return SuiteSpec(
        name=definition.name,
        kind="attacks" if attacks else "corruptions",
        version=str(definition.version),
        sha256=sha256,
        images=len(suite.source),
        subset=is_subset(suite, source, data_set),
        rule=suite.rule,
        former_sha256=former,
    )
