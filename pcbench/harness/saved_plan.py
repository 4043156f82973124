"""A plan on disk: made once, where all images and weights are read, and taken by each shard, worker and merge.

    <folder>/plan.json            what is known of the network, notes, and a hash of every other file
    <folder>/run_spec.json        what is run
    <folder>/units.parquet        the work, in order
    <folder>/images.parquet       the images of the run, with a hash of each
    <folder>/attacks/<suite>/     copies of the definitions of its suites, and corruptions/<suite>/ likewise

No path of a machine is in it. It is written whole or not at all, and compared with its hashes when it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from pydantic import TypeAdapter, ValidationError

from pcbench import files, models
from pcbench.catalog import BASELINE_FILE, SUITE_FILE, Definition
from pcbench.errors import DataError, DefinitionError, UsageError, first_line
from pcbench.files import MARKER, UNFINISHED
from pcbench.harness.blocks import Unit
from pcbench.harness.divisors import divisors_of, given_baseline
from pcbench.harness.extraction.options import is_extraction
from pcbench.harness.extraction.plan import make_extraction_plan
from pcbench.harness.locations import Locations, Objects, locations_of, objects_of
from pcbench.harness.plan import Plan, make_plan
from pcbench.harness.request import RunOptions
from pcbench.harness.saved_options import PLAN, RUN_SPEC
from pcbench.harness.saved_units import check_units, read_units, unit_from, unit_row, write_units
from pcbench.harness.suites import read_definition
from pcbench.harness.used_code import UsedCode
from pcbench.limits.text import read_json
from pcbench.models.devices import read_device
from pcbench.models.facts import ModelFacts
from pcbench.results.directory import write_json
from pcbench.results.run_spec import EXTRACTION, RunSpec, differences, read_spec
from pcbench.results.saved_suite import FOLDER as ADVERSARIALS
from pcbench.results.schema import read_table, write_table
from pcbench.results.workspace import is_bare

PLAN_VERSION = 1
UNITS, IMAGES = "units.parquet", "images.parquet"
_REMEDY = "save it again with pcbench plan --save-spec"


class _Content(Definition):
    """What `plan.json` says."""

    made_by: str
    what: str
    plan_version: int
    key: str
    facts: dict[str, Any]
    notes: tuple[str, ...]
    question: dict[str, Any] | None
    options: dict[str, Any]
    modules: tuple[str, ...]
    libraries: tuple[str, ...]
    lists: dict[str, str]
    files: dict[str, str]


@dataclass(frozen=True)
class SavedPlan:
    """A plan as it was read from its folder, before it is joined with the places of a machine."""

    folder: Path
    """Where it lies."""
    spec: RunSpec
    """What is run."""
    units: tuple[Unit, ...]
    """The work, in order."""
    images: pa.Table
    """The images of the run with their hashes, as the table `images`."""
    facts: ModelFacts
    """What is known of the network, without the network."""
    notes: tuple[str, ...]
    """What a reader of the numbers must know about images and labels."""
    question: Unit | None
    """The unit by whose answers a network of the user's own is recognised."""
    used: UsedCode
    """The code that does the work."""
    lists: Mapping[str, str]
    """For each suite the hash over the ids and labels of its images."""
    options: Mapping[str, Any]
    """What was asked for, without places."""

    def plan(self, locations: Locations | None = None, objects: Objects | None = None) -> Plan:
        """Return it as a plan.

        Args:
            locations: Where things lie here; a plan whose units are only joined needs none of them.
            objects: What the user gave as Python objects.
        """
        suites = () if self.spec.data.name == ADVERSARIALS else self.spec.suites
        folders = tuple((suite.name, self.folder / suite.kind / suite.name) for suite in suites)
        here = dataclasses.replace(locations or Locations(None), suites=folders)
        return Plan(
            self.spec,
            here,
            objects or Objects(),
            self.units,
            self.images,
            self.notes,
            self.facts,
            self.question,
            self.options,
            self.used,
            self.lists,
        )

    def refuse_other_code(self) -> None:
        """Refuse to do work of this plan with other code: it would be taken for the planned one.

        Raises:
            UsageError: pcbench or a library has another version here; each is named.
        """
        planned = {name: version for name, version in self.spec.versions.items() if name != "pcbench"}
        here = {name: version for name, version in self.used.versions().items() if name != "pcbench"}
        found = differences(planned, here)
        if found:
            raise UsageError(
                f"the plan in {self.folder} was made by other versions ({'; '.join(map(str, found))}); install those, "
                "or plan again with these"
            )


def plan_for(request: RunOptions) -> Plan:
    """Return the plan of a request: the saved one that it names, or a new one.

    Raises:
        UsageError: As `make_plan` and `read_plan`, or the given baseline is of other images.
    """
    if is_extraction(request):
        return make_extraction_plan(request)
    plan = make_plan(request) if request["spec"] is None else read_plan(Path(str(request["spec"])), request)
    divisors_of(plan.spec, plan.locations, plan.images)
    return plan


def read_plan(folder: Path, request: RunOptions) -> Plan:
    """Read a saved plan for a run here.

    Args:
        folder: Where it lies.
        request: Says where images, weights and device are; it is one that `request_from` has joined with the plan.

    Raises:
        DataError: The plan is missing or damaged.
        UsageError: The code here is not that of the plan, or the device is of another kind.
    """
    saved = open_plan(folder)
    objects, planned = objects_of(request), saved.spec.settings.device
    objects.refuse_workers(request["workers"], request["engine"])
    device = read_device(planned if request["device"] == "auto" else request["device"])
    if torch.device(device).type != planned:
        raise UsageError(f"`device` is {device}, and the plan in {folder} is for {planned}; save another plan")
    saved.refuse_other_code()
    data = request["data"]
    if data is None and request["adversarials"] is None:
        data = models.default_data(request["model"])
    data = data if isinstance(data, str) else None
    return saved.plan(dataclasses.replace(locations_of(request, device), data=data), objects)


def write_plan(plan: Plan, folder: Path) -> Path:
    """Save a plan, whole or not at all; the same plan that is there already stays.

    Returns:
        The folder.

    Raises:
        UsageError: The folder holds something else, or cannot be written.
        WriteError: The disk is full or fails.
    """
    final = files.real_path(folder)
    if final.name.endswith(UNFINISHED) or not final.name:
        raise UsageError(f"{folder} is no place for a plan; give another folder")
    unfinished = final.with_name(final.name + UNFINISHED)
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        if (final / PLAN).is_file() and open_plan(final).spec.key() == plan.spec.key():
            return final
        raise UsageError(f"{final} exists and does not hold this plan; give another folder, or remove it")
    if unfinished.exists() and not is_bare(unfinished) and not _is_ours(unfinished):
        raise UsageError(f"{unfinished} exists and was not made by pcbench; move it away")
    files.remove_folder(unfinished, last=MARKER)
    files.try_folder(unfinished, "give another folder")
    write_json(unfinished / MARKER, {"made_by": "pcbench", "what": "unfinished plan"})
    write_plan_files(plan, unfinished)
    write_json(unfinished / MARKER, {"made_by": "pcbench", "what": "saved plan"})
    files.rename(unfinished, final)
    return final


def write_plan_files(plan: Plan, folder: Path) -> None:
    """Write the files of a plan into a folder that is being made.

    Raises:
        UsageError: Attacks or corruptions are given by themselves, and may be no files.
    """
    if plan.objects.suites:
        raise UsageError(
            "a saved plan holds suites: put the files of `attacks` and `corruptions` into the folder of one "
            "(docs/explanation/attacks.md, docs/reference/corruptions.md)"
        )
    write_json(folder / RUN_SPEC, plan.spec.model_dump(mode="json"))
    write_units(plan.units, folder / UNITS)
    write_table(plan.images, folder / IMAGES, "images")
    names = [RUN_SPEC, UNITS, IMAGES]
    for suite in () if plan.locations.adversarials else plan.spec.suites:
        for path in sorted(plan.locations.suite(suite.name).glob("*.toml")):
            names.append(f"{suite.kind}/{suite.name}/{path.name}")
            files.write(folder / names[-1], path.read_bytes())
        given = given_baseline(suite, plan.locations)
        if given is not None:
            names.append(f"{suite.kind}/{suite.name}/{BASELINE_FILE}")
            files.write(folder / names[-1], given)
    facts = {field.name: getattr(plan.facts, field.name) for field in dataclasses.fields(ModelFacts)}
    content = {
        "made_by": "pcbench",
        "what": "saved plan",
        "plan_version": PLAN_VERSION,
        "key": plan.spec.key(),
        "facts": TypeAdapter(ModelFacts).dump_python(ModelFacts(**facts), mode="json"),
        "notes": plan.notes,
        "question": None if plan.question is None else unit_row(plan.question),
        "options": plan.options,
        "modules": plan.used.modules,
        "libraries": plan.used.libraries,
        "lists": plan.lists,
        "files": {name: files.file_sha256(folder / name) for name in names},
    }
    write_json(folder / PLAN, {**content, "sha256": _sha256(content)})


def open_plan(folder: Path) -> SavedPlan:
    """Read a saved plan and compare it with its hashes.

    Raises:
        DataError: It is missing, damaged, or of another version.
    """
    try:
        return _opened(folder.absolute())
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise DataError(f"{folder}: does not hold a whole saved plan ({missing} is missing); {_REMEDY}") from None
    except DataError as error:
        raise DataError(f"{folder}: {error}; {_REMEDY}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        said = type(error).__name__ if isinstance(error, ValidationError) else first_line(error)
        raise DataError(f"{folder}: the saved plan is damaged ({said}); {_REMEDY}") from error


def _opened(folder: Path) -> SavedPlan:
    found = dict(read_json(folder / PLAN))
    sealed = found.pop("sha256", None)
    if found.get("plan_version") != PLAN_VERSION and found.get("what") == "saved plan":
        raise DataError(f"is of version {found.get('plan_version')}, this pcbench reads version {PLAN_VERSION}")
    if sealed != _sha256(found):
        raise ValueError(f"{PLAN} was changed")
    content = _Content.model_validate_json(json.dumps(found))
    for name, digest in content.files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"{name} is not a file of a plan")
        if files.file_sha256(folder / name) != digest:
            raise ValueError(f"{name} was changed")
    return _joined(folder, content)


def _joined(folder: Path, content: _Content) -> SavedPlan:
    spec = read_spec(read_json(folder / RUN_SPEC))
    if spec.key() != content.key:
        raise ValueError(f"its key is not {content.key}")
    facts = TypeAdapter(ModelFacts).validate_json(json.dumps(content.facts))
    units = read_units(folder / UNITS)
    question = None if content.question is None else unit_from(content.question)
    suites = {suite.name for suite in spec.suites} if spec.extraction is None else {EXTRACTION}
    check_units([*units, *([] if question is None else [question])], suites)
    saved = SavedPlan(
        folder,
        spec,
        units,
        read_table(folder / IMAGES, "images"),
        facts,
        content.notes,
        question,
        UsedCode(content.modules, content.libraries),
        content.lists,
        content.options,
    )
    _check_suites(saved)
    return saved


def _check_suites(saved: SavedPlan) -> None:
    """Refuse copies of definitions that are not those of the description."""
    for suite in () if saved.spec.data.name == ADVERSARIALS else saved.spec.suites:
        folder = saved.folder / suite.kind / suite.name
        if Path(suite.name).name != suite.name or not (folder / SUITE_FILE).is_file():
            raise ValueError(f"the definitions of {suite.name} are missing")
        try:
            same = read_definition(suite.kind, folder).identity() == suite.sha256
        except DefinitionError as error:
            raise DataError(str(error)) from error
        if not same:
            raise ValueError(f"the definitions of {suite.name} are not those that were planned")


def _sha256(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_ours(folder: Path) -> bool:
    try:
        return read_json(folder / MARKER)["made_by"] == "pcbench"
    except (DataError, OSError, ValueError, KeyError, TypeError):
        return False
