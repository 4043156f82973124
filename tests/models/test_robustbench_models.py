"""Oracle: a file of random weights that goes through RobustBench's own loader; its published weights were not tried."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pcbench.errors import MissingExtraError, UnknownNameError, UsageError, WeightsError
from pcbench.extras import is_installed
from pcbench.models import load
from pcbench.models.robustbench_models import open_robustbench

installed = pytest.mark.skipif(
    not is_installed("robustbench"), reason="the extra robustbench is not installed in this environment"
)


@pytest.mark.skipif(is_installed("robustbench"), reason="the extra robustbench is installed")
def test_without_the_extra_one_line_says_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="robustbench is not installed"):
        open_robustbench("cifar10/Linf/Standard")


def test_a_name_has_three_parts() -> None:
    with pytest.raises(UsageError, match="cifar10/Linf/Standard"):
        open_robustbench("Linf/Standard")


@installed
@pytest.mark.filterwarnings("ignore")  # robustbench and what it imports warn of many things
def test_a_local_file_goes_through_its_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        open_robustbench("cifar/Linf/Engstrom2019Robustness")
    with pytest.raises(UnknownNameError, match="threat model"):
        open_robustbench("cifar10/L1/Engstrom2019Robustness")
    with pytest.raises(UnknownNameError, match="Engstrom2019Robustness"):
        open_robustbench("cifar10/Linf/Engstrom2019")
    from robustbench.model_zoo.models import model_dicts

    tables = {key.value: value for key, value in model_dicts.items()}
    threats = {key.value: value for key, value in tables["cifar10"].items()}
    torch.manual_seed(0)
    made = threats["Linf"]["Engstrom2019Robustness"]["model"]().eval()
    path = tmp_path / "cifar10" / "Linf" / "Engstrom2019Robustness.pt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": made.state_dict()}, path)
    loaded = open_robustbench("cifar10/Linf/Engstrom2019Robustness", tmp_path)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), made(images))
    monkeypatch.chdir(tmp_path)
    path.parent.parent.parent.joinpath("models").symlink_to(tmp_path)
    model = load("robustbench:cifar10/Linf/Engstrom2019Robustness")
    assert (model.classes, model.timesteps) == (10, 0)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(images)[0], made(images))
    path.write_bytes(b"nonsense")
    with pytest.raises(WeightsError, match="no usable weights"):
        open_robustbench("cifar10/Linf/Engstrom2019Robustness", tmp_path)


@installed
@pytest.mark.filterwarnings("ignore")
def test_a_name_alone_is_of_cifar10_under_linf_and_others_are_told_where_they_are() -> None:
    with pytest.raises(UsageError, match="write robustbench:imagenet/Linf/Salman2020Do_R18"):
        open_robustbench("Salman2020Do_R18")
    with pytest.raises(UsageError, match="did you mean 'Carmon2019Unlabeled'"):
        open_robustbench("Carmon2019Unlabelled")


@installed
@pytest.mark.filterwarnings("ignore")
def test_images_are_prepared_as_robustbench_prepares_them() -> None:
    import numpy as np
    from PIL import Image
    from robustbench.data import get_preprocessing
    from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel

    from pcbench.models.robustbench_models import _import, _preprocessing

    _import()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for name in ("Salman2020Do_R18", "Debenedetti2022Light_XCiT-S12", "Liu2023Comprehensive_Swin-B"):
        theirs = get_preprocessing(BenchmarkDataset.imagenet, ThreatModel.Linf, name, None)(Image.fromarray(pixels))
        ours = _preprocessing("imagenet", "Linf", name).apply(pixels, name)
        assert np.array_equal(ours, (theirs.numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)), name
