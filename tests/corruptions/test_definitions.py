"""Oracle: the published table of AlexNet's errors, the files' own promise (five values a parameter), TOML's reader."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from pcbench.catalog import catalog_folder
from pcbench.corruptions.api import corrupt
from pcbench.corruptions.definitions import Baseline, CorruptionSuite, load_corruption_suite
from pcbench.errors import DefinitionError, UnknownNameError, UsageError


@pytest.fixture
def own_suite(tmp_path: Path) -> Path:
    folder = tmp_path / "corruptions" / "mine"
    shutil.copytree(catalog_folder("corruptions") / "digits-c", folder)
    (folder / "baseline.toml").unlink(missing_ok=True)
    return folder


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("name", "count"),
    [("imagenet-c", 15), ("imagenet-c-extra", 4), ("cifar-10-c", 19), ("digits-c", 15), ("imagenet-c-bar", 10)],
)
def test_the_suites_of_the_design_are_there(suites: dict[str, CorruptionSuite], name: str, count: int) -> None:
    assert len(suites[name].corruptions) == count


def test_imagenet_c_is_in_the_order_of_the_paper_s_table(suites: dict[str, CorruptionSuite]) -> None:
    # Oracle: Hendrycks & Dietterich, table 1.
    names = [definition.name for definition in suites["imagenet-c"].corruptions]
    assert names[:4] == ["gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur"]
    assert names[-2:] == ["pixelate", "jpeg_compression"]
    assert [definition.family for definition in suites["imagenet-c"].corruptions] == (
        ["noise"] * 3 + ["blur"] * 4 + ["weather"] * 4 + ["digital"] * 4
    )


def test_alexnet_s_errors_are_the_published_ones(suites: dict[str, CorruptionSuite]) -> None:
    # Oracle: the means that the authors' README carries, and hendrycks/robustness issue 10.
    baseline = suites["imagenet-c"].baseline
    assert baseline is not None
    stated = {name: suite.baseline.data for name, suite in suites.items() if suite.baseline is not None}
    assert stated == {"imagenet-c": "imagenet", "imagenet-c-extra": "imagenet", "digits-c": "digits"}
    assert baseline.clean_error == pytest.approx(1 - 0.56522)
    assert baseline.mean_error("gaussian_noise") == pytest.approx(0.886428)
    assert baseline.errors["snow"] == (0.71726, 0.88392, 0.86468, 0.91870, 0.94952)
    assert baseline.errors["jpeg_compression"] is None
    assert baseline.mean_error("jpeg_compression") == 0.606500
    with pytest.raises(UnknownNameError, match="did you mean 'jpeg_compression'"):
        baseline.mean_error("jpeg_compresion")


def test_a_mean_that_its_errors_contradict_is_refused() -> None:
    with pytest.raises(ValueError, match=r"average to 0\.3"):
        Baseline(name="n", source="s", errors={"fog": (0.1, 0.2, 0.3, 0.4, 0.5)}, means={"fog": 0.31})


def test_a_new_file_adds_a_corruption_without_touching_python(own_suite: Path) -> None:
    shutil.copy(own_suite / "fog.toml", own_suite / "thin_fog.toml")
    edit(own_suite / "thin_fog.toml", "density = [0.4, 0.7, 1, 1.5, 2]", "density = [0.1, 0.2, 0.3, 0.4, 0.5]")
    suite = load_corruption_suite(own_suite)
    assert suite.corruptions[-1].name == "thin_fog"
    images = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)
    thin = corrupt(images, suite.corruption("thin_fog"), 1)
    thick = corrupt(images, suite.corruption("fog"), 1)
    assert thin.float().std() < thick.float().std()


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('function = "fog"', 'function = "fogg"', "did you mean 'fog'"),
        ("[parameters]", "[parameters]\ndensty = [1, 1, 1, 1, 1]", "unknown key 'densty'; did you mean 'density'"),
        ("density = [0.4, 0.7, 1, 1.5, 2]\n", "", "the key 'density' is missing"),
        ("[0.4, 0.7, 1, 1.5, 2]", "[0.4, 0.7, 1, 1.5]", "density"),
        ("[0.4, 0.7, 1, 1.5, 2]", "[0.4, 0.7, -1, 1.5, 2]", "greater than 0"),
        ("[0.4, 0.7, 1, 1.5, 2]", "0.4", "density"),
        ('family = "weather"', 'family = "whether"', "family"),
        ("[parameters]", "[parameters", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(own_suite: Path, before: str, after: str, problem: str) -> None:
    edit(own_suite / "fog.toml", before, after)
    with pytest.raises(DefinitionError, match=r"fog\.toml: ") as caught:
        load_corruption_suite(own_suite)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_whole_number_is_asked_for_where_one_is_meant(own_suite: Path) -> None:
    edit(own_suite / "jpeg_compression.toml", "[15, ", "[15.5, ")
    with pytest.raises(DefinitionError, match="quality"):
        load_corruption_suite(own_suite)


def test_a_file_that_the_order_names_and_that_is_missing_is_refused(own_suite: Path) -> None:
    (own_suite / "snow.toml").unlink()
    with pytest.raises(DefinitionError, match=r"snow\.toml.*order"):
        load_corruption_suite(own_suite)


def test_severities_are_one_to_five(suites: dict[str, CorruptionSuite]) -> None:
    with pytest.raises(UsageError, match="the severities of fog are from 1 to 5"):
        suites["imagenet-c"].corruption("fog").at(0)
    assert list(suites["imagenet-c"].corruption("fog").severities) == [1, 2, 3, 4, 5]


def test_a_corruption_has_as_many_severities_as_its_parameters_have_values(own_suite: Path) -> None:
    edit(own_suite / "fog.toml", "density = [0.4, 0.7, 1, 1.5, 2]", "density = [0.4, 0.7, 1]")
    with pytest.raises(DefinitionError, match=r"one value per severity; now density has 3, decay has 5"):
        load_corruption_suite(own_suite)
    edit(own_suite / "fog.toml", "decay = [3, 2.5, 2.25, 2, 1.75]", "decay = [3, 2.5, 2.25]")
    (own_suite / "baseline.toml").unlink(missing_ok=True)
    fog = load_corruption_suite(own_suite).corruption("fog")
    assert list(fog.severities) == [1, 2, 3]
    with pytest.raises(UsageError, match="from 1 to 3"):
        fog.at(4)


def test_a_baseline_of_other_severities_is_refused(own_suite: Path) -> None:
    (own_suite / "baseline.toml").write_text('name = "n"\nsource = "s"\n[errors]\nfog = [0.1, 0.2, 0.3]\n')
    with pytest.raises(DefinitionError, match=r"errors\.fog: has 3 errors, but the corruption has 5 severities"):
        load_corruption_suite(own_suite)
