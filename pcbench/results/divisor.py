"""What the corruption errors of a suite are divided by in a run: a baseline of the same images, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, cast

import pyarrow as pa
from pydantic import TypeAdapter

from pcbench.catalog import Definition
from pcbench.corruptions.definitions import Baseline, BaselineImages
from pcbench.data.data_set import SCHEMES
from pcbench.errors import damage_refused
from pcbench.results.directory import MANIFEST, Run
from pcbench.results.run_spec import DataSpec, RunSpec, SuiteSpec

DIVISORS = "divisors"
"""Where a manifest says what divides the corruption errors of each suite."""

_REMEDY = "pcbench baseline makes a baseline of a run's own images"

_WHOLE = {"imagenet": 50_000, "digits": 360}
"""How many images the published errors are of, by their data set."""
_WORDS = {"imagenet": "ImageNet's validation images", "digits": "the digits' test images at 32 px"}
_BUT = {
    "imagenet-train": "are ImageNet's training images, in part or all, by the names of their files",
    "imagenet-variant": "are of ImageNet-A, -R or -Sketch by the names of their files",
    "imagenet-classes": "are not labelled with, or not told apart among, ImageNet's 1,000 classes",
}


class Divisor(Definition):
    """What divides the corruption errors of a suite in a run, or why nothing does."""

    baseline: Baseline | None = None
    """None where nothing divides them."""
    subset: bool = False
    """Whether the run is on a part of the images that the baseline is of."""
    reason: str | None = None
    """Why the suite's baseline does not divide them; None where it does, or where the suite has none."""


def divisor(baseline: Baseline | None, suite: SuiteSpec, spec: RunSpec, images: pa.Table | None) -> Divisor:
    """Return what divides the corruption errors of a suite in a run.

    Args:
        baseline: The suite's baseline, or the one that the user gave for it.
        suite: The suite as it is run.
        spec: The run.
        images: Its images, as the table `images`; None for runs of versions that did not keep it.
    """
    if baseline is None:
        return Divisor()
    if baseline.images is not None:
        reason = _other_images(baseline.images, suite, spec, images)
    elif baseline.data is not None:
        reason = _not_of(baseline.name, baseline.data, suite, spec)
    else:
        reason = (
            f"the baseline {baseline.name} does not say which images its errors are of; make it again with pcbench "
            'baseline RUN, or write data = "imagenet" into its file if they are of ImageNet\'s validation images'
        )
    if reason is not None:
        return Divisor(reason=reason)
    subset = baseline.data is not None and (suite.subset or suite.images < _WHOLE[baseline.data])
    return Divisor(baseline=baseline, subset=subset)


def divisors_json(divisors: Mapping[str, Divisor]) -> dict[str, Any]:
    """Return what divides the corruption errors of each suite, as a manifest holds it."""
    return {name: found.model_dump(mode="json", exclude_none=True) for name, found in divisors.items()}


def divisors_in(run: Run) -> dict[str, Divisor] | None:
    """Return what a run says of its divisors; None where an earlier version made it, which did not say.

    Raises:
        DataError: What it says is damaged.
    """
    held = run.manifest.get(DIVISORS)
    if held is None:
        return None
    with damage_refused(run.folder, f"{MANIFEST} does not say what divides corruption errors", "run it again"):
        return TypeAdapter(dict[str, Divisor]).validate_json(json.dumps(held))


def images_of(suite: SuiteSpec, spec: RunSpec, images: pa.Table) -> BaselineImages:
    """Return what a baseline says of the images of a suite in a run."""
    return BaselineImages(
        name=f"{spec.data.name}:{spec.data.split}" if spec.data.split else spec.data.name,
        count=len(images),
        sha256=_images_sha256(images),
        suite_sha256=suite.sha256,
        preprocessing=preparation(spec.data.preprocessing),
        corrupted=_corrupted(suite, spec),
        jpeg_quality=spec.settings.jpeg_quality,
    )


def preparation(preprocessing: Mapping[str, str | int | None]) -> str:
    """Return in words how files became images of the network's size."""
    stated = {name: value for name, value in preprocessing.items() if value is not None}
    if not {"resize", "crop"} & stated.keys():
        return f"as they are, in channels: {stated['channels']}" if "channels" in stated else "as they are"
    return ", ".join(f"{name} {value}" for name, value in stated.items())


def published_data(data: DataSpec) -> str | None:
    """Return which published data set the images are of, such as ``"imagenet"``; None where nothing says it."""
    if data.data_set is not None:
        return data.data_set
    if data.name in SCHEMES:  # runs of versions that did not look closer
        return "imagenet"
    return "digits" if data.name == "digits" and data.split == "test" else None


def _not_of(name: str, stated: Literal["imagenet", "digits"], suite: SuiteSpec, spec: RunSpec) -> str | None:
    """Return why the images of a run are not of the data set that a baseline is of; None where they are."""
    data, here = published_data(spec.data), f"the images of {_source(spec)}"
    if data is None:
        problem = f"nothing says that {here} are of these"
    elif data != stated:
        problem = f"{here} {_BUT.get(data, 'are others')}"
    elif max(suite.images, spec.data.available) > _WHOLE[stated]:
        problem = f"{here} are {spec.data.available}, more than there are of these"
    elif stated == "digits" and spec.data.preprocessing.get("crop") not in (None, 32):
        problem = f"{here} were prepared otherwise ({preparation(spec.data.preprocessing)})"
    elif spec.data.preprocessing.get("channels", 3) != 3:  # what is done to them is not what was done to colours
        problem = f"{here} reach the network as images of channels: {spec.data.preprocessing['channels']}, not of 3"
    else:
        return None
    return f"these divide by the errors of {name} on {_WORDS[stated]}, and {problem}; {_REMEDY}"


def _other_images(made: BaselineImages, suite: SuiteSpec, spec: RunSpec, images: pa.Table | None) -> str | None:
    """Return what differs between the images of a baseline and those of a run; None where they are the same."""
    if images is None:
        return "the run was made by an earlier version, which kept no list of its images; run it again"
    here = images_of(suite, spec, images)
    if here.suite_sha256 != made.suite_sha256:
        return f"the baseline is of other corruptions than those of {suite.name}; {_REMEDY}"
    if here.sha256 != made.sha256:
        return (
            f"the baseline is of {made.count} images of {made.name}, and the {here.count} images of {here.name} are "
            f"not the same; {_REMEDY}"
        )
    differing = [pair for pair in zip(_manner(made), _manner(here), strict=True) if pair[0] != pair[1]]
    return f"the baseline is of {differing[0][0]}, the run of {differing[0][1]}; {_REMEDY}" if differing else None


def _manner(images: BaselineImages) -> tuple[str, ...]:
    """Return in words how images became what a network saw, step by step."""
    if images.corrupted is not None:  # such files are never resized or cropped
        return ("images corrupted on disk", f"corrupted files with the hash {images.corrupted[:12]}", "", "")
    quality = "no compression" if images.jpeg_quality is None else f"JPEG quality {images.jpeg_quality}"
    return (
        "images corrupted on the fly",
        "",
        f"images after {quality}",
        f"images prepared thus: {images.preprocessing}",
    )


def _source(spec: RunSpec) -> str:
    return f"{spec.data.name}:{spec.data.split}" if spec.data.split else spec.data.name


def _images_sha256(images: pa.Table) -> str:
    """Return a hash over labels and stored bytes: names of files and their order do not count."""
    pairs = zip(images.column("label").to_pylist(), images.column("sha256").to_pylist(), strict=True)
    rows = sorted(f"{cast('bytes', digest).hex()} {label}\n" for label, digest in pairs)
    return hashlib.sha256("".join(rows).encode()).hexdigest()


def _corrupted(suite: SuiteSpec, spec: RunSpec) -> str | None:
    """Return the hash over the published files of one suite; None where images are corrupted on the fly."""
    if spec.data.corrupted is None:
        return None
    names = [one.name for one in spec.suites if one.kind == "corruptions"]
    hashes = spec.data.corrupted.split("+")
    return hashes[names.index(suite.name)] if len(hashes) == len(names) else spec.data.corrupted
