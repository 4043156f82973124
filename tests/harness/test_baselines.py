"""Oracles: CE by hand from the outcomes; a network divided by itself; published files made here of the same images."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import pcbench
from pcbench.catalog import load_definition
from pcbench.comparison.compare import compare_runs
from pcbench.corruptions.definitions import Baseline, load_corruption_suite
from pcbench.data.preprocessing import Preprocessing
from pcbench.data.sources import open_source
from pcbench.errors import DataError, UsageError
from pcbench.harness.divisors import divisors_of
from pcbench.harness.plan import make_plan
from pcbench.harness.request import request_from
from pcbench.harness.saved_plan import plan_for, write_plan
from pcbench.reports.page.content import page_content
from pcbench.results.baselines import baseline_of, write_baseline
from pcbench.results.directory import Run, open_run

Measure = Callable[..., Run]
ASKED: dict[str, Any] = {"data": "digits", "images": 40, "timesteps": 0, "threads": 1, "progress": False}
PUBLISHED = 60
"""How many images the made-up published files hold."""


def linear(seed: int) -> nn.Module:
    """A network that is often wrong, of seeded weights."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return network


@pytest.fixture(autouse=True)
def _without_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are looked at, and what a page is made of; drawing takes seconds."""
    monkeypatch.setattr("pcbench.harness.run._write_report", lambda *_: None)


@pytest.fixture(scope="module")
def first(shared_suites: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of ``measure(1)``, with which most tests begin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pcbench.harness.run._write_report", lambda *_: None)
        return pcbench.run(linear(1), [str(shared_suites[0])], out=tmp_path_factory.mktemp("first") / "run", **ASKED)


@pytest.fixture
def measure(corruption_suite: Path, tmp_path: Path, first: Run) -> Measure:
    """Measure a network on 40 digits under two corruptions, as ``measure(1, images=20)``."""

    def run(weights: int, suites: Path | list[str] = corruption_suite, **options: Any) -> Run:
        out = options.pop("out", tmp_path / f"run-{weights}-{len(list(tmp_path.iterdir()))}")
        if (weights, suites, options) == (1, corruption_suite, {}):
            return open_run(shutil.copytree(first.folder, out))
        named = [str(suites)] if isinstance(suites, Path) else suites
        return pcbench.run(linear(weights), named, out=out, **(ASKED | options))

    return run


def errors(run: Run) -> pd.Series:
    """The errors of a run by corruption, counted image by image over all severities."""
    outcomes = run.outcomes()
    corrupted = outcomes[outcomes["kind"] == "corruption"]
    return (~corrupted["correct"]).groupby(corrupted["name"].astype(str)).sum()


def values(run: Run, metric: str) -> pd.Series:
    rows = run.metrics[run.metrics["metric"] == metric]
    return rows.set_index("name")["value"]


def written(run: Run, folder: Path) -> Path:
    return write_baseline(baseline_of(run), folder / "baseline.toml")


def test_a_run_divided_by_its_own_baseline_has_100_percent_everywhere(measure: Measure, tmp_path: Path) -> None:
    first = measure(1, out=tmp_path / "one")
    assert values(first, "corruption_error").empty
    again = measure(1, out=tmp_path / "one", baseline=written(first, tmp_path))
    assert again.found
    for metric in ("corruption_error", "relative_corruption_error", "mean_normalised_error"):
        assert values(again, metric).to_numpy() == pytest.approx(1, rel=1e-15)
    rows = again.metrics[again.metrics["metric"].str.contains("normalised_error")]
    (name,) = set(rows["baseline"].dropna())
    assert name == f"Sequential, 40 images of digits:test, {first.manifest['started'][:10]}, run {first.key}"


def test_another_network_s_ce_is_its_errors_over_the_baseline_s(measure: Measure, tmp_path: Path) -> None:
    one = measure(1)
    two = measure(2, baseline=written(one, tmp_path), seed=3)
    expected = errors(two) / errors(one)
    assert values(two, "corruption_error").to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)
    (figure,) = [row for row in compare_runs(two, two, ("a", "b")) if "normalised" in row.figure.name]
    assert figure.first_value == pytest.approx(expected.mean(), rel=1e-6)
    assert f"run {one.key}" in figure.figure.name


def test_the_file_holds_the_errors_of_the_run_s_tables(measure: Measure, tmp_path: Path) -> None:
    run = measure(1)
    read = load_definition(Baseline, written(run, tmp_path))
    table = run.metrics[run.metrics["metric"] == "error"]
    assert read.clean_error == table[table["kind"] == "clean"]["value"].iloc[0]
    for name in ("gaussian_noise", "contrast"):
        assert read.errors[name] == tuple(table[table["name"] == name].sort_values("severity")["value"])
    assert run.key in read.source
    assert "corrupted on the fly, seed 0" in read.source


@pytest.mark.parametrize("more", [{"images": 39}, {"jpeg_quality": 85}], ids=["fewer images", "JPEG"])
def test_other_images_are_refused_before_any_work(measure: Measure, tmp_path: Path, more: dict[str, Any]) -> None:
    baseline = written(measure(1), tmp_path)
    with pytest.raises(UsageError, match=r"baseline.toml: the baseline is of .*; pcbench baseline makes a baseline"):
        measure(2, baseline=baseline, out=tmp_path / "refused", **more)
    assert not list(tmp_path.glob("refused*"))


def test_a_baseline_of_other_corruptions_is_refused(measure: Measure, corruption_suite: Path, tmp_path: Path) -> None:
    baseline = written(measure(1), tmp_path)
    (corruption_suite / "contrast.toml").unlink()
    with pytest.raises(UsageError, match="is of other corruptions than those of this run"):
        measure(1, baseline=baseline)
    with pytest.raises(UsageError, match="`baseline` is about corruptions"):
        measure(1, ["digits-linf"], baseline=baseline)


def test_a_suite_s_own_baseline_of_other_images_divides_nothing_and_says_why(
    measure: Measure, corruption_suite: Path, tmp_path: Path
) -> None:
    shutil.copy(written(measure(1), tmp_path), corruption_suite / "baseline.toml")
    assert load_corruption_suite(corruption_suite).baseline is not None
    same, other = measure(2), measure(2, images=39)
    assert len(values(same, "corruption_error")) == 2
    assert values(other, "corruption_error").empty
    assert values(other, "unnormalised_error").notna().all()
    assert "40 images of digits:test, and the 39" in other.manifest["divisors"]["two"]["reason"]
    assert not any("normalised" in row.figure.name for row in compare_runs(other, other, ("a", "b")))


def test_a_baseline_of_a_later_timestep_is_taken_where_it_is_asked_for(
    network: nn.Module, corruption_suite: Path, tmp_path: Path
) -> None:
    out, suites = tmp_path / "run", [str(corruption_suite)]
    run = pcbench.run(network, suites, data="digits", images=8, timesteps=2, out=out, progress=False)
    table = run.metrics[(run.metrics["metric"] == "error") & (run.metrics["name"] == "contrast")]
    for timestep in (0, 2):
        made = baseline_of(run, timestep=timestep).baseline
        assert made.errors["contrast"] == tuple(table[table["timestep"] == timestep].sort_values("severity")["value"])
        assert f"tiny at t = {timestep}, 8 images" in made.name
    with pytest.raises(UsageError, match=r"does not have t = 3; it has t = 0 to 2"):
        baseline_of(run, timestep=3)


def test_what_has_no_baseline_says_so(measure: Measure, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"images": 4, "timesteps": 0, "progress": False}
    noise = pcbench.run("alexnet_digits", ["gaussian-noise"], out=tmp_path / "noise", **asked)
    with pytest.raises(UsageError, match="gaussian-noise changes the network's input, not images"):
        baseline_of(noise)
    with pytest.raises(UsageError, match="only corruptions have a baseline"):
        baseline_of(measure(1, ["digits-linf"], checks=False))
    run = measure(1)
    with pytest.raises(UsageError, match="has no suite of corruptions 'digits-c'; it has two"):
        baseline_of(run, "digits-c")
    lost = {"work": "scores", "suite": "two", "condition": "fog", "images": "all", "reason": "a worker died"}
    with pytest.raises(DataError, match="some results of two are missing"):
        baseline_of(dataclasses.replace(run, manifest={**run.manifest, "missing": [lost]}))
    (run.folder / "images.parquet").unlink()
    with pytest.raises(DataError, match="earlier version"):
        baseline_of(run)


def test_a_network_that_is_never_wrong_cannot_be_divided_by(corruption_suite: Path, tmp_path: Path) -> None:
    class Half(nn.Module):
        input_size = (3, 8, 8)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            bright = images[:, :, :4].mean((1, 2, 3)) - images[:, :, 4:].mean((1, 2, 3))
            return torch.stack([-bright, bright], 1)

    # Oracle: built so; no corruption here makes the black half of an image brighter than the white one.
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[:, :4] = 255
    run = pcbench.run(Half(), [str(corruption_suite)], data=(images, np.ones(4, int)), out=tmp_path / "r", timesteps=0)
    with pytest.raises(DataError, match=r"Half makes no error under .*: corruption errors would be divided by zero"):
        baseline_of(run)


@pytest.fixture
def on_disk(corruption_suite: Path, tmp_path: Path) -> Path:
    """The corrupted digits as arrays, as CIFAR-10-C was published."""
    header = (corruption_suite / "suite.toml").read_text()
    layout = f'[published]\nfiles = "arrays"\nimages = {PUBLISHED}\nside = 32\nclasses = 10\nids = "made/"\n'
    (corruption_suite / "suite.toml").write_text(header + layout)
    source = open_source("digits", preprocessing=Preprocessing())
    folder = tmp_path / "published"
    folder.mkdir()
    pixels = source.load(range(PUBLISHED))
    for corruption in load_corruption_suite(corruption_suite).corruptions:
        made = [
            pcbench.corrupt(
                pixels, corruption.name, severity=severity, seed=9, ids=list(source.ids[:PUBLISHED])
            ).numpy()
            for severity in corruption.severities
        ]
        np.save(folder / f"{corruption.name}.npy", np.concatenate(made).transpose(0, 2, 3, 1))
    np.save(folder / "labels.npy", np.tile(source.labels[:PUBLISHED], 2))
    return folder


def test_images_on_disk_and_on_the_fly_do_not_divide_each_other(
    measure: Measure, on_disk: Path, tmp_path: Path
) -> None:
    source = open_source("digits", preprocessing=Preprocessing())
    data = (source.load(range(PUBLISHED)).permute(0, 2, 3, 1).numpy(), source.labels[:PUBLISHED])
    measure = functools.partial(measure, images=None, data=data)
    disk = measure(1, corrupted=on_disk)
    baseline = written(disk, tmp_path)
    assert "corrupted files from disk" in load_definition(Baseline, baseline).source
    two = measure(2, corrupted=on_disk, baseline=baseline)
    expected = errors(two) / errors(disk)
    assert values(two, "corruption_error").to_dict() == pytest.approx(expected.to_dict(), rel=1e-12)
    with pytest.raises(UsageError, match="is of images corrupted on disk, the run of images corrupted on the fly"):
        measure(2, baseline=baseline)
    fly = written(measure(1), tmp_path)
    with pytest.raises(UsageError, match="is of images corrupted on the fly, the run of images corrupted on disk"):
        measure(2, corrupted=on_disk, baseline=fly)


def test_shards_and_a_saved_plan_keep_the_baseline(corruption_suite: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"suites": [str(corruption_suite)], "images": 60, "timesteps": 0, "progress": False}
    baseline = written(pcbench.run("alexnet_digits", out=tmp_path / "first", **asked), tmp_path)
    shutil.copy(baseline, tmp_path / "kept.toml")
    asked |= {"model": "pdigits", "baseline": baseline}
    whole = pcbench.run(out=tmp_path / "whole", **asked)
    for number in (1, 2):
        pcbench.run(out=tmp_path / "shards", shard=f"{number}/2", **asked)
    plan = write_plan(plan_for(request_from({**asked, "out": None})), tmp_path / "plan")
    baseline.unlink()
    (suite,) = plan.glob("corruptions/two")
    assert load_corruption_suite(suite).baseline == load_definition(Baseline, tmp_path / "kept.toml")
    other = tmp_path / "other.toml"
    other.write_text((tmp_path / "kept.toml").read_text().replace('\nsha256 = "', '\nsha256 = "0'))
    with pytest.raises(UsageError, match=r"other.toml: .* are not the same"):
        pcbench.run(spec=plan, baseline=other, out=tmp_path / "refused", progress=False)
    merged = pcbench.merge(tmp_path / "shards", tmp_path / "merged")
    assert (merged.folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()
    assert len(values(merged, "corruption_error")) == 2


# Mean error of AlexNet over the five severities: the README of hendrycks/robustness.
ALEXNET = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}


@pytest.fixture
def without_corrupting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave images as they are, for a network that does not look at them."""
    monkeypatch.setattr("pcbench.harness.work.scores.corrupt", lambda images, *_, **__: images)


def imagenet_run(tmp_path: Path, name: str) -> Run:
    """A network that is always wrong, on two images that are called as ImageNet calls its own."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 1000))
    nn.init.zeros_(network[1].weight)
    nn.init.zeros_(network[1].bias)
    network[1].bias.data[999] = 1
    for wordnet_id in ("n01440764", "n01443537"):
        folder = tmp_path / name / wordnet_id
        folder.mkdir(parents=True)
        Image.new("RGB", (32, 32), (90, 60, 30)).save(folder / f"{name.format(wordnet_id)}.JPEG", "PNG")
    data, out = f"imagenet-subset:{tmp_path / name}", tmp_path / "run"
    return pcbench.run(network, ["imagenet-c"], data=data, timesteps=0, out=out, progress=False)


@pytest.mark.usefixtures("without_corrupting")
def test_a_network_that_is_always_wrong_on_imagenet_has_the_mce_that_alexnet_s_errors_give(tmp_path: Path) -> None:
    run = imagenet_run(tmp_path, "ILSVRC2012_val_00000293")
    expected = {name: 1 / error for name, error in ALEXNET.items()}
    assert values(run, "corruption_error").to_dict() == pytest.approx(expected, rel=2e-5)
    row = run.metrics[run.metrics["metric"] == "mean_corruption_error"].iloc[0]
    assert row["value"] == pytest.approx(np.mean(list(expected.values())), rel=2e-5)
    assert row["baseline"] == "alexnet (subset, not comparable)"


@pytest.mark.usefixtures("without_corrupting")
def test_training_images_of_imagenet_have_no_mce(tmp_path: Path) -> None:
    run = imagenet_run(tmp_path, "{}_10026")
    assert values(run, "corruption_error").empty
    reason = run.manifest["divisors"]["imagenet-c"]["reason"]
    assert "ImageNet's training images" in reason
    assert not any("mCE" in row.figure.name for row in compare_runs(run, run, ("a", "b")))
    assert ("note", f"imagenet-c: no CE or mCE: {reason}") in page_content([run]).values["runs"][0]["facts"]


def test_all_digits_are_no_part_of_imagenet() -> None:
    request = request_from({"model": "alexnet_digits", "suites": ("imagenet-c", "digits-c"), "timesteps": 0})
    plan = make_plan(request)
    assert [suite.subset for suite in plan.spec.suites] == [False, False]
    found = divisors_of(plan.spec, plan.locations, plan.images)
    assert found["imagenet-c"].baseline is None
    assert found["digits-c"].baseline is not None
    assert not found["digits-c"].subset
