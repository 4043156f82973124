"""From a request to the plan of an extraction: which arrays, of which shapes, in which units."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pcbench import models
from pcbench.data.data_set import known_data_set
from pcbench.errors import UsageError
from pcbench.extras import require
from pcbench.files import free_bytes
from pcbench.harness.blocks import Unit, cut
from pcbench.harness.costs import forward_passes
from pcbench.harness.digests import Digests
from pcbench.harness.extraction.options import ExtractOptions
from pcbench.harness.grids import refuse_impossible
from pcbench.harness.images import ChosenImages, choose_images
from pcbench.harness.locations import locations_of, objects_of
from pcbench.harness.plan import Draft, Plan, data_spec, model_options, run_settings
from pcbench.harness.saved_options import record
from pcbench.harness.suites import MeasuredSuite, list_sha256
from pcbench.harness.units import question
from pcbench.harness.used_code import UsedCode
from pcbench.harness.work.extraction import LOGITS, shape_of
from pcbench.models.devices import read_device
from pcbench.models.inner_values import PCODER_VALUES, module_named, pcoder_modules, show_values
from pcbench.models.model import Model
from pcbench.network.grid import Grid
from pcbench.network.watching import MODULES
from pcbench.percent import shown_bytes
from pcbench.results.conditions import Condition
from pcbench.results.directory import partial_folder
from pcbench.results.extraction import ArrayFiles
from pcbench.results.run_spec import EXTRACTION, SPEC_VERSION, ArraySpec, ExtractionSpec, RunSpec, marked_name
from pcbench.results.workspace import ARRAYS_FOLDER

_BLOCK_BYTES = 64 << 20
"""What the rows of a unit take at most, where one batch does not take more: a worker holds them in its memory."""
_MOST_IMAGES = 512
"""A unit has no more images, however few bytes they take."""
_WORK = "extraction"


def make_extraction_plan(request: ExtractOptions) -> Plan:
    """Resolve a request to extract.

    Raises:
        UsageError: A name is unknown, images or weights are missing or not made for each other.
    """
    if request["format"] == "hdf5":
        require("h5py")
    objects = objects_of(request)
    objects.refuse_workers(request["workers"], request["engine"])
    device = read_device(request["device"])
    model = models.load(request["model"], **model_options(request, device))
    refuse_impossible(request, model, [])
    labels = Grid.of(request["hyperparameters"]).labels
    if labels:
        raise UsageError(f"an extraction has one setting of `hyperparameters`, and these are {len(labels)}; give one")
    data = request["data"] if request["data"] is not None else models.default_data(request["model"])
    if data is None:
        raise UsageError("images are needed: give data='imagefolder:PATH'; they need no labels")
    model = model.choosing_among(data)
    chosen = choose_images(data, request, model, labelled=False)
    if not isinstance(data, str):
        objects = dataclasses.replace(objects, data=chosen.opened)
    locations = dataclasses.replace(locations_of(request, device), data=data if isinstance(data, str) else None)
    size = chosen.source.shape()
    model.check_size(size)
    source = chosen.source if request["images"] is None else chosen.source.take(request["images"])
    extraction = ExtractionSpec(
        images=len(source),
        subset=source.subset is not None,
        arrays=tuple(_arrays(request, model, size)),
        pool=request["pool"],
        project=request["project"],
        dtype=request["dtype"],
        format=request["format"],
    )
    suite = MeasuredSuite(extraction, source)
    return _finished(Draft(request, device, model, objects, locations, [suite], [None]), chosen, model, extraction)


def _finished(draft: Draft, chosen: ChosenImages, model: Model, extraction: ExtractionSpec) -> Plan:
    (suite,) = draft.suites
    settings = run_settings(draft, suite.source, checks=False)
    if draft.request["block_size"] is None:
        images = _block_size(extraction.image_bytes(settings.timesteps), settings.batch_size)
        settings = settings.model_copy(update={"block_size": images})
    digests = Digests.read(chosen.source, [suite])
    used = UsedCode(("pcbench.harness.context", f"pcbench.harness.work.{_WORK}", *model.modules), ())
    spec = RunSpec(
        version=SPEC_VERSION,
        model={"name": marked_name(model.marked_name, settings.grid), **model.description},
        data=data_spec(draft.request, chosen, digests, known_data_set(digests.source, model.classes)),
        suites=(),
        settings=settings,
        extraction=extraction,
        versions=used.versions(),
    )
    return Plan(
        spec,
        draft.locations,
        draft.objects,
        tuple(_units(spec, digests.of(suite.source))),
        digests.table(),
        (*suite.source.notes, *digests.remarks),
        model,
        question(spec, [suite], digests) if model.own_code else None,
        record(draft.request),
        used,
        {EXTRACTION: list_sha256(suite.source)},
    )


def _units(spec: RunSpec, digests: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> Iterator[Unit]:
    condition = Condition(EXTRACTION, "clean", "images")
    for block in cut(digests, spec.settings.block_size or 1):
        yield Unit(_WORK, condition, block, forward_passes(spec.settings.timesteps + 1))


def _block_size(image_bytes: int, batch_size: int) -> int:
    batches = min(_BLOCK_BYTES // max(1, image_bytes * batch_size), _MOST_IMAGES // batch_size)
    return batch_size * max(1, batches)


def _arrays(request: ExtractOptions, model: Model, size: Sequence[int]) -> Iterator[ArraySpec]:
    """Yield what is to be written, with the shapes that the network gives an image at t = 0.

    Raises:
        UsageError: What a module gives has no axis of images.
    """
    names = _names(request, model)
    found: dict[str, tuple[int, ...]] = {}

    # With one image, a value for all images together would look like that of this image.
    images = torch.zeros(2, *size, device=model.device)

    def note(name: str, _: int, value: Tensor) -> None:
        if value.dim() == 0 or len(value) != len(images):
            raise UsageError(
                f"{name} has the shape {tuple(value.shape)} for {len(images)} images, so it does not have one value "
                "for each; keep another module"
            )
        found[name] = tuple(value.shape[1:])

    asked = [name.removeprefix(MODULES) for name in names if name.startswith(MODULES)]
    kinds = [kind for kind in PCODER_VALUES if any(name.startswith(f"{kind}/") for name in names)]
    show_values(model, images, 0, [*kinds, *asked], note)
    found[LOGITS] = (model.classes,)
    modules = pcoder_modules(model)
    for name in names:
        which = name.partition("/")[2]
        module = None if name == LOGITS else which if name.startswith(MODULES) else modules[int(which) - 1]
        shape, projected = found[name], False
        if name != LOGITS:
            shape, projected = shape_of(found[name], request["pool"], request["project"])
        yield ArraySpec(name=name, module=module, shape=shape, computed=found[name], projected=projected)


def _names(request: ExtractOptions, model: Model) -> list[str]:
    """Return the names of the arrays, in an order that does not depend on that in which they are asked for.

    Raises:
        UnknownNameError: There is no such module.
        UsageError: There is no such PCoder.
    """
    count = len(pcoder_modules(model))
    names: list[str] = []
    for asked in request["keep"]:
        kind, colon, number = asked.partition(":")
        if asked == LOGITS:
            continue
        if kind not in PCODER_VALUES:
            names.append(MODULES + module_named(model, asked))
        elif count == 0:
            raise UsageError(
                f"{model.name} has no {kind}: it is not a predictive network; keep modules by their names, or logits"
            )
        elif colon and not (number.isdecimal() and 1 <= int(number) <= count):
            raise UsageError(f"`keep` is {asked!r}; {model.name} has the PCoders 1 to {count}: {kind}:1")
        else:
            names += [f"{kind}/{n}" for n in ([int(number)] if colon else range(1, count + 1))]
    order = [*PCODER_VALUES, MODULES.rstrip("/")]
    return [*sorted(set(names), key=lambda name: (order.index(name.partition("/")[0]), _number(name), name)), LOGITS]


def _number(name: str) -> int:
    number = name.partition("/")[2]
    return int(number) if number.isdecimal() and not name.startswith(MODULES) else 0


def needed_bytes(spec: RunSpec, images: int | None = None) -> int:
    """Return how many bytes an extraction takes on the disk while it is finished.

    Args:
        spec: What is extracted.
        images: Only so many of its images.
    """
    extraction = spec.extraction
    if extraction is None:
        return 0
    count = extraction.images if images is None else images
    # The arrays are copied into the one file at the end.
    return count * extraction.image_bytes(spec.settings.timesteps) * (2 if extraction.format == "hdf5" else 1)


def refuse_no_room(plan: Plan, final: Path, *, whole: bool = True) -> None:
    """Refuse what does not fit the disk, before anything is computed.

    Args:
        plan: What is extracted.
        final: The folder that receives it.
        whole: Whether all images' rows are written here, and not a shard's parts.

    Raises:
        UsageError: It does not fit; the message says how large it is, and the ways on.
    """
    images = None if whole else sum(len(unit.block) for unit in plan.units)
    needed, free = needed_bytes(plan.spec, images), free_bytes(final.parent)
    if plan.spec.extraction is not None:
        needed -= ArrayFiles(partial_folder(final) / ARRAYS_FOLDER, plan.spec).allocated()
    if needed > free:
        largest = _largest(plan.spec)
        raise UsageError(
            f"{final} needs {shown_bytes(needed)} and {shown_bytes(free)} are free there ({largest}); make it smaller "
            "with pool='mean', project=512, dtype='float16', fewer in `keep` (representations:5), or fewer images, or "
            "give a folder on another disk with `out`"
        )


def _largest(spec: RunSpec) -> str:
    arrays = () if spec.extraction is None else spec.extraction.arrays
    one = max(arrays, key=lambda array: math.prod(array.shape))
    return f"most of it for {one.name}, {'x'.join(map(str, one.shape))} an image and timestep"
