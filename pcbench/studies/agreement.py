"""Whether the runs of a study belong together: one backbone, one content of each image, by what each run records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pcbench import files
from pcbench.errors import DataError
from pcbench.results.directory import MANIFEST, read_manifest
from pcbench.results.run_spec import RunSpec
from pcbench.results.schema import read_table
from pcbench.studies.basis import MODEL_FACTS, StudyImages, remedy_of, short_value, what_is
from pcbench.studies.options import Given
from pcbench.studies.steps import steps_of
from pcbench.studies.study_file import StudyFile

_IMAGES = "images.parquet"
_GIVEN = "what is given now"
_IMAGES_MEND = "give the former images with `data`, or delete the runs that are of the others and make them again"
_MEND = "delete the results that are of the other one, and make them again with `pcbench study run`"


def refuse_mixed_runs(study: StudyFile, out: Path, basis: Mapping[str, str], images: StudyImages | None = None) -> None:
    """Refuse runs that are not of one backbone, one definition of each suite, and one content of each image.

    The arm `deeper` is another network; its images are compared, its backbone is not.

    Args:
        study: The study, or the part of it that is answered.
        out: Its folder.
        basis: What it stands on, as its record or the command says; a part of it is enough.
        images: The images that are given now; None where a study is answered from its runs alone.

    Raises:
        DataError: Two differ; both are named.
    """
    runs = {
        step.name: (step.arm, read_manifest(out / step.name, verify=False)[0])
        for step in steps_of(study, Given(out))
        if step.kind == "run" and files.is_file(out / step.name / MANIFEST)
    }
    of_backbone = ((name, spec.model) for name, (arm, spec) in runs.items() if arm != "deeper")
    _refuse_other_backbones(out, [("study.json" if images is None else _GIVEN, basis), *of_backbone])
    specs = {name: spec for name, (_, spec) in runs.items()}
    _refuse_other_suites(out, specs)
    _refuse_other_images(out, specs, images)


def _refuse_other_backbones(out: Path, described: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for name, facts in described:
        for key in MODEL_FACTS:
            if facts.get(key) is None:
                continue
            value = str(facts[key])
            first, former = seen.setdefault(key, (name, value))
            if former != value:
                mend = f"{remedy_of(key)}, or give another folder with `out`" if first == _GIVEN else _MEND
                raise DataError(
                    f"{out}: {first} and {name} differ in {what_is(key)} ({short_value(former)} and "
                    f"{short_value(value)}), and results of one backbone alone are compared: {mend}"
                )


def _refuse_other_suites(out: Path, specs: Mapping[str, RunSpec]) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for name, spec in specs.items():
        for suite in spec.suites:
            first, former = seen.setdefault(suite.name, (name, suite.sha256))
            if former != suite.sha256:
                raise DataError(f"{out}: {first} and {name} are of two definitions of {suite.name}: {_MEND}")


def _refuse_other_images(out: Path, specs: Mapping[str, RunSpec], images: StudyImages | None) -> None:
    now = "" if images is None else f"the images that are given now ({images.measured.name})"
    seen: dict[str, tuple[bytes, str]] = {}
    if images is not None:
        rows = zip(images.measured.ids, images.digests, strict=True)
        seen = {image: (digest.tobytes(), now) for image, digest in rows}
    for name, spec in _of_other_images(out, specs).items():
        table = read_table(out / name / _IMAGES, "images", ["image_id", "sha256"])
        hashes: list[tuple[str, bytes]] = [(str(row["image_id"]), row["sha256"]) for row in table.to_pylist()]
        for image, digest in hashes:
            if images is not None and image not in seen:
                raise DataError(
                    f"{out}: {name} ({spec.data.name}:{spec.data.split}) measured {image}, which is not among {now}: "
                    f"{_IMAGES_MEND}"
                )
            former, first = seen.setdefault(image, (digest, name))
            if former != digest:
                raise DataError(f"{out}: {first} and {name} differ in the content of {image}: {_IMAGES_MEND}")


def _of_other_images(out: Path, specs: Mapping[str, RunSpec]) -> dict[str, RunSpec]:
    """Return a run of each set of images, so that each is read once."""
    found: dict[str, str] = {}
    for name, spec in specs.items():
        if files.is_file(out / name / _IMAGES):
            found.setdefault(spec.data.fingerprint or name, name)
    return {name: specs[name] for name in found.values()}
