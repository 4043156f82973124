"""Oracles: which images Hendrycks & Dietterich measured AlexNet on, and the list of images that each test makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from made_runs import made_data, made_settings, made_spec, made_suite
from pydantic import ValidationError

from pcbench.catalog import suite_folder
from pcbench.corruptions.definitions import Baseline, load_corruption_suite
from pcbench.errors import DataError
from pcbench.results.directory import Run
from pcbench.results.divisor import DIVISORS, Divisor, divisor, divisors_in, divisors_json, images_of
from pcbench.results.run_spec import RunSpec
from pcbench.results.schema import made_table

ALEXNET = load_corruption_suite(suite_folder("imagenet-c")[1]).baseline
DIGITS = load_corruption_suite(suite_folder("digits-c")[1]).baseline


def spec(images: int = 3, *, subset: bool = False, jpeg_quality: int | None = None, **data: Any) -> RunSpec:
    suite = made_suite("one-c", images, sha256="5" * 64, subset=subset)
    return made_spec([suite], made_data(images, **data), made_settings(jpeg_quality=jpeg_quality))


def images(*rows: tuple[str, int, bytes]) -> pa.Table:
    ids, labels, contents = zip(*rows, strict=True)
    return made_table("images", {"image_id": ids, "label": labels, "sha256": [c * 32 for c in contents]})


ROWS = (("a", 0, b"1"), ("b", 1, b"2"), ("c", 0, b"3"))


def judged(baseline: Baseline | None, run: RunSpec, table: pa.Table | None = None) -> Divisor:
    return divisor(baseline, run.suites[0], run, table)


def test_alexnet_s_errors_divide_results_on_imagenet() -> None:
    whole = judged(ALEXNET, spec(50_000, name="parquet", split="val", data_set="imagenet"))
    assert (whole.baseline, whole.subset, whole.reason) == (ALEXNET, False, None)
    # Fewer are marked, whether or not the suite says how many there are.
    for run in (spec(500, data_set="imagenet"), spec(50_000, data_set="imagenet", subset=True)):
        assert judged(ALEXNET, run) == Divisor(baseline=ALEXNET, subset=True)
    # Runs of former versions say it by their source alone.
    assert judged(ALEXNET, spec(50_000, name="imagenet", split="val")).baseline == ALEXNET


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"name": "digits", "split": "test"}, r"alexnet on ImageNet's validation images.* of digits:test are others"),
        ({"name": "CIFAR10", "split": ""}, "nothing says that the images of CIFAR10 are of these"),
        ({"name": "imagenet", "data_set": "imagenet-train"}, "are ImageNet's training images"),
        ({"name": "imagefolder", "data_set": "imagenet-variant"}, "are of ImageNet-A, -R or -Sketch"),
        ({"name": "imagefolder", "data_set": "imagenet-classes"}, "ImageNet's 1,000 classes"),
    ],
)
def test_alexnet_s_errors_divide_nothing_else_and_the_reason_is_the_true_one(data: dict[str, Any], why: str) -> None:
    run = spec(360, **data)
    found = judged(ALEXNET, run)
    assert found.baseline is None
    assert found.reason is not None
    with pytest.raises(ValueError, match=why):
        raise ValueError(found.reason)
    assert "subset" not in found.reason


def test_more_images_than_the_validation_set_has_are_not_it() -> None:
    found = judged(ALEXNET, spec(50_889, name="imagenet", data_set="imagenet"))
    assert found.baseline is None
    assert "are 50889, more than there are" in str(found.reason)


def test_the_digits_baseline_divides_the_digits_test_images_alone() -> None:
    digits = {"name": "digits", "split": "test"}
    assert judged(DIGITS, spec(360, **digits)) == Divisor(baseline=DIGITS)
    assert judged(DIGITS, spec(16, **digits, subset=True)) == Divisor(baseline=DIGITS, subset=True)
    wide = judged(DIGITS, spec(360, **digits, preprocessing={"resize": 64, "crop": 64, "interpolation": "bilinear"}))
    assert "were prepared otherwise (resize 64, crop 64" in str(wide.reason)
    grey = judged(DIGITS, spec(360, **digits, preprocessing={"resize": None, "crop": None, "channels": 1}))
    assert "reach the network as images of channels: 1, not of 3" in str(grey.reason)
    assert judged(DIGITS, spec(360, name="digits", split="train")).baseline is None
    assert judged(DIGITS, spec(50_000, data_set="imagenet")).baseline is None


def made(run: RunSpec, table: pa.Table) -> Baseline:
    return Baseline(name="n", source="s", images=images_of(run.suites[0], run, table), errors={"fog": (0.5,)})


def test_a_made_baseline_divides_results_on_the_same_images() -> None:
    baseline = made(spec(), images(*ROWS))
    assert judged(baseline, spec(), images(*ROWS)) == Divisor(baseline=baseline)
    # Neither their names nor their order counts, nor what the source is called.
    renamed = [(f"{name}.png", label, content) for name, label, content in reversed(ROWS)]
    assert judged(baseline, spec(name="parquet"), images(*renamed)).baseline == baseline


@pytest.mark.parametrize(
    "rows",
    [ROWS[:2], (*ROWS, ("d", 1, b"4")), (*ROWS[:2], ("c", 1, b"3")), (*ROWS[:2], ("c", 0, b"4"))],
    ids=["fewer", "more", "another label", "other bytes"],
)
def test_other_images_are_refused(rows: tuple[tuple[str, int, bytes], ...]) -> None:
    found = judged(made(spec(), images(*ROWS)), spec(len(rows)), images(*rows))
    assert found.baseline is None
    assert f"of 3 images of made:test, and the {len(rows)} images of made:test are not the same" in str(found.reason)


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        ({}, {"corrupted": "f" * 64}, "is of images corrupted on the fly, the run of images corrupted on disk"),
        ({"corrupted": "f" * 64}, {}, "is of images corrupted on disk, the run of images corrupted on the fly"),
        (
            {"corrupted": "f" * 64},
            {"corrupted": "e" * 64},
            "hash ffffffffffff, the run of .* hash eeeeeeeeeeee",
        ),
        ({}, {"jpeg_quality": 85}, "images after no compression, the run of images after JPEG quality 85"),
        (
            {},
            {"preprocessing": {"resize": 64, "crop": 56}},
            "thus: .*, the run of images prepared thus: resize",
        ),
    ],
)
def test_images_that_became_other_ones_are_refused(one: dict[str, Any], other: dict[str, Any], why: str) -> None:
    found = judged(made(spec(**one), images(*ROWS)), spec(**other), images(*ROWS))
    assert found.baseline is None
    with pytest.raises(ValueError, match=why):
        raise ValueError(found.reason)


def test_corrupted_files_are_never_resized_so_that_preprocessing_does_not_count() -> None:
    disk = {"corrupted": "f" * 64}
    baseline = made(spec(**disk), images(*ROWS))
    assert judged(baseline, spec(**disk, preprocessing={"resize": 64, "crop": 32}), images(*ROWS)).baseline == baseline


def test_other_corruptions_are_refused() -> None:
    baseline = made(spec(), images(*ROWS))
    suite = spec().suites[0].model_copy(update={"sha256": "6" * 64})
    found = divisor(baseline, suite, spec(), images(*ROWS))
    assert "the baseline is of other corruptions than those of one-c" in str(found.reason)


def test_a_baseline_of_a_former_version_is_read_and_divides_nothing() -> None:
    former = Baseline.model_validate_json('{"name": "mine", "source": "s", "errors": {"fog": [0.5, 0.6]}}')
    reason = str(judged(former, spec(50_000, data_set="imagenet")).reason)
    assert "mine does not say which images its errors are of; make it again with pcbench baseline RUN" in reason
    assert 'write data = "imagenet"' in reason


def test_a_run_without_a_list_of_its_images_is_told_so() -> None:
    assert "earlier version" in str(judged(made(spec(), images(*ROWS)), spec(), None).reason)


def test_what_divides_survives_the_way_through_a_manifest(finish: Callable[..., Run], tmp_path: Path) -> None:
    run = finish(tmp_path / "run")
    said = {"one-c": Divisor(baseline=ALEXNET, subset=True), "two": Divisor(reason="why"), "three": Divisor()}
    kept = dataclasses.replace(run, manifest={**run.manifest, DIVISORS: divisors_json(said)})
    assert divisors_in(kept) == said
    assert divisors_in(dataclasses.replace(run, manifest={**run.manifest, DIVISORS: None})) is None
    damaged = dataclasses.replace(run, manifest={**run.manifest, DIVISORS: {"one-c": {"subset": 3}}})
    with pytest.raises(DataError, match=r"does not say what divides corruption errors.*run it again"):
        divisors_in(damaged)


def test_a_baseline_names_one_of_the_known_data_sets() -> None:
    with pytest.raises(ValidationError):
        Baseline.model_validate_json('{"name": "n", "source": "s", "data": "cifar"}')
